//! The native module ABI of eBPF for Windows: structures, versions, PE section names.
//!
//! A native module is a driver that registers one NMR client whose dispatch table is a
//! [`MetadataTable`]. Structures that lie in the image are written by the linker and read by the
//! runtime; the ones that the runtime owns are read by the module's code. Addresses are `u64` and
//! not pointers: nothing here is trusted before it is checked, and hosts read images of other
//! machines. Every size and offset is asserted at compile time. Source: `bpf2c.h` and
//! `ebpf_extension.h` of eBPF for Windows, the Network Module Registrar pages of the WDK.
//!
//! Left out: the order of checks of the loader, which belongs to the runtime.

pub mod extension;
pub mod nmr;

use crate::guid::Guid;

/// Asserts the size of a structure and the offset of each named field.
macro_rules! layout {
    ($name:ident, $size:literal $(, $field:ident @ $offset:literal)*) => {
        const _: () = {
            assert!(core::mem::size_of::<$name>() == $size);
            $(assert!(core::mem::offset_of!($name, $field) == $offset);)*
        };
    };
}
pub(crate) use layout;

/// Version and sizes at the start of every structure that may grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Header {
    /// Always 1.
    pub version: u16,
    /// Padding.
    pub reserved: [u16; 3],
    /// End of the last meaningful field.
    pub size: u64,
    /// Distance to the next element of an array.
    pub total_size: u64,
}
layout!(Header, 24, version @ 0, size @ 8, total_size @ 16);

impl Header {
    /// A header of version 1.
    #[must_use]
    pub const fn new(size: u64, total_size: u64) -> Header {
        Header {
            version: HEADER_VERSION,
            reserved: [0; 3],
            size,
            total_size,
        }
    }
}

/// [`Header::version`] of all structures.
pub const HEADER_VERSION: u16 = 1;

/// `helper_function_entry_t`: a helper that a program calls. Id 0 with an empty name is a
/// sentinel: an unused slot of an index space that several programs share.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct HelperFunctionEntry {
    /// [`HelperFunctionEntry::HEADER`].
    pub header: Header,
    /// Helper number.
    pub helper_id: u32,
    /// Padding.
    pub reserved: u32,
    /// Address of a C string; the runtime does not compare it.
    pub name: u64,
}
layout!(HelperFunctionEntry, 40, header @ 0, helper_id @ 24, name @ 32);

impl HelperFunctionEntry {
    /// The only header there is.
    pub const HEADER: Header = Header::new(40, 40);
}

/// `btf_resolved_function_entry_t`: a function of another module, called by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct BtfResolvedFunctionEntry {
    /// [`BtfResolvedFunctionEntry::HEADER`].
    pub header: Header,
    /// Address of a C string.
    pub name: u64,
    /// Module that provides it.
    pub module: Guid,
}
layout!(BtfResolvedFunctionEntry, 48, header @ 0, name @ 24, module @ 32);

impl BtfResolvedFunctionEntry {
    /// The only header there is.
    pub const HEADER: Header = Header::new(48, 48);
}

/// `ebpf_map_definition_in_file_t`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct MapDefinitionInFile {
    /// Map type number (Windows numbering).
    pub map_type: u32,
    /// Key bytes.
    pub key_size: u32,
    /// Value bytes.
    pub value_size: u32,
    /// Entries; bytes for ring buffers.
    pub max_entries: u32,
    /// Index of the inner map template, when not 0.
    pub inner_map_idx: u32,
    /// 0 not pinned, 1 pinned by name.
    pub pinning: u32,
    /// Id of this map in the file.
    pub id: u32,
    /// Id of the inner map template, when `inner_map_idx` is 0.
    pub inner_id: u32,
}
layout!(MapDefinitionInFile, 32, map_type @ 0, key_size @ 4, value_size @ 8, max_entries @ 12,
    inner_map_idx @ 16, pinning @ 20, id @ 24, inner_id @ 28);

/// `ebpf_map_definition_in_memory_t`: the form that IOCTLs carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct MapDefinitionInMemory {
    /// Map type number (Windows numbering).
    pub map_type: u32,
    /// Key bytes.
    pub key_size: u32,
    /// Value bytes.
    pub value_size: u32,
    /// Entries; bytes for ring buffers.
    pub max_entries: u32,
    /// Object id of the inner map template.
    pub inner_map_id: u32,
    /// 0 not pinned, 1 pinned by name.
    pub pinning: u32,
}
layout!(MapDefinitionInMemory, 24, map_type @ 0, key_size @ 4, value_size @ 8, max_entries @ 12,
    inner_map_id @ 16, pinning @ 20);

