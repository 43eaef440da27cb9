//! The connection to a runtime: requests, and what exists there.

use crate::encode::{answer, message, name, room};
use crate::handle::OwnedHandle;
use crate::{Answer, Cause, Error, Link, Map, Program, Transport, Waiting};
use abi::ioctl::{Handle, Request};
use abi::result::EbpfResult;
use std::sync::Arc;

/// A connection to a runtime. Clones share it.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
}

/// What the kernel says about code that it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CodeIntegrity {
    /// The hypervisor enforces that no page is writable and executable.
    pub hypervisor: bool,
    /// Drivers signed by test certificates are accepted.
    pub test_signing: bool,
}

/// A request that ends later, with what it was for.
pub(crate) enum Asked {
    Done(Vec<u8>),
    Later(Box<dyn Waiting>),
}

impl Client {
    /// The runtime of this machine. Where there is no driver for it, which is everywhere but on
    /// Windows, it is the [simulator](crate::Simulator) of this process.
    ///
    /// # Errors
    /// The driver does not run, or the caller may not open its device.
    #[cfg(unix)]
    pub fn connect() -> Result<Client, Error> {
        crate::Simulator::of_this_process().map(|simulator| simulator.client())
    }

    /// The runtime of this machine.
    ///
    /// # Errors
    /// The driver does not run, or the caller may not open its device.
    #[cfg(windows)]
    pub fn connect() -> Result<Client, Error> {
        let driver = crate::Driver::open();
        let driver = driver.map_err(|cause| Error::new("open the runtime's device", cause))?;
        Ok(Client::over(Arc::new(driver)))
    }

    /// A runtime that is reached in another way.
    #[must_use]
    pub fn over(transport: Arc<dyn Transport>) -> Client {
        Client { transport }
    }

    /// Number of processors that values of per-CPU maps have copies for.
    #[must_use]
    pub fn cpu_count(&self) -> u32 {
        self.transport.cpu_count()
    }

    /// Ids of all maps, ascending.
    ///
    /// # Errors
    /// The runtime cannot be asked.
    pub fn map_ids(&self) -> Result<Vec<u32>, Error> {
        self.ids(|after| self.next_map_id(after))
    }

    /// Ids of all programs, ascending.
    ///
    /// # Errors
    /// The runtime cannot be asked.
    pub fn program_ids(&self) -> Result<Vec<u32>, Error> {
        self.ids(|after| self.next_program_id(after))
    }

    /// Ids of all links, ascending.
    ///
    /// # Errors
    /// The runtime cannot be asked.
    pub fn link_ids(&self) -> Result<Vec<u32>, Error> {
        self.ids(|after| self.next_link_id(after))
    }

    /// The id of the first map after an id; [`EbpfResult::NoMoreKeys`] at the end.
    ///
    /// # Errors
    /// There is none, or the runtime cannot be asked.
    pub fn next_map_id(&self, after: u32) -> Result<u32, Error> {
        let request = Request::GetNextMapId { start_id: after };
        self.ask(
            &request,
            |reply| answer!(reply, GetNextMapId { next_id } => next_id),
        )
    }

    /// The id of the first program after an id; [`EbpfResult::NoMoreKeys`] at the end.
    ///
    /// # Errors
    /// There is none, or the runtime cannot be asked.
    pub fn next_program_id(&self, after: u32) -> Result<u32, Error> {
        let request = Request::GetNextProgramId { start_id: after };
        self.ask(
            &request,
            |reply| answer!(reply, GetNextProgramId { next_id } => next_id),
        )
    }

    /// The id of the first link after an id; [`EbpfResult::NoMoreKeys`] at the end.
    ///
    /// # Errors
    /// There is none, or the runtime cannot be asked.
    pub fn next_link_id(&self, after: u32) -> Result<u32, Error> {
        let request = Request::GetNextLinkId { start_id: after };
        self.ask(
            &request,
            |reply| answer!(reply, GetNextLinkId { next_id } => next_id),
        )
    }

    fn ids(&self, next: impl Fn(u32) -> Result<u32, Error>) -> Result<Vec<u32>, Error> {
        let mut ids = Vec::new();
        loop {
            match next(ids.last().copied().unwrap_or(0)) {
                // Ids ascend, so this ends.
                Ok(id) if ids.last().is_none_or(|last| *last < id) => ids.push(id),
                Ok(_) => return Err(Error::new("list ids", Cause::OtherReply)),
                Err(error) if error.is(EbpfResult::NoMoreKeys) => return Ok(ids),
                Err(error) => return Err(error),
            }
        }
    }

