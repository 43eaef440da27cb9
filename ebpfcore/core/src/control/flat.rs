//! Structures with strings and arrays, flattened for a reply: what a program type offers, and the
//! pinned maps.
//!
//! The forms are those of eBPF for Windows: each part begins with its own length, strings have no
//! terminator, parts follow each other without padding.

use super::{Session, objects::Object};
use crate::{Map, Status, helper::program_type, pin::ObjectKind};
use abi::{
    Guid, Helper, ProgramType, helper,
    ioctl::{Handle, Reply},
    native::PIN_BY_NAME,
};
use alloc::vec::Vec;

/// Version of the flattened program information.
const VERSION: u16 = 1;
/// Flag of a helper: it may move the packet.
const REALLOCATE_PACKET: u8 = 1;

impl Session<'_> {
    /// What programs of a type may use: the type of a program, or the one that is named.
    pub(super) fn program_info(self, guid: Guid, program: Handle) -> Result<usize, Status> {
        let program_type = match program {
            Handle::INVALID => program_type(guid, &self.control.linked()),
            handle => {
                let id = self.id(handle)?;
                match &self.control.lock().get(id)?.object {
                    Object::Program(program) => Some(program.program_type()),
                    Object::Draft(draft) => Some(draft.program_type),
                    _ => return Err(Status::InvalidFd),
                }
            }
        };
        let program_type = program_type.ok_or(Status::ExtensionFailedToLoad)?;
        let data = flat_type(program_type)?;
        self.reply(&Reply::GetProgramInfo {
            version: VERSION,
            size: data.len() as u64,
            data: &data,
        })
    }

    /// Definitions and paths of all pinned maps, in the order of the paths.
    pub(super) fn pinned_maps(self) -> Result<usize, Status> {
        let mut flat = Flat::default();
        let mut count = 0u16;
        {
            let state = self.control.lock();
            let mut next = state.pins.next(None, Some(ObjectKind::Map));
            while let Some((path, pinned)) = next {
                if let Object::Map(map) = &state.get(pinned.id)?.object {
                    flat.map(map)?;
                    let bytes = path.as_bytes();
                    let length = u16::try_from(bytes.len());
                    flat.add(&length.map_err(|_| Status::Failed)?.to_le_bytes())?;
                    flat.add(bytes)?;
                    count = count.checked_add(1).ok_or(Status::InsufficientBuffer)?;
                }
                next = state.pins.next(Some(path), Some(ObjectKind::Map));
            }
        }
        self.reply(&Reply::GetPinnedMapInfo {
            map_count: count,
            size: flat.0.len() as u64,
            data: &flat.0,
        })
    }

    pub(super) fn code_integrity(self) -> Result<usize, Status> {
        let integrity = self.control.shell.code_integrity();
        self.reply(&Reply::GetCodeIntegrityState {
            hypervisor_code_integrity_enabled: integrity.hypervisor,
            test_signing_enabled: integrity.test_signing,
        })
    }
}

/// Bytes that grow as long as there is memory.
#[derive(Default)]
struct Flat(Vec<u8>);

impl Flat {
    fn add(&mut self, bytes: &[u8]) -> Result<(), Status> {
        let room = self.0.try_reserve(bytes.len());
        room.map_err(|_| Status::NoMemory)?;
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn number(&mut self, number: u32) -> Result<(), Status> {
        self.add(&number.to_le_bytes())
    }

    fn size(&mut self, size: usize) -> Result<(), Status> {
        self.add(&(size as u64).to_le_bytes())
    }

    fn map(&mut self, map: &Map) -> Result<(), Status> {
        let definition = map.definition();
        let row = definition.kind.row(definition.platform);
        let number = row.and_then(|row| row.number(definition.platform));
        let (keys, values) = (definition.key_size, definition.value_size);
        let words = [
            number.unwrap_or(0),
            keys,
            values,
            definition.max_entries,
            map.template_id(),
            PIN_BY_NAME,
        ];
        words.into_iter().try_for_each(|word| self.number(word))
    }

    /// 0 size, 8 number, 12 result, 16 arguments, 36 flags, 40 length of the name, 48 name.
    fn helper(&mut self, helper: &Helper) -> Result<(), Status> {
        const NAME: usize = 48;
        self.size(NAME + helper.name.len())?;
        self.number(helper.id)?;
        self.number(helper.ret.hash_number().unwrap_or(0))?;
        for argument in helper.args {
            self.number(argument.hash_number().unwrap_or(0))?;
        }
        let moves = u8::from(helper.reallocates_packet) * REALLOCATE_PACKET;
        self.add(&[moves, 0, 0, 0])?;
        self.size(helper.name.len())?;
        self.add(helper.name.as_bytes())
    }
}

/// The type, then its helpers: 0 size, 8 number of helpers, 12 helpers.
fn flat_type(program_type: &ProgramType) -> Result<Vec<u8>, Status> {
    const HELPERS: usize = 12;
    let mut flat = Flat::default();
    flat_descriptor(&mut flat, program_type)?;
    let mut helpers = Flat::default();
    let mut count = 0u32;
    let has_function = |row: &&Helper| {
        let is_override = program_type.helpers.iter().any(|own| own.id == row.id);
        is_override || !helper::WITHOUT_DEFAULT.contains(&row.id)
    };
    let general = helper::general(program_type.platform).iter();
    let is_own = |row: &&Helper| row.id >= helper::FIRST_TYPE_SPECIFIC;
    let own = program_type.helpers.iter().filter(is_own);
    for row in general.filter(has_function).chain(own) {
        helpers.helper(row)?;
        count = count.saturating_add(1);
    }
    flat.size(HELPERS + helpers.0.len())?;
    flat.number(count)?;
    flat.add(&helpers.0)?;
    Ok(flat.0)
}

/// 0 size, 8 context descriptor, 24 type, 40 privileged, 48 length of the name, 56 name.
fn flat_descriptor(flat: &mut Flat, program_type: &ProgramType) -> Result<(), Status> {
    const NAME: usize = 56;
    flat.size(NAME + program_type.name.len())?;
    for number in program_type.context.descriptor() {
        flat.add(&number.to_le_bytes())?;
    }
    flat.add(&program_type.guid.to_bytes())?;
    flat.add(&[u8::from(program_type.privileged), 0, 0, 0, 0, 0, 0, 0])?;
    flat.size(program_type.name.len())?;
    flat.add(program_type.name.as_bytes())
}
