//! Network Module Registrar structures (WDK, `netioddk.h`) and the ids of the eBPF interfaces.

use super::layout;
use crate::guid::Guid;

/// NPI of native modules: ebpfcore provides, modules are clients.
pub const NPI_NATIVE_MODULE: Guid = Guid::from_u128(0xc847aac8_a6f2_4b53_aea3_f4a94b9a80cb);
/// Module id of ebpfcore as provider of [`NPI_NATIVE_MODULE`].
pub const MODULE_ID_EBPFCORE: Guid = Guid::from_u128(0x5e24d2f5_f799_42c3_a945_87feefd930a7);
/// NPI of program information: extensions provide, ebpfcore is the client.
pub const NPI_PROGRAM_INFORMATION: Guid = Guid::from_u128(0x2934ad50_2154_44b6_9622_6c528c068411);
/// NPI of hooks: extensions provide, ebpfcore's links are clients.
pub const NPI_HOOK: Guid = Guid::from_u128(0x5d564054_2736_406d_8b22_12bcffaf0a9f);
/// NPI of custom maps.
pub const NPI_MAP_INFORMATION: Guid = Guid::from_u128(0x3c2b0f4e_8b0e_4e5e_8e1b_7f4b1f0e1f0e);
/// NPI of BTF-resolved functions.
pub const NPI_BTF_FUNCTION: Guid = Guid::from_u128(0x8cf35ce4_7cf4_4407_883e_59b4e73dbe4f);
/// Module id of the general helpers inside ebpfcore.
pub const MODULE_ID_GENERAL_HELPERS: Guid = Guid::from_u128(0x8d2a1d3f_9ce6_473d_b48e_17aa5c5581fe);

/// `MIT_GUID` of [`ModuleId::kind`].
pub const MIT_GUID: u32 = 1;
/// Registry subkey of the service key that holds [`MODULE_ID_VALUE`].
pub const PARAMETERS_SUBKEY: &str = "Parameters";
/// Registry value with the module id of a native module: `REG_BINARY`, 16 bytes.
pub const MODULE_ID_VALUE: &str = "NpiModuleId";
/// Driver that exports the registrar's functions.
pub const NETIO: &str = "NETIO.SYS";

/// `NPI_MODULEID`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct ModuleId {
    /// Bytes of this structure: 24.
    pub length: u16,
    /// Padding.
    pub reserved: u16,
    /// [`MIT_GUID`].
    pub kind: u32,
    /// The id.
    pub guid: Guid,
}
layout!(ModuleId, 24, length @ 0, kind @ 4, guid @ 8);

impl ModuleId {
    /// A module id that is a GUID.
    #[must_use]
    pub const fn new(guid: Guid) -> ModuleId {
        ModuleId {
            length: 24,
            reserved: 0,
            kind: MIT_GUID,
            guid,
        }
    }
}

/// `NPI_REGISTRATION_INSTANCE`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct RegistrationInstance {
    /// 0.
    pub version: u16,
    /// Bytes of this structure: 40.
    pub size: u16,
    /// Padding.
    pub reserved: u32,
    /// Address of the NPI's GUID.
    pub npi_id: u64,
    /// Address of a [`ModuleId`].
    pub module_id: u64,
    /// 0.
    pub number: u32,
    /// Padding.
    pub reserved2: u32,
    /// Null for native modules.
    pub npi_specific_characteristics: u64,
}
layout!(RegistrationInstance, 40, version @ 0, size @ 2, npi_id @ 8, module_id @ 16, number @ 24,
    npi_specific_characteristics @ 32);

/// `NPI_CLIENT_CHARACTERISTICS`; `NPI_PROVIDER_CHARACTERISTICS` has the same shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Characteristics {
    /// 0.
    pub version: u16,
    /// Bytes of this structure: 72.
    pub length: u16,
    /// Padding.
    pub reserved: u32,
    /// `ClientAttachProvider` or `ProviderAttachClient`.
    pub attach: u64,
    /// `ClientDetachProvider` or `ProviderDetachClient`.
    pub detach: u64,
    /// `...CleanupBindingContext`; may be null.
    pub cleanup: u64,
    /// Who registers for what.
    pub instance: RegistrationInstance,
}
layout!(Characteristics, 72, version @ 0, length @ 2, attach @ 8, detach @ 16, cleanup @ 24,
    instance @ 32);
