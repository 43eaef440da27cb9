//! What files tell without being loaded: programs, their instructions, the bytes of sections.

use crate::error::{self, Fault, code};
use crate::exports;
use crate::raw::{Output, Text, give, give_text};
use abi::Guid;
use client::inspect::{self, FileProgram};
use client::{EbpfResult, Object, ObjectProgram};
use std::ffi::{CString, c_char, c_int};
use std::ptr::null;

/// `ebpf_stat_t`.
#[repr(C)]
struct Stat {
    next: *const Stat,
    key: *const c_char,
    value: c_int,
}

/// `ebpf_api_program_info_t`, and behind what C knows of it the memory that its pointers lead to.
#[repr(C)]
pub(crate) struct ProgramInfo {
    next: Option<Box<ProgramInfo>>,
    section_name: *const c_char,
    program_name: *const c_char,
    program_type: Guid,
    expected_attach_type: Guid,
    raw_data_size: usize,
    raw_data: *mut u8,
    stats: *const Stat,
    offset_in_section: usize,
    memory: Memory,
}

/// What a program's pointers lead to.
struct Memory {
    section: CString,
    name: CString,
    code: Vec<u8>,
    _keys: Vec<CString>,
    stats: Vec<Stat>,
}

impl Drop for ProgramInfo {
    fn drop(&mut self) {
        // One after the other: a long list would take much stack.
        let mut next = self.next.take();
        while let Some(mut program) = next {
            next = program.next.take();
        }
    }
}

impl Memory {
    fn new(program: FileProgram) -> Memory {
        let text = |text: &str| CString::new(text).unwrap_or_default();
        let (keys, values): (Vec<&str>, Vec<usize>) = program.statistics.into_iter().unzip();
        let keys: Vec<CString> = keys.into_iter().map(text).collect();
        let stats = keys.iter().zip(values).map(|(key, value)| Stat {
            next: null(),
            key: key.as_ptr(),
            value: c_int::try_from(value).unwrap_or(c_int::MAX),
        });
        let mut stats: Vec<Stat> = stats.collect();
        let addresses: Vec<*const Stat> = stats.iter().map(std::ptr::from_ref).collect();
        for (stat, next) in stats.iter_mut().zip(addresses.into_iter().skip(1)) {
            stat.next = next;
        }
        Memory {
            section: text(&program.section),
            name: text(&program.name),
            code: program.code,
            _keys: keys,
            stats,
        }
    }
}

/// A program in front of a list.
fn prepend(program: FileProgram, next: Option<Box<ProgramInfo>>) -> Box<ProgramInfo> {
    let (program_type, attach_type, offset) =
        (program.program_type, program.attach_type, program.offset);
    let mut memory = Memory::new(program);
    Box::new(ProgramInfo {
        next,
        section_name: memory.section.as_ptr(),
        program_name: memory.name.as_ptr(),
        program_type,
        expected_attach_type: attach_type,
        raw_data_size: memory.code.len(),
        raw_data: memory.code.as_mut_ptr(),
        stats: match memory.stats.is_empty() {
            true => null(),
            false => memory.stats.as_ptr(),
        },
        offset_in_section: usize::try_from(offset).unwrap_or(0),
        memory,
    })
}

fn list(programs: Vec<FileProgram>) -> Option<Box<ProgramInfo>> {
    let last = programs.into_iter().rev();
    last.fold(None, |next, program| Some(prepend(program, next)))
}

/// The first program of those that names choose, NULL for any.
pub(crate) fn choose(
    object: &Object,
    section: Text,
    program: Text,
) -> Result<&ObjectProgram, Fault> {
    let (section, program) = (section.optional()?, program.optional()?);
    let mut programs = object.programs().iter();
    let chosen = programs.find(|one| {
        section.is_none_or(|section| one.section == section)
            && program.is_none_or(|program| one.name == program)
    });
    chosen.ok_or(Fault::MISSING)
}

fn disassemble(file: Text, section: Text, program: Text) -> Result<String, Fault> {
    let object = Object::open(file.get()?)?;
    let name = &choose(&object, section, program)?.name;
    // A driver has no bytecode.
    let source = object.bytecode().ok_or(Fault::INVALID)?;
    let (_, program) = source.program(name).ok_or(Fault::MISSING)?;
    Ok(inspect::listing(source, program))
}

/// The bytes of a section; without a place for them, how many there are.
fn data_section(
    file: Text,
    section: Text,
    data: Output,
    size: Option<&mut usize>,
) -> Result<(), Fault> {
    let size = size.ok_or(Fault::INVALID)?;
    let found = inspect::section(file.get()?, section.get()?).map_err(|error| {
        let mut fault = Fault::from(error);
        if fault.result == EbpfResult::FileNotFound {
            fault.result = EbpfResult::InvalidObject;
        }
        fault
    })?;
    let bytes = found.ok_or(Fault::MISSING)?;
    let room = std::mem::replace(size, bytes.len());
    match data.is_null() {
        true => Ok(()),
        false if room < bytes.len() => Err(Fault::NO_ROOM),
        false => data.write(&bytes),
    }
}

/// Keeps a message for C, or none.
pub(crate) fn set_message(to: Option<&mut *mut c_char>, fault: Option<Fault>) {
    let message = fault.map_or(std::ptr::null_mut(), |fault| {
        fault.tell();
        give_text(&error::text())
    });
    if let Some(to) = to {
        *to = message;
    } else {
        crate::raw::take_text(message);
    }
}

exports! {
    /// The programs of an object file or driver, given back with `ebpf_free_programs`; with counts of
    /// their instructions when `verbose`.
    fn ebpf_enumerate_programs(file: Text, verbose: bool, infos: Option<&mut Option<Box<ProgramInfo>>>, message: Option<&mut *mut c_char>) -> c_int {
        let Some(infos) = infos else {
            return code(Err(Fault::INVALID));
        };
        match file.get().and_then(|file| Ok(inspect::programs(file)?)) {
            Ok(mut programs) => {
                if !verbose {
                    programs.iter_mut().for_each(|program| program.statistics.clear());
                }
                give(infos, list(programs));
                set_message(message, None);
                0
            }
            Err(fault) => {
                give(infos, None);
                let result = fault.result as c_int;
                set_message(message, Some(fault));
                result
            }
        }
    }

    /// Gives programs back.
    fn ebpf_free_programs(infos: Option<Box<ProgramInfo>>) {
        drop(infos);
    }

    /// The instructions of a program of an object file as text: 0, or 1 with a message. Both are given
    /// back with `ebpf_free_string`.
    fn ebpf_api_elf_disassemble_program(file: Text, section: Text, program: Text, disassembly: Option<&mut *mut c_char>, message: Option<&mut *mut c_char>) -> u32 {
        let Some(disassembly) = disassembly else {
            set_message(message, Some(Fault::INVALID));
            return 1;
        };
        match disassemble(file, section, program) {
            Ok(text) => {
                *disassembly = give_text(&text);
                set_message(message, None);
                0
            }
            Err(fault) => {
                *disassembly = std::ptr::null_mut();
                set_message(message, Some(fault));
                1
            }
        }
    }

    /// The bytes of a section of an object file or driver; `size` is the room for them, and gets how
    /// many there are. Without a place for them only that.
    fn ebpf_api_get_data_section(file: Text, section: Text, data: Output, size: Option<&mut usize>) -> c_int {
        code(data_section(file, section, data, size))
    }
}
