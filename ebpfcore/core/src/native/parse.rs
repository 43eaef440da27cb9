//! The metadata tables of a module, read and checked item by item.
//!
//! Stricter than the tables' definition where that costs honest modules nothing: sizes are
//! clamped, counts bounded, strings must be text and end in bounds, every address must lie in the
//! image and every function in executable code.

use super::{
    Error, Global, InitialValues, Item, MapInfo, Module, ModuleMemory, Problem, ProgramInfo,
    Typing,
    reader::{Array, Reader},
};
use crate::{Definition, helper::program_type};
use abi::{
    MapKind, Platform,
    native::{
        BtfResolvedFunctionEntry, GlobalVariableSectionInfo, HelperFunctionEntry,
        MapDefinitionInFile, MapEntry, MapInitialValues, MetadataTable, ModuleVersion, PIN_BY_NAME,
        PIN_NONE, ProgramEntry, VERSION_MIN,
    },
};
use alloc::vec::Vec;
use core::mem::{offset_of, size_of};

/// Largest metadata table that is believed to be one.
const MAX_TABLE_BYTES: u64 = 4096;
/// Longest hash: SHA-512.
const MAX_HASH_BYTES: u64 = 64;

/// What the getters of a module gave.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tables {
    /// Version of the compiler that made it.
    pub version: ModuleVersion,
    /// Programs.
    pub programs: Array,
    /// Maps.
    pub maps: Array,
    /// Hash of the object.
    pub hash: Array,
    /// Initial values.
    pub initial: Array,
    /// Global data sections.
    pub globals: Array,
}

/// Checks the metadata table itself, before any of its functions is called.
pub(crate) fn check_table(address: u64, memory: &dyn ModuleMemory) -> Result<MetadataTable, Error> {
    let reader = Reader {
        memory,
        base: address,
        item: Item::Table,
    };
    let size = reader.word(offset_of!(MetadataTable, size), "size")?;
    if !(size_of::<MetadataTable>() as u64..=MAX_TABLE_BYTES).contains(&size) {
        return reader.value("size", size, "56 or a little more");
    }
    Ok(MetadataTable {
        size,
        programs: reader.code(offset_of!(MetadataTable, programs), "programs")?,
        maps: reader.code(offset_of!(MetadataTable, maps), "maps")?,
        hash: reader.code(offset_of!(MetadataTable, hash), "hash")?,
        version: reader.code(offset_of!(MetadataTable, version), "version")?,
        map_initial_values: reader.code(
            offset_of!(MetadataTable, map_initial_values),
            "map_initial_values",
        )?,
        global_variable_sections: reader.code(
            offset_of!(MetadataTable, global_variable_sections),
            "global_variable_sections",
        )?,
    })
}

/// Reads everything the tables lead to.
///
/// # Errors
///
/// The first item that is not as the native module ABI says.
pub fn parse(
    tables: &Tables,
    memory: &dyn ModuleMemory,
    typing: Typing<'_>,
) -> Result<Module, Error> {
    let top = Reader {
        memory,
        base: 0,
        item: Item::Table,
    };
    if tables.version < VERSION_MIN {
        return top.value(
            "version",
            u64::from(tables.version.major),
            "0.21.0 or later",
        );
    }
    let maps = parse_maps(&top, tables.maps, typing.platform())?;
    let programs = parse_programs(&top, tables.programs, (typing, maps.len()))?;
    let initial = parse_initial(&top, tables.initial, &maps)?;
    let globals = parse_globals(&top, tables.globals, &maps)?;
    let hash = top.of(0, Item::Getter("hash"));
    let array = hash.array(tables.hash, "hash")?;
    if array.count > MAX_HASH_BYTES {
        return hash.value("hash length", array.count, "at most 64");
    }
    Ok(Module {
        version: tables.version,
        hash: hash.blob(array.address, array.count, "hash")?,
        programs,
        maps,
        initial,
        globals,
    })
}

