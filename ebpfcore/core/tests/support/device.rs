//! A process that talks to the runtime's device.
#![allow(dead_code, reason = "each test file uses a part of it")]

use crate::support::{TestPlatform, core};
use abi::{
    AttachType, Guid, Platform,
    ioctl::{Handle, MapDefinition, Reply, Request},
    program_type::by_section,
};
use ebpfcore::{
    CONTEXT_HEADER_BYTES, Hook, Status,
    control::{Client, Control, Pages},
    helper::NoExtensions,
    link::Capacity,
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ops::ControlFlow,
};

/// A process.
pub(crate) struct Process {
    pub(crate) handles: RefCell<BTreeMap<u64, u32>>,
    pub(crate) next: RefCell<u64>,
    pub(crate) privileged: bool,
    /// No handles can be made.
    pub(crate) exhausted: RefCell<bool>,
    /// Requests are cancelled.
    pub(crate) cancelled: Cell<bool>,
    /// The number of the next request that may pend.
    pub(crate) ticket: Cell<Option<u64>>,
    /// What it was given handles to.
    pub(crate) shared: RefCell<Vec<Pages>>,
}

impl Process {
    pub(crate) fn new() -> Process {
        Process {
            handles: RefCell::default(),
            next: RefCell::new(0x40),
            privileged: true,
            exhausted: RefCell::new(false),
            cancelled: Cell::new(false),
            ticket: Cell::new(None),
            shared: RefCell::default(),
        }
    }

    /// The process ends: the system closes its handles.
    pub(crate) fn end(&self, control: &Control) {
        let handles = std::mem::take(&mut *self.handles.borrow_mut());
        handles.values().for_each(|id| control.handle_closed(*id));
    }
}

impl Client for Process {
    fn open(&self, id: u32) -> Result<Handle, Status> {
        if *self.exhausted.borrow() {
            return Err(Status::NoMemory);
        }
        let mut next = self.next.borrow_mut();
        *next += 4;
        self.handles.borrow_mut().insert(*next, id);
        Ok(Handle(*next))
    }
    fn object(&self, handle: Handle) -> Option<u32> {
        self.handles.borrow().get(&handle.0).copied()
    }
    fn close(&self, handle: Handle) -> Option<u32> {
        self.handles.borrow_mut().remove(&handle.0)
    }
    fn is_privileged(&self) -> bool {
        self.privileged
    }
    fn pend(&self) -> Option<u64> {
        self.ticket.take()
    }
    fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }
    fn share(&self, pages: Pages) -> Result<u64, Status> {
        if *self.exhausted.borrow() {
            return Err(Status::NoMemory);
        }
        self.shared.borrow_mut().push(pages);
        // One address space: it is mapped where it lies.
        Ok(pages.address)
    }
}

pub(crate) fn xdp() -> &'static AttachType {
    by_section(Platform::Windows, "xdp").unwrap()
}

pub(crate) fn control() -> Control {
    control_and_platform().0
}

pub(crate) fn control_and_platform() -> (Control, &'static TestPlatform) {
    let (core, platform) = core();
    let hooks = vec![Hook::new(xdp(), Capacity::Many)];
    (Control::new(core, hooks, &NoExtensions), platform)
}

/// Sends a request; gives the bytes of the reply.
pub(crate) fn ask(
    control: &Control,
    process: &Process,
    request: &Request<'_>,
) -> Result<Vec<u8>, Status> {
    let mut input = vec![0; 0xffff];
    let length = request.encode(&mut input).unwrap();
    let mut output = vec![0; 0xffff];
    let length = control.serve(process, &input[..length], &mut output)?;
    output.truncate(length);
    Ok(output)
}

/// A field of a reply.
macro_rules! reply {
    ($bytes:expr, $variant:ident, $field:ident) => {
        match Reply::decode(&$bytes).unwrap() {
            Reply::$variant { $field, .. } => $field.to_owned(),
            other => panic!("{other:?}"),
        }
    };
}

pub(crate) use reply;

pub(crate) fn create_map(
    control: &Control,
    process: &Process,
    map_type: u32,
    sizes: [u32; 3],
) -> Handle {
    try_create_map(control, process, map_type, sizes, Handle::INVALID).unwrap()
}

pub(crate) fn try_create_map(
    control: &Control,
    process: &Process,
    map_type: u32,
    [key_size, value_size, max_entries]: [u32; 3],
    inner_map_handle: Handle,
) -> Result<Handle, Status> {
    let definition = MapDefinition {
        map_type,
        key_size,
        value_size,
        max_entries,
        ..MapDefinition::default()
    };
    let request = Request::CreateMap {
        definition,
        inner_map_handle,
        data: b"m",
    };
    let bytes = ask(control, process, &request)?;
    Ok(reply!(bytes, CreateMap, handle))
}

pub(crate) fn create_program(control: &Control, process: &Process, program_type: Guid) -> Handle {
    let request = Request::CreateProgram {
        program_type,
        section_name_offset: 28,
        program_name_offset: 31,
        data: b"xdpprog",
    };
    let bytes = ask(control, process, &request).unwrap();
    reply!(bytes, CreateProgram, program_handle)
}

pub(crate) fn load(
    control: &Control,
    process: &Process,
    program: Handle,
    text: &str,
) -> Result<(), Status> {
    let insns = isa::asm::assemble(text).unwrap();
    let code = isa::encode::program(&insns).unwrap();
    let request = Request::LoadCode {
        program_handle: program,
        code_type: 2,
        code: &code,
    };
    ask(control, process, &request).map(drop)
}

pub(crate) fn link(
    control: &Control,
    process: &Process,
    program: Handle,
) -> Result<Handle, Status> {
    let request = Request::LinkProgram {
        program_handle: program,
        attach_type: xdp().guid,
        data: &7u32.to_le_bytes(),
    };
    let bytes = ask(control, process, &request)?;
    Ok(reply!(bytes, LinkProgram, link_handle))
}

pub(crate) fn close(control: &Control, process: &Process, handle: Handle) -> Result<(), Status> {
    ask(control, process, &Request::CloseHandle { handle }).map(drop)
}

/// What the programs of the hook return.
pub(crate) fn invoke(control: &Control) -> Vec<u64> {
    let mut context = vec![0u64; (CONTEXT_HEADER_BYTES + 64) / 8];
    let address = context.as_mut_ptr().expose_provenance() as u64 + CONTEXT_HEADER_BYTES as u64;
    let hook = control.hook(xdp().guid).unwrap();
    let mut results = Vec::new();
    // SAFETY: a zeroed context with its header; an empty packet.
    unsafe {
        control
            .core()
            .enter()
            .invoke_hook((hook, 7), address, |_, result| {
                results.push(result.unwrap());
                ControlFlow::Continue(())
            });
    }
    results
}

/// Counts its calls in element 0 of the array map `handle`.
pub(crate) fn counting(handle: Handle) -> String {
    format!(
        "*(u32 *)(r10 - 4) = 0
         r2 = r10
         r2 += -4
         r1 = map_fd({}) ll
         call 1
         if r0 == 0 goto +3
         r1 = *(u64 *)(r0 + 0)
         r1 += 1
         *(u64 *)(r0 + 0) = r1
         r0 = 1
         exit",
        handle.0
    )
}