/// Not pinned.
pub const PIN_NONE: u32 = 0;
/// Pinned under its name.
pub const PIN_BY_NAME: u32 = 1;

/// `map_entry_t`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct MapEntry {
    /// Zero: the mark by which tools find the array in the file.
    pub zero: [u64; 2],
    /// [`MapEntry::HEADER`].
    pub header: Header,
    /// The map.
    pub definition: MapDefinitionInFile,
    /// Address of a C string.
    pub name: u64,
}
layout!(MapEntry, 80, zero @ 0, header @ 16, definition @ 40, name @ 72);

impl MapEntry {
    /// The only header there is.
    pub const HEADER: Header = Header::new(80, 80);
}

/// `map_initial_values_t`: names of the maps or programs in the slots of a map.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct MapInitialValues {
    /// [`MapInitialValues::HEADER`].
    pub header: Header,
    /// Address of the map's name.
    pub name: u64,
    /// Number of values.
    pub count: u64,
    /// Address of an array of addresses of C strings; null means an empty slot.
    pub values: u64,
}
layout!(MapInitialValues, 48, header @ 0, name @ 24, count @ 32, values @ 40);

impl MapInitialValues {
    /// The only header there is.
    pub const HEADER: Header = Header::new(48, 48);
}

/// `global_variable_section_info_t`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct GlobalVariableSectionInfo {
    /// [`GlobalVariableSectionInfo::HEADER`].
    pub header: Header,
    /// Address of the name of the array map that backs it.
    pub name: u64,
    /// Bytes.
    pub size: u64,
    /// Address of the initial bytes.
    pub initial_data: u64,
}
layout!(GlobalVariableSectionInfo, 48, header @ 0, name @ 24, size @ 32, initial_data @ 40);

impl GlobalVariableSectionInfo {
    /// The only header there is.
    pub const HEADER: Header = Header::new(48, 48);
}

/// `program_entry_t`, as of version 1.5.0. Older runtimes accept the first
/// [`ProgramEntry::SIZE_WITHOUT_BTF`] bytes alone, with the header that says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct ProgramEntry {
    /// Zero: the mark by which tools find the array in the file.
    pub zero: u64,
    /// [`ProgramEntry::HEADER`] or [`ProgramEntry::HEADER_WITHOUT_BTF`].
    pub header: Header,
    /// Address of the code.
    pub function: u64,
    /// Address of the name of the PE section that holds the code.
    pub pe_section_name: u64,
    /// Address of the name of the ELF section.
    pub section_name: u64,
    /// Address of the C function name.
    pub program_name: u64,
    /// Address of an array of `u16` map indices.
    pub referenced_map_indices: u64,
    /// Their number.
    pub referenced_map_count: u16,
    /// Padding.
    pub reserved1: [u16; 3],
    /// Address of an array of [`HelperFunctionEntry`].
    pub helpers: u64,
    /// Their number.
    pub helper_count: u16,
    /// Padding.
    pub reserved2: [u16; 3],
    /// Instruction slots of the bytecode (`lddw` counts twice).
    pub bpf_instruction_count: u64,
    /// Address of the program type GUID; must lie in `.data`.
    pub program_type: u64,
    /// Address of the attach type GUID; must lie in `.data`.
    pub expected_attach_type: u64,
    /// Address of the hash; may be null.
    pub program_info_hash: u64,
    /// Its bytes.
    pub program_info_hash_length: u64,
    /// Address of the name of the algorithm.
    pub program_info_hash_type: u64,
    /// Address of an array of [`BtfResolvedFunctionEntry`].
    pub btf_resolved_functions: u64,
    /// Their number.
    pub btf_resolved_function_count: u16,
    /// Padding.
    pub reserved3: [u16; 3],
}
layout!(ProgramEntry, 160, zero @ 0, header @ 8, function @ 32, pe_section_name @ 40,
    section_name @ 48, program_name @ 56, referenced_map_indices @ 64, referenced_map_count @ 72,
    helpers @ 80, helper_count @ 88, bpf_instruction_count @ 96, program_type @ 104,
    expected_attach_type @ 112, program_info_hash @ 120, program_info_hash_length @ 128,
    program_info_hash_type @ 136, btf_resolved_functions @ 144, btf_resolved_function_count @ 152);

