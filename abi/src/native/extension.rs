//! Structures between the runtime and extensions (`ebpf_extension.h`, `ebpf_program_types.h`,
//! `ebpf_windows.h`): program information and hooks.

use super::{Header, layout};
use crate::guid::Guid;

/// `ebpf_extension_data_t`: attach parameters, client data of a hook binding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct ExtensionData {
    /// Header.
    pub header: Header,
    /// Address of the attach parameter.
    pub data: u64,
    /// Its bytes.
    pub data_size: u64,
    /// Flags of the attach request.
    pub prog_attach_flags: u64,
}
layout!(ExtensionData, 48, header @ 0, data @ 24, data_size @ 32, prog_attach_flags @ 40);

impl ExtensionData {
    /// The header of today.
    pub const HEADER: Header = Header::new(48, 48);
}

/// `ebpf_attach_provider_data_t`: what a hook provider says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct AttachProviderData {
    /// Header.
    pub header: Header,
    /// Program type that it takes.
    pub supported_program_type: Guid,
    /// `bpf_attach_type`.
    pub bpf_attach_type: u32,
    /// `bpf_link_type`.
    pub link_type: u32,
}
layout!(AttachProviderData, 48, header @ 0, supported_program_type @ 24, bpf_attach_type @ 40,
    link_type @ 44);

impl AttachProviderData {
    /// The header of today.
    pub const HEADER: Header = Header::new(48, 48);
}

/// Dispatch table of ebpfcore as client of a hook: how the extension invokes the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct InvokeDispatch {
    /// 1.
    pub version: u16,
    /// Number of functions: 4.
    pub count: u16,
    /// Padding.
    pub reserved: u32,
    /// `invoke(binding, context, u32* result)`.
    pub invoke: u64,
    /// `batch_begin(state size, state)`.
    pub batch_begin: u64,
    /// `batch_invoke(binding, context, u32* result, state)`.
    pub batch_invoke: u64,
    /// `batch_end(state)`.
    pub batch_end: u64,
}
layout!(InvokeDispatch, 40, version @ 0, count @ 2, invoke @ 8, batch_begin @ 16,
    batch_invoke @ 24, batch_end @ 32);

/// `ebpf_execution_context_state_t`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct ExecutionContextState {
    /// Epoch bookkeeping of the runtime.
    pub epoch_state: [u64; 4],
    /// Thread or CPU.
    pub id: u64,
    /// IRQL at entry.
    pub irql: u8,
    /// Padding.
    pub reserved: [u8; 7],
    /// Program that a tail call chose.
    pub next_program: u64,
    /// Tail calls so far.
    pub tail_call_count: u32,
    /// Padding.
    pub reserved2: u32,
}
layout!(ExecutionContextState, 64, epoch_state @ 0, id @ 32, irql @ 40, next_program @ 48,
    tail_call_count @ 56);

/// `EBPF_CONTEXT_HEADER`: eight words that lie immediately before every context. Helpers with an
/// implicit context reach back through it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct ContextHeader {
    /// Slot 0: execution state of the runtime; slot 1: context descriptor; others reserved.
    pub slots: [u64; 8],
}
layout!(ContextHeader, 64, slots @ 0);

/// `ebpf_context_descriptor_t`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct ContextDescriptor {
    /// Bytes of the context.
    pub size: i32,
    /// Offset of the packet start, or -1.
    pub data: i32,
    /// Offset of the packet end, or -1.
    pub end: i32,
    /// Offset of the metadata start, or -1.
    pub meta: i32,
}
layout!(ContextDescriptor, 16, size @ 0, data @ 4, end @ 8, meta @ 12);

/// `ebpf_program_type_descriptor_t`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct ProgramTypeDescriptor {
    /// Header; accepted `size` is 61.
    pub header: Header,
    /// Address of a C string.
    pub name: u64,
    /// Address of a [`ContextDescriptor`].
    pub context_descriptor: u64,
    /// Program type.
    pub program_type: Guid,
    /// `bpf_prog_type`.
    pub bpf_prog_type: u32,
    /// May leak pointers.
    pub is_privileged: u8,
    /// Padding.
    pub reserved: [u8; 3],
}
layout!(ProgramTypeDescriptor, 64, header @ 0, name @ 24, context_descriptor @ 32,
    program_type @ 40, bpf_prog_type @ 56, is_privileged @ 60);

impl ProgramTypeDescriptor {
    /// The header of today.
    pub const HEADER: Header = Header::new(61, 64);
}

/// `ebpf_helper_function_prototype_t`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct HelperPrototype {
    /// Header; accepted `size` values are 64 (neither of the last two fields), 65 and 66.
    pub header: Header,
    /// Helper number.
    pub helper_id: u32,
    /// Padding.
    pub reserved: u32,
    /// Address of a C string.
    pub name: u64,
    /// [`crate::ReturnKind::hash_number`].
    pub return_type: u32,
    /// [`crate::ArgKind::hash_number`].
    pub arguments: [u32; 5],
    /// Bit 0: moves packet data.
    pub flags: u8,
    /// Takes the context as hidden argument.
    pub implicit_context: u8,
    /// Padding.
    pub reserved2: [u8; 6],
}
layout!(HelperPrototype, 72, header @ 0, helper_id @ 24, name @ 32, return_type @ 40,
    arguments @ 44, flags @ 64, implicit_context @ 65);

