//! The contexts that the runtime itself fills, as structures of memory.
//!
//! They repeat the rows of [`super::windows`] in the form that code can fill; a row and its
//! structure are compared when this file is compiled, so they cannot drift apart. Left out: the
//! contexts that only other drivers fill.

use super::{Context, windows};

/// Declares a structure and compares each named field with the row of the context table.
macro_rules! context {
    (
        $(#[$meta:meta])*
        $name:ident = $row:path {
            $($(#[$field_meta:meta])* $field:ident: $ty:ty $(= $named:literal)?,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $ty,)*
        }
        const _: () = {
            static ROW: &Context = &$row;
            assert!(size_of::<$name>() == ROW.size as usize);
            let mut named = 0;
            $($(
                let place = (core::mem::offset_of!($name, $field), size_of::<$ty>());
                assert!(agrees(ROW, $named, place));
                named += 1;
            )?)*
            assert!(named == ROW.fields.len(), "a field of the row is missing");
        };
    };
}

const fn agrees(row: &Context, name: &str, (offset, size): (usize, usize)) -> bool {
    let mut at = 0;
    while at < row.fields.len() {
        let field = &row.fields[at];
        if same(field.name, name) {
            return field.offset as usize == offset && field.size as usize == size;
        }
        at += 1;
    }
    false
}

const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}

context! {
    /// `xdp_md_t`.
    XdpMd = windows::XDP_MD {
        /// Address of the frame.
        data: u64 = "data",
        /// Address of the byte after it.
        data_end: u64 = "data_end",
        /// Address of metadata in front of the frame, which ends at `data`.
        data_meta: u64 = "data_meta",
        /// Interface that the frame came in through.
        ingress_ifindex: u32 = "ingress_ifindex",
        /// Padding.
        reserved: u32,
    }
}

context! {
    /// `bind_md_t`.
    BindMd = windows::BIND_MD {
        /// Address of the application id.
        app_id_start: u64 = "app_id_start",
        /// Address of the byte after it.
        app_id_end: u64 = "app_id_end",
        /// Process that binds.
        process_id: u64 = "process_id",
        /// `SOCKADDR_IN`, or as much of `SOCKADDR_IN6` as fits.
        socket_address: [u8; 16] = "socket_address",
        /// Bytes of it that count.
        socket_address_length: u8 = "socket_address_length",
        /// Padding.
        reserved: [u8; 3],
        /// [`bind_operation`].
        operation: u32 = "operation",
        /// IP protocol.
        protocol: u8 = "protocol",
        /// Padding.
        reserved2: [u8; 7],
    }
}

/// `bind_operation_t`.
pub mod bind_operation {
    /// A socket gets a local address.
    pub const BIND: u32 = 0;
    /// It has got one.
    pub const POST_BIND: u32 = 1;
    /// It has given it up.
    pub const UNBIND: u32 = 2;
}

context! {
    /// `bpf_sock_addr_t`; addresses and ports in network byte order.
    BpfSockAddr = windows::BPF_SOCK_ADDR {
        /// `AF_INET` or `AF_INET6` of Windows.
        family: u32 = "family",
        /// Source: local for what goes out, remote for what comes in.
        msg_src_ip: [u8; 16] = "msg_src_ip",
        /// Source port.
        msg_src_port: [u8; 2] = "msg_src_port",
        /// Padding.
        reserved: [u8; 2],
        /// Destination: remote for what goes out, local for what comes in.
        user_ip: [u8; 16] = "user_ip",
        /// Destination port.
        user_port: [u8; 2] = "user_port",
        /// Padding.
        reserved2: [u8; 2],
        /// IP protocol.
        protocol: u32 = "protocol",
        /// Network compartment.
        compartment_id: u32 = "compartment_id",
        /// Padding.
        reserved3: u32,
        /// Interface, 0 where it is not known yet.
        interface_luid: u64 = "interface_luid",
    }
}

context! {
    /// `bpf_sock_ops_t`; addresses and ports in network byte order.
    BpfSockOps = windows::BPF_SOCK_OPS {
        /// [`sock_op`].
        op: u32 = "op",
        /// `AF_INET` or `AF_INET6` of Windows.
        family: u32 = "family",
        /// Local address.
        local_ip: [u8; 16] = "local_ip",
        /// Local port: two bytes in network byte order, and padding.
        local_port: [u8; 4] = "local_port",
        /// Remote address.
        remote_ip: [u8; 16] = "remote_ip",
        /// Remote port: two bytes in network byte order, and padding.
        remote_port: [u8; 4] = "remote_port",
        /// IP protocol.
        protocol: u8 = "protocol",
        /// Padding.
        reserved: [u8; 3],
        /// Network compartment.
        compartment_id: u32 = "compartment_id",
        /// Interface.
        interface_luid: u64 = "interface_luid",
    }
}

/// `bpf_sock_op_type_t`.
pub mod sock_op {
    /// A connection that was made from here.
    pub const ACTIVE_ESTABLISHED: u32 = 0;
    /// A connection that was accepted.
    pub const PASSIVE_ESTABLISHED: u32 = 1;
    /// It is over.
    pub const DELETED: u32 = 2;
}

/// `bpf_sock_addr_network_context_t`, which `bpf_sock_addr_get_network_context` fills.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct NetworkContext {
    /// 1.
    pub version: u32,
    /// Interface type (`IF_TYPE_*`).
    pub interface_type: u32,
    /// Tunnel type.
    pub tunnel_type: u32,
    /// Padding.
    pub reserved: u32,
    /// Interface of the next hop.
    pub next_hop_interface_luid: u64,
    /// Index of the sub-interface.
    pub sub_interface_index: u32,
    /// Padding.
    pub reserved2: u32,
}

const _: () = assert!(size_of::<NetworkContext>() == 32);

impl NetworkContext {
    /// The version that this structure is.
    pub const VERSION: u32 = 1;

    /// The structure as it lies in memory.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let words = [self.version, self.interface_type, self.tunnel_type, 0];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes[16..24].copy_from_slice(&self.next_hop_interface_luid.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.sub_interface_index.to_le_bytes());
        bytes
    }
}

/// Address family of IPv4 on Windows.
pub const AF_INET: u16 = 2;
/// Address family of IPv6 on Windows.
pub const AF_INET6: u16 = 23;
