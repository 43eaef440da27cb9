//! Program types of the Linux kernel and the section names of libbpf (`program_types.rst`).
//!
//! libbpf wants the section to be the name or the name, a slash and a target; here every section
//! that starts with the name matches, so that older objects (`kprobe_x`, `socket1`) are found.

use super::{AttachType, LinkType, Platform, ProgramType};
use crate::{
    context::{Context, linux as context},
    guid::Guid,
};

macro_rules! program_types {
    ($($constant:ident = $number:literal, $name:literal, $context:ident, $trust:ident, $range:expr;)*) => {
        $(
            #[doc = concat!("`", $name, "`")]
            pub static $constant: ProgramType =
                program($name, $number, &context::$context, Trust::$trust, $range);
        )*
        /// All program types of Linux, ascending by number.
        pub static TYPES: &[&ProgramType] = &[$(&$constant),*];
    };
}

#[rustfmt::skip] // one row, one line
program_types! {
    SOCKET_FILTER = 1, "socket_filter", SK_BUFF_TC, Packet, None;
    KPROBE = 2, "kprobe", PT_REGS, Privileged, None;
    SCHED_CLS = 3, "sched_cls", SK_BUFF_TC, Packet, None;
    SCHED_ACT = 4, "sched_act", SK_BUFF_TC, Packet, None;
    TRACEPOINT = 5, "tracepoint", TRACEPOINT, Privileged, None;
    XDP = 6, "xdp", XDP_MD, Writer, None;
    PERF_EVENT = 7, "perf_event", PERF_EVENT_DATA, Privileged, None;
    CGROUP_SKB = 8, "cgroup_skb", SK_BUFF_CGROUP, Plain, Some((0, 3));
    CGROUP_SOCK = 9, "cgroup_sock", SOCK, Plain, Some((0, 1));
    LWT_IN = 10, "lwt_in", SK_BUFF_LWT, Plain, None;
    LWT_OUT = 11, "lwt_out", SK_BUFF_LWT, Plain, None;
    LWT_XMIT = 12, "lwt_xmit", SK_BUFF_LWT, Writer, None;
    SOCK_OPS = 13, "sock_ops", SOCK_OPS, Plain, Some((0, 1));
    SK_SKB = 14, "sk_skb", SK_BUFF_SK_SKB, Writer, None;
    CGROUP_DEVICE = 15, "cgroup_device", CGROUP_DEV, Plain, Some((0, 1));
    SK_MSG = 16, "sk_msg", SK_MSG_MD, Writer, None;
    RAW_TRACEPOINT = 17, "raw_tracepoint", RAW_TRACEPOINT, Privileged, None;
    CGROUP_SOCK_ADDR = 18, "cgroup_sock_addr", SOCK_ADDR, Plain, Some((0, 3));
    LWT_SEG6LOCAL = 19, "lwt_seg6local", SK_BUFF_LWT, Plain, None;
    LIRC_MODE2_TYPE = 20, "lirc_mode2", LIRC_MODE2, Plain, None;
    SK_REUSEPORT = 21, "sk_reuseport", SK_REUSEPORT_MD, Plain, None;
    FLOW_DISSECTOR = 22, "flow_dissector", SK_BUFF_FLOW_DISSECTOR, Plain, None;
    CGROUP_SYSCTL = 23, "cgroup_sysctl", SYSCTL, Plain, Some((0, 1));
    RAW_TRACEPOINT_WRITABLE = 24, "raw_tracepoint_writable", RAW_TRACEPOINT, Privileged, None;
    CGROUP_SOCKOPT = 25, "cgroup_sockopt", SOCKOPT, Writer, Some((0, 1));
    TRACING = 26, "tracing", RAW_TRACEPOINT, Privileged, None;
    STRUCT_OPS = 27, "struct_ops", RAW_TRACEPOINT, Privileged, None;
    EXT = 28, "ext", RAW_TRACEPOINT, Plain, None;
    LSM = 29, "lsm", RAW_TRACEPOINT, Privileged, None;
    SK_LOOKUP_TYPE = 30, "sk_lookup", SK_LOOKUP, Plain, Some((0, 1));
    SYSCALL_TYPE = 31, "syscall", SYSCALL, Privileged, None;
    NETFILTER_TYPE = 32, "netfilter", NETFILTER, Plain, Some((0, 1));
}

