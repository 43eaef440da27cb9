//! Links: programs at hooks.

use crate::handle::OwnedHandle;
use crate::{Error, LinkInfo, info};
use abi::Guid;
use abi::ioctl::{Handle, Request};
use std::sync::Arc;

/// A program at a hook. It is detached when its last handle is closed, unless it is pinned or
/// [kept](Link::keep).
#[derive(Clone, Debug)]
pub struct Link {
    pub(crate) handle: Arc<OwnedHandle>,
}

impl Link {
    pub(crate) fn of_handle(handle: OwnedHandle) -> Link {
        Link {
            handle: Arc::new(handle),
        }
    }

    /// What the runtime says about it.
    ///
    /// # Errors
    /// The runtime cannot be asked.
    pub fn info(&self) -> Result<LinkInfo, Error> {
        info::link(&self.handle)
    }

    /// Detaches the program now.
    ///
    /// # Errors
    /// It was detached before.
    pub fn detach(&self) -> Result<(), Error> {
        let request = Request::UnlinkProgram {
            link_handle: self.handle(),
            program_handle: Handle::INVALID,
            attach_type: Guid::default(),
            attach_data_present: false,
            data: &[],
        };
        let told = self.client().tell(&request);
        told.map_err(|error| error.while_doing("detach a program".to_owned()))
    }

    /// Lets the program stay attached when all handles are closed, until somebody detaches it
    /// ([`Link::detach`] of [`crate::Client::link_by_id`]).
    ///
    /// # Errors
    /// It was detached before.
    pub fn keep(&self) -> Result<(), Error> {
        let request = Request::LinkSetLegacyMode {
            link_handle: self.handle(),
        };
        let told = self.client().tell(&request);
        told.map_err(|error| error.while_doing("keep a program attached".to_owned()))
    }
}
