//! Pins: paths under which objects stay alive without a handle.

use crate::encode::answer;
use crate::handle::OwnedHandle;
use crate::{Cause, Client, Error, Link, Map, ObjectKind, Program, info};
use abi::ioctl::{Handle, Request};
use abi::result::EbpfResult;

/// A pin.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Pin {
    /// Its path in canonical form, `BPF:\...`.
    pub path: String,
    /// What is pinned.
    pub kind: ObjectKind,
}

/// An object that was opened by its path.
#[derive(Clone, Debug)]
pub enum Pinned {
    /// A map.
    Map(Map),
    /// A program.
    Program(Program),
    /// A link.
    Link(Link),
}

impl Client {
    /// All pins, ascending by path.
    ///
    /// # Errors
    /// The runtime cannot be asked.
    pub fn pins(&self) -> Result<Vec<Pin>, Error> {
        let mut pins: Vec<Pin> = Vec::new();
        loop {
            let after = pins.last().map(|pin| pin.path.as_str());
            match self.next_pin(after, None)? {
                Some(pin) if pins.last().is_none_or(|last| last.path < pin.path) => pins.push(pin),
                Some(_) => return Err(Error::new("list pins", Cause::OtherReply)),
                None => return Ok(pins),
            }
        }
    }

    /// The pin after a path, of one kind or of any; `None` at the end.
    ///
    /// # Errors
    /// The runtime cannot be asked.
    pub fn next_pin(
        &self,
        after: Option<&str>,
        kind: Option<ObjectKind>,
    ) -> Result<Option<Pin>, Error> {
        let request = Request::GetNextPinnedObjectPath {
            object_type: kind.map_or(0, |kind| kind as u32),
            start_path: after.unwrap_or_default().as_bytes(),
        };
        let next = self.ask(&request, |reply| {
            let (number, path) = answer!(reply, GetNextPinnedObjectPath { object_type, next_path }
                => (object_type, String::from_utf8_lossy(next_path).into_owned()))?;
            let kind = ObjectKind::from_number(number).ok_or(Cause::OtherReply)?;
            Ok(Pin { path, kind })
        });
        match next {
            Ok(pin) => Ok(Some(pin)),
            Err(error) if error.is(EbpfResult::NoMoreKeys) => Ok(None),
            Err(error) => Err(error.while_doing("list pins".to_owned())),
        }
    }

    /// The object that is pinned to a path.
    ///
    /// # Errors
    /// [`EbpfResult::ObjectNotFound`] when there is none.
    pub fn pinned(&self, path: &str) -> Result<Pinned, Error> {
        let handle = self.open_pin(path)?;
        Ok(match info::kind(&handle)? {
            ObjectKind::Map => Pinned::Map(Map::of_handle(handle)?),
            ObjectKind::Program => Pinned::Program(Program::of_handle(handle)?),
            ObjectKind::Link => Pinned::Link(Link::of_handle(handle)),
        })
    }

    /// The map that is pinned to a path; `None` when nothing is.
    ///
    /// # Errors
    /// Something else is pinned there.
    pub fn pinned_map(&self, path: &str) -> Result<Option<Map>, Error> {
        match self.open_pin(path) {
            Ok(handle) => Map::of_handle(handle).map(Some),
            Err(error) if error.is(EbpfResult::ObjectNotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open_pin(&self, path: &str) -> Result<OwnedHandle, Error> {
        let request = Request::GetPinnedObject {
            path: path.as_bytes(),
        };
        let handle = self.ask(
            &request,
            |reply| answer!(reply, GetPinnedObject { handle } => handle),
        );
        self.own(handle, || format!("open the pin {path}"))
    }

    /// Takes a pin away.
    ///
    /// # Errors
    /// [`EbpfResult::ObjectNotFound`] when there is none.
    pub fn unpin(&self, path: &str) -> Result<(), Error> {
        let told = self.set_pin(Handle::INVALID, path);
        told.map_err(|error| error.while_doing(format!("unpin {path}")))
    }

    fn set_pin(&self, handle: Handle, path: &str) -> Result<(), Error> {
        self.tell(&Request::UpdatePinning {
            handle,
            path: path.as_bytes(),
        })
    }
}

/// Objects that can be pinned.
macro_rules! pinnable {
    ($($object:ident)*) => {$(
        impl $object {
            /// Pins it to a path, where it stays alive without a handle.
            ///
            /// # Errors
            /// Something is pinned there already, or the path is none.
            pub fn pin(&self, path: &str) -> Result<(), Error> {
                let told = self.client().set_pin(self.owned().get(), path);
                told.map_err(|error| error.while_doing(format!("pin to {path}")))
            }
        }
    )*};
}

pinnable! { Map Program Link }