impl ProgramEntry {
    /// Header of the full structure (1.5.0).
    pub const HEADER: Header = Header::new(154, 160);
    /// Bytes of the structure up to 1.4.
    pub const SIZE_WITHOUT_BTF: usize = 144;
    /// Header of the structure up to 1.4.
    pub const HEADER_WITHOUT_BTF: Header = Header::new(144, 144);
}

/// `bpf2c_version_t`: the version of the ABI that a module was made for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(C)]
pub struct ModuleVersion {
    /// Major.
    pub major: u32,
    /// Minor.
    pub minor: u32,
    /// Revision.
    pub revision: u32,
}
layout!(ModuleVersion, 12, major @ 0, minor @ 4, revision @ 8);

impl core::fmt::Display for ModuleVersion {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.revision)
    }
}

impl ModuleVersion {
    /// A version.
    #[must_use]
    pub const fn new(major: u32, minor: u32, revision: u32) -> ModuleVersion {
        ModuleVersion {
            major,
            minor,
            revision,
        }
    }
}

/// Oldest version that runtimes accept.
pub const VERSION_MIN: ModuleVersion = ModuleVersion::new(0, 21, 0);
/// First version whose modules may use the hidden sixth helper argument.
pub const VERSION_IMPLICIT_CONTEXT: ModuleVersion = ModuleVersion::new(0, 18, 0);
/// Version of modules that every runtime since [`VERSION_MIN`] loads.
pub const VERSION_BASE: ModuleVersion = ModuleVersion::new(1, 0, 0);
/// First version whose helper arrays may hold sentinels.
pub const VERSION_SENTINELS: ModuleVersion = ModuleVersion::new(1, 3, 0);
/// First version whose [`MapData`] has `array_data`.
pub const VERSION_ARRAY_DATA: ModuleVersion = ModuleVersion::new(1, 4, 0);
/// First version with BTF-resolved functions and the long [`ProgramEntry`].
pub const VERSION_BTF_FUNCTIONS: ModuleVersion = ModuleVersion::new(1, 5, 0);

/// `metadata_table_t`: the client dispatch of the NMR client. All members must be set; runtimes
/// call them without a check. Each is `void f(out pointer, out count)`, `version` has one argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct MetadataTable {
    /// Bytes of this structure: 56.
    pub size: u64,
    /// `programs(program_entry_t**, size_t*)`.
    pub programs: u64,
    /// `maps(map_entry_t**, size_t*)`.
    pub maps: u64,
    /// `hash(const uint8_t**, size_t*)`: hash of the ELF file, may be null and 0.
    pub hash: u64,
    /// `version(bpf2c_version_t*)`; the runtime finds the driver file by this address.
    pub version: u64,
    /// `map_initial_values(map_initial_values_t**, size_t*)`.
    pub map_initial_values: u64,
    /// `global_variable_sections(global_variable_section_info_t**, size_t*)`.
    pub global_variable_sections: u64,
}
layout!(MetadataTable, 56, size @ 0, programs @ 8, maps @ 16, hash @ 24, version @ 32,
    map_initial_values @ 40, global_variable_sections @ 48);

/// `helper_function_data_t`: a resolved helper, owned by the runtime.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct HelperFunctionData {
    /// [`HelperFunctionData::HEADER`].
    pub header: Header,
    /// Address; changes when an extension restarts.
    pub address: u64,
    /// Not zero: after a result of 0 the program returns 0 at once.
    pub tail_call: u8,
    /// Padding.
    pub reserved: [u8; 7],
}
layout!(HelperFunctionData, 40, header @ 0, address @ 24, tail_call @ 32);

impl HelperFunctionData {
    /// The only header there is.
    pub const HEADER: Header = Header::new(33, 40);
}

/// `btf_resolved_function_data_t`: a resolved function, owned by the runtime.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct BtfResolvedFunctionData {
    /// [`BtfResolvedFunctionData::HEADER`].
    pub header: Header,
    /// Address; changes when an extension restarts.
    pub address: u64,
}
layout!(BtfResolvedFunctionData, 32, header @ 0, address @ 24);

