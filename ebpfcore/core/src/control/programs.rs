//! Operations on programs: bytecode is verified here, in the kernel, before it can run.
//!
//! Bytecode names maps by handles of the caller: the low 32 bits stand in the immediate of
//! `LDDW` with source 1 or 2. Each is replaced by an index before the bytecode is decoded, so no
//! address ever comes from user mode. (eBPF for Windows instead resolves addresses in a trusted
//! service; see [`crate::control`] for what is left out.)

use super::{
    Session,
    maps::text,
    objects::{Draft, Entry, Object},
};
use crate::{
    Definition, Map, Program, Shared, Status,
    helper::{self, Extensions},
    object::{Checking, code_over},
};
use abi::{
    Guid, Platform, ProgramType,
    diagnostic::RUN_MEMORY,
    ioctl::{Handle, Reply},
    limits,
    native::nmr::NPI_PROGRAM_INFORMATION,
};
use alloc::{string::String, vec::Vec};
use isa::Slot;
use program::{MapDef, MapId, Object as Source, ProgramId, RawProgram};
use verifier::{Options, render, verify};

/// `ebpf_code_type_t`: none yet.
const CODE_NONE: u32 = 0;
/// `ebpf_code_type_t`: bytecode.
const CODE_BYTECODE: u32 = 2;
/// `ebpf_code_type_t`: machine code of a driver.
const CODE_NATIVE: u32 = 3;
/// Opcode of `LDDW`.
const LDDW: u8 = 0x18;
/// Most of the verifier's text that a reply carries.
const LOG_BYTES: usize = 60_000;
/// Different maps of one program.
const MAPS: usize = 256;

/// What becomes a program.
struct Input<'a> {
    id: u32,
    name: String,
    program_type: &'static ProgramType,
    bytes: &'a [u8],
}

