//! Images in memory, and the files that they came from.
//!
//! Under Wine its own loader and file system know them; on a host whoever maps an image says so
//! ([`Images::add`]). Files are read in order. What is left out: writing, folders, other files.

use crate::report::lock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Handles of files; clear of those of devices and registry keys.
const FIRST_HANDLE: u64 = 0x6000_0000;
const HANDLE_STEP: u64 = 4;

/// An image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    /// Where it begins.
    pub base: u64,
    /// Bytes in memory.
    pub size: u32,
    /// The name of its file as the kernel writes it, `\??\C:\folder\name.sys`.
    pub name: String,
}

/// A file that is read.
#[derive(Debug)]
struct Open {
    bytes: Arc<[u8]>,
    position: usize,
}

#[derive(Debug, Default)]
struct State {
    images: Vec<(Image, Arc<[u8]>)>,
    open: BTreeMap<u64, Open>,
    numbers: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Images(Mutex<State>);

impl Images {
    /// Notes an image and the bytes of its file.
    pub fn add(&self, image: Image, file: Vec<u8>) {
        lock(&self.0).images.push((image, file.into()));
    }

    /// Forgets the image that begins at an address.
    pub fn remove(&self, base: u64) {
        lock(&self.0).images.retain(|(image, _)| image.base != base);
    }

    /// All images.
    #[must_use]
    pub fn list(&self) -> Vec<Image> {
        let state = lock(&self.0);
        state
            .images
            .iter()
            .map(|(image, _)| image.clone())
            .collect()
    }

    /// Opens the file of an image.
    pub fn open(&self, name: &str) -> Option<u64> {
        let mut state = lock(&self.0);
        let mut images = state.images.iter();
        let (_, bytes) = images.find(|(image, _)| image.name.eq_ignore_ascii_case(name))?;
        let open = Open {
            bytes: Arc::clone(bytes),
            position: 0,
        };
        state.numbers += 1;
        let handle = FIRST_HANDLE + state.numbers * HANDLE_STEP;
        state.open.insert(handle, open);
        Some(handle)
    }

    /// The next bytes of an open file, at most so many; none at its end.
    pub fn read(&self, handle: u64, most: usize) -> Option<Vec<u8>> {
        let mut state = lock(&self.0);
        let open = state.open.get_mut(&handle)?;
        let rest = &open.bytes[open.position..];
        let bytes = rest[..rest.len().min(most)].to_vec();
        open.position += bytes.len();
        Some(bytes)
    }

    /// Closes a file; false when it is none of these.
    pub fn close(&self, handle: u64) -> bool {
        lock(&self.0).open.remove(&handle).is_some()
    }

    /// Files that were opened and not closed.
    #[must_use]
    pub fn open_files(&self) -> usize {
        lock(&self.0).open.len()
    }
}
