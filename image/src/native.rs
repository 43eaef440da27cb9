//! The metadata of a native eBPF module, read from the file without running it.
//!
//! Works as the pre-load parser of eBPF for Windows does (sections found by name, arrays by their
//! zero marks, addresses at the preferred base), but trusts nothing: every address, count and
//! string is checked. So it reads modules of any tool chain since version 0.21; older ones have no
//! entry headers and are refused by name. Left out: the module version, which only code returns.

mod fields;
pub(crate) mod placement;

use crate::Error;
use crate::read::{Pe, Section};
use abi::Guid;
use abi::native as layout;
use fields::{Array, Entry, limits};
use layout::{
    BtfResolvedFunctionEntry, GlobalVariableSectionInfo, HelperFunctionEntry, MapDefinitionInFile,
    MapEntry, MapInitialValues, ProgramEntry,
};
use std::mem::offset_of;

/// PE section of the program entries.
pub const PROGRAMS: &str = layout::SECTION_PROGRAMS;
/// PE section of the map entries.
pub const MAPS: &str = layout::SECTION_MAPS;

/// What a module says about itself.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct NativeModule {
    /// Programs in array order.
    pub programs: Vec<Program>,
    /// Maps in array order.
    pub maps: Vec<Map>,
    /// Names in the slots of maps of maps and of programs.
    pub initial_values: Vec<InitialValues>,
    /// Sections of global variables.
    pub globals: Vec<GlobalSection>,
    /// Hash of the ELF file.
    pub elf_hash: Option<Vec<u8>>,
}

/// One program entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// C function name.
    pub name: String,
    /// ELF section.
    pub section: String,
    /// PE section that holds the code.
    pub pe_section: String,
    /// Size of that section; `None` if there is no code section of that name.
    pub code_bytes: Option<u32>,
    /// RVA of the entry point.
    pub function: u32,
    /// Instruction slots of the bytecode.
    pub instruction_count: u64,
    /// Program type.
    pub program_type: Guid,
    /// Expected attach type.
    pub attach_type: Guid,
    /// Indices into the maps.
    pub maps: Vec<u16>,
    /// Helpers it calls; id 0 is an unused slot.
    pub helpers: Vec<HelperReference>,
    /// Functions of other modules it calls.
    pub functions: Vec<FunctionReference>,
    /// Hash over program type and helper prototypes.
    pub info_hash: Option<Vec<u8>>,
    /// Its algorithm.
    pub info_hash_type: Option<String>,
    /// Size of the entry: 144 up to 1.4, 160 from 1.5.
    pub entry_bytes: u64,
}

/// A helper that a program calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HelperReference {
    /// Helper number.
    pub id: u32,
    /// Name as stored.
    pub name: String,
}

/// A BTF-resolved function that a program calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FunctionReference {
    /// Name.
    pub name: String,
    /// Module that provides it.
    pub module: Guid,
}

/// One map entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Map {
    /// Name.
    pub name: String,
    /// Definition.
    pub definition: MapDefinitionInFile,
}

/// Initial contents of one map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InitialValues {
    /// Map name.
    pub map: String,
    /// Names of maps or programs by slot; `None` is an empty slot.
    pub values: Vec<Option<String>>,
}

/// One section of global variables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GlobalSection {
    /// Name of the array map behind it.
    pub map: String,
    /// Initial bytes.
    pub initial: Vec<u8>,
}

/// Reads the metadata; `None` if the image is not a native module.
///
/// # Errors
/// The image has a `programs` section but its metadata breaks the contract.
pub fn read(pe: &Pe<'_>) -> Result<Option<NativeModule>, Error> {
    if pe.section(PROGRAMS).is_none() {
        return Ok(None);
    }
    let mut budget = limits::REFERENCES;
    let hash = pe
        .section(layout::SECTION_HASH)
        .map(|section| pe.contents(section).to_vec());
    Ok(Some(NativeModule {
        programs: programs(pe, &mut budget)?,
        maps: maps(pe)?,
        initial_values: initial_values(pe, &mut budget)?,
        globals: globals(pe)?,
        elf_hash: hash,
    }))
}