impl Session<'_> {
    pub(super) fn create_program(
        self,
        program_type: Guid,
        (section, name): (u16, u16),
        data: &[u8],
    ) -> Result<usize, Status> {
        let program_type = helper::program_type(program_type, &self.control.linked());
        let program_type = program_type.ok_or(Status::ExtensionFailedToLoad)?;
        let Names {
            file,
            section,
            name,
        } = names(data, section, name)?;
        let draft = Draft {
            name: text(name, limits::NAME_BYTES)?,
            program_type,
        };
        let id = self.control.core.take_id();
        let mut entry = Entry::new(id, Object::Draft(draft));
        entry.file = text(end(file, limits::FILE_NAME_BYTES), limits::FILE_NAME_BYTES)?;
        entry.section = text(section, limits::NAME_BYTES)?;
        let handle = self.control.publish(self.client, entry)?;
        self.reply_handle(
            handle,
            &Reply::CreateProgram {
                program_handle: handle,
            },
        )
    }

    /// Verifies bytecode and puts it into a program that has no code yet. Refused bytecode leaves
    /// the verifier's text behind.
    pub(super) fn load_code(
        self,
        handle: Handle,
        code_type: u32,
        code: &[u8],
    ) -> Result<usize, Status> {
        if code_type != CODE_BYTECODE {
            return Err(Status::OperationNotSupported);
        }
        let id = self.id(handle)?;
        let (name, program_type) = match &self.control.lock().get(id)?.object {
            Object::Draft(draft) => (draft.name.clone(), draft.program_type),
            Object::Program(_) => return Err(Status::InvalidState),
            Object::Map(_) | Object::Link(_) | Object::Module => return Err(Status::InvalidFd),
        };
        let (bytes, maps) = self.resolve_maps(code)?;
        let input = Input {
            id,
            name,
            program_type,
            bytes: &bytes,
        };
        let made = self.compile(&input, &maps);
        let mut state = self.control.lock();
        let entry = state.get_mut(id)?;
        match made {
            // Somebody else may have been faster.
            Ok(_) if !matches!(entry.object, Object::Draft(_)) => return Err(Status::InvalidState),
            Ok(program) => entry.object = Object::Program(program),
            Err((status, log)) => {
                entry.log = log;
                return Err(status);
            }
        }
        entry.log.clear();
        drop(state);
        self.done()
    }

    /// Bytecode with map indices in place of the caller's handles, and the maps.
    fn resolve_maps(&self, code: &[u8]) -> Result<(Vec<u8>, Vec<Shared<Map>>), Status> {
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(code.len())
            .map_err(|_| Status::NoMemory)?;
        bytes.extend_from_slice(code);
        let mut maps: Vec<Shared<Map>> = Vec::new();
        let mut is_second_half = false;
        for slot in bytes.chunks_exact_mut(Slot::BYTES) {
            let is_first_half = !is_second_half && slot[0] == LDDW;
            is_second_half = is_first_half;
            if !is_first_half || !matches!(slot[1] >> 4, 1 | 2) {
                continue;
            }
            let Some(immediate) = slot.last_chunk_mut::<4>() else {
                continue;
            };
            let handle = Handle(u64::from(u32::from_le_bytes(*immediate)));
            let index = note(&mut maps, self.map(handle)?)?;
            *immediate = index.to_le_bytes();
        }
        Ok((bytes, maps))
    }

    fn compile(
        &self,
        input: &Input<'_>,
        maps: &[Shared<Map>],
    ) -> Result<Shared<Program>, (Status, String)> {
        let plain = |status| (status, String::new());
        let raw = RawProgram {
            name: &input.name,
            platform: Platform::Windows,
            program_type: input.program_type,
            bytes: input.bytes,
            maps: definitions(maps).map_err(plain)?,
        };
        let refused = |text| (Status::VerificationFailed, text);
        let source: Source =
            program::from_bytecode(raw).map_err(|error| refused(alloc::format!("{error}")))?;
        let verified = verify(&source, ProgramId(0), &Options::default())
            .map_err(|rejected| refused(render::text(&source, &rejected)))?;
        let extensions = self.control.linked();
        // First, so that the provider of functions does not go meanwhile.
        let guid = input.program_type.guid;
        let provider = extensions.usage(NPI_PROGRAM_INFORMATION, guid);
        if helper::program_type(guid, &extensions) != Some(input.program_type) {
            return Err(plain(Status::ExtensionFailedToLoad));
        }
        let code = code_over(&source, maps, &verified, &extensions, Checking::Unproved).map_err(
            |error| match error.code() {
                RUN_MEMORY => plain(Status::NoMemory),
                _ => refused(alloc::format!("{error}")),
            },
        )?;
        let held = (input.program_type, provider);
        Program::with_id((&self.control.core, input.id), &input.name, held, code).map_err(plain)
    }

    /// Keeps flags for those who attach the program.
    pub(super) fn set_flags(self, handle: Handle, flags: u64) -> Result<usize, Status> {
        let id = self.id(handle)?;
        {
            let mut state = self.control.lock();
            let entry = state.get_mut(id)?;
            if !matches!(entry.object, Object::Program(_) | Object::Draft(_)) {
                return Err(Status::InvalidFd);
            }
            entry.flags = flags;
        }
        self.done()
    }

    /// Lets a program keep a map alive that its code does not name.
    pub(super) fn bind_map(self, program: Handle, map: Handle) -> Result<usize, Status> {
        let (id, map) = (self.id(program)?, self.map(map)?);
        {
            let mut state = self.control.lock();
            let entry = state.get_mut(id)?;
            if !matches!(entry.object, Object::Program(_) | Object::Draft(_)) {
                return Err(Status::InvalidFd);
            }
            let is_bound = entry.bound.iter().any(|other| other.id() == map.id());
            if !is_bound {
                if entry.bound.len() >= MAPS {
                    return Err(Status::OutOfSpace);
                }
                entry.bound.try_reserve(1).map_err(|_| Status::NoMemory)?;
                entry.bound.push(map);
            }
        }
        self.done()
    }

    /// The kind of code, the file and the section. A program without code has in place of its file
    /// what the verifier said when it refused its code last, and one of a driver has no file.
    pub(super) fn query_program(self, handle: Handle) -> Result<usize, Status> {
        let id = self.id(handle)?;
        let mut text = String::new();
        let (code_type, file_name) = {
            let state = self.control.lock();
            let entry = state.get(id)?;
            let code_type = match &entry.object {
                Object::Draft(_) => CODE_NONE,
                Object::Program(program) if program.is_native() => CODE_NATIVE,
                Object::Program(_) => CODE_BYTECODE,
                Object::Map(_) | Object::Link(_) | Object::Module => return Err(Status::InvalidFd),
            };
            let file = match code_type {
                CODE_NONE => beginning(&entry.log, LOG_BYTES),
                _ => &entry.file,
            };
            let room = text.try_reserve_exact(file.len() + entry.section.len());
            room.map_err(|_| Status::NoMemory)?;
            text.push_str(file);
            text.push_str(&entry.section);
            (code_type, file.len())
        };
        const FILE_NAME: u16 = 16;
        let file_name = u16::try_from(file_name).map_err(|_| Status::Failed)?;
        self.reply(&Reply::QueryProgramInfo {
            code_type,
            file_name_offset: FILE_NAME,
            section_name_offset: FILE_NAME.saturating_add(file_name),
            data: text.as_bytes(),
        })
    }
}

