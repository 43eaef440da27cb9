//! What the runtime says about an object: `bpf_map_info`, `bpf_prog_info`, `bpf_link_info`.
//!
//! The structures have fixed offsets; [`Fields`] reads them, and bytes that are missing read as zero,
//! so that older runtimes with shorter structures are understood.

use crate::encode::answer;
use crate::handle::OwnedHandle;
use crate::{Cause, Error};
use abi::ioctl::Request;
use abi::program_type::{self, AttachType, LinkType};
use abi::{Guid, MapTypeRow, Platform, ProgramType};

/// Bytes of a name with its terminator.
const NAME_BYTES: usize = 64;
/// Bytes of a program's structure in eBPF for Windows.
const PROGRAM_INFO: usize = 128;
/// Bytes of it with the runs, in front of the ids of maps.
const PROGRAM_DETAILS: usize = PROGRAM_INFO + 8;
/// Room that is offered for a structure: the ids of a thousand maps.
const ROOM: usize = 4096;

/// Kinds of objects; the discriminants are those of `ebpf_object_type_t`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u32)]
pub enum ObjectKind {
    /// A map.
    Map = 1,
    /// A link.
    Link = 2,
    /// A program.
    Program = 3,
}

/// How the code of a program runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CodeType {
    /// No code was loaded yet.
    None,
    /// Compiled when it was loaded.
    Jit,
    /// Interpreted.
    Interpreted,
    /// A driver's own code.
    Native,
}

/// About a map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MapInfo {
    /// Its id.
    pub id: u32,
    /// Number of its type.
    pub map_type: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Most elements; bytes of a ring.
    pub max_entries: u32,
    /// Its name.
    pub name: String,
    /// Flags.
    pub flags: u32,
    /// Id of the template of maps inside, 0 for none.
    pub inner_map_id: u32,
    /// Paths that it is pinned to.
    pub pinned_paths: u32,
}

/// About a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProgramInfo {
    /// Its id.
    pub id: u32,
    /// Number of its type.
    pub number: u32,
    /// Maps that it uses.
    pub map_count: u32,
    /// Ids of these maps, as far as the runtime tells them.
    pub map_ids: Vec<u32>,
    /// How often it was run; `None` when the runtime does not say.
    pub runs: Option<u64>,
    /// Its name.
    pub name: String,
    /// Its type.
    pub program_type: Guid,
    /// The hook that it expects.
    pub attach_type: Guid,
    /// Paths that it is pinned to.
    pub pinned_paths: u32,
    /// Links that it has.
    pub links: u32,
    /// How it runs.
    pub code: CodeType,
    /// The ELF section that it comes from.
    pub section: String,
    /// The file that it comes from, where the runtime knows it.
    pub file: String,
}

/// About a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkInfo {
    /// Its id.
    pub id: u32,
    /// Its program, 0 when it was detached.
    pub program_id: u32,
    /// Number of the kind of link.
    pub kind: u32,
    /// Number of the hook.
    pub number: u32,
    /// The hook.
    pub attach_type: Guid,
    /// The type of its program.
    pub program_type: Guid,
    /// First bytes of the attach parameter.
    pub parameter: [u8; 8],
}

impl CodeType {
    fn from_number(number: u32) -> CodeType {
        match number {
            1 => CodeType::Jit,
            2 => CodeType::Interpreted,
            3 => CodeType::Native,
            _ => CodeType::None,
        }
    }
}

impl ObjectKind {
    /// The kind of a number of `ebpf_object_type_t`.
    #[must_use]
    pub fn from_number(number: u32) -> Option<ObjectKind> {
        match number {
            1 => Some(ObjectKind::Map),
            2 => Some(ObjectKind::Link),
            3 => Some(ObjectKind::Program),
            _ => None,
        }
    }
}

impl MapInfo {
    /// Its type, when it is known here.
    #[must_use]
    pub fn row(&self) -> Option<&'static MapTypeRow> {
        abi::map::by_number(Platform::Windows, self.map_type)
    }

    /// Bytes of a value as user mode sees it: per-CPU maps have one for each processor, padded to 8.
    #[must_use]
    pub fn user_value_size(&self, cpus: u32) -> usize {
        let size = self.value_size as usize;
        match self.row() {
            Some(row) if row.kind.is_per_cpu() => {
                size.next_multiple_of(8).saturating_mul(cpus as usize)
            }
            _ => size,
        }
    }
}

impl ProgramInfo {
    /// Its type, when it is known here.
    #[must_use]
    pub fn row(&self) -> Option<&'static ProgramType> {
        program_type::by_guid(self.program_type)
    }
}

impl LinkInfo {
    /// The hook, when it is known here.
    #[must_use]
    pub fn row(&self) -> Option<&'static AttachType> {
        program_type::attach_by_guid(self.attach_type)
    }

    /// The interface that an XDP program is attached to, 0 for all.
    #[must_use]
    pub fn interface(&self) -> Option<u32> {
        (self.kind == LinkType::Xdp as u32).then(|| Fields(&self.parameter).number(0))
    }
}