/// Reads an array of elements that begin with (or contain) a header whose stride they share.
fn parse_array<T>(
    top: &Reader<'_>,
    (array, field): (Array, &'static str),
    item: impl Fn(usize) -> Item,
    mut parse: impl FnMut(&Reader<'_>) -> Result<(T, u64), Error>,
) -> Result<Vec<T>, Error> {
    let array = top.of(0, Item::Getter(field)).array(array, field)?;
    let mut elements = top.list(array.count)?;
    let mut address = array.address;
    let mut first = None;
    for index in 0..array.count as usize {
        let reader = top.of(address, item(index));
        let (element, stride) = parse(&reader)?;
        if *first.get_or_insert(stride) != stride {
            return reader.value("header.total_size", stride, "the same for all elements");
        }
        elements.push(element);
        address = match address.checked_add(stride) {
            Some(next) => next,
            None => return reader.fail(Problem::Outside { field, address }),
        };
    }
    Ok(elements)
}

fn parse_maps(top: &Reader<'_>, array: Array, platform: Platform) -> Result<Vec<MapInfo>, Error> {
    let raw = parse_array(top, (array, "maps"), Item::Map, |reader| {
        parse_map(reader, platform)
    })?;
    let mut maps = top.list(raw.len() as u64)?;
    for (index, (definition, raw_definition)) in raw.iter().enumerate() {
        let nested = matches!(definition.kind, MapKind::ArrayOfMaps | MapKind::HashOfMaps);
        let inner = if nested {
            Some(find_inner(
                &top.of(0, Item::Map(index)),
                raw_definition,
                &raw,
            )?)
        } else {
            None
        };
        maps.push(MapInfo {
            definition: definition.clone(),
            inner,
            pin_by_name: raw_definition.pinning == PIN_BY_NAME,
        });
    }
    Ok(maps)
}

type RawMap = (Definition, MapDefinitionInFile);

fn parse_map(reader: &Reader<'_>, platform: Platform) -> Result<(RawMap, u64), Error> {
    for offset in [0, 8] {
        let zero = reader.word(offset, "zero")?;
        if zero != 0 {
            return reader.value("zero", zero, "0");
        }
    }
    let header = reader.header(offset_of!(MapEntry, header), &[MapEntry::HEADER.size])?;
    let at = offset_of!(MapEntry, definition);
    let field = |offset, name| reader.long(at + offset, name);
    let raw = MapDefinitionInFile {
        map_type: field(offset_of!(MapDefinitionInFile, map_type), "type")?,
        key_size: field(offset_of!(MapDefinitionInFile, key_size), "key_size")?,
        value_size: field(offset_of!(MapDefinitionInFile, value_size), "value_size")?,
        max_entries: field(offset_of!(MapDefinitionInFile, max_entries), "max_entries")?,
        inner_map_idx: field(
            offset_of!(MapDefinitionInFile, inner_map_idx),
            "inner_map_idx",
        )?,
        pinning: field(offset_of!(MapDefinitionInFile, pinning), "pinning")?,
        id: field(offset_of!(MapDefinitionInFile, id), "id")?,
        inner_id: field(offset_of!(MapDefinitionInFile, inner_id), "inner_id")?,
    };
    if raw.pinning != PIN_NONE && raw.pinning != PIN_BY_NAME {
        return reader.value("pinning", u64::from(raw.pinning), "0 (none) or 1 (by name)");
    }
    let Some(row) = abi::map::by_number(platform, raw.map_type) else {
        return reader.value(
            "type",
            u64::from(raw.map_type),
            "a map type of the platform",
        );
    };
    let definition = Definition {
        name: reader.name(offset_of!(MapEntry, name), "name")?,
        kind: row.kind,
        platform,
        key_size: raw.key_size,
        value_size: raw.value_size,
        max_entries: raw.max_entries,
    };
    Ok(((definition, raw), header.total_size))
}

/// The template of a map of maps: by index when there is one, else by id.
fn find_inner(
    reader: &Reader<'_>,
    raw: &MapDefinitionInFile,
    maps: &[RawMap],
) -> Result<usize, Error> {
    let index = raw.inner_map_idx as usize;
    if index != 0 {
        return match maps.get(index) {
            Some(_) => Ok(index),
            None => reader.value("inner_map_idx", index as u64, "the index of a map"),
        };
    }
    let by_id = maps.iter().position(|(_, map)| map.id == raw.inner_id);
    match by_id {
        Some(found) => Ok(found),
        None => reader.value("inner_id", u64::from(raw.inner_id), "the id of a map"),
    }
}

fn parse_programs(
    top: &Reader<'_>,
    array: Array,
    (typing, maps): (Typing<'_>, usize),
) -> Result<Vec<ProgramInfo>, Error> {
    parse_array(top, (array, "programs"), Item::Program, |reader| {
        parse_program(reader, typing, maps)
    })
}

fn parse_program(
    reader: &Reader<'_>,
    typing: Typing<'_>,
    maps: usize,
) -> Result<(ProgramInfo, u64), Error> {
    let zero = reader.word(offset_of!(ProgramEntry, zero), "zero")?;
    if zero != 0 {
        return reader.value("zero", zero, "0");
    }
    let sizes = [
        ProgramEntry::HEADER_WITHOUT_BTF.size,
        ProgramEntry::HEADER.size,
    ];
    let header = reader.header(offset_of!(ProgramEntry, header), &sizes)?;
    let name = reader.name(offset_of!(ProgramEntry, program_name), "program_name")?;
    let program_type = match typing {
        Typing::Guid(extensions) => {
            let guid = reader.guid(offset_of!(ProgramEntry, program_type), "program_type")?;
            match program_type(guid, extensions) {
                Some(program_type) => program_type,
                None => return reader.fail(Problem::ProgramType(guid)),
            }
        }
        Typing::Name(_, find) => match find(&name) {
            Some(program_type) => program_type,
            None => {
                let field = "program";
                return reader.fail(Problem::Unknown { field, name });
            }
        },
    };
    let btf_functions = if header.size == ProgramEntry::HEADER.size {
        parse_btf_functions(reader)?
    } else {
        Vec::new()
    };
    let (info_hash, info_hash_type) = parse_info_hash(reader)?;
    let program = ProgramInfo {
        name,
        section: reader.name(offset_of!(ProgramEntry, section_name), "section_name")?,
        pe_section: reader.name(offset_of!(ProgramEntry, pe_section_name), "pe_section_name")?,
        entry: reader.code(offset_of!(ProgramEntry, function), "function")?,
        program_type,
        attach_type: parse_attach_type(reader)?,
        helpers: parse_helpers(reader)?,
        btf_functions,
        maps: parse_map_indices(reader, maps)?,
        instructions: reader.word(
            offset_of!(ProgramEntry, bpf_instruction_count),
            "bpf_instruction_count",
        )?,
        info_hash,
        info_hash_type,
    };
    Ok((program, header.total_size))
}

/// The expected attach type; a module may leave it out.
fn parse_attach_type(reader: &Reader<'_>) -> Result<abi::Guid, Error> {
    let offset = offset_of!(ProgramEntry, expected_attach_type);
    let field = "expected_attach_type";
    match reader.word(offset, field)? {
        0 => Ok(abi::Guid::default()),
        _ => reader.guid(offset, field),
    }
}

fn parse_info_hash(reader: &Reader<'_>) -> Result<(Vec<u8>, alloc::string::String), Error> {
    let field = "program_info_hash";
    let address = reader.word(offset_of!(ProgramEntry, program_info_hash), field)?;
    let length = reader.word(
        offset_of!(ProgramEntry, program_info_hash_length),
        "program_info_hash_length",
    )?;
    if address == 0 {
        return Ok(Default::default());
    }
    if length == 0 || length > MAX_HASH_BYTES {
        return reader.value("program_info_hash_length", length, "1 to 64");
    }
    let hash = reader.blob(address, length, field)?;
    let algorithm = reader.name(
        offset_of!(ProgramEntry, program_info_hash_type),
        "program_info_hash_type",
    )?;
    Ok((hash, algorithm))
}

fn parse_helpers(reader: &Reader<'_>) -> Result<Vec<u32>, Error> {
    let Item::Program(program) = reader.item else {
        return Ok(Vec::new());
    };
    let array = Array {
        address: reader.word(offset_of!(ProgramEntry, helpers), "helpers")?,
        count: u64::from(reader.short(offset_of!(ProgramEntry, helper_count), "helper_count")?),
    };
    let item = |slot| Item::Helper { program, slot };
    parse_array(reader, (array, "helpers"), item, |reader| {
        let size = HelperFunctionEntry::HEADER.size;
        let header = reader.header(offset_of!(HelperFunctionEntry, header), &[size])?;
        let id = reader.long(offset_of!(HelperFunctionEntry, helper_id), "helper_id")?;
        reader.text(offset_of!(HelperFunctionEntry, name), "name")?;
        Ok((id, header.total_size))
    })
}

fn parse_btf_functions(
    reader: &Reader<'_>,
) -> Result<Vec<(alloc::string::String, abi::Guid)>, Error> {
    let Item::Program(program) = reader.item else {
        return Ok(Vec::new());
    };
    let count = offset_of!(ProgramEntry, btf_resolved_function_count);
    let array = Array {
        address: reader.word(
            offset_of!(ProgramEntry, btf_resolved_functions),
            "btf_resolved_functions",
        )?,
        count: u64::from(reader.short(count, "btf_resolved_function_count")?),
    };
    let item = |slot| Item::BtfFunction { program, slot };
    parse_array(reader, (array, "btf_resolved_functions"), item, |reader| {
        let size = BtfResolvedFunctionEntry::HEADER.size;
        let header = reader.header(offset_of!(BtfResolvedFunctionEntry, header), &[size])?;
        let name = reader.text(offset_of!(BtfResolvedFunctionEntry, name), "name")?;
        let module = reader.guid_here(offset_of!(BtfResolvedFunctionEntry, module), "module")?;
        if name.is_empty() != (module == abi::Guid::default()) {
            let expected = "zero exactly when the name is empty";
            return reader.value("module", u64::from(module.data1), expected);
        }
        Ok(((name, module), header.total_size))
    })
}

fn parse_map_indices(reader: &Reader<'_>, maps: usize) -> Result<Vec<u16>, Error> {
    let field = "referenced_map_indices";
    let array = Array {
        address: reader.word(offset_of!(ProgramEntry, referenced_map_indices), field)?,
        count: u64::from(reader.short(
            offset_of!(ProgramEntry, referenced_map_count),
            "referenced_map_count",
        )?),
    };
    let array = reader.array(array, field)?;
    let mut indices = reader.list(array.count)?;
    for at in 0..array.count as usize {
        let index = reader.at(array.address).short(at * 2, field)?;
        if usize::from(index) >= maps {
            return reader.value(field, u64::from(index), "indices of maps");
        }
        indices.push(index);
    }
    Ok(indices)
}

fn map_named(reader: &Reader<'_>, offset: usize, maps: &[MapInfo]) -> Result<usize, Error> {
    let name = reader.name(offset, "name")?;
    let found = maps.iter().position(|map| map.definition.name == name);
    match found {
        Some(map) => Ok(map),
        None => reader.fail(Problem::Unknown { field: "map", name }),
    }
}

fn parse_initial(
    top: &Reader<'_>,
    array: Array,
    maps: &[MapInfo],
) -> Result<Vec<InitialValues>, Error> {
    let source = (array, "map_initial_values");
    parse_array(top, source, Item::InitialValues, |reader| {
        let size = MapInitialValues::HEADER.size;
        let header = reader.header(offset_of!(MapInitialValues, header), &[size])?;
        let map = map_named(reader, offset_of!(MapInitialValues, name), maps)?;
        let definition = &maps[map].definition;
        let count = reader.word(offset_of!(MapInitialValues, count), "count")?;
        let address = reader.word(offset_of!(MapInitialValues, values), "values")?;
        if address == 0 {
            return reader.fail(Problem::Null("values"));
        }
        if count > u64::from(definition.max_entries) {
            return reader.value("count", count, "at most max_entries of the map");
        }
        let holds_names = matches!(
            definition.kind,
            MapKind::ProgArray | MapKind::ArrayOfMaps | MapKind::HashOfMaps
        );
        if !holds_names {
            return reader.value("count", count, "only for maps of maps or of programs");
        }
        let array = reader.array(Array { address, count }, "values")?;
        let mut values = reader.list(count)?;
        for at in 0..count as usize {
            let text = reader.at(array.address).word(at * 8, "values")?;
            values.push(match text {
                0 => None,
                text => Some(reader.text_at(text, "values")?),
            });
        }
        Ok((InitialValues { map, values }, header.total_size))
    })
}

fn parse_globals(top: &Reader<'_>, array: Array, maps: &[MapInfo]) -> Result<Vec<Global>, Error> {
    let source = (array, "global_variable_sections");
    parse_array(top, source, Item::Global, |reader| {
        let size = GlobalVariableSectionInfo::HEADER.size;
        let header = reader.header(offset_of!(GlobalVariableSectionInfo, header), &[size])?;
        let map = map_named(reader, offset_of!(GlobalVariableSectionInfo, name), maps)?;
        let definition = &maps[map].definition;
        let size = reader.word(offset_of!(GlobalVariableSectionInfo, size), "size")?;
        let address = reader.word(
            offset_of!(GlobalVariableSectionInfo, initial_data),
            "initial_data",
        )?;
        if address == 0 {
            return reader.fail(Problem::Null("initial_data"));
        }
        if definition.kind != MapKind::Array {
            return reader.fail(Problem::Unknown {
                field: "array map",
                name: definition.name.clone(),
            });
        }
        let fits = size == u64::from(definition.value_size);
        if !fits || size > abi::limits::GLOBAL_SECTION_BYTES {
            return reader.value("size", size, "the value size of the map, at most 1 MiB");
        }
        let data = reader.blob(address, size, "initial_data")?;
        Ok((Global { map, data }, header.total_size))
    })
}