/// As much of a text as fits into some bytes.
fn beginning(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

/// As much of the end of a text as fits into some bytes: of a long path, the name of the file.
fn end(text: &[u8], most: usize) -> &[u8] {
    let is_start = |byte: &u8| *byte & 0xc0 != 0x80;
    let tail = text.get(text.len().saturating_sub(most)..).unwrap_or(text);
    let start = tail.iter().position(is_start).unwrap_or_default();
    tail.get(start..).unwrap_or(tail)
}

/// What `create_program` names.
struct Names<'a> {
    file: &'a [u8],
    section: &'a [u8],
    name: &'a [u8],
}

/// File, section and program name from the tail of `create_program`; offsets count from the start of
/// the message.
fn names(data: &[u8], section: u16, name: u16) -> Result<Names<'_>, Status> {
    const TAIL: usize = 28;
    let at = |offset: u16| usize::from(offset).checked_sub(TAIL);
    let (Some(section), Some(name)) = (at(section), at(name)) else {
        return Err(Status::InvalidArgument);
    };
    match (
        data.get(..section),
        data.get(section..name),
        data.get(name..),
    ) {
        (Some(file), Some(section), Some(name)) => Ok(Names {
            file,
            section,
            name,
        }),
        _ => Err(Status::InvalidArgument),
    }
}

/// The index of a map in a list that holds each once.
fn note(maps: &mut Vec<Shared<Map>>, map: Shared<Map>) -> Result<u32, Status> {
    let known = maps.iter().position(|other| other.id() == map.id());
    let index = match known {
        Some(index) => index,
        None if maps.len() >= MAPS => return Err(Status::InvalidArgument),
        None => {
            maps.try_reserve(1).map_err(|_| Status::NoMemory)?;
            maps.push(map);
            maps.len() - 1
        }
    };
    u32::try_from(index).map_err(|_| Status::InvalidArgument)
}

/// Maps as the verifier sees them; the templates of maps of maps follow at the end.
fn definitions(maps: &[Shared<Map>]) -> Result<Vec<MapDef>, Status> {
    let mut all = Vec::new();
    all.try_reserve_exact(2 * maps.len())
        .map_err(|_| Status::NoMemory)?;
    all.extend(maps.iter().map(|map| definition(map.definition())));
    for (index, map) in maps.iter().enumerate() {
        if let Some(template) = map.template() {
            let inner = u16::try_from(all.len()).map_err(|_| Status::InvalidArgument)?;
            all.push(definition(template));
            all[index].inner = Some(MapId(inner));
        }
    }
    Ok(all)
}

fn definition(map: &Definition) -> MapDef {
    let row = map.kind.row(map.platform);
    let number = row.and_then(|row| row.number(map.platform)).unwrap_or(0);
    let sizes = [map.key_size, map.value_size, map.max_entries];
    MapDef::sized(map.name.clone(), map.kind, number, sizes)
}