impl HelperPrototype {
    /// The header of today.
    pub const HEADER: Header = Header::new(66, 72);
}

/// `ebpf_helper_function_addresses_t`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct HelperAddresses {
    /// Header.
    pub header: Header,
    /// Number of addresses.
    pub count: u32,
    /// Padding.
    pub reserved: u32,
    /// Address of the addresses.
    pub addresses: u64,
}
layout!(HelperAddresses, 40, header @ 0, count @ 24, addresses @ 32);

impl HelperAddresses {
    /// The header of today.
    pub const HEADER: Header = Header::new(40, 40);
}

/// `ebpf_program_info_t`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct ProgramInfo {
    /// Header.
    pub header: Header,
    /// Address of a [`ProgramTypeDescriptor`].
    pub type_descriptor: u64,
    /// Number of type-specific helpers.
    pub helper_count: u32,
    /// Padding.
    pub reserved: u32,
    /// Address of an array of [`HelperPrototype`].
    pub helpers: u64,
    /// Number of general helpers that are overridden.
    pub global_helper_count: u32,
    /// Padding.
    pub reserved2: u32,
    /// Address of an array of [`HelperPrototype`].
    pub global_helpers: u64,
}
layout!(ProgramInfo, 64, header @ 0, type_descriptor @ 24, helper_count @ 32, helpers @ 40,
    global_helper_count @ 48, global_helpers @ 56);

impl ProgramInfo {
    /// The header of today.
    pub const HEADER: Header = Header::new(64, 64);
}

/// `ebpf_program_data_t`: what a program-information provider says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct ProgramData {
    /// Header; accepted `size` values are 65 (no capabilities) and 72.
    pub header: Header,
    /// Address of a [`ProgramInfo`].
    pub program_info: u64,
    /// Address of the [`HelperAddresses`] of type-specific helpers.
    pub helper_addresses: u64,
    /// Address of the [`HelperAddresses`] of overridden general helpers.
    pub global_helper_addresses: u64,
    /// Makes a context from bytes (test runs).
    pub context_create: u64,
    /// Takes it apart again.
    pub context_destroy: u64,
    /// Highest IRQL at which programs run.
    pub required_irql: u8,
    /// Padding.
    pub reserved: [u8; 3],
    /// Capability bits.
    pub capabilities: u32,
}
layout!(ProgramData, 72, header @ 0, program_info @ 24, helper_addresses @ 32,
    global_helper_addresses @ 40, context_create @ 48, context_destroy @ 56, required_irql @ 64,
    capabilities @ 68);

impl ProgramData {
    /// The header of today.
    pub const HEADER: Header = Header::new(72, 72);
}

/// `ebpf_program_section_info_t`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct ProgramSectionInfo {
    /// Header.
    pub header: Header,
    /// Address of a wide string: the ELF section prefix.
    pub section_name: u64,
    /// Address of the program type GUID.
    pub program_type: u64,
    /// Address of the attach type GUID.
    pub attach_type: u64,
    /// `bpf_prog_type`.
    pub bpf_program_type: u32,
    /// `bpf_attach_type`.
    pub bpf_attach_type: u32,
}
layout!(ProgramSectionInfo, 56, header @ 0, section_name @ 24, program_type @ 32,
    attach_type @ 40, bpf_program_type @ 48, bpf_attach_type @ 52);

/// `ebpf_btf_resolved_function_prototype_t`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct BtfFunctionPrototype {
    /// Header.
    pub header: Header,
    /// Address of a C string.
    pub name: u64,
    /// [`crate::ReturnKind::hash_number`].
    pub return_type: u32,
    /// [`crate::ArgKind::hash_number`].
    pub arguments: [u32; 5],
    /// Flags, which enter `program_info_hash`.
    pub flags: u32,
    /// Padding.
    pub reserved: u32,
}
layout!(BtfFunctionPrototype, 64, header @ 0, name @ 24, return_type @ 32, arguments @ 36,
    flags @ 56);

impl BtfFunctionPrototype {
    /// The header of today.
    pub const HEADER: Header = Header::new(60, 64);
}

/// `ebpf_btf_resolved_function_provider_data_t`: functions that programs call by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct BtfFunctionProviderData {
    /// Header.
    pub header: Header,
    /// Number of functions.
    pub count: u32,
    /// Padding.
    pub reserved: u32,
    /// Address of an array of [`BtfFunctionPrototype`].
    pub prototypes: u64,
    /// Address of an array of as many addresses.
    pub addresses: u64,
}
layout!(BtfFunctionProviderData, 48, header @ 0, count @ 24, prototypes @ 32, addresses @ 40);

impl BtfFunctionProviderData {
    /// The header of today.
    pub const HEADER: Header = Header::new(48, 48);
}
