//! Control: what user mode asks of the runtime, one message at a time.
//!
//! [`Control::serve`] takes a message of the device protocol (`abi::ioctl`), does what it says, and
//! writes the reply. The caller's process is a [`Client`]: it owns the handles and says what it may
//! do. Objects stay alive while a handle, a pin or another object needs them; the shell reports each
//! handle that is gone, also those of a process that died, with [`Control::handle_closed`].
//!
//! Invariants: PASSIVE_LEVEL, no epoch pinned; messages are untrusted and decoded in full before
//! anything happens; an operation that fails leaves nothing behind; the lock is never held while
//! waiting for running programs. Left out: operations that give addresses of the kernel to a
//! compiler in user mode, which answer [`Status::BlockedByPolicy`].

mod flat;
mod info;
mod links;
mod maps;
mod modules;
mod objects;
mod programs;
mod providers;
mod reserve;
mod rings;
mod shell;
mod trial;

use crate::{
    Core, Hook, Shared, Status,
    helper::Extensions,
    pin::{ObjectKind, Path, Pinned},
    raw::locked::{Locked, LockedGuard},
};
use abi::ioctl::{self, Access, Handle, Reply, Request};
use alloc::vec::Vec;
use objects::{Entry, Farewell, Keeping, State};
use reserve::Reserve;

pub use modules::{
    Arrival, Detached, NoSettings, SETTING_ATTACH, SETTING_COMPARTMENT, SETTING_INTERFACE, Settings,
};
pub use shell::{CodeIntegrity, NoShell, Pages, Section, Shell};

/// A process that asks, as the shell around the core knows it.
pub trait Client {
    /// Makes a handle for an object. The handle counts as a user of the object from now on.
    ///
    /// # Errors
    ///
    /// [`Status::NoMemory`], or what the system says.
    fn open(&self, id: u32) -> Result<Handle, Status>;

    /// The object of a handle of this process; `None` for any other number.
    fn object(&self, handle: Handle) -> Option<u32>;

    /// Closes a handle, without reporting it as closed.
    fn close(&self, handle: Handle) -> Option<u32>;

    /// May it do what only the eBPF service, administrators and the system may?
    fn is_privileged(&self) -> bool;

    /// Makes the request that is being served one that ends later, with
    /// [`Platform::complete`](crate::Platform::complete) and the number given here, which is not 0;
    /// from now on that may happen at any time. `None` when this request cannot wait.
    fn pend(&self) -> Option<u64> {
        None
    }

    /// Was the request that is being served cancelled? Once true it stays true. Also asked after
    /// [`Client::pend`], when the request may be completed already.
    fn is_cancelled(&self) -> bool {
        false
    }

    /// Makes a handle of this process to a part of a ring, for the process to map and to close. What
    /// it has mapped stays its own, whatever becomes of the handle, the map and the runtime.
    ///
    /// # Errors
    ///
    /// [`Status::NoMemory`]; [`Status::OperationNotSupported`] when the memory is none that processes
    /// can be given.
    fn share(&self, pages: Pages) -> Result<u64, Status> {
        let _ = pages;
        Err(Status::OperationNotSupported)
    }
}

/// The control side of a runtime.
pub struct Control {
    core: Shared<Core>,
    hooks: Vec<Hook>,
    extensions: &'static dyn Extensions,
    shell: &'static dyn Shell,
    state: Locked<State>,
}

/// The message that is being answered.
struct Session<'a> {
    control: &'a Control,
    client: &'a dyn Client,
    output: &'a mut [u8],
}

impl Control {
    /// The control side of a runtime with these hooks.
    #[must_use]
    pub fn new(
        core: Shared<Core>,
        hooks: Vec<Hook>,
        extensions: &'static dyn Extensions,
    ) -> Control {
        Control {
            core,
            hooks,
            extensions,
            shell: &NoShell,
            state: Locked::new(State::default()),
        }
    }

    /// The same over a system.
    #[must_use]
    pub fn with_shell(self, shell: &'static dyn Shell) -> Control {
        Control { shell, ..self }
    }

    /// The runtime below.
    #[must_use]
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// The runtime's state, for those who keep it beyond this value.
    #[must_use]
    pub fn shared_core(&self) -> Shared<Core> {
        self.core.clone()
    }

    /// All hooks.
    #[must_use]
    pub fn hooks(&self) -> &[Hook] {
        &self.hooks
    }

    /// The hook of an attach type, for its owner to call programs through.
    #[must_use]
    pub fn hook(&self, attach_type: abi::Guid) -> Option<&Hook> {
        let is_meant = |hook: &&Hook| hook.attach_type().guid == attach_type;
        self.hooks.iter().find(is_meant)
    }

