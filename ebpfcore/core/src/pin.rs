//! Pins: names under which objects stay alive without a handle.
//!
//! A path is brought into one form before it is compared ([`Path::canonical`], [`abi::pin`]).
//!
//! Invariants: paths in the table are canonical and differ from each other. The table names objects
//! by id; whoever owns the objects counts a pin as one user. Pins live as long as the runtime.

use crate::Status;
use abi::pin::PinPath;
use alloc::vec::Vec;

pub use abi::pin::PATH_BYTES;

/// A canonical path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Path(Vec<u8>);

/// Kinds of objects; the discriminants are those of `ebpf_object_type_t`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum ObjectKind {
    /// A map.
    Map = 1,
    /// A link.
    Link = 2,
    /// A program.
    Program = 3,
    /// A native module; has a handle and an id, but no pins and no information.
    Module = 4,
}

/// The object at a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pinned {
    /// Its id.
    pub id: u32,
    /// Its kind.
    pub kind: ObjectKind,
}

/// All pins of a runtime, ascending by path.
#[derive(Default)]
pub struct Pins {
    pins: Vec<(Path, Pinned)>,
}

impl Path {
    /// The canonical form of a path.
    ///
    /// # Errors
    ///
    /// [`Status::InvalidArgument`] for an empty or too long path, one that holds a colon or a NUL,
    /// or one that leads above the root; [`Status::NoMemory`].
    pub fn canonical(path: &[u8]) -> Result<Path, Status> {
        let path = PinPath::canonical(path).ok_or(Status::InvalidArgument)?;
        Path::copy_of(path.as_bytes())
    }

    /// The canonical form of a name in a folder; an empty folder is the uppermost one.
    ///
    /// # Errors
    ///
    /// Those of [`Path::canonical`].
    pub fn below(folder: &[u8], name: &str) -> Result<Path, Status> {
        let mut path = Vec::new();
        let room = path.try_reserve_exact(folder.len() + 1 + name.len());
        room.map_err(|_| Status::NoMemory)?;
        path.extend_from_slice(folder);
        if !folder.is_empty() {
            path.push(b'\\');
        }
        path.extend_from_slice(name.as_bytes());
        Path::canonical(&path)
    }

    /// Its bytes, UTF-8 as far as the caller gave UTF-8.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn try_clone(&self) -> Result<Path, Status> {
        Path::copy_of(&self.0)
    }

    fn copy_of(path: &[u8]) -> Result<Path, Status> {
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(path.len())
            .map_err(|_| Status::NoMemory)?;
        bytes.extend_from_slice(path);
        Ok(Path(bytes))
    }
}

impl Pins {
    /// Pins an object.
    ///
    /// # Errors
    ///
    /// [`Status::ObjectAlreadyExists`] when the path is taken, [`Status::NoMemory`].
    pub fn insert(&mut self, path: Path, object: Pinned) -> Result<(), Status> {
        let Err(position) = self.position(&path) else {
            return Err(Status::ObjectAlreadyExists);
        };
        self.pins.try_reserve(1).map_err(|_| Status::NoMemory)?;
        self.pins.insert(position, (path, object));
        Ok(())
    }

    /// Takes a pin away; says what it held.
    ///
    /// # Errors
    ///
    /// [`Status::KeyNotFound`] when there is none.
    pub fn remove(&mut self, path: &Path) -> Result<Pinned, Status> {
        let position = self.position(path).map_err(|_| Status::KeyNotFound)?;
        Ok(self.pins.remove(position).1)
    }

    /// The object pinned at a path.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<Pinned> {
        let position = self.position(path).ok()?;
        self.pins.get(position).map(|(_, object)| *object)
    }

    /// The first pin after a path, of any or one kind; from the first on without a path.
    #[must_use]
    pub fn next(&self, after: Option<&Path>, kind: Option<ObjectKind>) -> Option<(&Path, Pinned)> {
        let start = match after.map(|path| self.position(path)) {
            None => 0,
            Some(Ok(position)) => position + 1,
            Some(Err(position)) => position,
        };
        let mut rest = self.pins.iter().skip(start);
        rest.find(|(_, object)| kind.is_none_or(|kind| object.kind == kind))
            .map(|(path, object)| (path, *object))
    }

    /// How often an object is pinned.
    #[must_use]
    pub fn count(&self, id: u32) -> u32 {
        let pins = self.pins.iter().filter(|(_, object)| object.id == id);
        u32::try_from(pins.count()).unwrap_or(u32::MAX)
    }

    /// Takes the pins of an object away, without giving up their use of it.
    pub fn forget(&mut self, id: u32) {
        self.pins.retain(|(_, object)| object.id != id);
    }

    /// Takes any pin away.
    pub fn pop(&mut self) -> Option<Pinned> {
        self.pins.pop().map(|(_, object)| object)
    }

    /// A copy of the path of the next pin, as an answer needs it once the lock is gone.
    ///
    /// # Errors
    ///
    /// [`Status::NoMoreKeys`] at the end, [`Status::NoMemory`].
    pub fn next_path(
        &self,
        after: Option<&Path>,
        kind: Option<ObjectKind>,
    ) -> Result<(Path, ObjectKind), Status> {
        let (path, object) = self.next(after, kind).ok_or(Status::NoMoreKeys)?;
        Ok((path.try_clone()?, object.kind))
    }

    fn position(&self, path: &Path) -> Result<usize, usize> {
        self.pins.binary_search_by(|(known, _)| known.cmp(path))
    }
}