/// A structure with little-endian fields at offsets.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut bytes = [0; N];
        let rest = self.0.get(offset..).unwrap_or_default();
        for (to, from) in bytes.iter_mut().zip(rest) {
            *to = *from;
        }
        bytes
    }

    fn number(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.array(offset))
    }

    fn guid(&self, offset: usize) -> Guid {
        Guid::from_bytes(self.array(offset))
    }

    fn name(&self, offset: usize) -> String {
        let bytes: [u8; NAME_BYTES] = self.array(offset);
        let length = bytes.iter().position(|byte| *byte == 0);
        String::from_utf8_lossy(&bytes[..length.unwrap_or(NAME_BYTES)]).into_owned()
    }
}

/// 0 id, 4 type, 8 key, 12 value, 16 entries, 20 name, 84 flags, 88 inner map, 92 pins.
pub(crate) fn map(handle: &OwnedHandle) -> Result<MapInfo, Error> {
    let bytes = raw(handle, ObjectKind::Map)?;
    let fields = Fields(&bytes);
    Ok(MapInfo {
        id: fields.number(0),
        map_type: fields.number(4),
        key_size: fields.number(8),
        value_size: fields.number(12),
        max_entries: fields.number(16),
        name: fields.name(20),
        flags: fields.number(84),
        inner_map_id: fields.number(88),
        pinned_paths: fields.number(92),
    })
}

/// 0 id, 4 type, 8 number of maps, 24 name, 88 type, 104 attach type, 120 pins, 124 links; of this
/// project's runtime also 128 runs, 136 ids of the maps.
pub(crate) fn program(handle: &OwnedHandle) -> Result<ProgramInfo, Error> {
    let bytes = raw(handle, ObjectKind::Program)?;
    let fields = Fields(&bytes);
    let (code, file, section) = query(handle)?;
    let map_count = fields.number(8);
    let told = bytes.get(PROGRAM_DETAILS..).unwrap_or_default();
    let ids = told
        .chunks_exact(size_of::<u32>())
        .map(|id| Fields(id).number(0));
    let runs = bytes.len() >= PROGRAM_DETAILS;
    Ok(ProgramInfo {
        id: fields.number(0),
        number: fields.number(4),
        map_count,
        map_ids: ids.take(map_count as usize).collect(),
        runs: runs.then(|| u64::from_le_bytes(fields.array(PROGRAM_INFO))),
        name: fields.name(24),
        program_type: fields.guid(88),
        attach_type: fields.guid(104),
        pinned_paths: fields.number(120),
        links: fields.number(124),
        code,
        section,
        file,
    })
}

/// 0 id, 4 program, 8 kind of link, 12 attach type, 16 its GUID, 32 program type, 48 parameter.
pub(crate) fn link(handle: &OwnedHandle) -> Result<LinkInfo, Error> {
    let bytes = raw(handle, ObjectKind::Link)?;
    let fields = Fields(&bytes);
    Ok(LinkInfo {
        id: fields.number(0),
        program_id: fields.number(4),
        kind: fields.number(8),
        number: fields.number(12),
        attach_type: fields.guid(16),
        program_type: fields.guid(32),
        parameter: fields.array(48),
    })
}

/// What kind of object a handle is for.
pub(crate) fn kind(handle: &OwnedHandle) -> Result<ObjectKind, Error> {
    let request = Request::GetObjectInfo {
        handle: handle.get(),
        info: &[],
    };
    handle.client().ask(&request, |reply| {
        answer!(reply, GetObjectInfo { object_type } => object_type)
            .and_then(|number| ObjectKind::from_number(number).ok_or(Cause::OtherReply))
    })
}

/// The structure of an object that must be of a kind.
fn raw(handle: &OwnedHandle, kind: ObjectKind) -> Result<Vec<u8>, Error> {
    let request = Request::GetObjectInfo {
        handle: handle.get(),
        info: &[0; ROOM],
    };
    handle.client().ask(&request, |reply| {
        let (found, info) = answer!(reply, GetObjectInfo { object_type, info }
            => (object_type, info.to_vec()))?;
        match found == kind as u32 {
            true => Ok(info),
            false => Err(abi::result::EbpfResult::InvalidFd.into()),
        }
    })
}

/// How a program runs, its file and section. A program that was refused has the verifier's report in
/// place of the file.
pub(crate) fn query(handle: &OwnedHandle) -> Result<(CodeType, String, String), Error> {
    /// Offset of the texts in the reply.
    const TEXTS: usize = 16;
    let request = Request::QueryProgramInfo {
        handle: handle.get(),
    };
    handle.client().ask(&request, |reply| {
        let (code, file, section, data) = answer!(reply,
            QueryProgramInfo { code_type, file_name_offset, section_name_offset, data }
            => (code_type, file_name_offset, section_name_offset, data.to_vec()))?;
        let at = |offset: u16| usize::from(offset).checked_sub(TEXTS);
        let text = |bytes: Option<&[u8]>| {
            let bytes = bytes.ok_or(Cause::OtherReply)?;
            Ok::<String, Cause>(String::from_utf8_lossy(bytes).into_owned())
        };
        let (file, section) = (at(file), at(section));
        let (Some(file), Some(section)) = (file, section) else {
            return Err(Cause::OtherReply);
        };
        Ok((
            CodeType::from_number(code),
            text(data.get(file..section))?,
            text(data.get(section..))?,
        ))
    })
}
