//! Windows Filtering Platform: structures, constants, layers (`fwpsk.h`, `fwpmk.h`, `fwptypes.h`).
//!
//! Addresses are numbers, so that the structures mean the same on every host. Sources: the public
//! documentation of these headers and Microsoft's published metadata of them. What is left out:
//! field numbers of layers, and everything of user mode.

use crate::layout;
use abi::Guid;

/// A layer: its number at run time and its id for management.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layer {
    /// Number (`FWPS_LAYER_...`).
    pub number: u16,
    /// Id (`FWPM_LAYER_...`).
    pub key: Guid,
    /// Name, as in the documentation but in camel case.
    pub name: &'static str,
}

macro_rules! layers {
    ($($name:ident = ($number:literal, $key:literal);)*) => {
        /// Every layer that hooks of eBPF use, and the one frames are sent through.
        pub static LAYERS: &[Layer] = &[$(Layer {
            number: $number,
            key: Guid::from_u128($key),
            name: stringify!($name),
        }),*];

        /// The numbers by name.
        #[allow(non_upper_case_globals, reason = "the names of the layers")]
        pub mod layer {
            $(#[doc = concat!("`", stringify!($name), "`.")] pub const $name: u16 = $number;)*
        }
    };
}

#[rustfmt::skip] // one row, one line
layers! {
    AleResourceAssignmentV4 = (36, 0x1247d66d_0b60_4a15_8d44_7155d0f53a0c);
    AleResourceAssignmentV6 = (38, 0x55a650e1_5f0a_4eca_a653_88f53b26aa8c);
    AleAuthListenV4 = (40, 0x88bb5dad_76d7_4227_9c71_df0a3ed7be7e);
    AleAuthListenV6 = (42, 0x7ac9de24_17dd_4814_b4bd_a9fbc95a321b);
    AleAuthRecvAcceptV4 = (44, 0xe1cd9fe7_f4b5_4273_96c0_592e487b8650);
    AleAuthRecvAcceptV6 = (46, 0xa3b42c97_9f04_4672_b87e_cee9c483257f);
    AleAuthConnectV4 = (48, 0xc38d57d1_05a7_4c33_904f_7fbceee60e82);
    AleAuthConnectV6 = (50, 0x4a72393b_319f_44bc_84c3_ba54dcb3b6b4);
    AleFlowEstablishedV4 = (52, 0xaf80470a_5596_4c13_9992_539e6fe57967);
    AleFlowEstablishedV6 = (54, 0x7021d2b3_dfa4_406e_afeb_6afaf7e70efd);
    InboundMacFrameNative = (58, 0xd4220bd3_62ce_4f08_ae88_b56e8526df50);
    OutboundMacFrameNative = (59, 0x94c44912_9d6f_4ebf_b995_05ab8a088d1b);
    AleResourceReleaseV4 = (62, 0x74365cce_ccb0_401a_bfc1_b89934ad7e15);
    AleResourceReleaseV6 = (63, 0xf4e5ce80_edcc_4e13_8a2f_b91454bb057b);
    AleConnectRedirectV4 = (66, 0xc6e63c8c_b784_4562_aa7d_0a67cfcaf9a3);
    AleConnectRedirectV6 = (67, 0x587e54a7_8046_42ba_a0aa_b716250fc7fd);
}

/// The layer of a management id.
#[must_use]
pub fn layer_of(key: Guid) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| layer.key == key)
}

/// The layer of a number.
#[must_use]
pub fn layer_numbered(number: u16) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| layer.number == number)
}

/// `FWP_ACTION_BLOCK`.
pub const ACTION_BLOCK: u32 = 0x1001;
/// `FWP_ACTION_PERMIT`.
pub const ACTION_PERMIT: u32 = 0x1002;
/// `FWP_ACTION_CONTINUE`.
pub const ACTION_CONTINUE: u32 = 0x2006;
/// `FWP_ACTION_CALLOUT_TERMINATING`.
pub const ACTION_CALLOUT_TERMINATING: u32 = 0x5003;
/// `FWP_ACTION_CALLOUT_INSPECTION`.
pub const ACTION_CALLOUT_INSPECTION: u32 = 0x6004;
/// `FWP_ACTION_CALLOUT_UNKNOWN`.
pub const ACTION_CALLOUT_UNKNOWN: u32 = 0x4005;
/// `FWP_ACTION_FLAG_CALLOUT`: the action is what a callout says.
pub const ACTION_FLAG_CALLOUT: u32 = 0x4000;
/// `FWPS_RIGHT_ACTION_WRITE`: the callout may set the action.
pub const RIGHT_ACTION_WRITE: u32 = 1;
/// `FWPS_CLASSIFY_OUT_FLAG_ABSORB`: blocked without a report.
pub const OUT_FLAG_ABSORB: u32 = 1;