/// All section names, ascending. Numbers are `bpf_attach_type`, 0 where there is none.
#[rustfmt::skip] // one row, one line
pub static ATTACH: &[AttachType] = &[
    hook("action", &SCHED_ACT, 0),
    hook("cgroup/bind4", &CGROUP_SOCK_ADDR, 8).fixing(&["msg_src_ip4", "msg_src_ip6", "user_ip6"]),
    hook("cgroup/bind6", &CGROUP_SOCK_ADDR, 9).fixing(&["msg_src_ip4", "msg_src_ip6", "user_ip4"]),
    hook("cgroup/connect4", &CGROUP_SOCK_ADDR, 10).fixing(&["msg_src_ip4", "msg_src_ip6", "user_ip6"]).returning(0, 1),
    hook("cgroup/connect6", &CGROUP_SOCK_ADDR, 11).fixing(&["msg_src_ip4", "msg_src_ip6", "user_ip4"]).returning(0, 1),
    hook("cgroup/connect_unix", &CGROUP_SOCK_ADDR, 49).fixing(ADDRESSES).returning(0, 1),
    hook("cgroup/dev", &CGROUP_DEVICE, 6),
    hook("cgroup/getpeername4", &CGROUP_SOCK_ADDR, 29).fixing(&["msg_src_ip4", "msg_src_ip6", "user_ip6"]).returning(1, 1),
    hook("cgroup/getpeername6", &CGROUP_SOCK_ADDR, 30).fixing(&["msg_src_ip4", "msg_src_ip6", "user_ip4"]).returning(1, 1),
    hook("cgroup/getpeername_unix", &CGROUP_SOCK_ADDR, 52).fixing(ADDRESSES).returning(1, 1),
    hook("cgroup/getsockname4", &CGROUP_SOCK_ADDR, 31).fixing(&["msg_src_ip4", "msg_src_ip6", "user_ip6"]).returning(1, 1),
    hook("cgroup/getsockname6", &CGROUP_SOCK_ADDR, 32).fixing(&["msg_src_ip4", "msg_src_ip6", "user_ip4"]).returning(1, 1),
    hook("cgroup/getsockname_unix", &CGROUP_SOCK_ADDR, 53).fixing(ADDRESSES).returning(1, 1),
    hook("cgroup/getsockopt", &CGROUP_SOCKOPT, 21),
    hook("cgroup/post_bind4", &CGROUP_SOCK, 12).fixing(SOCK_FIELDS),
    hook("cgroup/post_bind6", &CGROUP_SOCK, 13).fixing(SOCK_FIELDS),
    hook("cgroup/recvmsg4", &CGROUP_SOCK_ADDR, 19).fixing(&["msg_src_ip4", "msg_src_ip6", "user_ip6"]).returning(1, 1),
    hook("cgroup/recvmsg6", &CGROUP_SOCK_ADDR, 20).fixing(&["msg_src_ip4", "msg_src_ip6", "user_ip4"]).returning(1, 1),
    hook("cgroup/recvmsg_unix", &CGROUP_SOCK_ADDR, 51).fixing(ADDRESSES).returning(1, 1),
    hook("cgroup/sendmsg4", &CGROUP_SOCK_ADDR, 14).fixing(&["msg_src_ip6", "user_ip6"]).returning(0, 1),
    hook("cgroup/sendmsg6", &CGROUP_SOCK_ADDR, 15).fixing(&["msg_src_ip4", "user_ip4"]).returning(0, 1),
    hook("cgroup/sendmsg_unix", &CGROUP_SOCK_ADDR, 50).fixing(ADDRESSES).returning(0, 1),
    hook("cgroup/setsockopt", &CGROUP_SOCKOPT, 22),
    hook("cgroup/skb", &CGROUP_SKB, 0),
    hook("cgroup/sock", &CGROUP_SOCK, 2),
    hook("cgroup/sock_create", &CGROUP_SOCK, 2),
    hook("cgroup/sock_release", &CGROUP_SOCK, 34),
    hook("cgroup/sysctl", &CGROUP_SYSCTL, 18),
    hook("cgroup_skb/egress", &CGROUP_SKB, 1),
    hook("cgroup_skb/ingress", &CGROUP_SKB, 0).returning(0, 1),
    hook("classifier", &SCHED_CLS, 0),
    hook("fentry", &TRACING, 24).returning(0, 0),
    hook("fexit", &TRACING, 25).returning(0, 0),
    hook("flow_dissector", &FLOW_DISSECTOR, 17),
    hook("fmod_ret", &TRACING, 26),
    hook("freplace", &EXT, 0),
    hook("iter", &TRACING, 28).returning(0, 1),
    hook("kprobe", &KPROBE, 0),
    hook("kprobe.multi", &KPROBE, 42),
    hook("kprobe.session", &KPROBE, 56),
    hook("kretprobe", &KPROBE, 0),
    hook("ksyscall", &KPROBE, 0),
    hook("kretsyscall", &KPROBE, 0),
    hook("lirc_mode2", &LIRC_MODE2_TYPE, 16),
    hook("lsm", &LSM, 27),
    hook("lsm_cgroup", &LSM, 43),
    hook("lwt_in", &LWT_IN, 0),
    hook("lwt_out", &LWT_OUT, 0),
    hook("lwt_seg6local", &LWT_SEG6LOCAL, 0),
    hook("lwt_xmit", &LWT_XMIT, 0),
    hook("netfilter", &NETFILTER_TYPE, 45),
    hook("netkit/peer", &SCHED_CLS, 55),
    hook("netkit/primary", &SCHED_CLS, 54),
    hook("perf_event", &PERF_EVENT, 0),
    hook("raw_tp", &RAW_TRACEPOINT, 0),
    hook("raw_tp.w", &RAW_TRACEPOINT_WRITABLE, 0),
    hook("raw_tracepoint", &RAW_TRACEPOINT, 0),
    hook("raw_tracepoint.w", &RAW_TRACEPOINT_WRITABLE, 0),
    hook("sk_lookup", &SK_LOOKUP_TYPE, 36),
    hook("sk_msg", &SK_MSG, 7),
    hook("sk_reuseport", &SK_REUSEPORT, 39),
    hook("sk_reuseport/migrate", &SK_REUSEPORT, 40),
    hook("sk_skb", &SK_SKB, 0),
    hook("sk_skb/stream_parser", &SK_SKB, 4),
    hook("sk_skb/stream_verdict", &SK_SKB, 5),
    hook("sk_skb/verdict", &SK_SKB, 38),
    hook("socket", &SOCKET_FILTER, 0),
    hook("sockops", &SOCK_OPS, 3),
    hook("struct_ops", &STRUCT_OPS, 0),
    hook("syscall", &SYSCALL_TYPE, 0),
    hook("tc", &SCHED_CLS, 0),
    hook("tcx/egress", &SCHED_CLS, 47),
    hook("tcx/ingress", &SCHED_CLS, 46),
    hook("tp", &TRACEPOINT, 0),
    hook("tp_btf", &TRACING, 23),
    hook("tracepoint", &TRACEPOINT, 0),
    hook("uprobe", &KPROBE, 0),
    hook("uprobe.multi", &KPROBE, 48),
    hook("uretprobe", &KPROBE, 0),
    hook("usdt", &KPROBE, 0),
    hook("xdp", &XDP, 37),
    hook("xdp/cpumap", &XDP, 35),
    hook("xdp/devmap", &XDP, 33),
];