    /// Does what a message says and writes the reply; returns the length of the reply.
    ///
    /// # Errors
    ///
    /// [`Status::InvalidArgument`] for a malformed message, [`Status::AccessDenied`], or why the
    /// operation failed; [`Status::Pending`] when the client pended the request. Nothing is written
    /// then.
    pub fn serve(
        &self,
        client: &dyn Client,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<usize, Status> {
        let request = Request::decode(input).map_err(|_| Status::InvalidArgument)?;
        let row = ioctl::row(request.operation() as u32).ok_or(Status::InvalidArgument)?;
        if row.access == Access::Privileged && !client.is_privileged() {
            return Err(Status::AccessDenied);
        }
        let _reserve = Reserve::new(self.core.platform(), &request)?;
        let session = Session {
            control: self,
            client,
            output,
        };
        let answer = session.answer(request);
        // What the message held in its hands may have been the last use of a module.
        self.settle_modules();
        answer
    }

    /// The flags of a program, as its attach requests pass them on.
    #[must_use]
    pub fn program_flags(&self, id: u32) -> Option<u64> {
        let state = self.lock();
        state.get(id).ok().map(|entry| entry.flags)
    }

    /// A handle is gone: closed by its process, or with it.
    pub fn handle_closed(&self, id: u32) {
        let farewell = self.lock().release(id);
        self.finish(farewell);
    }

    /// What the verifier said about the code that was last loaded into a program.
    #[must_use]
    pub fn verifier_log(&self, id: u32) -> Option<alloc::string::String> {
        let state = self.lock();
        state.get(id).ok().map(|entry| entry.log.clone())
    }

    /// Objects that exist.
    #[must_use]
    pub fn object_count(&self) -> usize {
        self.lock().entries().len()
    }

    /// Gives up all pins and all links that stay without a handle: the runtime ends.
    pub fn shut_down(&self) {
        loop {
            let pinned = self.lock().pins.pop();
            let Some(pinned) = pinned else { break };
            self.handle_closed(pinned.id);
        }
        let mut after = 0;
        while let Ok(id) = self.next_id(after, ObjectKind::Link) {
            let farewell = self.lock().keep_link(id, Keeping::WithUsers);
            self.finish(farewell);
            after = id;
        }
        self.finish(None);
    }

    fn next_id(&self, after: u32, kind: ObjectKind) -> Result<u32, Status> {
        self.lock().next_id(after, kind)
    }

    fn lock(&self) -> LockedGuard<'_, State> {
        self.state.lock(self.core.platform())
    }

    /// Adds an object and gives its maker a handle; on failure neither exists.
    fn publish(&self, client: &dyn Client, entry: Entry) -> Result<Handle, Status> {
        let id = entry.id;
        {
            let mut state = self.lock();
            state.insert(entry)?;
            state.retain(id)?;
        }
        client.open(id).inspect_err(|_| self.handle_closed(id))
    }

    /// Another handle for an object that exists.
    fn open(&self, client: &dyn Client, id: u32, kind: ObjectKind) -> Result<Handle, Status> {
        {
            let mut state = self.lock();
            if state.get(id)?.object.kind() != kind {
                return Err(Status::ObjectNotFound);
            }
            state.retain(id)?;
        }
        client.open(id).inspect_err(|_| self.handle_closed(id))
    }

    /// Does what the last user of an object left to do, and lets go what nobody needs.
    fn finish(&self, farewell: Option<Farewell>) {
        match farewell {
            Some(Farewell::Link(link)) => {
                // It may have been detached by hand before.
                let _ = self.detach(&link);
            }
            Some(Farewell::Map(map)) => map.release_references(),
            None => {}
        }
        loop {
            let unused = self.lock().take_unused();
            // Dropped here, without the lock.
            if unused.is_none() {
                break;
            }
        }
        self.settle_modules();
    }
}