/// `FWP_EMPTY`.
pub const TYPE_EMPTY: u32 = 0;
/// `FWP_UINT8`.
pub const TYPE_UINT8: u32 = 1;
/// `FWP_UINT16`.
pub const TYPE_UINT16: u32 = 2;
/// `FWP_UINT32`.
pub const TYPE_UINT32: u32 = 3;
/// `FWP_UINT64`: an address of the number.
pub const TYPE_UINT64: u32 = 4;
/// `FWP_BYTE_ARRAY16_TYPE`: an address of 16 bytes.
pub const TYPE_BYTE_ARRAY16: u32 = 11;
/// `FWP_BYTE_BLOB_TYPE`: an address of a blob.
pub const TYPE_BYTE_BLOB: u32 = 12;

/// `FWP_VALUE0`, `FWPS_INCOMING_VALUE0` and `FWP_CONDITION_VALUE0`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Value {
    /// `TYPE_...`.
    pub kind: u32,
    /// Padding.
    pub reserved: u32,
    /// The number itself up to 32 bits, an address beyond.
    pub value: u64,
}
layout!(Value, 16, kind @ 0, value @ 8);

/// `FWPS_INCOMING_VALUES0`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct IncomingValues {
    /// Number of the layer.
    pub layer: u16,
    /// Padding.
    pub reserved: u16,
    /// How many values.
    pub count: u32,
    /// Address of the values, by field number of the layer.
    pub values: u64,
}
layout!(IncomingValues, 16, layer @ 0, count @ 4, values @ 8);

/// `FWPS_INCOMING_METADATA_VALUES0`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct IncomingMetadata {
    /// Which members count (`METADATA_...`).
    pub present: u32,
    /// Flags.
    pub flags: u32,
    /// 0.
    pub reserved: u64,
    /// `FWPS_DISCARD_METADATA0`.
    pub discard: [u64; 2],
    /// The flow.
    pub flow: u64,
    /// Bytes.
    pub ip_header_size: u32,
    /// Bytes.
    pub transport_header_size: u32,
    /// Address of a blob.
    pub process_path: u64,
    /// Token of the process.
    pub token: u64,
    /// Process id.
    pub process_id: u64,
    /// Index.
    pub source_interface_index: u32,
    /// Index.
    pub destination_interface_index: u32,
    /// Routing compartment.
    pub compartment_id: u32,
    /// `FWPS_INBOUND_FRAGMENT_METADATA0`.
    pub fragment: [u32; 3],
    /// Bytes.
    pub path_mtu: u32,
    /// Padding.
    pub reserved2: u32,
    /// Handle of a pended classification.
    pub completion_handle: u64,
    /// Handle of the end point.
    pub transport_endpoint_handle: u64,
    /// `SCOPE_ID`.
    pub remote_scope_id: u32,
    /// Padding.
    pub reserved3: u32,
    /// Address.
    pub control_data: u64,
    /// Bytes.
    pub control_data_length: u32,
    /// 0 out, 1 in.
    pub packet_direction: u32,
    /// Address.
    pub header_include_header: u64,
    /// Bytes.
    pub header_include_header_length: u32,
    /// `IP_ADDRESS_PREFIX`.
    pub destination_prefix: [u32; 8],
    /// Bytes.
    pub frame_length: u16,
    /// Padding.
    pub reserved4: u16,
    /// Handle.
    pub parent_endpoint_handle: u64,
    /// Both.
    pub icmp_id_and_sequence: u32,
    /// Process id.
    pub local_redirect_target_process: u32,
    /// Address of a `SOCKADDR`.
    pub original_destination: u64,
    /// Handle.
    pub redirect_records: u64,
    /// Which members of layer 2 count.
    pub present_l2: u32,
    /// Flags.
    pub l2_flags: u32,
    /// Bytes.
    pub ethernet_mac_header_size: u32,
    /// Mode.
    pub wifi_operation_mode: u32,
    /// Members about virtual switches, sub-process tag and what later versions add.
    pub rest: [u64; 6],
}
layout!(IncomingMetadata, 288, present @ 0, flow @ 32, ip_header_size @ 40, process_path @ 48,
    token @ 56, process_id @ 64, compartment_id @ 80, fragment @ 84, path_mtu @ 96,
    completion_handle @ 104, transport_endpoint_handle @ 112, control_data @ 128,
    header_include_header @ 144, destination_prefix @ 156, frame_length @ 188,
    parent_endpoint_handle @ 192, original_destination @ 208, redirect_records @ 216,
    present_l2 @ 224, rest @ 240);