    /// The map of an id.
    ///
    /// # Errors
    /// There is none.
    pub fn map_by_id(&self, id: u32) -> Result<Map, Error> {
        let handle = self.ask(
            &Request::GetMapHandleById { id },
            |reply| answer!(reply, GetMapHandleById { handle } => handle),
        );
        Map::of_handle(self.own(handle, || format!("open map {id}"))?)
    }

    /// The program of an id.
    ///
    /// # Errors
    /// There is none.
    pub fn program_by_id(&self, id: u32) -> Result<Program, Error> {
        let handle = self.ask(
            &Request::GetProgramHandleById { id },
            |reply| answer!(reply, GetProgramHandleById { handle } => handle),
        );
        Program::of_handle(self.own(handle, || format!("open program {id}"))?)
    }

    /// The link of an id.
    ///
    /// # Errors
    /// There is none.
    pub fn link_by_id(&self, id: u32) -> Result<Link, Error> {
        let handle = self.ask(
            &Request::GetLinkHandleById { id },
            |reply| answer!(reply, GetLinkHandleById { handle } => handle),
        );
        let handle = self.own(handle, || format!("open link {id}"))?;
        Ok(Link::of_handle(handle))
    }

    /// Returns when nothing that was replaced or detached before is in use any more.
    ///
    /// # Errors
    /// The runtime cannot be asked.
    pub fn synchronize(&self) -> Result<(), Error> {
        self.tell(&Request::EpochSynchronize {})
    }

    /// What the kernel says about code that it runs.
    ///
    /// # Errors
    /// The runtime cannot be asked.
    pub fn code_integrity(&self) -> Result<CodeIntegrity, Error> {
        self.ask(&Request::GetCodeIntegrityState {}, |reply| {
            answer!(reply, GetCodeIntegrityState { hypervisor_code_integrity_enabled, test_signing_enabled }
                => CodeIntegrity {
                    hypervisor: hypervisor_code_integrity_enabled,
                    test_signing: test_signing_enabled,
                })
        })
    }

    /// Closes a handle of the runtime that no value of this library owns.
    ///
    /// # Errors
    /// [`EbpfResult::InvalidObject`] or another result of the runtime: there is no such handle.
    pub fn close(&self, handle: Handle) -> Result<(), Error> {
        let told = self.tell(&Request::CloseHandle { handle });
        told.map_err(|error| error.while_doing(format!("close handle {:#x}", handle.0)))
    }

    pub(crate) fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    /// Takes over a handle from a reply; an error tells what was tried.
    pub(crate) fn own(
        &self,
        handle: Result<Handle, Error>,
        doing: impl FnOnce() -> String,
    ) -> Result<OwnedHandle, Error> {
        match handle {
            Ok(handle) => Ok(OwnedHandle::new(self, handle)),
            Err(error) => Err(error.while_doing(doing())),
        }
    }

    /// Sends a request without an answer.
    pub(crate) fn tell(&self, request: &Request<'_>) -> Result<(), Error> {
        self.ask(request, |_| Ok(()))
    }

    /// Sends a request and reads the answer.
    pub(crate) fn ask<T>(
        &self,
        request: &Request<'_>,
        read: impl FnOnce(&[u8]) -> Result<T, Cause>,
    ) -> Result<T, Error> {
        self.ask_for(request, room(request), read)
    }

    /// The same for an answer of which the caller knows how long it is at most.
    pub(crate) fn ask_for<T>(
        &self,
        request: &Request<'_>,
        room: usize,
        read: impl FnOnce(&[u8]) -> Result<T, Cause>,
    ) -> Result<T, Error> {
        let failed = |cause| Error::new(name(request).replace('_', " "), cause);
        let reply = match self.begin(request, room)? {
            Asked::Done(reply) => reply,
            Asked::Later(waiting) => match waiting.wait(None) {
                Some(reply) => reply.map_err(failed)?,
                None => return Err(failed(EbpfResult::Timeout.into())),
            },
        };
        read(&reply).map_err(failed)
    }

    /// Sends a request that may end later.
    pub(crate) fn begin(&self, request: &Request<'_>, room: usize) -> Result<Asked, Error> {
        let send = || {
            let message = message(request)?;
            self.transport.send(&message, room)
        };
        match send() {
            Ok(Answer::Done(reply)) => Ok(Asked::Done(reply)),
            Ok(Answer::Later(waiting)) => Ok(Asked::Later(waiting)),
            Err(cause) => Err(Error::new(name(request).replace('_', " "), cause)),
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}
