//! Devices by name, and files that drivers open for the processes they serve.
//!
//! Under Wine a driver runs in another process than its caller, and opening a file of a device that
//! is just serving a request does not work as in Windows; so files that drivers open are ours, with
//! a handle that only means something to drivers, and only for the process that it was opened for.
//! Handles and references count separately: clean-up comes with the last handle, close with the last
//! reference. A process that ends has its handles closed ([`Files::handles_of`]). What is left out:
//! rights of handles.

use crate::report::lock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// Handles of user mode are small multiples of four; these stay clear of the real ones.
const FIRST_HANDLE: u64 = 0x7000_0000;
const HANDLE_STEP: u64 = 4;
/// Words of a `FILE_OBJECT`.
const OBJECT_WORDS: usize = 27;
const DEVICE_WORD: usize = 1;
/// `Type` and `Size` of a file object.
const TYPE_AND_SIZE: u64 = 5 | (OBJECT_WORDS as u64 * 8) << 16;

#[derive(Debug)]
struct File {
    object: Box<[u64; OBJECT_WORDS]>,
    references: u64,
    handles: u64,
    device: u64,
}

/// A handle: its file and the process that has it.
#[derive(Clone, Copy, Debug)]
struct Handle {
    file: u64,
    process: u64,
}

#[derive(Debug, Default)]
struct State {
    devices: BTreeMap<String, u64>,
    handles: BTreeMap<u64, Handle>,
    files: BTreeMap<u64, File>,
    requests: BTreeSet<u64>,
    /// Processes whose end will be reported.
    watched: BTreeSet<u64>,
    numbers: u64,
}

impl State {
    fn file(&self, handle: u64, process: u64) -> Option<u64> {
        let found = self.handles.get(&handle)?;
        (found.process == process).then_some(found.file)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Files(Mutex<State>);

/// What has to be told to the driver of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// The device.
    pub device: u64,
    /// The file.
    pub file: u64,
    /// Nothing refers to it any more.
    pub is_last: bool,
}

impl Files {
    /// Notes a device.
    pub fn add_device(&self, name: &str, device: u64) {
        lock(&self.0).devices.insert(name.to_uppercase(), device);
    }

    /// Forgets a device.
    pub fn remove_device(&self, device: u64) {
        lock(&self.0).devices.retain(|_, other| *other != device);
    }

    /// The device of a name.
    #[must_use]
    pub fn device(&self, name: &str) -> Option<u64> {
        lock(&self.0).devices.get(&name.to_uppercase()).copied()
    }

    /// Opens a file for a process; gives handle and object.
    pub fn open(&self, device: u64, process: u64) -> (u64, u64) {
        let mut state = lock(&self.0);
        state.numbers += 1;
        let handle = FIRST_HANDLE + state.numbers * HANDLE_STEP;
        let mut object = Box::new([0; OBJECT_WORDS]);
        object[0] = TYPE_AND_SIZE;
        object[DEVICE_WORD] = device;
        let at = (&raw mut *object).expose_provenance() as u64;
        state.handles.insert(handle, Handle { file: at, process });
        state.files.insert(
            at,
            File {
                object,
                references: 1,
                handles: 1,
                device,
            },
        );
        (handle, at)
    }

    /// Refers to the file of a handle of a process.
    pub fn reference(&self, handle: u64, process: u64) -> Option<u64> {
        let mut state = lock(&self.0);
        let object = state.file(handle, process)?;
        state.files.get_mut(&object)?.references += 1;
        Some(object)
    }

    /// Makes a handle of another process to the file of a handle.
    pub fn duplicate(&self, handle: u64, from: u64, to: u64) -> Option<u64> {
        let mut state = lock(&self.0);
        let object = state.file(handle, from)?;
        let file = state.files.get_mut(&object)?;
        (file.handles, file.references) = (file.handles + 1, file.references + 1);
        state.numbers += 1;
        let made = FIRST_HANDLE + state.numbers * HANDLE_STEP;
        let (file, process) = (object, to);
        state.handles.insert(made, Handle { file, process });
        Some(made)
    }

    /// Closes a handle of a process; gives its file, for [`Files::release`]. Before that its driver
    /// has to be told of the event, if it was the last handle.
    pub fn close(&self, handle: u64, process: u64) -> Option<(u64, Option<Event>)> {
        let mut state = lock(&self.0);
        let file = state.file(handle, process)?;
        state.handles.remove(&handle);
        let found = state.files.get_mut(&file)?;
        found.handles = found.handles.saturating_sub(1);
        let event = Event {
            device: found.device,
            file,
            is_last: false,
        };
        Some((file, (found.handles == 0).then_some(event)))
    }

    /// Gives a reference up; the result is for the driver, and then for [`Files::forget`].
    pub fn release(&self, file: u64) -> Option<Option<Event>> {
        let mut state = lock(&self.0);
        let found = state.files.get_mut(&file)?;
        found.references = found.references.saturating_sub(1);
        let event = Event {
            device: found.device,
            file,
            is_last: true,
        };
        Some((found.references == 0).then_some(event))
    }

    /// Frees a file that nothing refers to.
    pub fn forget(&self, file: u64) {
        // The object was only reached by address; here it ends.
        drop(lock(&self.0).files.remove(&file).map(|file| file.object));
    }

    /// Notes a process that has files; true when its end is not going to be reported yet.
    pub fn watch(&self, process: u64) -> bool {
        lock(&self.0).watched.insert(process)
    }

    /// Forgets a process that ended; gives the handles that it had.
    pub fn handles_of(&self, process: u64) -> Vec<u64> {
        let mut state = lock(&self.0);
        state.watched.remove(&process);
        let handles = state.handles.iter();
        let own = handles.filter(|(_, handle)| handle.process == process);
        own.map(|(number, _)| *number).collect()
    }

    /// Notes a request that was made here.
    pub fn begin_request(&self, irp: u64) {
        lock(&self.0).requests.insert(irp);
    }

    /// Whether a request was made here and is not complete.
    #[must_use]
    pub fn has_request(&self, irp: u64) -> bool {
        lock(&self.0).requests.contains(&irp)
    }

    /// Whether a request was made here; it is complete now.
    pub fn complete_request(&self, irp: u64) -> bool {
        lock(&self.0).requests.remove(&irp)
    }

    /// What drivers left behind, in words.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        let state = lock(&self.0);
        let files = state.files.len();
        (files != 0)
            .then(|| format!("{files} files of devices"))
            .into_iter()
            .collect()
    }
}