/// `FWPS_METADATA_FIELD_FLOW_HANDLE`.
pub const METADATA_FLOW: u32 = 0x2;
/// `FWPS_METADATA_FIELD_PROCESS_PATH`.
pub const METADATA_PROCESS_PATH: u32 = 0x8;
/// `FWPS_METADATA_FIELD_TOKEN`.
pub const METADATA_TOKEN: u32 = 0x10;
/// `FWPS_METADATA_FIELD_PROCESS_ID`.
pub const METADATA_PROCESS_ID: u32 = 0x20;
/// `FWPS_METADATA_FIELD_COMPARTMENT_ID`.
pub const METADATA_COMPARTMENT_ID: u32 = 0x800;
/// `FWPS_METADATA_FIELD_TRANSPORT_ENDPOINT_HANDLE`.
pub const METADATA_TRANSPORT_ENDPOINT: u32 = 0x8000;

/// `FWPS_CLASSIFY_OUT0`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct ClassifyOut {
    /// `ACTION_...`.
    pub action: u32,
    /// Padding.
    pub padding: u32,
    /// Not for callouts.
    pub out_context: u64,
    /// Not for callouts.
    pub filter_id: u64,
    /// `RIGHT_...`.
    pub rights: u32,
    /// `OUT_FLAG_...`.
    pub flags: u32,
    /// Not for callouts.
    pub reserved: u32,
    /// Padding.
    pub padding2: u32,
}
layout!(ClassifyOut, 40, action @ 0, out_context @ 8, filter_id @ 16, rights @ 24, flags @ 28);

/// `FWPS_FILTER1` and later: what a classify function sees of its filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Filter {
    /// Id.
    pub id: u64,
    /// Weight within the sublayer.
    pub weight: Value,
    /// Weight of the sublayer.
    pub sublayer_weight: u16,
    /// Flags.
    pub flags: u16,
    /// How many conditions.
    pub condition_count: u32,
    /// Address of the conditions.
    pub conditions: u64,
    /// `ACTION_...`.
    pub action: u32,
    /// Run-time id of the callout.
    pub callout_id: u32,
    /// The context that was given when the filter was added.
    pub context: u64,
    /// Address of the provider context.
    pub provider_context: u64,
}
layout!(Filter, 64, id @ 0, weight @ 8, sublayer_weight @ 24, condition_count @ 28, action @ 40,
    callout_id @ 44, context @ 48, provider_context @ 56);

/// `FWPS_CALLOUT1` to `FWPS_CALLOUT3`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Callout {
    /// Id.
    pub key: Guid,
    /// Flags.
    pub flags: u32,
    /// Padding.
    pub reserved: u32,
    /// Called for each packet or event.
    pub classify: u64,
    /// Called when filters come and go.
    pub notify: u64,
    /// Called when a flow with a context ends; may be null.
    pub flow_delete: u64,
}
layout!(Callout, 48, key @ 0, flags @ 16, classify @ 24, notify @ 32, flow_delete @ 40);

/// `FWPM_DISPLAY_DATA0`: addresses of two texts.
pub type DisplayData = [u64; 2];

/// `FWP_BYTE_BLOB`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Blob {
    /// Bytes.
    pub size: u32,
    /// Padding.
    pub reserved: u32,
    /// Address.
    pub data: u64,
}
layout!(Blob, 16, size @ 0, data @ 8);

