//! Contexts of eBPF for Windows (`ebpf_nethooks.h`, `xdp_hooks.h`, and the extensions' headers).
//!
//! Addresses and ports are in network byte order. Arrays are fields whose one element is the whole
//! array: compilers copy them in words of any size.

use super::{
    Context, Field,
    FieldKind::{PacketData, PacketEnd, PacketMeta},
};

/// `struct xdp_md_t`.
#[rustfmt::skip] // one field, one line
pub static XDP_MD: Context = Context { name: "xdp_md_t", size: 32, data: 0, end: 8, meta: 16, fields: &[
    Field::pointer("data", 0, 8, PacketData),
    Field::pointer("data_end", 8, 8, PacketEnd),
    Field::pointer("data_meta", 16, 8, PacketMeta),
    Field::number("ingress_ifindex", 24, 4),
] };

/// `struct bind_md_t`; the packet is the application id (the path of the executable in UTF-16).
#[rustfmt::skip]
pub static BIND_MD: Context = Context { name: "bind_md_t", size: 56, data: 0, end: 8, meta: -1, fields: &[
    Field::pointer("app_id_start", 0, 8, PacketData),
    Field::pointer("app_id_end", 8, 8, PacketEnd),
    Field::number("process_id", 16, 8),
    Field::number("socket_address", 24, 16),
    Field::number("socket_address_length", 40, 1),
    Field::number("operation", 44, 4),
    Field::number("protocol", 48, 1),
] };

/// `struct bpf_sock_addr_t`. The destination can be rewritten at the connect hooks alone; the
/// other attach types list it as read-only.
#[rustfmt::skip]
pub static BPF_SOCK_ADDR: Context = Context { name: "bpf_sock_addr_t", size: 64, data: -1, end: -1, meta: -1, fields: &[
    Field::number("family", 0, 4),
    Field::number("msg_src_ip", 4, 16),
    Field::number("msg_src_port", 20, 2),
    Field::number("user_ip", 24, 16).writable(),
    Field::number("user_port", 40, 2).writable(),
    Field::number("protocol", 44, 4),
    Field::number("compartment_id", 48, 4),
    Field::number("interface_luid", 56, 8),
] };

/// `struct bpf_sock_ops_t`; unlike in `bpf_sock_addr_t`, ports are 32 bits wide.
#[rustfmt::skip]
pub static BPF_SOCK_OPS: Context = Context { name: "bpf_sock_ops_t", size: 64, data: -1, end: -1, meta: -1, fields: &[
    Field::number("op", 0, 4),
    Field::number("family", 4, 4),
    Field::number("local_ip", 8, 16),
    Field::number("local_port", 24, 4),
    Field::number("remote_ip", 28, 16),
    Field::number("remote_port", 44, 4),
    Field::number("protocol", 48, 1),
    Field::number("compartment_id", 52, 4),
    Field::number("interface_luid", 56, 8),
] };

/// `struct netevent_event_md_t`.
#[rustfmt::skip]
pub static NETEVENT_EVENT_MD: Context = Context { name: "netevent_event_md_t", size: 24, data: 8, end: 16, meta: 0, fields: &[
    Field::pointer("data_meta", 0, 8, PacketMeta),
    Field::pointer("data", 8, 8, PacketData),
    Field::pointer("data_end", 16, 8, PacketEnd),
] };

/// `struct process_md_t`; the packet is the command line in UTF-16.
#[rustfmt::skip]
pub static PROCESS_MD: Context = Context { name: "process_md_t", size: 144, data: 0, end: 8, meta: -1, fields: &[
    Field::pointer("command_start", 0, 8, PacketData),
    Field::pointer("command_end", 8, 8, PacketEnd),
    Field::number("process_id", 16, 8),
    Field::number("parent_process_id", 24, 8),
    Field::number("creating_process_id", 32, 8),
    Field::number("creating_thread_id", 40, 8),
    Field::number("creation_time", 48, 8),
    Field::number("exit_time", 56, 8),
    Field::number("process_exit_code", 64, 4),
    Field::number("operation", 68, 1),
    Field::number("token_sid_size", 72, 4),
    Field::number("token_sid", 76, 68),
] };

/// `struct sample_program_context_t`, of the extension that tests use.
#[rustfmt::skip]
pub static SAMPLE: Context = Context { name: "sample_program_context_t", size: 32, data: 0, end: 8, meta: -1, fields: &[
    Field::pointer("data_start", 0, 8, PacketData),
    Field::pointer("data_end", 8, 8, PacketEnd),
    Field::number("uint32_data", 16, 4).writable(),
    Field::number("uint16_data", 20, 2).writable(),
    Field::number("helper_data_1", 24, 4).writable(),
    Field::number("helper_data_2", 28, 4).writable(),
] };
