//! One pass over a `.BTF` section: header, every type's extent, the table of declaration tags.

use super::{Btf, Index, Kind, MAP_ANNOTATION, Special, Type, malformed};
use crate::error::LoadError;
use abi::{diagnostic, limits};
use std::collections::BTreeMap;
use std::sync::Arc;

const MAGIC: u16 = 0xeb9f;
const HEADER_BYTES: usize = 24;
const TYPE_BYTES: usize = 12;

impl<'d> Btf<'d> {
    /// Checks the section and indexes its types.
    pub(crate) fn parse(section: &'d [u8]) -> Result<Btf<'d>, LoadError> {
        let (data, strings) = split(section)?;
        let mut types = vec![Type {
            kind: Kind::Void,
            flag: false,
            vlen: 0,
            name: 0,
            size_or_type: 0,
            extra: 0,
        }];
        let mut at = 0;
        while at < data.len() {
            if types.len() >= limits::BTF_TYPES {
                let text = format!("more than {} types", limits::BTF_TYPES);
                return Err(LoadError::new(diagnostic::BTF_LIMIT, text).section(".BTF"));
            }
            let (ty, next) = read_type(data, at)
                .map_err(|text| malformed(text).offset((HEADER_BYTES + at) as u64))?;
            types.push(ty);
            at = next;
        }
        let mut btf = Btf {
            index: Arc::new(Index {
                types,
                ..Index::default()
            }),
            data,
            strings,
            named: BTreeMap::new(),
        };
        collect_tags(&mut btf)?;
        collect_named(&mut btf)?;
        Ok(btf)
    }

    /// The same section again, with what was found in it; data sections and map annotations are not
    /// looked up in it.
    pub(crate) fn again(section: &'d [u8], index: Arc<Index>) -> Result<Btf<'d>, LoadError> {
        let (data, strings) = split(section)?;
        Ok(Btf {
            index,
            data,
            strings,
            named: BTreeMap::new(),
        })
    }

    /// What was found, for [`Btf::again`].
    pub(crate) fn index(&self) -> Arc<Index> {
        self.index.clone()
    }
}

/// The type and string parts.
fn split(section: &[u8]) -> Result<(&[u8], &[u8]), LoadError> {
    let word = |at: usize| -> Option<usize> {
        let bytes = section.get(at..)?.first_chunk::<4>()?;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    };
    let part = |at: usize| -> Option<&[u8]> {
        let start = word(4)?.checked_add(word(at)?)?;
        section.get(start..start.checked_add(word(at + 4)?)?)
    };
    let header = section
        .first_chunk::<HEADER_BYTES>()
        .ok_or_else(|| malformed(format!("{} bytes are too few for a header", section.len())))?;
    let magic = u16::from_le_bytes([header[0], header[1]]);
    if magic != MAGIC || header[2] != 1 {
        return Err(malformed(format!(
            "magic {magic:#x} version {} found, {MAGIC:#x} version 1 expected",
            header[2]
        )));
    }
    if word(4).is_none_or(|len| len < HEADER_BYTES) {
        return Err(malformed("the header is shorter than 24 bytes".into()).offset(4));
    }
    let data = part(8).ok_or_else(|| malformed("types lie outside".into()).offset(8))?;
    let strings = part(16).ok_or_else(|| malformed("strings lie outside".into()).offset(16))?;
    if strings.first() != Some(&0) || strings.last() != Some(&0) {
        return Err(malformed("strings do not start and end with zero".into()).offset(16));
    }
    Ok((data, strings))
}

/// The type at `at` and where the next one starts.
fn read_type(data: &[u8], at: usize) -> Result<(Type, usize), String> {
    let head = data
        .get(at..)
        .and_then(|tail| tail.first_chunk::<TYPE_BYTES>())
        .ok_or("type is cut short")?;
    let word = |i: usize| u32::from_le_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
    let info = word(4);
    let kind = kind((info >> 24) & 0x1f).ok_or_else(|| {
        let number = (info >> 24) & 0x1f;
        format!("unknown kind of type {number}, the newest known is 19")
    })?;
    let ty = Type {
        kind,
        flag: info >> 31 != 0,
        vlen: info & 0xffff,
        name: word(0),
        size_or_type: word(8),
        extra: at + TYPE_BYTES,
    };
    let next = at + TYPE_BYTES + extra_bytes(&ty);
    if next > data.len() {
        return Err(format!("type of kind {kind:?} is cut short"));
    }
    Ok((ty, next))
}

/// Bytes after the common header.
fn extra_bytes(ty: &Type) -> usize {
    let count = ty.vlen as usize;
    match ty.kind {
        Kind::Int | Kind::Variable | Kind::DeclTag => 4,
        Kind::Array => 12,
        Kind::Struct | Kind::Union | Kind::DataSection | Kind::Enum64 => count * 12,
        Kind::Enum | Kind::FunctionProto => count * 8,
        _ => 0,
    }
}

fn kind(number: u32) -> Option<Kind> {
    Some(match number {
        1 => Kind::Int,
        2 => Kind::Pointer,
        3 => Kind::Array,
        4 => Kind::Struct,
        5 => Kind::Union,
        6 => Kind::Enum,
        7 => Kind::Forward,
        8 => Kind::Typedef,
        9 => Kind::Volatile,
        10 => Kind::Const,
        11 => Kind::Restrict,
        12 => Kind::Function,
        13 => Kind::FunctionProto,
        14 => Kind::Variable,
        15 => Kind::DataSection,
        16 => Kind::Float,
        17 => Kind::DeclTag,
        18 => Kind::TypeTag,
        19 => Kind::Enum64,
        _ => return None,
    })
}

fn collect_tags(btf: &mut Btf<'_>) -> Result<(), LoadError> {
    for index in 0..btf.index.types.len() {
        let ty = btf.index.types[index];
        if ty.kind != Kind::DeclTag {
            continue;
        }
        // component_idx -1: the tag is on the type itself, not on a member or parameter.
        let (on, name) = (ty.size_or_type, ty.name);
        let component = btf.extra(&ty, 0)?;
        // Nobody shares it yet, so nothing is copied.
        let found = Arc::make_mut(&mut btf.index);
        match component {
            u32::MAX => found.tags.entry(on).or_default().push(name),
            index => {
                let tags = found.parameter_tags.entry((on, index));
                tags.or_default().push(name);
            }
        }
    }
    Ok(())
}

/// Structures of the kernel inside map values, for which there is no more than this.
const RESERVED: [&[u8]; 8] = [
    b"bpf_list_head\0",
    b"bpf_list_node\0",
    b"bpf_rb_root\0",
    b"bpf_rb_node\0",
    b"bpf_refcount\0",
    b"bpf_res_spin_lock\0",
    b"bpf_task_work\0",
    b"bpf_wq\0",
];

/// Indexes the types that are looked up by name. Most structures are not, so their names are
/// compared in place and not read.
fn collect_named(btf: &mut Btf<'_>) -> Result<(), LoadError> {
    for id in 0..btf.len() {
        let ty = btf.index.types[id as usize];
        let text = btf.strings.get(ty.name as usize..).unwrap_or_default();
        let special = match ty.kind {
            Kind::Struct if text.starts_with(b"bpf_spin_lock\0") => Some(Special::SpinLock),
            Kind::Struct if text.starts_with(b"bpf_timer\0") => Some(Special::Timer),
            Kind::Struct if RESERVED.iter().any(|name| text.starts_with(name)) => {
                Some(Special::Reserved)
            }
            _ => None,
        };
        if let Some(special) = special {
            Arc::make_mut(&mut btf.index).special.insert(id, special);
        }
        let is_section = ty.kind == Kind::DataSection;
        let is_annotation = ty.kind == Kind::Struct && text.starts_with(MAP_ANNOTATION.as_bytes());
        if is_section || is_annotation {
            let name = btf.name(&ty)?;
            btf.named.entry((is_section, name)).or_insert(id);
        }
    }
    Ok(())
}
