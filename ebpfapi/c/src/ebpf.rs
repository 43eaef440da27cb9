//! Functions of eBPF for Windows beyond libbpf (`ebpf_api.h`). They return `ebpf_result_t`, 0 for
//! success.

use crate::error::{self, Fault, code};
use crate::exports;
use crate::fd::{self, Item};
use crate::info;
use crate::inspect;
use crate::link::BpfLink;
use crate::object::BpfObject;
use crate::program::BpfProgram;
use crate::raw::{Input, Output, Text, give_box, give_text, take_text};
use crate::verified;
use abi::program_type;
use abi::{Guid, ProgramType};
use client::{CodeType, Facts, Object, ObjectKind, OpenOptions};
use std::ffi::{c_char, c_int};

/// Bytes of a GUID.
const GUID: usize = 16;

fn guid(from: Input) -> Result<Guid, Fault> {
    let bytes = from.bytes(GUID)?;
    Ok(bytes
        .first_chunk()
        .map_or_else(Guid::default, |bytes| Guid::from_bytes(*bytes)))
}

/// What is verified, and where the report goes.
struct Check<'a> {
    section: Text,
    program: Text,
    program_type: Input,
    report: Option<&'a mut *mut c_char>,
    message: Option<&'a mut *mut c_char>,
    stats: Output,
}

/// `ebpf_api_verifier_stats_t`.
#[derive(Default)]
struct Stats {
    /// Instructions that no path leads to.
    unreachable: usize,
    /// Problems: one at most, the first is told.
    warnings: u32,
    /// The most rounds of a loop.
    rounds: u32,
}

impl Stats {
    fn of(object: &Object, program: &str, facts: &Facts) -> Stats {
        let source = object.bytecode().and_then(|object| object.program(program));
        let loops = facts.work.iter().flat_map(|work| &work.loops);
        Stats {
            unreachable: source.map_or(0, |(_, program)| {
                client::inspect::dead_instructions(program, facts)
            }),
            warnings: 0,
            rounds: loops.map(|one| one.rounds).max().unwrap_or(0),
        }
    }

    fn give(&self, to: Output) -> Result<(), Fault> {
        let unreachable = u32::try_from(self.unreachable).unwrap_or(u32::MAX);
        let numbers = [unreachable, self.warnings, self.rounds];
        let bytes = numbers.map(|number| number.min(c_int::MAX as u32).to_ne_bytes());
        match to.is_null() {
            true => Ok(()),
            false => to.write(bytes.as_flattened()),
        }
    }
}

/// Verifies one program, the first one of those that are named: 0, or 1 with a report.
fn verify(open: impl FnOnce() -> Result<Object, Fault>, check: Check<'_>) -> u32 {
    verified::begin(None);
    let mut refused = None;
    let verify = || -> Result<(), Fault> {
        Stats::default().give(check.stats)?;
        let mut object = open()?;
        let name = inspect::choose(&object, check.section, check.program)?
            .name
            .clone();
        if let Some(program_type) = type_of(check.program_type)? {
            object.set_program_type(&name, program_type)?;
        }
        let mut programs = object.programs().iter();
        let chosen = programs.find(|program| program.name == name);
        verified::begin(chosen.and_then(|program| program.program_type));
        match object.verify(&name) {
            Ok(facts) => {
                verified::keep(&object, &name, &facts);
                Stats::of(&object, &name, &facts).give(check.stats)
            }
            Err(error) => {
                refused = error.report().map(str::to_owned);
                let warnings = u32::from(refused.is_some());
                Stats {
                    warnings,
                    ..Stats::default()
                }
                .give(check.stats)?;
                Err(error.into())
            }
        }
    };
    let fault = verify().err();
    let result = u32::from(fault.is_some());
    if let Some(to) = check.report {
        *to = refused.map_or(std::ptr::null_mut(), |report| give_text(&report));
    }
    inspect::set_message(check.message, fault);
    result
}