impl Session<'_> {
    fn answer(self, request: Request<'_>) -> Result<usize, Status> {
        use Request as R;
        match request {
            R::CreateMap {
                definition,
                inner_map_handle,
                data,
            } => self.create_map(definition, inner_map_handle, data),
            R::MapFindElement {
                handle,
                find_and_delete,
                key,
            } => self.find_element(handle, find_and_delete.into(), key),
            R::MapUpdateElement {
                handle,
                option,
                data,
            } => self.update_element(handle, option, data),
            R::MapUpdateElementWithHandle {
                map_handle,
                value_handle,
                option,
                key,
            } => self.update_with_handle(map_handle, value_handle, option, key),
            R::MapDeleteElement { handle, key } => self.delete_element(handle, key),
            R::MapGetNextKey {
                handle,
                previous_key,
            } => self.next_key(handle, previous_key),
            R::MapUpdateElementBatch {
                handle,
                option,
                data,
            } => self.update_batch(handle, option, data),
            R::MapDeleteElementBatch { handle, keys } => self.delete_batch(handle, keys),
            R::MapGetNextKeyValueBatch {
                handle,
                find_and_delete,
                previous_key,
            } => self.next_batch(handle, find_and_delete.into(), previous_key),
            R::CreateProgram {
                program_type,
                section_name_offset,
                program_name_offset,
                data,
            } => self.create_program(
                program_type,
                (section_name_offset, program_name_offset),
                data,
            ),
            R::LoadCode {
                program_handle,
                code_type,
                code,
            } => self.load_code(program_handle, code_type, code),
            R::QueryProgramInfo { handle } => self.query_program(handle),
            R::LinkProgram {
                program_handle,
                attach_type,
                data,
            } => self.link(program_handle, attach_type, data),
            R::UnlinkProgram {
                link_handle,
                program_handle,
                attach_type,
                attach_data_present,
                data,
            } => self.unlink(
                link_handle,
                program_handle,
                attach_type,
                attach_data_present.then_some(data),
            ),
            R::LinkSetLegacyMode { link_handle } => self.set_legacy(link_handle),
            R::UpdatePinning { handle, path } => self.update_pinning(handle, path),
            R::GetPinnedObject { path } => self.pinned_object(path),
            R::GetNextPinnedProgramPath { start_path } => self.next_pinned_program(start_path),
            R::GetNextPinnedObjectPath {
                object_type,
                start_path,
            } => self.next_pinned_object(object_type, start_path),
            R::CloseHandle { handle } => self.close(handle),
            R::GetMapHandleById { id } => self.by_id(id, ObjectKind::Map),
            R::GetProgramHandleById { id } => self.by_id(id, ObjectKind::Program),
            R::GetLinkHandleById { id } => self.by_id(id, ObjectKind::Link),
            R::GetNextMapId { start_id } => self.next_id(start_id, ObjectKind::Map),
            R::GetNextProgramId { start_id } => self.next_id(start_id, ObjectKind::Program),
            R::GetNextLinkId { start_id } => self.next_id(start_id, ObjectKind::Link),
            R::GetObjectInfo { handle, info } => self.object_info(handle, info.len()),
            R::EpochSynchronize {} => self.synchronize(),
            R::ProgramTestRun {
                program_handle,
                repeat_count,
                flags,
                cpu,
                batch_size,
                context_offset,
                data,
            } => {
                let plan = trial::Plan {
                    repeat: repeat_count,
                    flags,
                    cpu,
                    batch: batch_size,
                };
                self.test_run(program_handle, &plan, (data, context_offset))
            }
            R::ProgramSetFlags {
                program_handle,
                flags,
            } => self.set_flags(program_handle, flags),
            R::BindMap {
                program_handle,
                map_handle,
            } => self.bind_map(program_handle, map_handle),
            R::GetProgramInfo {
                program_type,
                program_handle,
            } => self.program_info(program_type, program_handle),
            R::GetPinnedMapInfo {} => self.pinned_maps(),
            R::GetCodeIntegrityState {} => self.code_integrity(),
            R::MapQueryBuffer { map_handle, index } => self.query_buffer(map_handle, index),
            R::MapAsyncQuery {
                map_handle,
                index,
                consumer_offset,
            } => self.query_ring(map_handle, index, consumer_offset),
            R::MapWriteData {
                map_handle,
                flags,
                data,
            } => self.write_record(map_handle, flags, data),
            R::MapSetWaitHandle {
                map_handle,
                wait_handle,
                index,
                flags,
            } => self.set_wait_handle(map_handle, wait_handle, (index, flags)),
            R::RingBufferMapMapBuffer {
                map_handle,
                index,
                section,
            } => self.map_buffer(map_handle, index, section),
            R::RingBufferMapUnmapBuffer { map_handle, index } => {
                self.unmap_buffer(map_handle, index)
            }
            // They hand addresses of the kernel to a compiler in user mode. Code that was made in
            // memory never runs here, and addresses never leave.
            R::ResolveHelper { .. } | R::ResolveMap { .. } | R::GetEcFunction { .. } => {
                Err(Status::BlockedByPolicy)
            }
            R::LoadNativeModule { module_id, data } => self.load_module(module_id, data),
            R::LoadNativePrograms {
                module_id,
                pin_root_path,
            } => self.load_module_programs(module_id, pin_root_path),
            R::AuthorizeNativeModule {
                module_id,
                module_hash,
            } => self.authorize_module(module_id, module_hash),
        }
    }

    /// Writes a reply.
    fn reply(self, reply: &Reply<'_>) -> Result<usize, Status> {
        let written = reply.encode(self.output);
        written.map_err(|_| Status::InsufficientBuffer)
    }

    /// No answer but success.
    #[expect(clippy::unnecessary_wraps, reason = "ends operations that can fail")]
    fn done(self) -> Result<usize, Status> {
        Ok(0)
    }

    /// A handle as the answer; it is closed again when the answer does not fit.
    fn reply_handle(self, handle: Handle, reply: &Reply<'_>) -> Result<usize, Status> {
        let (control, client) = (self.control, self.client);
        self.reply(reply).inspect_err(|_| {
            if let Some(id) = client.close(handle) {
                control.handle_closed(id);
            }
        })
    }

    /// The object that a handle of the caller names.
    fn id(&self, handle: Handle) -> Result<u32, Status> {
        self.client.object(handle).ok_or(Status::InvalidFd)
    }

    fn close(self, handle: Handle) -> Result<usize, Status> {
        let id = self.client.close(handle).ok_or(Status::InvalidFd)?;
        self.control.handle_closed(id);
        self.done()
    }

    fn by_id(self, id: u32, kind: ObjectKind) -> Result<usize, Status> {
        let handle = self.control.open(self.client, id, kind)?;
        let reply = match kind {
            ObjectKind::Map => Reply::GetMapHandleById { handle },
            ObjectKind::Program => Reply::GetProgramHandleById { handle },
            ObjectKind::Link | ObjectKind::Module => Reply::GetLinkHandleById { handle },
        };
        self.reply_handle(handle, &reply)
    }

    fn next_id(self, after: u32, kind: ObjectKind) -> Result<usize, Status> {
        let next_id = self.control.next_id(after, kind)?;
        self.reply(&match kind {
            ObjectKind::Map => Reply::GetNextMapId { next_id },
            ObjectKind::Program => Reply::GetNextProgramId { next_id },
            ObjectKind::Link | ObjectKind::Module => Reply::GetNextLinkId { next_id },
        })
    }

    /// Pins an object; an invalid handle takes the pin away.
    fn update_pinning(self, handle: Handle, path: &[u8]) -> Result<usize, Status> {
        let path = Path::canonical(path)?;
        if handle == Handle::INVALID {
            let pinned = self.control.lock().pins.remove(&path)?;
            self.control.handle_closed(pinned.id);
            return self.done();
        }
        let id = self.id(handle)?;
        let pinned = {
            let mut state = self.control.lock();
            let kind = state.get(id)?.object.kind();
            if kind == ObjectKind::Module {
                return Err(Status::InvalidFd);
            }
            state.retain(id)?;
            state.pins.insert(path, Pinned { id, kind })
        };
        pinned.inspect_err(|_| self.control.handle_closed(id))?;
        self.done()
    }

    fn pinned_object(self, path: &[u8]) -> Result<usize, Status> {
        let path = Path::canonical(path)?;
        let pinned = self.control.lock().pins.get(&path);
        let pinned = pinned.ok_or(Status::ObjectNotFound)?;
        let handle = self.control.open(self.client, pinned.id, pinned.kind)?;
        self.reply_handle(handle, &Reply::GetPinnedObject { handle })
    }

    fn next_pinned_program(self, start: &[u8]) -> Result<usize, Status> {
        let (path, _) = self.next_pin(start, Some(ObjectKind::Program))?;
        let next_path = path.as_bytes();
        self.reply(&Reply::GetNextPinnedProgramPath { next_path })
    }

    fn next_pinned_object(self, object_type: u32, start: &[u8]) -> Result<usize, Status> {
        let kind = match object_type {
            0 => None,
            1 => Some(ObjectKind::Map),
            2 => Some(ObjectKind::Link),
            3 => Some(ObjectKind::Program),
            _ => return Err(Status::InvalidArgument),
        };
        let (path, kind) = self.next_pin(start, kind)?;
        self.reply(&Reply::GetNextPinnedObjectPath {
            object_type: kind as u32,
            next_path: path.as_bytes(),
        })
    }

    fn next_pin(
        &self,
        start: &[u8],
        kind: Option<ObjectKind>,
    ) -> Result<(Path, ObjectKind), Status> {
        let start = match start {
            [] => None,
            path => Some(Path::canonical(path)?),
        };
        self.control.lock().pins.next_path(start.as_ref(), kind)
    }

    /// Returns when nothing that was replaced before is in use any more.
    fn synchronize(self) -> Result<usize, Status> {
        let core = &self.control.core;
        core.epoch().synchronize(core.platform());
        self.done()
    }
}
