//! What user mode is told about an object: `bpf_map_info`, `bpf_prog_info`, `bpf_link_info`.
//!
//! The structures are those of eBPF for Windows, at fixed offsets; fields that are not set are zero.
//! A program's goes on with what this runtime alone tells, for those who ask with more room.

use super::{
    Session,
    objects::{Entry, Object, State},
};
use crate::{Code, Core, Link, Map, Program, Shared, Status};
use abi::ioctl::{Handle, Reply};
use alloc::vec::Vec;

/// Bytes of the three structures.
const MAP_INFO: usize = 96;
const PROGRAM_INFO: usize = 128;
/// Bytes of a program's without the ids of its maps.
const PROGRAM_DETAILS: usize = PROGRAM_INFO + 8;
const LINK_INFO: usize = 56;
/// Bytes of a name with its terminator.
const NAME: usize = 64;

impl Session<'_> {
    /// Tells about an object; `room` are the bytes of the structure that the caller brought.
    pub(super) fn object_info(self, handle: Handle, room: usize) -> Result<usize, Status> {
        let id = self.id(handle)?;
        let (kind, info) = {
            let state = self.control.lock();
            let entry = state.get(id)?;
            let info = match &entry.object {
                Object::Map(map) => map_info(&state, map)?,
                Object::Program(program) => {
                    let mut info = program_info(&state, entry, program, &self.control.core)?;
                    info.truncate(room.max(PROGRAM_INFO));
                    info
                }
                Object::Link(link) => link_info(link, &self.control.core)?,
                Object::Draft(_) => return Err(Status::InvalidState),
                Object::Module => return Err(Status::InvalidFd),
            };
            (entry.object.kind(), info)
        };
        self.reply(&Reply::GetObjectInfo {
            object_type: kind as u32,
            info: &info,
        })
    }
}

/// A structure that is filled field by field.
struct Info(Vec<u8>);

impl Info {
    fn new(size: usize) -> Result<Info, Status> {
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(size)
            .map_err(|_| Status::NoMemory)?;
        bytes.resize(size, 0);
        Ok(Info(bytes))
    }

    fn with(mut self, offset: usize, bytes: &[u8]) -> Info {
        let place = self.0.iter_mut().skip(offset);
        for (to, from) in place.zip(bytes) {
            *to = *from;
        }
        self
    }

    fn number(self, offset: usize, number: u32) -> Info {
        self.with(offset, &number.to_le_bytes())
    }

    fn name(self, offset: usize, name: &str) -> Info {
        let name = name.as_bytes();
        self.with(offset, name.get(..NAME - 1).unwrap_or(name))
    }
}

/// 0 id, 4 type, 8 key, 12 value, 16 entries, 20 name, 84 flags, 88 inner map, 92 pins.
fn map_info(state: &State, map: &Map) -> Result<Vec<u8>, Status> {
    let definition = map.definition();
    let row = definition.kind.row(definition.platform);
    let number = row
        .and_then(|row| row.number(definition.platform))
        .unwrap_or(0);
    let info = Info::new(MAP_INFO)?
        .number(0, map.id())
        .number(4, number)
        .number(8, definition.key_size)
        .number(12, definition.value_size)
        .number(16, definition.max_entries)
        .name(20, &definition.name)
        .number(88, map.template_id())
        .number(92, state.pins.count(map.id()));
    Ok(info.0)
}

/// 0 id, 4 type, 8 number of maps, 16 address of their ids, 24 name, 88 type, 104 attach type,
/// 120 pins, 124 links. The address belongs to the caller and is not followed here. Beyond it: 128 runs,
/// 136 ids of the maps.
fn program_info(
    state: &State,
    entry: &Entry,
    program: &Program,
    core: &Core,
) -> Result<Vec<u8>, Status> {
    let is_linked = |entry: &&Entry| match &entry.object {
        Object::Link(link) => {
            let linked = link.share_program(core);
            linked.is_some_and(|linked| linked.id() == program.id())
        }
        _ => false,
    };
    let links = state.entries().iter().filter(is_linked).count();
    let maps = maps_of(program).iter().chain(&entry.bound);
    let count = maps.clone().count();
    let info = Info::new(PROGRAM_DETAILS + count * size_of::<u32>())?
        .number(0, program.id())
        .number(4, program.program_type().number)
        .number(8, u32::try_from(count).unwrap_or(u32::MAX))
        .name(24, program.name())
        .with(88, &program.program_type().guid.to_bytes())
        .with(104, &entry.attach_type.to_bytes())
        .number(120, state.pins.count(program.id()))
        .number(124, u32::try_from(links).unwrap_or(u32::MAX))
        .with(PROGRAM_INFO, &program.runs().to_le_bytes());
    let ids = (PROGRAM_DETAILS..).step_by(size_of::<u32>()).zip(maps);
    let info = ids.fold(info, |info, (at, map)| info.number(at, map.id()));
    Ok(info.0)
}

/// 0 id, 4 program, 8 kind of link, 12 attach type, 16 its GUID, 32 program type, 48 parameter.
fn link_info(link: &Link, core: &Core) -> Result<Vec<u8>, Status> {
    let attach_type = link.attach_type();
    let program = link.share_program(core).map_or(0, |program| program.id());
    let parameter = link.parameter();
    let info = Info::new(LINK_INFO)?
        .number(0, link.id())
        .number(4, program)
        .number(8, attach_type.link as u32)
        .number(12, attach_type.number)
        .with(16, &attach_type.guid.to_bytes())
        .with(32, &attach_type.program_type.guid.to_bytes())
        .with(48, parameter.get(..8).unwrap_or(parameter));
    Ok(info.0)
}

fn maps_of(program: &Program) -> &[Shared<Map>] {
    match program.code() {
        Code::Native { instance, .. } => instance.maps(),
        Code::Interpreted(machine) | Code::Checked(machine) => machine.maps(),
    }
}
