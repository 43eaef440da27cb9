//! Maps defined by bytes: sections `maps` and `maps/...` with one fixed-size record per symbol.
//!
//! Nothing names the layout, so it follows from platform and record size. All layouts start with
//! type, key size, value size and number of entries, the oldest of Windows with their own size. The 28-byte size is ambiguous on Linux: the
//! sample programs put (inner map index, NUMA node) where traffic-control loaders put (id,
//! pinning); type and flags decide.

use super::{Maps, Source, default_sizes, find_special, new_def, symbols_in};
use crate::{
    btf::Btf,
    elf::file::{Section, SectionKind, Symbol},
    error::LoadError,
    model::{MapDef, MapId},
};
use abi::{Platform, diagnostic};
use std::collections::BTreeMap;

/// `BPF_F_NUMA_NODE`: the last word of a 28-byte record is a NUMA node.
const NUMA_NODE: u32 = 1 << 2;

/// No layout is longer.
const LARGEST_RECORD: usize = 128;

/// How a map names its template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Inner {
    None,
    /// Position among the legacy maps.
    Index(u32),
    /// The map with this `id`.
    Id(u32),
}

impl Inner {
    /// Why this names no template, in the words of the map's definition.
    fn unusable(self) -> String {
        match self {
            Inner::None => "neither inner_map_idx nor inner_id names a template".into(),
            Inner::Index(index) => {
                format!("inner_map_idx {index} is no map that can be a template")
            }
            Inner::Id(id) => format!("inner_id {id} is no map that can be a template"),
        }
    }
}

/// Fields behind the common four.
#[derive(Clone, Copy, Debug)]
struct Extra {
    flags: u32,
    id: u32,
    pinning: u32,
    inner: Inner,
}

/// Reads all legacy sections.
pub(super) fn read(source: Source<'_, '_>, maps: &mut Maps) -> Result<(), LoadError> {
    let first = maps.defs.len();
    let mut inners = Vec::new();
    for (index, section) in source.file.enumerate() {
        let legacy = section.name == "maps" || section.name.starts_with("maps/");
        if !legacy || section.kind != SectionKind::Data || section.size == 0 {
            continue;
        }
        read_section(source, maps, (index, section), &mut inners)
            .map_err(|error| error.section(section.name))?;
    }
    link_inner(maps, first, &inners)
}

fn read_section(
    source: Source<'_, '_>,
    maps: &mut Maps,
    (index, section): (usize, &Section<'_>),
    inners: &mut Vec<(MapId, Inner)>,
) -> Result<(), LoadError> {
    maps.sections.insert(index);
    let symbols = symbols_in(source.file, index);
    let record = record_size(section, &symbols)?;
    let words: Vec<u32> = section
        .data
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| u32::from_le_bytes(*bytes))
        .collect();
    for symbol in symbols {
        let here = |error: LoadError| error.symbol(symbol.name).offset(symbol.value);
        let at = usize::try_from(symbol.value / 4).unwrap_or(usize::MAX);
        let fields = at
            .checked_add(record / 4)
            .and_then(|end| words.get(at..end))
            .ok_or_else(|| here(malformed("the record lies outside".into())))?;
        let (def, inner) =
            read_record(source.options.platform, symbol.name, fields).map_err(here)?;
        let def = annotate(source.btf, def).map_err(here)?;
        let id = maps.push(def)?;
        maps.places.insert((index, symbol.value), id);
        inners.push((id, inner));
    }
    Ok(())
}

/// Bytes of one record: symbols are evenly spaced and fill the section.
fn record_size(section: &Section<'_>, symbols: &[&Symbol<'_>]) -> Result<usize, LoadError> {
    if symbols.is_empty() {
        return Err(malformed("no symbol names a map".into()));
    }
    let record = section.data.len() / symbols.len();
    for (position, symbol) in symbols.iter().enumerate() {
        let expected = (position * record) as u64;
        let wrong_size = symbol.size != 0 && symbol.size != record as u64;
        if symbol.value != expected || wrong_size {
            let text = format!(
                "{} maps in {} bytes are not evenly spaced: `{}` found at {:#x} with {} bytes",
                symbols.len(),
                section.data.len(),
                symbol.name,
                symbol.value,
                symbol.size
            );
            return Err(malformed(text).symbol(symbol.name).offset(symbol.value));
        }
    }
    let fills = record * symbols.len() == section.data.len();
    if !record.is_multiple_of(4) || !fills || record > LARGEST_RECORD {
        let text = format!("{} bytes for {} maps", section.data.len(), symbols.len());
        return Err(malformed(text));
    }
    Ok(record)
}

