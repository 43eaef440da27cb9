//! Programs, pins, ids and information by descriptor (`bpf/bpf.h`).

use crate::error::{Fault, done, number};
use crate::exports;
use crate::fd::{self, Item};
use crate::info;
use crate::raw::{Input, Output, Text};
use abi::program_type::{self, AttachType};
use client::{Client, Pinned, Program, ProgramSpec, Run};
use std::ffi::c_int;

/// `struct bpf_prog_load_opts` of libbpf, as far as it has a meaning here.
#[repr(C)]
pub(crate) struct ProgLoadOpts {
    sz: usize,
    attempts: c_int,
    expected_attach_type: c_int,
    prog_btf_fd: u32,
    prog_flags: u32,
    prog_ifindex: u32,
    kern_version: u32,
    attach_btf_id: u32,
    attach_prog_fd: u32,
    attach_btf_obj_fd: u32,
    fd_array: Input,
    func_info: Input,
    func_info_cnt: u32,
    func_info_rec_size: u32,
    line_info: Input,
    line_info_cnt: u32,
    line_info_rec_size: u32,
    log_level: u32,
    log_size: u32,
    log_buf: Output,
}

/// `struct bpf_test_run_opts` of libbpf.
#[repr(C)]
pub(crate) struct TestRunOpts {
    pub(crate) sz: usize,
    pub(crate) data_in: Input,
    pub(crate) data_out: Output,
    pub(crate) data_size_in: u32,
    pub(crate) data_size_out: u32,
    pub(crate) ctx_in: Input,
    pub(crate) ctx_out: Output,
    pub(crate) ctx_size_in: u32,
    pub(crate) ctx_size_out: u32,
    pub(crate) retval: u32,
    pub(crate) repeat: c_int,
    pub(crate) duration: u32,
    pub(crate) flags: u32,
    pub(crate) cpu: u32,
    pub(crate) batch_size: u32,
}

/// Flag of a test run: on the processor that is named.
const ON_CPU: u32 = 1;

/// Instructions with the handles of maps in place of descriptors.
fn with_handles(mut code: Vec<u8>) -> Result<Vec<u8>, Fault> {
    /// Opcode of the instruction that loads a map.
    const LDDW: u8 = 0x18;
    let mut is_second_half = false;
    for slot in code.chunks_exact_mut(isa::Slot::BYTES) {
        let is_first_half = !is_second_half && slot[0] == LDDW;
        is_second_half = is_first_half;
        if !is_first_half || !matches!(slot[1] >> 4, 1 | 2) {
            continue;
        }
        if let Some(immediate) = slot.last_chunk_mut::<4>() {
            let map = fd::map(c_int::from_le_bytes(*immediate))?;
            let handle = u32::try_from(map.handle().0).map_err(|_| Fault::BAD_FD)?;
            *immediate = handle.to_le_bytes();
        }
    }
    Ok(code)
}

/// Where the verifier's report goes when a program is refused.
#[derive(Clone, Copy)]
pub(crate) struct Log {
    pub(crate) buffer: Output,
    pub(crate) bytes: usize,
}

impl Log {
    /// Nowhere.
    const NONE: Log = Log {
        buffer: Output::NONE,
        bytes: 0,
    };

    /// Stores as much of the report as there is room for.
    fn give(self, report: &str) -> Result<(), Fault> {
        let Some(room) = self.bytes.checked_sub(1).filter(|_| !self.buffer.is_null()) else {
            return Ok(());
        };
        let mut log = report.as_bytes()[..report.floor_char_boundary(room)].to_vec();
        log.push(0);
        self.buffer.write(&log)
    }
}

/// What a program is loaded as.
pub(crate) struct New<'a> {
    pub(crate) number: c_int,
    pub(crate) name: &'a str,
    /// Number of its hook; 0 for any of its type.
    pub(crate) expected: c_int,
    pub(crate) log: Log,
}

