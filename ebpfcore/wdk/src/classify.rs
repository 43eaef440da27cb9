//! What a classify function is given beyond the structures of [`crate::fwp`]: which value of a layer
//! is which, the data of a connection that may be redirected, the token of the caller.
//!
//! Sources: the documentation of `FWPS_FIELDS_*`, `FWPS_CONNECT_REQUEST0`, `TOKEN_ACCESS_INFORMATION`.
//! Field numbers are those of systems since Windows 10 version 1703, where compartments came in.

use crate::{fwp::layer, layout};

/// A field that a layer does not have.
const NONE: u8 = u8::MAX;

/// Numbers of fields (`FWPS_FIELDS_*`) of one layer; those of IPv4 and IPv6 are the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fields {
    app_id: u8,
    user_id: u8,
    local_address: u8,
    local_port: u8,
    protocol: u8,
    remote_address: u8,
    remote_port: u8,
    interface: u8,
    flags: u8,
    interface_type: u8,
    tunnel_type: u8,
    sub_interface_index: u8,
    next_hop_interface: u8,
    direction: u8,
    compartment: u8,
    interface_index: u8,
    ndis_port: u8,
}

/// Gives fields their accessors.
macro_rules! accessors {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        impl Fields {
            $(
                $(#[$meta])*
                #[inline]
                #[must_use]
                pub const fn $name(&self) -> Option<usize> {
                    match self.$name {
                        NONE => None,
                        number => Some(number as usize),
                    }
                }
            )*
        }
    };
}

accessors! {
    /// Path of the program: a blob.
    app_id,
    /// Token: a blob.
    user_id,
    /// Address: a number or 16 bytes.
    local_address,
    /// Port: 16 bits.
    local_port,
    /// Protocol: 8 bits.
    protocol,
    /// Address: a number or 16 bytes.
    remote_address,
    /// Port: 16 bits.
    remote_port,
    /// LUID of the interface: 64 bits.
    interface,
    /// Flags: 32 bits.
    flags,
    /// Type of the interface: 32 bits.
    interface_type,
    /// Type of the tunnel: 32 bits.
    tunnel_type,
    /// Index of the sub-interface of the next hop: 32 bits.
    sub_interface_index,
    /// LUID of the interface of the next hop: 64 bits.
    next_hop_interface,
    /// Direction: 32 bits.
    direction,
    /// Compartment: 32 bits.
    compartment,
    /// Index of the interface: 32 bits.
    interface_index,
    /// Port of NDIS: 32 bits.
    ndis_port,
}

/// No field at all; rows name those that they have.
const NO_FIELDS: Fields = Fields {
    app_id: NONE,
    user_id: NONE,
    local_address: NONE,
    local_port: NONE,
    protocol: NONE,
    remote_address: NONE,
    remote_port: NONE,
    interface: NONE,
    flags: NONE,
    interface_type: NONE,
    tunnel_type: NONE,
    sub_interface_index: NONE,
    next_hop_interface: NONE,
    direction: NONE,
    compartment: NONE,
    interface_index: NONE,
    ndis_port: NONE,
};

/// What every layer of sockets begins with.
const SOCKET: Fields = Fields {
    app_id: 0,
    user_id: 1,
    local_address: 2,
    local_port: 4,
    ..NO_FIELDS
};
const MAC_FRAME: Fields = Fields {
    interface: 2,
    interface_type: 3,
    interface_index: 4,
    ndis_port: 5,
    ..NO_FIELDS
};
const ASSIGNMENT: Fields = Fields {
    protocol: 5,
    interface: 7,
    flags: 8,
    interface_type: 9,
    tunnel_type: 10,
    compartment: 15,
    ..SOCKET
};
const RELEASE: Fields = Fields {
    protocol: 5,
    interface: 6,
    flags: 7,
    compartment: 10,
    ..SOCKET
};
const LISTEN: Fields = Fields {
    interface: 5,
    flags: 6,
    interface_type: 7,
    tunnel_type: 8,
    compartment: 13,
    ..SOCKET
};
const RECV_ACCEPT: Fields = Fields {
    protocol: 5,
    remote_address: 6,
    remote_port: 7,
    interface: 10,
    flags: 11,
    interface_type: 14,
    tunnel_type: 15,
    sub_interface_index: 22,
    next_hop_interface: 23,
    compartment: 34,
    ..SOCKET
};
const CONNECT_REDIRECT: Fields = Fields {
    protocol: 5,
    remote_address: 6,
    remote_port: 8,
    flags: 9,
    compartment: 13,
    ..SOCKET
};
const AUTH_CONNECT: Fields = Fields {
    protocol: 5,
    remote_address: 6,
    remote_port: 7,
    interface: 11,
    flags: 12,
    interface_type: 13,
    tunnel_type: 14,
    sub_interface_index: 21,
    next_hop_interface: 22,
    compartment: 36,
    ..SOCKET
};
const FLOW: Fields = Fields {
    protocol: 5,
    remote_address: 6,
    remote_port: 7,
    interface: 11,
    direction: 12,
    interface_type: 13,
    tunnel_type: 14,
    flags: 15,
    compartment: 19,
    ..SOCKET
};

