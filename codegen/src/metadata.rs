//! The metadata of the native module ABI: what the runtime and `ebpfapi` read from the image.
//!
//! Placement follows what readers of the file on disk demand: strings in `.rdata`, type GUIDs and
//! arrays in `.data`, the arrays of programs and maps alone in sections of their own that begin
//! with the zero mark and have no trailing bytes, `.rdata` before `maps`. An empty array is a null
//! pointer and count 0. Source: `bpf2c.h` and the module loader of eBPF for Windows.

use crate::builder::{Builder, Record};
use crate::error::Error;
use crate::info_hash::program_info_hash;
use crate::module::{SectionId, SectionKind, SymbolId};
use crate::names;
use crate::plan::Tables;
use abi::Guid;
use abi::native::{
    BtfResolvedFunctionEntry, GlobalVariableSectionInfo, HASH_SHA256, Header, HelperFunctionEntry,
    MapDefinitionInFile, MapEntry, MapInitialValues, ModuleVersion, PIN_BY_NAME, PIN_NONE,
    ProgramEntry, SECTION_GLOBALS, SECTION_HASH, SECTION_INITIAL_VALUES, SECTION_MAPS,
    SECTION_PROGRAMS, VERSION_BTF_FUNCTIONS,
};
use core::mem::{offset_of, size_of};
use program::{MapDef, MapId, Object};
use std::collections::{BTreeMap, BTreeSet};
use verifier::Verified;

/// A program whose code is placed.
pub(crate) struct Placed<'a> {
    pub(crate) verified: &'a Verified<'a>,
    pub(crate) tables: &'a Tables,
    pub(crate) entry: SymbolId,
    pub(crate) pe_section: String,
}

/// Writes all tables for one object. Symbols of the skeleton's getters are placed here.
pub(crate) struct Metadata<'a> {
    pub(crate) builder: &'a mut Builder,
    pub(crate) object: &'a Object,
    pub(crate) version: ModuleVersion,
    pub(crate) rdata: SectionId,
    pub(crate) data: SectionId,
}

