//! Operations on links: attaching programs to hooks.

use super::{
    Control, Session,
    objects::{Entry, Keeping, Object},
};
use crate::{Hook, Link, Program, Shared, Status, extension::Target};
use abi::{
    Guid,
    ioctl::{Handle, Reply},
};

impl Control {
    /// Attaches a program to a hook; the new link has one user, which the caller gives up with
    /// [`Control::handle_closed`].
    pub(super) fn attach(
        &self,
        program: Shared<Program>,
        attach_type: Guid,
        parameter: &[u8],
    ) -> Result<u32, Status> {
        let flags = self.program_flags(program.id()).unwrap_or(0);
        let link = match self.hook(attach_type) {
            Some(hook) => self.attach_own(hook, program, parameter)?,
            None => {
                let target = Target {
                    attach_type,
                    parameter,
                    flags,
                };
                self.plug(program, &target)?
            }
        };
        let id = link.id();
        let entry = Entry::new(id, Object::Link(link.clone()));
        let noted = {
            let mut state = self.lock();
            state.insert(entry).and_then(|()| state.retain(id))
        };
        noted.inspect_err(|_| {
            // Without an entry nobody would detach it.
            let _ = self.detach(&link);
        })?;
        Ok(id)
    }

    /// Attaches a program to a hook of the runtime.
    fn attach_own(
        &self,
        hook: &Hook,
        program: Shared<Program>,
        parameter: &[u8],
    ) -> Result<Shared<Link>, Status> {
        let link = Link::new(&self.core, hook.attach_type(), parameter, program)?;
        hook.attach(&self.core, &link)?;
        self.shell.links_changed(self).inspect_err(|_| {
            let _ = hook.detach(&self.core, &link);
        })?;
        Ok(link)
    }

    /// Detaches a link from its hook.
    pub(super) fn detach(&self, link: &Link) -> Result<(), Status> {
        if self.pull(link).is_some() {
            return Ok(());
        }
        let hook = self.hook(link.attach_type().guid);
        hook.ok_or(Status::ExtensionFailedToLoad)?
            .detach(&self.core, link)?;
        // The program is not called any more, whatever the system does with its hooks.
        let _ = self.shell.links_changed(self);
        Ok(())
    }
}

impl Session<'_> {
    pub(super) fn link(
        self,
        program: Handle,
        attach_type: Guid,
        parameter: &[u8],
    ) -> Result<usize, Status> {
        let program = self.program(program)?;
        let id = self.control.attach(program, attach_type, parameter)?;
        // The id has one user, which becomes the handle.
        let opened = self.client.open(id);
        let handle = opened.inspect_err(|_| self.control.handle_closed(id))?;
        self.reply_handle(
            handle,
            &Reply::LinkProgram {
                link_handle: handle,
            },
        )
    }

    /// Detaches a link, named by its handle or by program, hook and parameter.
    pub(super) fn unlink(
        self,
        link: Handle,
        program: Handle,
        attach_type: Guid,
        parameter: Option<&[u8]>,
    ) -> Result<usize, Status> {
        let link = match link {
            Handle::INVALID => self.find_link(program, attach_type, parameter)?,
            handle => self.link_of(handle)?,
        };
        let id = link.id();
        self.control.detach(&link)?;
        drop(link);
        let farewell = self.control.lock().keep_link(id, Keeping::WithUsers);
        self.control.finish(farewell);
        self.done()
    }

    /// The link stays attached when its last handle is closed.
    pub(super) fn set_legacy(self, handle: Handle) -> Result<usize, Status> {
        let link = self.link_of(handle)?;
        if link.share_program(&self.control.core).is_none() {
            return Err(Status::InvalidState);
        }
        self.control.lock().keep_link(link.id(), Keeping::Always);
        self.done()
    }

    fn find_link(
        &self,
        program: Handle,
        attach_type: Guid,
        parameter: Option<&[u8]>,
    ) -> Result<Shared<Link>, Status> {
        let program = match program {
            Handle::INVALID => None,
            handle => Some(self.program(handle)?.id()),
        };
        let control = self.control;
        let found = match control.hook(attach_type) {
            Some(hook) => hook.find(&control.core, program, parameter),
            None => control.plugged(attach_type, program, parameter),
        };
        found.ok_or(Status::ObjectNotFound)
    }

    fn link_of(&self, handle: Handle) -> Result<Shared<Link>, Status> {
        let id = self.id(handle)?;
        match &self.control.lock().get(id)?.object {
            Object::Link(link) => Ok(link.clone()),
            _ => Err(Status::InvalidFd),
        }
    }

    pub(super) fn program(&self, handle: Handle) -> Result<Shared<Program>, Status> {
        let id = self.id(handle)?;
        match &self.control.lock().get(id)?.object {
            Object::Program(program) => Ok(program.clone()),
            Object::Draft(_) => Err(Status::InvalidState),
            _ => Err(Status::InvalidFd),
        }
    }
}