impl New<'_> {
    fn with_opts<'a>(number: c_int, name: &'a str, opts: Option<&ProgLoadOpts>) -> New<'a> {
        /// Bytes up to the end of the hook.
        const WITH_HOOK: usize = 16;
        let hook = opts.filter(|opts| opts.sz >= WITH_HOOK);
        let log = opts.filter(|opts| opts.sz >= size_of::<ProgLoadOpts>());
        New {
            number,
            name,
            expected: hook.map_or(0, |opts| opts.expected_attach_type),
            log: log.map_or(Log::NONE, |opts| Log {
                buffer: opts.log_buf,
                bytes: opts.log_size as usize,
            }),
        }
    }
}

/// Loads so many instructions; gives the descriptor of the program.
pub(crate) fn load(new: &New<'_>, insns: Input, count: usize) -> Result<c_int, Fault> {
    let length = count.checked_mul(isa::Slot::BYTES).ok_or(Fault::INVALID)?;
    let code = insns.bytes(length)?;
    let mut types = program_type::WINDOWS.iter();
    let row = types.find(|row| i64::from(row.number) == i64::from(new.number));
    let program_type = *row.ok_or(Fault::INVALID)?;
    let hook = attach_type(new.expected).ok();
    let takes = |hook: &&AttachType| hook.program_type.guid == program_type.guid;
    let hook = hook.filter(takes).or_else(|| {
        let mut hooks = program_type::ATTACH_WINDOWS.iter();
        hooks.find(takes)
    });
    let spec = ProgramSpec {
        name: new.name,
        file: "",
        section: hook.map_or("", |hook| hook.prefix),
        program_type,
    };
    match fd::client()?.load_program(&spec, &with_handles(code)?) {
        Ok(program) => fd::insert(Item::Program(program)),
        Err(error) => {
            if let Some(report) = error.report() {
                new.log.give(report)?;
            }
            Err(error.into())
        }
    }
}

fn attach_type(number: c_int) -> Result<&'static AttachType, Fault> {
    let mut rows = program_type::ATTACH_WINDOWS.iter();
    let row = rows.find(|row| number != 0 && i64::from(row.number) == i64::from(number));
    row.ok_or(Fault::INVALID)
}

/// A test run.
pub(crate) fn run(program: &Program, opts: &mut TestRunOpts) -> Result<(), Fault> {
    if opts.sz < size_of::<TestRunOpts>() || opts.repeat < 0 || opts.flags & !ON_CPU != 0 {
        return Err(Fault::INVALID);
    }
    let data = opts.data_in.bytes(opts.data_size_in as usize)?;
    let context = opts.ctx_in.bytes(opts.ctx_size_in as usize)?;
    let result = program.test_run(&Run {
        data: &data,
        context: &context,
        repeat: opts.repeat as u64,
        cpu: (opts.flags & ON_CPU != 0).then_some(opts.cpu),
        batch: opts.batch_size.into(),
    })?;
    opts.retval = result.value;
    opts.duration = u32::try_from(result.duration_ns).unwrap_or(u32::MAX);
    let data = give((opts.data_out, &mut opts.data_size_out), &result.data);
    let context = give((opts.ctx_out, &mut opts.ctx_size_out), &result.context);
    data.and(context)
}

/// Stores as much as there is room for, and the size that there would be.
fn give((to, size): (Output, &mut u32), bytes: &[u8]) -> Result<(), Fault> {
    let room = std::mem::replace(size, u32::try_from(bytes.len()).unwrap_or(u32::MAX)) as usize;
    if to.is_null() {
        return Ok(());
    }
    to.write(&bytes[..room.min(bytes.len())])?;
    match room < bytes.len() {
        true => Err(Fault::NO_ROOM),
        false => Ok(()),
    }
}

fn pin(fd: c_int, path: &str) -> Result<(), Fault> {
    Ok(match fd::get(fd)? {
        Item::Map(map) => map.pin(path),
        Item::Program(program) => program.pin(path),
        Item::Link(link) => link.pin(path),
    }?)
}