impl BtfResolvedFunctionData {
    /// The only header there is.
    pub const HEADER: Header = Header::new(32, 32);
}

/// `map_data_t` from [`VERSION_ARRAY_DATA`] on: a resolved map, owned by the runtime.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct MapData {
    /// [`MapData::HEADER`] or [`MapDataV1::HEADER`].
    pub header: Header,
    /// The map, as helpers expect it.
    pub address: u64,
    /// First value of an array map; null for other types.
    pub array_data: u64,
}
layout!(MapData, 40, header @ 0, address @ 24, array_data @ 32);

impl MapData {
    /// Its header.
    pub const HEADER: Header = Header::new(40, 40);
}

/// `map_data_t` before [`VERSION_ARRAY_DATA`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct MapDataV1 {
    /// [`MapDataV1::HEADER`].
    pub header: Header,
    /// The map, as helpers expect it.
    pub address: u64,
}
layout!(MapDataV1, 32, header @ 0, address @ 24);

impl MapDataV1 {
    /// Its header.
    pub const HEADER: Header = Header::new(32, 32);
}

/// `global_variable_section_data_t`, owned by the runtime.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct GlobalVariableSectionData {
    /// [`GlobalVariableSectionData::HEADER`].
    pub header: Header,
    /// Address of the value of the backing map.
    pub address_of_map_value: u64,
}
layout!(GlobalVariableSectionData, 32, header @ 0, address_of_map_value @ 24);

impl GlobalVariableSectionData {
    /// The only header there is.
    pub const HEADER: Header = Header::new(32, 32);
}

/// `program_runtime_context_t`: second argument of a program, owned by the runtime. Modules
/// before 1.5.0 read the first 48 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct ProgramRuntimeContext {
    /// [`ProgramRuntimeContext::HEADER`].
    pub header: Header,
    /// Address of an array of [`HelperFunctionData`].
    pub helper_data: u64,
    /// Address of an array of [`MapData`] or [`MapDataV1`].
    pub map_data: u64,
    /// Address of an array of [`GlobalVariableSectionData`].
    pub global_variable_section_data: u64,
    /// Address of an array of [`BtfResolvedFunctionData`].
    pub btf_resolved_function_data: u64,
}
layout!(ProgramRuntimeContext, 56, header @ 0, helper_data @ 24, map_data @ 32,
    global_variable_section_data @ 40, btf_resolved_function_data @ 48);

impl ProgramRuntimeContext {
    /// Its header.
    pub const HEADER: Header = Header::new(56, 56);
}

/// Name of the algorithm of `program_info_hash` that everybody uses.
pub const HASH_SHA256: &str = "SHA256";
/// PE section of the [`ProgramEntry`] array; its virtual size must be exact.
pub const SECTION_PROGRAMS: &str = "programs";
/// PE section of the [`MapEntry`] array; must follow `.rdata`.
pub const SECTION_MAPS: &str = "maps";
/// PE section of the [`MapInitialValues`] array (`map_initial_values`, cut to eight bytes).
pub const SECTION_INITIAL_VALUES: &str = "map_init";
/// PE section of the [`GlobalVariableSectionInfo`] array (`global_variables`, cut).
pub const SECTION_GLOBALS: &str = "global_v";
/// PE section of the hash of the ELF file.
pub const SECTION_HASH: &str = "hash";
/// Longest name of a PE section.
pub const SECTION_NAME_BYTES: usize = 8;
/// Helper number of `bpf_tail_call`, whose success ends the program.
pub const HELPER_TAIL_CALL: u32 = 5;

/// The module id of a service that is started without one in the registry: a GUID of version 8
/// (RFC 9562, "custom") from a hash. Ids made at random have version 4, so the two never meet.
#[must_use]
pub fn module_id_of_hash(hash: [u8; 32]) -> Guid {
    let mut high = [0; 16];
    high.copy_from_slice(&hash[..16]);
    let high = u128::from_be_bytes(high);
    let version = (high & !(0xf << 76)) | 0x8 << 76;
    Guid::from_u128((version & !(0x3 << 62)) | 0x2 << 62)
}

/// Whether a module registered under an id of [`module_id_of_hash`]: it was started as a plain
/// service.
#[must_use]
pub const fn is_module_id_of_hash(id: Guid) -> bool {
    id.data3 >> 12 == 8 && id.data4[0] >> 6 == 2
}