/// `FWPM_SESSION0`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Session {
    /// Id, or zero.
    pub key: Guid,
    /// Texts.
    pub display: DisplayData,
    /// `SESSION_...`.
    pub flags: u32,
    /// How long to wait for another's transaction.
    pub transaction_wait_ms: u32,
    /// Filled by the engine.
    pub process_id: u32,
    /// Padding.
    pub reserved: u32,
    /// Filled by the engine.
    pub sid: u64,
    /// Filled by the engine.
    pub user_name: u64,
    /// Filled by the engine.
    pub kernel_mode: u32,
    /// Padding.
    pub reserved2: u32,
}
layout!(Session, 72, display @ 16, flags @ 32, process_id @ 40, sid @ 48, kernel_mode @ 64);

/// `FWPM_SESSION_FLAG_DYNAMIC`: what the session added goes when it closes.
pub const SESSION_DYNAMIC: u32 = 1;

/// `FWPM_PROVIDER0`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Provider {
    /// Id.
    pub key: Guid,
    /// Texts.
    pub display: DisplayData,
    /// Flags.
    pub flags: u32,
    /// Padding.
    pub reserved: u32,
    /// Anything.
    pub data: Blob,
    /// Address of a text.
    pub service_name: u64,
}
layout!(Provider, 64, flags @ 32, data @ 40, service_name @ 56);

/// `FWPM_SUBLAYER0`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Sublayer {
    /// Id.
    pub key: Guid,
    /// Texts.
    pub display: DisplayData,
    /// Flags.
    pub flags: u32,
    /// Padding.
    pub reserved: u32,
    /// Address of the provider's id, or null.
    pub provider: u64,
    /// Anything.
    pub data: Blob,
    /// Higher ones are asked first.
    pub weight: u16,
    /// Padding.
    pub reserved2: [u16; 3],
}
layout!(Sublayer, 72, flags @ 32, provider @ 40, data @ 48, weight @ 64);

/// `FWPM_CALLOUT0`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct ManagedCallout {
    /// Id, that of a registered callout.
    pub key: Guid,
    /// Texts.
    pub display: DisplayData,
    /// Flags.
    pub flags: u32,
    /// Padding.
    pub reserved: u32,
    /// Address of the provider's id, or null.
    pub provider: u64,
    /// Anything.
    pub data: Blob,
    /// Id of the layer.
    pub layer: Guid,
    /// Filled by the engine.
    pub id: u32,
    /// Padding.
    pub reserved2: u32,
}
layout!(ManagedCallout, 88, flags @ 32, provider @ 40, layer @ 64, id @ 80);

/// `FWPM_FILTER_CONDITION0`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Condition {
    /// Id of the field.
    pub field: Guid,
    /// How to compare; 0 is equality.
    pub match_type: u32,
    /// Padding.
    pub reserved: u32,
    /// With what.
    pub value: Value,
}
layout!(Condition, 40, match_type @ 16, value @ 24);

/// `FWPM_FILTER0`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct ManagedFilter {
    /// Id, or zero.
    pub key: Guid,
    /// Texts.
    pub display: DisplayData,
    /// Flags.
    pub flags: u32,
    /// Padding.
    pub reserved: u32,
    /// Address of the provider's id, or null.
    pub provider: u64,
    /// Anything.
    pub data: Blob,
    /// Id of the layer.
    pub layer: Guid,
    /// Id of the sublayer.
    pub sublayer: Guid,
    /// Weight, or empty.
    pub weight: Value,
    /// How many conditions.
    pub condition_count: u32,
    /// Padding.
    pub reserved2: u32,
    /// Address of the conditions.
    pub conditions: u64,
    /// `ACTION_...`.
    pub action: u32,
    /// Id of the callout.
    pub callout: Guid,
    /// Padding.
    pub reserved3: u32,
    /// Context for the callout; the second word belongs to ids of provider contexts.
    pub context: [u64; 2],
    /// Not for drivers.
    pub reserved4: u64,
    /// Filled by the engine.
    pub id: u64,
    /// Filled by the engine.
    pub effective_weight: Value,
}
layout!(ManagedFilter, 200, provider @ 40, layer @ 64, sublayer @ 80, weight @ 96,
    condition_count @ 112, conditions @ 120, action @ 128, callout @ 132, context @ 152, id @ 176,
    effective_weight @ 184);