/// The descriptor of the object that is pinned to a path.
pub(crate) fn open_pin(path: Text) -> Result<c_int, Fault> {
    fd::insert(match fd::client()?.pinned(path.get()?)? {
        Pinned::Map(map) => Item::Map(map),
        Pinned::Program(program) => Item::Program(program),
        Pinned::Link(link) => Item::Link(link),
    })
}

fn next_id(
    next: impl FnOnce(&Client) -> Result<u32, client::Error>,
    to: Option<&mut u32>,
) -> Result<(), Fault> {
    *to.ok_or(Fault::INVALID)? = next(&fd::client()?)?;
    Ok(())
}

fn attach(program: c_int, hook: c_int, parameter: &[u8]) -> Result<(), Fault> {
    let link = fd::program(program)?.attach_with(attach_type(hook)?.guid, parameter)?;
    // Attached by descriptor, it stays until it is detached.
    Ok(link.keep()?)
}

fn detach(program: Option<c_int>, parameter: &[u8], hook: c_int) -> Result<(), Fault> {
    let hook = attach_type(hook)?.guid;
    if let Some(program) = program {
        return Ok(fd::program(program)?.detach_from(hook, Some(parameter))?);
    }
    let client = fd::client()?;
    for id in client.link_ids()? {
        let link = client.link_by_id(id)?;
        let info = link.info()?;
        if info.attach_type == hook && info.parameter.starts_with(parameter) {
            return Ok(link.detach()?);
        }
    }
    Err(Fault::MISSING)
}

/// Number of the XDP hook.
const XDP: c_int = 1;
/// `XDP_FLAGS_REPLACE`; and all flags: only if there is none, which it is without, and modes, of which there
/// is one.
const XDP_REPLACE: u32 = 0x10;
const XDP_FLAGS: u32 = 0x1f;

/// The program that is attached to an interface.
fn xdp_program(interface: c_int) -> Result<u32, Fault> {
    let client = fd::client()?;
    for id in client.link_ids()? {
        let info = client.link_by_id(id)?.info()?;
        if info.interface() == Some(interface as u32) {
            return Ok(info.program_id);
        }
    }
    Err(Fault::MISSING)
}

/// Attaches a program to an interface, -1 for none. With [`XDP_REPLACE`] whatever is there goes first.
fn set_xdp(interface: c_int, program: c_int, flags: u32) -> Result<(), Fault> {
    let parameter = interface.to_le_bytes();
    if flags & !XDP_FLAGS != 0 {
        return Err(Fault::invalid(format!(
            "cannot attach: unknown flags {flags:#x}"
        )));
    }
    if program == -1 {
        return detach(None, &parameter, XDP);
    }
    if flags & XDP_REPLACE != 0 {
        // Wrong descriptors change nothing.
        fd::program(program)?;
        match detach(None, &parameter, XDP) {
            Err(fault) if fault.errno != Fault::MISSING.errno => return Err(fault),
            // It is gone, or there was none.
            _ => {}
        }
    }
    attach(program, XDP, &parameter)
}