fn programs(pe: &Pe<'_>, budget: &mut usize) -> Result<Vec<Program>, Error> {
    let entries = program_entries(pe)?;
    entries.iter().map(|entry| program(entry, budget)).collect()
}

fn program_entries<'a>(pe: &'a Pe<'a>) -> Result<Vec<Entry<'a>>, Error> {
    let sizes = [
        ProgramEntry::HEADER.size,
        ProgramEntry::HEADER_WITHOUT_BTF.size,
    ];
    let array = Array::find(pe, PROGRAMS, offset_of!(ProgramEntry, header), 16)?;
    array.map_or(Ok(Vec::new()), |array| {
        array.entries(&sizes, ProgramEntry::SIZE_WITHOUT_BTF as u64)
    })
}

fn map_entries<'a>(pe: &'a Pe<'a>) -> Result<Vec<Entry<'a>>, Error> {
    let array = Array::find(pe, MAPS, offset_of!(MapEntry, header), 8)?;
    array.map_or(Ok(Vec::new()), |array| {
        array.entries(&[MapEntry::HEADER.size], MapEntry::HEADER.total_size)
    })
}

fn program(entry: &Entry<'_>, budget: &mut usize) -> Result<Program, Error> {
    let pe_section = entry.string(offset_of!(ProgramEntry, pe_section_name), "pe_section_name")?;
    let is_code = |section: &&Section| section.is_code() && section.name() == pe_section;
    let has_functions = entry.size > ProgramEntry::SIZE_WITHOUT_BTF as u64;
    Ok(Program {
        name: entry.string(offset_of!(ProgramEntry, program_name), "program_name")?,
        section: entry.string(offset_of!(ProgramEntry, section_name), "section_name")?,
        code_bytes: entry
            .pe
            .sections
            .iter()
            .find(is_code)
            .map(|section| section.virtual_size),
        pe_section,
        function: entry.code(offset_of!(ProgramEntry, function), "function")?,
        instruction_count: entry.u64(offset_of!(ProgramEntry, bpf_instruction_count))?,
        program_type: entry.guid(offset_of!(ProgramEntry, program_type), "program_type")?,
        attach_type: entry.guid(
            offset_of!(ProgramEntry, expected_attach_type),
            "expected_attach_type",
        )?,
        maps: map_references(entry, budget)?,
        helpers: helpers(entry, budget)?,
        functions: if has_functions {
            functions(entry, budget)?
        } else {
            Vec::new()
        },
        info_hash: info_hash(entry)?,
        info_hash_type: entry.optional_string(
            offset_of!(ProgramEntry, program_info_hash_type),
            "info_hash_type",
        )?,
        entry_bytes: entry.stride,
    })
}

fn map_references(entry: &Entry<'_>, budget: &mut usize) -> Result<Vec<u16>, Error> {
    let count = entry.u16(offset_of!(ProgramEntry, referenced_map_count))?;
    let at = offset_of!(ProgramEntry, referenced_map_indices);
    let bytes = entry.array(at, u64::from(count), 2, "referenced_map_indices", budget)?;
    Ok(bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect())
}

fn helpers(entry: &Entry<'_>, budget: &mut usize) -> Result<Vec<HelperReference>, Error> {
    let count = u64::from(entry.u16(offset_of!(ProgramEntry, helper_count))?);
    let expected = HelperFunctionEntry::HEADER;
    let at = offset_of!(ProgramEntry, helpers);
    let all = entry.children(
        at,
        count,
        (expected.size, expected.total_size),
        "helpers",
        budget,
    )?;
    let helper = |helper: &Entry<'_>| {
        Ok(HelperReference {
            id: helper.u32(offset_of!(HelperFunctionEntry, helper_id))?,
            name: helper.string(offset_of!(HelperFunctionEntry, name), "helper name")?,
        })
    };
    all.iter().map(helper).collect()
}