fn read_record(
    platform: Platform,
    name: &str,
    fields: &[u32],
) -> Result<(MapDef, Inner), LoadError> {
    let fields = without_own_size(platform, fields);
    let &[map_type, key_size, value_size, max_entries, ref rest @ ..] = fields else {
        return Err(malformed(format!("record of {} bytes", fields.len() * 4)));
    };
    let mut def = new_def(platform, name, map_type)?;
    let of_maps = def.kind.is_map_of_maps();
    let extra = match platform {
        Platform::Windows => windows(rest),
        Platform::Linux => linux(rest, of_maps),
    };
    let extra = extra.ok_or_else(|| {
        malformed(format!(
            "record of {} bytes does not fit any layout of {platform:?}",
            fields.len() * 4
        ))
    })?;
    def.key_size = key_size;
    def.value_size = value_size;
    def.max_entries = max_entries;
    def.flags = extra.flags;
    def.id = extra.id;
    def.pin_by_name = match (platform, extra.pinning) {
        (_, 0) => false,
        // iproute2 knows two name spaces for pins (1: object, 2: global).
        (_, 1) | (Platform::Linux, 2) => true,
        (_, other) => return Err(malformed(format!("pinning {other} found, 0 or 1 expected"))),
    };
    default_sizes(&mut def);
    Ok((def, if of_maps { extra.inner } else { Inner::None }))
}

/// The first layouts of eBPF for Windows began with the record's own size, which was left zero
/// now and then. Neither is a map type, so nothing else looks like that.
fn without_own_size(platform: Platform, fields: &[u32]) -> &[u32] {
    match fields {
        [0, rest @ ..] if platform == Platform::Windows && rest.len() == 8 => rest,
        [size, rest @ ..]
            if platform == Platform::Windows
                && rest.len() >= 4
                && usize::try_from(*size).is_ok_and(|size| size == fields.len() * 4) =>
        {
            rest
        }
        _ => fields,
    }
}

/// `inner_map_idx, pinning, id, inner_id`; earlier layouts end sooner.
fn windows(rest: &[u32]) -> Option<Extra> {
    if rest.len() > 4 {
        return None;
    }
    let word = |at: usize| rest.get(at).copied().unwrap_or(0);
    Some(Extra {
        flags: 0,
        pinning: word(1),
        id: word(2),
        inner: match (word(0), word(3)) {
            (0, 0) => Inner::None,
            (0, id) => Inner::Id(id),
            (index, _) => Inner::Index(index),
        },
    })
}

/// `bpf_map_def` (flags), the samples' and iproute2's extensions of it.
fn linux(rest: &[u32], of_maps: bool) -> Option<Extra> {
    let plain = |flags| Extra {
        flags,
        id: 0,
        pinning: 0,
        inner: Inner::None,
    };
    Some(match *rest {
        [] => plain(0),
        [flags] => plain(flags),
        [flags, inner] => Extra {
            inner: Inner::Index(inner),
            ..plain(flags)
        },
        // A NUMA node means nothing for an offline compiler.
        [flags, inner, _] if of_maps || flags & NUMA_NODE != 0 => Extra {
            inner: Inner::Index(inner),
            ..plain(flags)
        },
        [flags, id, pinning] => Extra {
            id,
            pinning,
            ..plain(flags)
        },
        [flags, id, pinning, inner_id, _inner_index] => Extra {
            flags,
            id,
            pinning,
            inner: Inner::Id(inner_id),
        },
        // Longer records are fine when what is not understood is zero.
        [flags, ref zeros @ ..] if zeros.iter().all(|&word| word == 0) => plain(flags),
        _ => return None,
    })
}

/// Key and value types of a legacy map, if the source annotates it.
fn annotate(btf: Option<&Btf<'_>>, mut def: MapDef) -> Result<MapDef, LoadError> {
    let Some(btf) = btf else { return Ok(def) };
    let Some(id) = btf.map_annotation(&def.name) else {
        return Ok(def);
    };
    let members = btf.members(&btf.ty(id)?)?;
    if let Some(value) = members.iter().find(|member| member.name == "value") {
        find_special(btf, value.ty, &mut def)?;
    }
    Ok(def)
}

fn link_inner(maps: &mut Maps, first: usize, inners: &[(MapId, Inner)]) -> Result<(), LoadError> {
    let mut by_id = BTreeMap::new();
    for (position, def) in maps.defs.iter().enumerate().skip(first) {
        if def.id != 0 {
            by_id.entry(def.id).or_insert(position);
        }
    }
    for &(outer, inner) in inners {
        let position = match inner {
            Inner::None => None,
            Inner::Index(index) => usize::try_from(index)
                .ok()
                .and_then(|i| first.checked_add(i)),
            Inner::Id(id) => by_id.get(&id).copied(),
        };
        let kind = maps.defs[usize::from(outer.0)].kind;
        if !kind.is_map_of_maps() {
            continue;
        }
        let template = position
            .and_then(|position| maps.defs.get(position))
            .filter(|def| !def.kind.is_map_of_maps());
        let (Some(_), Some(position)) = (template, position) else {
            let text = inner.unusable();
            let name = &maps.defs[usize::from(outer.0)].name;
            return Err(LoadError::new(diagnostic::MAP_INNER_INVALID, text).symbol(name));
        };
        let template = u16::try_from(position).map(MapId).ok();
        maps.defs[usize::from(outer.0)].inner = template;
    }
    Ok(())
}

fn malformed(text: String) -> LoadError {
    LoadError::new(diagnostic::MAP_MALFORMED, text)
}