exports! {
    /// Verifies and loads instructions; gives the descriptor of the program.
    fn bpf_prog_load(number: c_int, name: Text, _license: Text, insns: Input, count: usize, opts: Option<&ProgLoadOpts>) -> c_int {
        let load = || {
            let name = name.optional()?.unwrap_or_default();
            load(&New::with_opts(number, name, opts), insns, count)
        };
        crate::error::number(load())
    }

    /// Runs a program on a packet and context of the caller's.
    fn bpf_prog_test_run_opts(fd: c_int, opts: Option<&mut TestRunOpts>) -> c_int {
        done(fd::program(fd).and_then(|program| run(&program, opts.ok_or(Fault::INVALID)?)))
    }

    /// Lets a program keep a map alive.
    fn bpf_prog_bind_map(program_fd: c_int, map_fd: c_int, _opts: Input) -> c_int {
        done(fd::program(program_fd).and_then(|program| Ok(program.bind_map(&fd::map(map_fd)?)?)))
    }

    /// Attaches a program to a hook, where it stays; the second number is a compartment or interface.
    fn bpf_prog_attach(program_fd: c_int, attachable: c_int, hook: c_int, _flags: u32) -> c_int {
        done(attach(program_fd, hook, &attachable.to_le_bytes()))
    }

    /// Detaches what is attached to a hook with this number.
    fn bpf_prog_detach(attachable: c_int, hook: c_int) -> c_int {
        done(detach(None, &attachable.to_le_bytes(), hook))
    }

    /// Detaches a program from a hook.
    fn bpf_prog_detach2(program_fd: c_int, attachable: c_int, hook: c_int) -> c_int {
        done(detach(Some(program_fd), &attachable.to_le_bytes(), hook))
    }

    /// Attaches a program to an interface, where it stays.
    fn bpf_xdp_attach(interface: c_int, program_fd: c_int, flags: u32, _opts: Input) -> c_int {
        done(set_xdp(interface, program_fd, flags))
    }

    /// Detaches the program of an interface.
    fn bpf_xdp_detach(interface: c_int, _flags: u32, _opts: Input) -> c_int {
        done(detach(None, &interface.to_le_bytes(), XDP))
    }

    /// The id of the program of an interface.
    fn bpf_xdp_query_id(interface: c_int, _flags: c_int, id: Option<&mut u32>) -> c_int {
        done(xdp_program(interface).and_then(|found| {
            *id.ok_or(Fault::INVALID)? = found;
            Ok(())
        }))
    }

    /// Attaches a program to an interface; -1 detaches the one that is there.
    fn bpf_set_link_xdp_fd(interface: c_int, program_fd: c_int, flags: u32) -> c_int {
        done(set_xdp(interface, program_fd, flags))
    }

    /// Pins the object of a descriptor.
    fn bpf_obj_pin(fd: c_int, path: Text) -> c_int {
        done(path.get().and_then(|path| pin(fd, path)))
    }

    /// The descriptor of a pinned object.
    fn bpf_obj_get(path: Text) -> c_int {
        number(open_pin(path))
    }

    /// Fills a `bpf_map_info`, `bpf_prog_info` or `bpf_link_info`.
    fn bpf_obj_get_info_by_fd(fd: c_int, to: Output, length: Option<&mut u32>) -> c_int {
        done(length.ok_or(Fault::INVALID).and_then(|length| info::WINDOWS.give(&fd::get(fd)?, to, length)))
    }

    /// The id of the map after an id.
    fn bpf_map_get_next_id(start: u32, next: Option<&mut u32>) -> c_int {
        done(next_id(|client| client.next_map_id(start), next))
    }

    /// The id of the program after an id.
    fn bpf_prog_get_next_id(start: u32, next: Option<&mut u32>) -> c_int {
        done(next_id(|client| client.next_program_id(start), next))
    }

    /// The id of the link after an id.
    fn bpf_link_get_next_id(start: u32, next: Option<&mut u32>) -> c_int {
        done(next_id(|client| client.next_link_id(start), next))
    }

    /// The descriptor of the map of an id.
    fn bpf_map_get_fd_by_id(id: u32) -> c_int {
        number(fd::client().and_then(|client| fd::insert(Item::Map(client.map_by_id(id)?))))
    }

    /// The descriptor of the program of an id.
    fn bpf_prog_get_fd_by_id(id: u32) -> c_int {
        number(fd::client().and_then(|client| fd::insert(Item::Program(client.program_by_id(id)?))))
    }

    /// The descriptor of the link of an id.
    fn bpf_link_get_fd_by_id(id: u32) -> c_int {
        number(fd::client().and_then(|client| fd::insert(Item::Link(client.link_by_id(id)?))))
    }
}