/// The fields of a layer.
#[must_use]
pub const fn fields(layer: u16) -> Option<&'static Fields> {
    Some(match layer {
        layer::InboundMacFrameNative | layer::OutboundMacFrameNative => &MAC_FRAME,
        layer::AleResourceAssignmentV4 | layer::AleResourceAssignmentV6 => &ASSIGNMENT,
        layer::AleResourceReleaseV4 | layer::AleResourceReleaseV6 => &RELEASE,
        layer::AleAuthListenV4 | layer::AleAuthListenV6 => &LISTEN,
        layer::AleAuthRecvAcceptV4 | layer::AleAuthRecvAcceptV6 => &RECV_ACCEPT,
        layer::AleConnectRedirectV4 | layer::AleConnectRedirectV6 => &CONNECT_REDIRECT,
        layer::AleAuthConnectV4 | layer::AleAuthConnectV6 => &AUTH_CONNECT,
        layer::AleFlowEstablishedV4 | layer::AleFlowEstablishedV6 => &FLOW,
        _ => return None,
    })
}

/// `FWP_TOKEN_ACCESS_INFORMATION_TYPE`: an address of a blob with a [`Token`].
pub const TYPE_TOKEN: u32 = 16;
/// `FWPS_METADATA_FIELD_REDIRECT_RECORD_HANDLE`.
pub const METADATA_REDIRECT_RECORDS: u32 = 0x4000_0000;
/// `FWP_CONDITION_FLAG_IS_REAUTHORIZE`: a connection that was allowed before is asked for again.
pub const FLAG_IS_REAUTHORIZE: u32 = 0x4;
/// `FWP_DIRECTION_OUTBOUND`.
pub const DIRECTION_OUTBOUND: u32 = 0;

/// The beginning of `TOKEN_ACCESS_INFORMATION`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Token {
    /// Address of [`Groups`].
    pub groups: u64,
    /// Address of the restricting groups.
    pub restricted_groups: u64,
    /// Address of the privileges.
    pub privileges: u64,
    /// Logon session.
    pub authentication_id: u64,
}
layout!(Token, 32, groups @ 0, authentication_id @ 24);

/// The beginning of `SID_AND_ATTRIBUTES_HASH`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Groups {
    /// How many.
    pub count: u32,
    /// Padding.
    pub reserved: u32,
    /// Address of an array of [`Group`].
    pub groups: u64,
}
layout!(Groups, 16, count @ 0, groups @ 8);

/// `SID_AND_ATTRIBUTES`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Group {
    /// Address of the SID.
    pub sid: u64,
    /// [`GROUP_ENABLED`] and others.
    pub attributes: u32,
    /// Padding.
    pub reserved: u32,
}
layout!(Group, 16, sid @ 0, attributes @ 8);

/// `SE_GROUP_ENABLED`: the group counts when access is granted.
pub const GROUP_ENABLED: u32 = 4;
/// The SID of administrators, `S-1-5-32-544`, as it lies in memory.
pub const SID_ADMINISTRATORS: [u8; 16] = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0];

/// `FWPS_CONNECT_REQUEST0`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct ConnectRequest {
    /// `SOCKADDR_STORAGE` of this end.
    pub local: [u64; 16],
    /// `SOCKADDR_STORAGE` of the destination.
    pub remote: [u64; 16],
    /// Reserved ports.
    pub port_reservation: u64,
    /// Process that takes the connection.
    pub target_process: u32,
    /// Padding.
    pub reserved: u32,
    /// Address of what others changed before.
    pub previous: u64,
    /// Filter that did.
    pub modifier_filter: u64,
    /// Handle of who redirects.
    pub redirect_handle: u64,
    /// Address of what the target learns, of the pool; the system frees it.
    pub redirect_context: u64,
    /// Its bytes.
    pub redirect_context_size: u64,
}
layout!(ConnectRequest, 312, remote @ 128, port_reservation @ 256, target_process @ 264,
    previous @ 272, modifier_filter @ 280, redirect_handle @ 288, redirect_context @ 296,
    redirect_context_size @ 304);

/// `FWPS_INJECTION_TYPE_L2`.
pub const INJECTION_TYPE_L2: u32 = 0x10;
/// `AF_LINK`.
pub const AF_LINK: u16 = 33;
/// `FWPS_PACKET_INJECTED_BY_SELF` and `FWPS_CONNECTION_REDIRECTED_BY_SELF`.
pub const STATE_BY_SELF: u32 = 1;
/// `FWPS_PACKET_PREVIOUSLY_INJECTED_BY_SELF` and `FWPS_CONNECTION_PREVIOUSLY_REDIRECTED_BY_SELF`.
pub const STATE_PREVIOUSLY_BY_SELF: u32 = 3;
