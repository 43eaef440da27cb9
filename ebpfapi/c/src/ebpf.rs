//! Functions of eBPF for Windows beyond libbpf (`ebpf_api.h`). They return `ebpf_result_t`, 0 for
//! success.

use crate::error::{self, Fault, code};
use crate::exports;
use crate::fd;
use crate::link::BpfLink;
use crate::program::BpfProgram;
use crate::raw::{Input, Output, Text, give_text, take_text};
use abi::program_type;
use abi::{Guid, ProgramType};
use client::{Object, ObjectKind, OpenOptions};
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
    program: Text,
    program_type: Option<&'static ProgramType>,
    report: Option<&'a mut *mut c_char>,
    message: Option<&'a mut *mut c_char>,
}

/// Verifies one program, the first one when none is named: 0, or 1 with a report.
fn verify(open: impl FnOnce() -> Result<Object, Fault>, check: Check<'_>) -> u32 {
    let verify = || -> Result<(), Fault> {
        let mut object = open()?;
        let name = match check.program.optional()? {
            Some(name) => name.to_owned(),
            None => object
                .programs()
                .first()
                .ok_or(Fault::MISSING)?
                .name
                .clone(),
        };
        if let Some(program_type) = check.program_type {
            object.set_program_type(&name, program_type)?;
        }
        match object.verify(&name) {
            Ok(()) => Ok(()),
            Err(error) => {
                if let (Some(report), Some(text)) = (check.report, error.report()) {
                    *report = give_text(text);
                }
                Err(error.into())
            }
        }
    };
    match verify() {
        Ok(()) => 0,
        Err(fault) => {
            fault.tell();
            if let Some(message) = check.message {
                *message = give_text(&error::text());
            }
            1
        }
    }
}

/// Fills `ebpf_api_verifier_stats_t`; this verifier counts other things.
fn no_stats(stats: Output) {
    if !stats.is_null() {
        // It is not NULL.
        let _ = stats.write(&[0; 12]);
    }
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
    let hook = match hook.is_null() {
        false => guid(hook)?,
        true => program.attach_type().ok_or(Fault::INVALID)?.guid,
    };
    BpfLink::of(program.attach_with(hook, &parameter)?)
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

fn copy_guid(
    number: u32,
    rows: impl Iterator<Item = (u32, Guid)>,
    to: Output,
) -> Result<(), Fault> {
    let mut rows = rows;
    let found = rows.find(|(known, _)| *known == number);
    let (_, guid) = found.ok_or(Fault::MISSING)?;
    to.write(&guid.to_bytes())
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
    fn ebpf_api_elf_verify_program_from_file(file: Text, program: Text, program_type: Input, _verbosity: u32, report: Option<&mut *mut c_char>, message: Option<&mut *mut c_char>, stats: Output) -> u32 {
        no_stats(stats);
        let open = || Ok(Object::open(file.get()?)?);
        match type_of(program_type) {
            Ok(program_type) => verify(open, Check { program, program_type, report, message }),
            Err(fault) => { fault.tell(); 1 }
        }
    }

    /// The same for an object file in memory.
    fn ebpf_api_elf_verify_program_from_memory(data: Input, length: usize, program: Text, program_type: Input, _verbosity: u32, report: Option<&mut *mut c_char>, message: Option<&mut *mut c_char>, stats: Output) -> u32 {
        no_stats(stats);
        let open = || Ok(Object::parse(&data.bytes(length)?, &OpenOptions::default())?);
        match type_of(program_type) {
            Ok(program_type) => verify(open, Check { program, program_type, report, message }),
            Err(fault) => { fault.tell(); 1 }
        }
    }

    /// Attaches a program with a parameter of the hook's own form; NULL for the default hook.
    fn ebpf_program_attach(program: Option<&BpfProgram>, hook: Input, parameter: Input, size: usize, link: Option<&mut Option<Box<BpfLink>>>) -> c_int {
        code(program.ok_or(Fault::INVALID).and_then(|program| {
            let link = link.ok_or(Fault::INVALID)?;
            *link = Some(attach(&program.loaded()?, hook, parameter.bytes(size)?)?);
            Ok(())
        }))
    }

    /// The same for a descriptor.
    fn ebpf_program_attach_by_fd(program: c_int, hook: Input, parameter: Input, size: usize, link: Option<&mut Option<Box<BpfLink>>>) -> c_int {
        code(fd::program(program).and_then(|program| {
            let link = link.ok_or(Fault::INVALID)?;
            *link = Some(attach(&program, hook, parameter.bytes(size)?)?);
            Ok(())
        }))
    }

    /// Gives a link up.
    fn ebpf_link_close(link: Option<Box<BpfLink>>) -> c_int {
        code(link.map(drop).ok_or(Fault::INVALID))
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

    /// The GUID of a program type's number.
    fn ebpf_get_ebpf_program_type(number: u32, to: Output) -> c_int {
        code(copy_guid(number, types(), to))
    }

    /// The GUID of a hook's number.
    fn ebpf_get_ebpf_attach_type(number: u32, to: Output) -> c_int {
        code(copy_guid(number, hooks(), to))
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
