//! Handles that are closed when nobody needs them any more.

use crate::{Client, Link, Map, Program};
use abi::ioctl::Handle;

/// A handle of the runtime for this process.
pub(crate) struct OwnedHandle {
    client: Client,
    handle: Handle,
}

impl OwnedHandle {
    /// Takes over a handle that the runtime gave.
    pub(crate) fn new(client: &Client, handle: Handle) -> OwnedHandle {
        OwnedHandle {
            client: client.clone(),
            handle,
        }
    }

    pub(crate) fn get(&self) -> Handle {
        self.handle
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }
}

/// What all objects with a handle have.
macro_rules! objects {
    ($($object:ident)*) => {$(
        impl $object {
            /// The handle, valid as long as this value or a clone lives.
            #[must_use]
            pub fn handle(&self) -> Handle {
                self.owned().get()
            }

            /// The runtime that it belongs to.
            #[must_use]
            pub fn client(&self) -> &Client {
                self.owned().client()
            }

            pub(crate) fn owned(&self) -> &OwnedHandle {
                &self.handle
            }
        }
    )*};
}

objects! { Map Program Link }

impl Drop for OwnedHandle {
    fn drop(&mut self) {
        self.client.transport().close(self.handle);
    }
}

impl std::fmt::Debug for OwnedHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}", self.handle.0)
    }
}