fn type_of(from: Input) -> Result<Option<&'static ProgramType>, Fault> {
    match from.is_null() {
        true => Ok(None),
        false => program_type::by_guid(guid(from)?)
            .map(Some)
            .ok_or(Fault::MISSING),
    }
}

fn attach(
    program: &client::Program,
    hook: Input,
    parameter: Vec<u8>,
) -> Result<Box<BpfLink>, Fault> {
    BpfLink::of(program.attach_with(hook_of(program, hook)?, &parameter)?)
}

/// The hook of a GUID, the program's default one for NULL.
fn hook_of(program: &client::Program, hook: Input) -> Result<Guid, Fault> {
    match hook.is_null() {
        false => guid(hook),
        true => Ok(program.attach_type().ok_or(Fault::INVALID)?.guid),
    }
}

/// The type and hook that a section name selects.
fn by_section(name: Text, program: Output, hook: Output) -> Result<(), Fault> {
    let row = program_type::by_section(abi::Platform::Windows, name.get()?);
    let row = row.ok_or(Fault::NO_KEY)?;
    program.write(&row.program_type.guid.to_bytes())?;
    hook.write(&row.guid.to_bytes())
}

/// How an object's programs run: those of a driver are native, all others are interpreted.
fn execution_type(object: &BpfObject) -> CodeType {
    match object.is_native() {
        true => CodeType::Native,
        false => CodeType::Interpreted,
    }
}

fn duplicate(fd: c_int) -> Result<c_int, Fault> {
    fd::insert(fd::get(fd)?)
}

/// The canonical form of a path of pins: what the runtime lists it as.
fn next_pin(start: Text, to: (Output, usize), kind: Option<&mut u32>) -> Result<(), Fault> {
    let wanted = kind.as_ref().map_or(0, |kind| **kind);
    let pin = fd::client()?.next_pin(start.optional()?, ObjectKind::from_number(wanted))?;
    let pin = pin.ok_or(Fault::END)?;
    let (buffer, room) = to;
    if pin.path.len() >= room {
        return Err(Fault::NO_ROOM);
    }
    buffer.write(pin.path.as_bytes())?;
    buffer.write_at(pin.path.len(), &[0])?;
    if let Some(kind) = kind {
        *kind = pin.kind as u32;
    }
    Ok(())
}

/// The hook of a number; nothing has the number 0.
fn attach_type(number: u32) -> Option<Guid> {
    let mut rows = hooks().filter(|(known, _)| *known == number && number != 0);
    rows.next().map(|(_, guid)| guid)
}

fn number_of(from: Input, rows: impl Iterator<Item = (u32, Guid)>) -> u32 {
    let Ok(wanted) = guid(from) else { return 0 };
    let mut rows = rows;
    let found = rows.find(|(_, guid)| *guid == wanted);
    found.map_or(0, |(number, _)| number)
}

fn types() -> impl Iterator<Item = (u32, Guid)> {
    program_type::WINDOWS
        .iter()
        .map(|row| (row.number, row.guid))
}

fn hooks() -> impl Iterator<Item = (u32, Guid)> {
    program_type::ATTACH_WINDOWS
        .iter()
        .map(|row| (row.number, row.guid))
}