fn functions(entry: &Entry<'_>, budget: &mut usize) -> Result<Vec<FunctionReference>, Error> {
    let count = u64::from(entry.u16(offset_of!(ProgramEntry, btf_resolved_function_count))?);
    let expected = BtfResolvedFunctionEntry::HEADER;
    let at = offset_of!(ProgramEntry, btf_resolved_functions);
    let sizes = (expected.size, expected.total_size);
    let all = entry.children(at, count, sizes, "btf_resolved_functions", budget)?;
    let function = |function: &Entry<'_>| {
        let bytes = function.bytes(offset_of!(BtfResolvedFunctionEntry, module))?;
        Ok(FunctionReference {
            name: function.string(offset_of!(BtfResolvedFunctionEntry, name), "function name")?,
            module: Guid::from_bytes(bytes),
        })
    };
    all.iter().map(function).collect()
}

fn info_hash(entry: &Entry<'_>) -> Result<Option<Vec<u8>>, Error> {
    let at = offset_of!(ProgramEntry, program_info_hash);
    if entry.u64(at)? == 0 {
        return Ok(None);
    }
    let len = entry.u64(offset_of!(ProgramEntry, program_info_hash_length))?;
    let mut budget = limits::HASH_BYTES;
    Ok(Some(
        entry
            .array(at, len, 1, "program_info_hash", &mut budget)?
            .to_vec(),
    ))
}

fn maps(pe: &Pe<'_>) -> Result<Vec<Map>, Error> {
    let entries = map_entries(pe)?;
    let map = |entry: &Entry<'_>| {
        let at = offset_of!(MapEntry, definition);
        let field = |index: usize| entry.u32(at + index * 4);
        Ok(Map {
            name: entry.string(offset_of!(MapEntry, name), "map name")?,
            definition: MapDefinitionInFile {
                map_type: field(0)?,
                key_size: field(1)?,
                value_size: field(2)?,
                max_entries: field(3)?,
                inner_map_idx: field(4)?,
                pinning: field(5)?,
                id: field(6)?,
                inner_id: field(7)?,
            },
        })
    };
    entries.iter().map(map).collect()
}

fn initial_values(pe: &Pe<'_>, budget: &mut usize) -> Result<Vec<InitialValues>, Error> {
    let Some(array) = Array::find(pe, layout::SECTION_INITIAL_VALUES, 0, 8)? else {
        return Ok(Vec::new());
    };
    let expected = MapInitialValues::HEADER;
    let entries = array.entries(&[expected.size], expected.total_size)?;
    let mut all = Vec::new();
    for entry in &entries {
        let count = entry.u64(offset_of!(MapInitialValues, count))?;
        let at = offset_of!(MapInitialValues, values);
        let bytes = entry.array(at, count, 8, "values", budget)?;
        let value = |address: &[u8]| {
            let address = address.try_into().map_or(0, u64::from_le_bytes);
            entry.optional_string_at(address, "value")
        };
        all.push(InitialValues {
            map: entry.string(offset_of!(MapInitialValues, name), "map name")?,
            values: bytes.chunks_exact(8).map(value).collect::<Result<_, _>>()?,
        });
    }
    Ok(all)
}

fn globals(pe: &Pe<'_>) -> Result<Vec<GlobalSection>, Error> {
    let Some(array) = Array::find(pe, layout::SECTION_GLOBALS, 0, 8)? else {
        return Ok(Vec::new());
    };
    let expected = GlobalVariableSectionInfo::HEADER;
    let entries = array.entries(&[expected.size], expected.total_size)?;
    let mut budget = limits::GLOBAL_BYTES;
    let mut all = Vec::new();
    for entry in &entries {
        let len = entry.u64(offset_of!(GlobalVariableSectionInfo, size))?;
        let at = offset_of!(GlobalVariableSectionInfo, initial_data);
        all.push(GlobalSection {
            map: entry.string(offset_of!(GlobalVariableSectionInfo, name), "name")?,
            initial: entry
                .array(at, len, 1, "initial_data", &mut budget)?
                .to_vec(),
        });
    }
    Ok(all)
}