/// The addresses of `bpf_sock_addr`, none of which can be written for Unix sockets.
const ADDRESSES: &[&str] = &[
    "msg_src_ip4",
    "msg_src_ip6",
    "user_ip4",
    "user_ip6",
    "user_port",
];
/// Fields of `bpf_sock` that can be written only while the socket is created.
const SOCK_FIELDS: &[&str] = &["bound_dev_if", "mark", "priority"];

/// What a program type is trusted with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Nothing special.
    Plain,
    /// Writing to the packet.
    Writer,
    /// The same, and legacy packet loads.
    Packet,
    /// Pointers as numbers: loading such programs needs the rights to read kernel memory anyway.
    Privileged,
}

const fn program(
    name: &'static str,
    number: u32,
    context: &'static Context,
    trust: Trust,
    return_range: Option<(i32, i32)>,
) -> ProgramType {
    ProgramType {
        platform: Platform::Linux,
        name,
        number,
        guid: Guid::from_u128(0),
        privileged: matches!(trust, Trust::Privileged),
        context,
        helpers: crate::helper::linux_own(number),
        return_range,
        packet_writable: matches!(trust, Trust::Writer | Trust::Packet),
        legacy_packet: matches!(trust, Trust::Packet),
    }
}

const fn hook(prefix: &'static str, program_type: &'static ProgramType, number: u32) -> AttachType {
    AttachType {
        prefix,
        program_type,
        guid: Guid::from_u128(0),
        number,
        link: LinkType::Unspecified,
        read_only: &[],
        return_range: None,
    }
}