exports! {
    /// The message of the last error of this thread, with what to do about it; it stays until the next
    /// one.
    fn ebpf_last_error() -> *const c_char {
        error::last()
    }

    /// Closes a descriptor.
    fn ebpf_close_fd(fd: c_int) -> c_int {
        code(fd::close(fd))
    }

    /// Another descriptor of the same object.
    fn ebpf_duplicate_fd(fd: c_int, to: Option<&mut c_int>) -> c_int {
        code(duplicate(fd).and_then(|new| {
            match to {
                Some(to) => *to = new,
                None => return fd::close(new).and(Err(Fault::INVALID)),
            }
            Ok(())
        }))
    }

    /// Gives text back that this library gave.
    fn ebpf_free_string(text: *mut c_char) {
        take_text(text);
    }

    /// Verifies a program of a file: 0, or 1 with a report and a message, which are given back with
    /// `ebpf_free_string`.
    fn ebpf_api_elf_verify_program_from_file(file: Text, section: Text, program: Text, program_type: Input, _verbosity: u32, report: Option<&mut *mut c_char>, message: Option<&mut *mut c_char>, stats: Output) -> u32 {
        let open = || Ok(Object::open(file.get()?)?);
        verify(open, Check { section, program, program_type, report, message, stats })
    }

    /// The same for an object file in memory.
    fn ebpf_api_elf_verify_program_from_memory(data: Input, length: usize, section: Text, program: Text, program_type: Input, _verbosity: u32, report: Option<&mut *mut c_char>, message: Option<&mut *mut c_char>, stats: Output) -> u32 {
        let open = || Ok(Object::parse(&data.bytes(length)?, &OpenOptions::default())?);
        verify(open, Check { section, program, program_type, report, message, stats })
    }

    /// Attaches a program with a parameter of the hook's own form; NULL for the default hook.
    fn ebpf_program_attach(program: Option<&BpfProgram>, hook: Input, parameter: Input, size: usize, link: Option<&mut Option<Box<BpfLink>>>) -> c_int {
        code(program.ok_or(Fault::INVALID).and_then(|program| {
            let link = link.ok_or(Fault::INVALID)?;
            give_box(link, attach(&program.loaded()?, hook, parameter.bytes(size)?)?);
            Ok(())
        }))
    }

    /// The same for a descriptor.
    fn ebpf_program_attach_by_fd(program: c_int, hook: Input, parameter: Input, size: usize, link: Option<&mut Option<Box<BpfLink>>>) -> c_int {
        code(fd::program(program).and_then(|program| {
            let link = link.ok_or(Fault::INVALID)?;
            give_box(link, attach(&program, hook, parameter.bytes(size)?)?);
            Ok(())
        }))
    }

    /// The same; gives the descriptor of the link.
    fn ebpf_program_attach_by_fds(program: c_int, hook: Input, parameter: Input, size: usize, link: Option<&mut c_int>) -> c_int {
        code(fd::program(program).and_then(|program| {
            let to = link.ok_or(Fault::INVALID)?;
            let hook = hook_of(&program, hook)?;
            *to = fd::insert(Item::Link(program.attach_with(hook, &parameter.bytes(size)?)?))?;
            Ok(())
        }))
    }

    /// Gives a link up.
    fn ebpf_link_close(link: Option<Box<BpfLink>>) {
        drop(link);
    }

    /// Takes the pin of a path away.
    fn ebpf_object_unpin(path: Text) -> c_int {
        code(path.get().and_then(|path| Ok(fd::client()?.unpin(path)?)))
    }

    /// The descriptor of a pinned object.
    fn ebpf_object_get(path: Text) -> c_int {
        error::number(crate::bpf::open_pin(path))
    }

    /// The path after another, in canonical form; `kind` chooses one kind of objects (0: any) and gets
    /// what was found.
    fn ebpf_get_next_pinned_object_path(start: Text, next: Output, room: usize, kind: Option<&mut u32>) -> c_int {
        code(next_pin(start, (next, room), kind))
    }

    /// Fills a `bpf_map_info`, `bpf_prog_info` or `bpf_link_info`, NULL for none, and says which.
    fn ebpf_object_get_info_by_fd(fd: c_int, to: Output, length: Option<&mut u32>, kind: Option<&mut u32>) -> c_int {
        code(fd::get(fd).and_then(|item| {
            if let Some(kind) = kind {
                *kind = info::kind(&item) as u32;
            }
            match to.is_null() {
                true => Ok(()),
                false => info::WINDOWS.give(&item, to, length.ok_or(Fault::INVALID)?),
            }
        }))
    }

    /// The type and hook that a section name selects.
    fn ebpf_get_program_type_by_name(name: Text, program: Output, hook: Output) -> c_int {
        code(by_section(name, program, hook))
    }

    /// How the programs of an object will run: 2 interpreted, 3 native.
    fn ebpf_object_get_execution_type(object: Option<&BpfObject>) -> u32 {
        object.map_or(0, |object| execution_type(object) as u32)
    }

    /// Asks for a way to run, 0 for any; an object has one only.
    fn ebpf_object_set_execution_type(object: Option<&BpfObject>, wanted: u32) -> c_int {
        code(object.ok_or(Fault::INVALID).and_then(|object| match wanted {
            0 => Ok(()),
            wanted if wanted == execution_type(object) as u32 => Ok(()),
            _ => Err(Fault::INVALID),
        }))
    }

    /// How a program runs: 1 compiled, 2 interpreted, 3 native.
    fn ebpf_program_query_info(fd: c_int, execution: Option<&mut u32>, file: Option<&mut *mut c_char>, section: Option<&mut *mut c_char>) -> c_int {
        code(fd::program(fd).and_then(|program| {
            let info = program.info()?;
            if let Some(execution) = execution {
                *execution = info.code as u32;
            }
            if let Some(file) = file {
                *file = give_text(&info.file);
            }
            if let Some(section) = section {
                *section = give_text(&info.section);
            }
            Ok(())
        }))
    }

    /// Returns when nothing that was replaced or detached before is in use any more.
    fn ebpf_program_synchronize() -> c_int {
        code(fd::client().and_then(|client| Ok(client.synchronize()?)))
    }

    /// Writes a record into a ring buffer.
    fn ebpf_ring_buffer_map_write(fd: c_int, data: Input, length: usize) -> c_int {
        code(fd::map(fd).and_then(|map| Ok(map.write_record(&data.bytes(length)?)?)))
    }

    /// Writes a record into the ring of this processor of a perf event array.
    fn ebpf_perf_event_array_map_write(fd: c_int, data: Input, length: usize) -> c_int {
        code(fd::map(fd).and_then(|map| Ok(map.write_record(&data.bytes(length)?)?)))
    }

    /// The GUID of a program type's number, NULL when there is none.
    fn ebpf_get_ebpf_program_type(number: u32) -> Option<&'static Guid> {
        let row = program_type::WINDOWS.iter().find(|row| row.number == number);
        row.map(|row| &row.guid)
    }

    /// The GUID of a hook's number, zero when there is none.
    fn ebpf_get_ebpf_attach_type(number: u32, to: Output) -> c_int {
        let found = attach_type(number);
        let written = to.write(&found.unwrap_or_default().to_bytes());
        code(written.and(found.map(|_| ()).ok_or(Fault::INVALID)))
    }

    /// The number of a program type's GUID, 0 when there is none.
    fn ebpf_get_bpf_program_type(from: Input) -> u32 {
        number_of(from, types())
    }

    /// The number of a hook's GUID, 0 when there is none.
    fn ebpf_get_bpf_attach_type(from: Input) -> u32 {
        number_of(from, hooks())
    }

    /// The name of a program type's GUID, NULL when there is none.
    fn ebpf_get_program_type_name(from: Input) -> *const c_char {
        match ebpf_get_bpf_program_type(from) {
            0 => std::ptr::null(),
            number => crate::names::libbpf_bpf_prog_type_str(number as c_int),
        }
    }

    /// The name of a hook's GUID, NULL when there is none.
    fn ebpf_get_attach_type_name(from: Input) -> *const c_char {
        match ebpf_get_bpf_attach_type(from) {
            0 => std::ptr::null(),
            number => crate::names::libbpf_bpf_attach_type_str(number as c_int),
        }
    }

    /// Descriptors of this process that name objects, for tests.
    fn ebpf_open_fds() -> c_int {
        fd::count()
    }
}