impl Metadata<'_> {
    /// Programs, maps, initial values, globals, version, file hash.
    pub(crate) fn write(
        &mut self,
        programs: &[Placed<'_>],
        elf_hash: Option<[u8; 32]>,
    ) -> Result<(), Error> {
        self.programs(programs)?;
        self.maps()?;
        self.initial_values()?;
        self.globals()?;
        self.file_hash(elf_hash)?;
        let version = Record::zeroed(size_of::<ModuleVersion>())
            .u32(offset_of!(ModuleVersion, major), self.version.major)
            .u32(offset_of!(ModuleVersion, minor), self.version.minor)
            .u32(offset_of!(ModuleVersion, revision), self.version.revision);
        self.place_in(self.rdata, "module_version", version)
    }

    fn programs(&mut self, programs: &[Placed<'_>]) -> Result<(), Error> {
        let mut entries = Vec::with_capacity(programs.len());
        for (number, program) in programs.iter().enumerate() {
            entries.push(self.program(number, program)?);
        }
        self.array(SECTION_PROGRAMS, "programs_span", entries)
    }

    fn program(&mut self, number: usize, placed: &Placed<'_>) -> Result<Record, Error> {
        let program = placed.verified.program();
        names::check("program", &program.name)?;
        let section = names::section_of(program);
        names::check("section", section)?;
        let maps = self.map_indices(number, &placed.tables.maps)?;
        let helpers = self.helpers(number, &placed.tables.helpers)?;
        let attach_type = program
            .attach_type
            .map_or_else(Guid::default, |row| row.guid);
        let (size, header) = self.program_layout();
        let slots = u64::try_from(program.insns.len()).unwrap_or(u64::MAX);
        let record = Record::zeroed(size);
        let record = header_at(record, offset_of!(ProgramEntry, header), header)
            .address(offset_of!(ProgramEntry, function), Some(placed.entry))
            .address(
                offset_of!(ProgramEntry, pe_section_name),
                Some(self.string(&placed.pe_section)?),
            )
            .address(
                offset_of!(ProgramEntry, section_name),
                Some(self.string(section)?),
            )
            .address(
                offset_of!(ProgramEntry, program_name),
                Some(self.string(&program.name)?),
            )
            .address(offset_of!(ProgramEntry, referenced_map_indices), maps)
            .u16(
                offset_of!(ProgramEntry, referenced_map_count),
                count("maps of one program", placed.tables.maps.len())?,
            )
            .address(offset_of!(ProgramEntry, helpers), helpers)
            .u16(
                offset_of!(ProgramEntry, helper_count),
                count("helpers of one program", placed.tables.helpers.len())?,
            )
            .u64(offset_of!(ProgramEntry, bpf_instruction_count), slots)
            .address(
                offset_of!(ProgramEntry, program_type),
                Some(self.guid(program.program_type.guid)?),
            )
            .address(
                offset_of!(ProgramEntry, expected_attach_type),
                Some(self.guid(attach_type)?),
            );
        let record = self.program_hash(number, placed, record)?;
        self.btf_functions(number, &placed.tables.btf_functions, record)
    }

    /// Size and header of a program entry, by the version of the module.
    fn program_layout(&self) -> (usize, Header) {
        if self.version >= VERSION_BTF_FUNCTIONS {
            (size_of::<ProgramEntry>(), ProgramEntry::HEADER)
        } else {
            (
                ProgramEntry::SIZE_WITHOUT_BTF,
                ProgramEntry::HEADER_WITHOUT_BTF,
            )
        }
    }

    /// The hash of what the program was verified against. Without a proof there is none; with
    /// resolved functions the runtime computes it, since their prototypes live in other modules.
    fn program_hash(
        &mut self,
        number: usize,
        placed: &Placed<'_>,
        record: Record,
    ) -> Result<Record, Error> {
        let program_type = placed.verified.program().program_type;
        let is_complete = placed.verified.is_proved() && placed.tables.btf_functions.is_empty();
        let hash = is_complete
            .then(|| program_info_hash(program_type, &placed.tables.helpers))
            .flatten();
        let Some(hash) = hash else {
            return Ok(record);
        };
        let length = u64::try_from(hash.len()).unwrap_or(0);
        let name = format!("info_hash.{number}");
        let hash = Record::bytes(hash.to_vec(), 8);
        let hash = self.place_named(self.rdata, &name, hash)?;
        Ok(record
            .address(offset_of!(ProgramEntry, program_info_hash), Some(hash))
            .u64(offset_of!(ProgramEntry, program_info_hash_length), length)
            .address(
                offset_of!(ProgramEntry, program_info_hash_type),
                Some(self.string(HASH_SHA256)?),
            ))
    }

    fn map_indices(
        &mut self,
        number: usize,
        maps: &BTreeSet<MapId>,
    ) -> Result<Option<SymbolId>, Error> {
        if maps.is_empty() {
            return Ok(None);
        }
        let bytes = maps.iter().flat_map(|map| map.0.to_le_bytes()).collect();
        let name = format!("map_indices.{number}");
        self.place_named(self.data, &name, Record::bytes(bytes, 8))
            .map(Some)
    }

    fn helpers(&mut self, number: usize, ids: &[u32]) -> Result<Option<SymbolId>, Error> {
        let mut entries = Vec::with_capacity(ids.len());
        for id in ids {
            let name = self.string(&format!("helper_id_{id}"))?;
            let record = Record::zeroed(size_of::<HelperFunctionEntry>());
            let header = HelperFunctionEntry::HEADER;
            entries.push(
                header_at(record, offset_of!(HelperFunctionEntry, header), header)
                    .u32(offset_of!(HelperFunctionEntry, helper_id), *id)
                    .address(offset_of!(HelperFunctionEntry, name), Some(name)),
            );
        }
        self.list(self.data, &format!("helpers.{number}"), entries)
    }

    fn btf_functions(
        &mut self,
        number: usize,
        indices: &[usize],
        program: Record,
    ) -> Result<Record, Error> {
        let mut entries = Vec::with_capacity(indices.len());
        for &index in indices {
            let Some(function) = self.object.btf_functions.get(index) else {
                return Err(Error::Internal(format!("no BTF function {index}")));
            };
            let name = self.string(&function.name)?;
            let record = Record::zeroed(size_of::<BtfResolvedFunctionEntry>());
            let header = BtfResolvedFunctionEntry::HEADER;
            entries.push(
                header_at(record, offset_of!(BtfResolvedFunctionEntry, header), header)
                    .address(offset_of!(BtfResolvedFunctionEntry, name), Some(name))
                    .put(
                        offset_of!(BtfResolvedFunctionEntry, module),
                        &function.module.to_bytes(),
                    ),
            );
        }
        if entries.is_empty() {
            return Ok(program);
        }
        let functions = count("BTF-resolved functions of one program", entries.len())?;
        let list = self.list(self.data, &format!("btf_functions.{number}"), entries)?;
        Ok(program
            .address(offset_of!(ProgramEntry, btf_resolved_functions), list)
            .u16(
                offset_of!(ProgramEntry, btf_resolved_function_count),
                functions,
            ))
    }

    fn maps(&mut self) -> Result<(), Error> {
        let object = self.object;
        let ids = map_ids(&object.maps);
        let mut entries = Vec::with_capacity(object.maps.len());
        for (map, id) in object.maps.iter().zip(&ids) {
            names::check("map", &map.name)?;
            let inner = map.inner.map_or((0, 0), |inner| {
                let id = ids.get(usize::from(inner.0)).copied().unwrap_or(0);
                (u32::from(inner.0), id)
            });
            let record = Record::zeroed(size_of::<MapEntry>());
            let record = header_at(record, offset_of!(MapEntry, header), MapEntry::HEADER);
            entries.push(
                map_definition(record, map, *id, inner)
                    .address(offset_of!(MapEntry, name), Some(self.string(&map.name)?)),
            );
        }
        self.array(SECTION_MAPS, "maps_span", entries)
    }

    fn initial_values(&mut self) -> Result<(), Error> {
        let object = self.object;
        let mut entries = Vec::new();
        for map in object.maps.iter().filter(|map| !map.initial.is_empty()) {
            let slots = initial_slots(map)?;
            let mut values = Record::zeroed(slots.len() * size_of::<u64>());
            for (index, name) in slots.iter().enumerate() {
                let name = name.map(|name| self.string(name)).transpose()?;
                values = values.address(index * size_of::<u64>(), name);
            }
            let symbol = format!("initial_values.{}", entries.len());
            let list = self.place_named(self.data, &symbol, values)?;
            let record = Record::zeroed(size_of::<MapInitialValues>());
            let header = MapInitialValues::HEADER;
            entries.push(
                header_at(record, offset_of!(MapInitialValues, header), header)
                    .address(
                        offset_of!(MapInitialValues, name),
                        Some(self.string(&map.name)?),
                    )
                    .u64(offset_of!(MapInitialValues, count), wide(slots.len()))
                    .address(offset_of!(MapInitialValues, values), Some(list)),
            );
        }
        self.array(SECTION_INITIAL_VALUES, "map_initial_values_span", entries)
    }

    fn globals(&mut self) -> Result<(), Error> {
        let object = self.object;
        let mut entries = Vec::with_capacity(object.globals.len());
        for (number, section) in object.globals.iter().enumerate() {
            let Some(map) = object.map(section.map) else {
                return Err(Error::Internal(format!("no map for {}", section.section)));
            };
            let bytes = Record::bytes(section.data.clone(), 16);
            let bytes = self.place_named(self.rdata, &format!("global.{number}"), bytes)?;
            let record = Record::zeroed(size_of::<GlobalVariableSectionInfo>());
            let header = GlobalVariableSectionInfo::HEADER;
            entries.push(
                header_at(
                    record,
                    offset_of!(GlobalVariableSectionInfo, header),
                    header,
                )
                .address(
                    offset_of!(GlobalVariableSectionInfo, name),
                    Some(self.string(&map.name)?),
                )
                .u64(
                    offset_of!(GlobalVariableSectionInfo, size),
                    wide(section.data.len()),
                )
                .address(
                    offset_of!(GlobalVariableSectionInfo, initial_data),
                    Some(bytes),
                ),
            );
        }
        self.array(SECTION_GLOBALS, "global_variable_sections_span", entries)
    }

    fn file_hash(&mut self, elf_hash: Option<[u8; 32]>) -> Result<(), Error> {
        let Some(hash) = elf_hash else {
            return self.span("hash_span", None, 0);
        };
        let section = self.builder.section(SECTION_HASH, SectionKind::ReadOnly)?;
        let symbol = self.place_named(section, "elf_hash", Record::bytes(hash.to_vec(), 8))?;
        self.span("hash_span", Some(symbol), hash.len())
    }

    /// A section with nothing but the entries, and the span that the getter answers.
    fn array(&mut self, section: &str, span: &str, entries: Vec<Record>) -> Result<(), Error> {
        let length = entries.len();
        if length == 0 {
            return self.span(span, None, 0);
        }
        let section_id = self.builder.section(section, SectionKind::Data)?;
        let list = self.list(section_id, &format!("{section}_array"), entries)?;
        self.span(span, list, length)
    }

    /// A pair of address and count in `.rdata`.
    fn span(&mut self, name: &str, start: Option<SymbolId>, length: usize) -> Result<(), Error> {
        let record = Record::zeroed(16).address(0, start).u64(8, wide(length));
        self.place_in(self.rdata, name, record)
    }

    fn list(
        &mut self,
        section: SectionId,
        name: &str,
        entries: Vec<Record>,
    ) -> Result<Option<SymbolId>, Error> {
        let Some(list) = entries.into_iter().reduce(Record::then) else {
            return Ok(None);
        };
        self.place_named(section, name, list).map(Some)
    }

    fn guid(&mut self, guid: Guid) -> Result<SymbolId, Error> {
        let name = format!("guid.{guid}");
        if let Some(known) = self.builder.placed(&name) {
            return Ok(known);
        }
        let bytes = Record::bytes(guid.to_bytes().to_vec(), 8);
        self.place_named(self.data, &name, bytes)
    }

    fn string(&mut self, text: &str) -> Result<SymbolId, Error> {
        self.builder.string(self.rdata, text)
    }

    fn place_in(&mut self, section: SectionId, name: &str, record: Record) -> Result<(), Error> {
        self.place_named(section, name, record).map(|_| ())
    }

    fn place_named(
        &mut self,
        section: SectionId,
        name: &str,
        record: Record,
    ) -> Result<SymbolId, Error> {
        let symbol = self.builder.symbol(name);
        self.builder.place(section, symbol, record)?;
        Ok(symbol)
    }
}

fn header_at(record: Record, offset: usize, header: Header) -> Record {
    record
        .u16(offset + offset_of!(Header, version), header.version)
        .u64(offset + offset_of!(Header, size), header.size)
        .u64(offset + offset_of!(Header, total_size), header.total_size)
}

fn map_definition(record: Record, map: &MapDef, id: u32, inner: (u32, u32)) -> Record {
    let pinning = if map.pin_by_name {
        PIN_BY_NAME
    } else {
        PIN_NONE
    };
    let base = offset_of!(MapEntry, definition);
    [
        (offset_of!(MapDefinitionInFile, map_type), map.type_number),
        (offset_of!(MapDefinitionInFile, key_size), map.key_size),
        (offset_of!(MapDefinitionInFile, value_size), map.value_size),
        (
            offset_of!(MapDefinitionInFile, max_entries),
            map.max_entries,
        ),
        (offset_of!(MapDefinitionInFile, inner_map_idx), inner.0),
        (offset_of!(MapDefinitionInFile, pinning), pinning),
        (offset_of!(MapDefinitionInFile, id), id),
        (offset_of!(MapDefinitionInFile, inner_id), inner.1),
    ]
    .into_iter()
    .fold(record, |record, (offset, value)| {
        record.u32(base + offset, value)
    })
}

/// The id of each map in the metadata: its own where it has a unique one, else a free number.
///
/// Map-in-map templates are found by id when their index is 0, so each must have one.
fn map_ids(maps: &[MapDef]) -> Vec<u32> {
    let mut uses: BTreeMap<u32, usize> = BTreeMap::new();
    for map in maps {
        *uses.entry(map.id).or_default() += 1;
    }
    let mut free = (1u32..).filter(|id| !uses.contains_key(id));
    let own_id = |map: &MapDef| (map.id != 0 && uses.get(&map.id) == Some(&1)).then_some(map.id);
    maps.iter()
        .map(|map| own_id(map).or_else(|| free.next()).unwrap_or(0))
        .collect()
}

/// The names in the slots of a map, from slot 0 up to the last one given.
fn initial_slots(map: &MapDef) -> Result<Vec<Option<&str>>, Error> {
    let last = map
        .initial
        .iter()
        .map(|value| value.index)
        .max()
        .unwrap_or(0);
    let limit = usize::try_from(map.max_entries).unwrap_or(usize::MAX);
    let length = usize::try_from(last)
        .unwrap_or(usize::MAX)
        .saturating_add(1);
    if length > limit || length > usize::from(u16::MAX) {
        return Err(Error::TooMany {
            what: "initial values of one map",
            found: length,
            limit: limit.min(usize::from(u16::MAX)),
        });
    }
    let mut slots = vec![None; length];
    for value in &map.initial {
        if let Some(slot) = slots.get_mut(value.index as usize) {
            *slot = Some(value.name.as_str());
        }
    }
    Ok(slots)
}

fn count(what: &'static str, found: usize) -> Result<u16, Error> {
    u16::try_from(found).map_err(|_| Error::TooMany {
        what,
        found,
        limit: usize::from(u16::MAX),
    })
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
