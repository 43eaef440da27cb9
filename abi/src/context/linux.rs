//! Contexts of the Linux kernel's user-space API, as documented at docs.ebpf.io.
//!
//! Packet pointers are 32-bit fields whose load yields a pointer, except in newer contexts. Of
//! `__sk_buff` each program type sees its own selection.

use super::{
    Context, Field,
    FieldKind::{Memory, PacketData, PacketEnd, PacketMeta, Socket, SocketOrNull},
    SocketKind::{Common, Full},
};

/// Bytes of `struct bpf_flow_keys`.
const FLOW_KEYS_BYTES: u32 = 56;

/// Every field of `struct __sk_buff`.
#[rustfmt::skip] // one field, one line
const SK_BUFF: &[Field] = &[
    Field::number("len", 0, 4),
    Field::number("pkt_type", 4, 4),
    Field::number("mark", 8, 4),
    Field::number("queue_mapping", 12, 4),
    Field::number("protocol", 16, 4),
    Field::number("vlan_present", 20, 4),
    Field::number("vlan_tci", 24, 4),
    Field::number("vlan_proto", 28, 4),
    Field::number("priority", 32, 4),
    Field::number("ingress_ifindex", 36, 4),
    Field::number("ifindex", 40, 4),
    Field::number("tc_index", 44, 4),
    Field::number("cb", 48, 20),
    Field::number("hash", 68, 4),
    Field::number("tc_classid", 72, 4),
    Field::pointer("data", 76, 4, PacketData),
    Field::pointer("data_end", 80, 4, PacketEnd),
    Field::number("napi_id", 84, 4),
    Field::number("family", 88, 4),
    Field::number("remote_ip4", 92, 4),
    Field::number("local_ip4", 96, 4),
    Field::number("remote_ip6", 100, 16),
    Field::number("local_ip6", 116, 16),
    Field::number("remote_port", 132, 4),
    Field::number("local_port", 136, 4),
    Field::pointer("data_meta", 140, 4, PacketMeta),
    Field::pointer("flow_keys", 144, 8, Memory(FLOW_KEYS_BYTES)),
    Field::number("tstamp", 152, 8).whole(),
    Field::number("wire_len", 160, 4),
    Field::number("gso_segs", 164, 4),
    Field::pointer("sk", 168, 8, SocketOrNull(Common)),
    Field::number("gso_size", 176, 4),
    Field::number("tstamp_type", 180, 1),
    Field::number("hwtstamp", 184, 8).whole(),
];

/// What every program on `__sk_buff` reads.
const COMMON: [&str; 18] = [
    "len",
    "pkt_type",
    "queue_mapping",
    "protocol",
    "vlan_present",
    "vlan_tci",
    "vlan_proto",
    "priority",
    "ingress_ifindex",
    "ifindex",
    "tc_index",
    "cb",
    "hash",
    "data",
    "data_end",
    "napi_id",
    "gso_segs",
    "sk",
];
/// The addresses of the socket.
const ADDRESSES: [&str; 7] = [
    "family",
    "remote_ip4",
    "local_ip4",
    "remote_ip6",
    "local_ip6",
    "remote_port",
    "local_port",
];

/// The fields of a table that are named in one of the lists, `writable` ones writable. `N` is their
/// number.
const fn select<const N: usize>(
    table: &[Field],
    lists: &[&[&str]],
    writable: &[&str],
) -> [Field; N] {
    let mut chosen = [table[0]; N];
    let (mut at, mut count) = (0, 0);
    while at < table.len() {
        let mut list = 0;
        while list < lists.len() {
            if has(lists[list], table[at].name) {
                chosen[count] = table[at];
                chosen[count].writable = has(writable, table[at].name);
                // Programs lay out `cb` as they like.
                chosen[count].words = !equal(table[at].name.as_bytes(), b"cb");
                count += 1;
            }
            list += 1;
        }
        at += 1;
    }
    assert!(count == N);
    chosen
}

const fn has(names: &[&str], name: &str) -> bool {
    let mut at = 0;
    while at < names.len() {
        if equal(names[at].as_bytes(), name.as_bytes()) {
            return true;
        }
        at += 1;
    }
    false
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

const fn sk_buff(fields: &'static [Field], meta: i32) -> Context {
    Context {
        name: "__sk_buff",
        size: 192,
        data: 76,
        end: 80,
        meta,
        fields,
    }
}

/// `__sk_buff` of traffic control programs. Socket filters have it too, though the kernel denies
/// them packet pointers: objects whose section says nothing are taken for socket filters.
pub static SK_BUFF_TC: Context = sk_buff(
    &select::<26>(
        SK_BUFF,
        &[
            &COMMON,
            &[
                "mark",
                "gso_size",
                "tc_classid",
                "data_meta",
                "tstamp",
                "wire_len",
                "tstamp_type",
                "hwtstamp",
            ],
        ],
        &[
            "mark",
            "tc_index",
            "priority",
            "tc_classid",
            "cb",
            "tstamp",
            "queue_mapping",
        ],
    ),
    140,
);
/// `__sk_buff` of control group programs.
pub static SK_BUFF_CGROUP: Context = sk_buff(
    &select::<29>(
        SK_BUFF,
        &[
            &COMMON,
            &ADDRESSES,
            &["mark", "gso_size", "tstamp", "hwtstamp"],
        ],
        &["mark", "priority", "cb", "tstamp"],
    ),
    -1,
);
/// `__sk_buff` of lightweight tunnel programs.
pub static SK_BUFF_LWT: Context = sk_buff(
    &select::<20>(
        SK_BUFF,
        &[&COMMON, &["mark", "gso_size"]],
        &["mark", "priority", "cb"],
    ),
    -1,
);
/// `__sk_buff` of socket stream parsers and verdicts.
pub static SK_BUFF_SK_SKB: Context = sk_buff(
    &select::<26>(
        SK_BUFF,
        &[&COMMON, &ADDRESSES, &["gso_size"]],
        &["tc_index", "priority"],
    ),
    -1,
);
/// `__sk_buff` of flow dissectors.
pub static SK_BUFF_FLOW_DISSECTOR: Context = sk_buff(
    &select::<3>(SK_BUFF, &[&["data", "data_end", "flow_keys"]], &[]),
    -1,
);

/// `struct xdp_md`.
#[rustfmt::skip]
pub static XDP_MD: Context = Context { name: "xdp_md", size: 24, data: 0, end: 4, meta: 8, fields: &[
    Field::pointer("data", 0, 4, PacketData),
    Field::pointer("data_end", 4, 4, PacketEnd),
    Field::pointer("data_meta", 8, 4, PacketMeta),
    Field::number("ingress_ifindex", 12, 4).whole(),
    Field::number("rx_queue_index", 16, 4).whole(),
    Field::number("egress_ifindex", 20, 4).whole(),
] };

/// `struct bpf_sock_addr`.
#[rustfmt::skip]
pub static SOCK_ADDR: Context = Context { name: "bpf_sock_addr", size: 72, data: -1, end: -1, meta: -1, fields: &[
    Field::number("user_family", 0, 4),
    Field::number("user_ip4", 4, 4).words(),
    Field::number("user_ip6", 8, 16).words(),
    Field::number("user_port", 24, 4).words(),
    Field::number("family", 28, 4),
    Field::number("type", 32, 4),
    Field::number("protocol", 36, 4),
    Field::number("msg_src_ip4", 40, 4).words(),
    Field::number("msg_src_ip6", 44, 16).words(),
    Field::pointer("sk", 64, 8, Socket(Full)),
] };

/// `struct bpf_sock_ops`.
#[rustfmt::skip]
pub static SOCK_OPS: Context = Context { name: "bpf_sock_ops", size: 224, data: 192, end: 200, meta: -1, fields: &[
    Field::number("op", 0, 4),
    Field::number("args", 4, 16).words(),
    Field::number("family", 20, 4),
    Field::number("remote_ip4", 24, 4),
    Field::number("local_ip4", 28, 4),
    Field::number("remote_ip6", 32, 16),
    Field::number("local_ip6", 48, 16),
    Field::number("remote_port", 64, 4),
    Field::number("local_port", 68, 4),
    Field::number("is_fullsock", 72, 4),
    Field::number("snd_cwnd", 76, 4),
    Field::number("srtt_us", 80, 4),
    Field::number("bpf_sock_ops_cb_flags", 84, 4),
    Field::number("state", 88, 4),
    Field::number("rtt_min", 92, 4),
    Field::number("snd_ssthresh", 96, 4),
    Field::number("rcv_nxt", 100, 4),
    Field::number("snd_nxt", 104, 4),
    Field::number("snd_una", 108, 4),
    Field::number("mss_cache", 112, 4),
    Field::number("ecn_flags", 116, 4),
    Field::number("rate_delivered", 120, 4),
    Field::number("rate_interval_us", 124, 4),
    Field::number("packets_out", 128, 4),
    Field::number("retrans_out", 132, 4),
    Field::number("total_retrans", 136, 4),
    Field::number("segs_in", 140, 4),
    Field::number("data_segs_in", 144, 4),
    Field::number("segs_out", 148, 4),
    Field::number("data_segs_out", 152, 4),
    Field::number("lost_out", 156, 4),
    Field::number("sacked_out", 160, 4),
    Field::number("sk_txhash", 164, 4).words(),
    Field::number("bytes_received", 168, 8),
    Field::number("bytes_acked", 176, 8),
    Field::pointer("sk", 184, 8, SocketOrNull(Full)),
    Field::pointer("skb_data", 192, 8, PacketData),
    Field::pointer("skb_data_end", 200, 8, PacketEnd),
    Field::number("skb_len", 208, 4),
    Field::number("skb_tcp_flags", 212, 4),
    Field::number("skb_hwtstamp", 216, 8),
] };

/// `struct sk_msg_md`.
#[rustfmt::skip]
pub static SK_MSG_MD: Context = Context { name: "sk_msg_md", size: 80, data: 0, end: 8, meta: -1, fields: &[
    Field::pointer("data", 0, 8, PacketData),
    Field::pointer("data_end", 8, 8, PacketEnd),
    Field::number("family", 16, 4),
    Field::number("remote_ip4", 20, 4),
    Field::number("local_ip4", 24, 4),
    Field::number("remote_ip6", 28, 16),
    Field::number("local_ip6", 44, 16),
    Field::number("remote_port", 60, 4),
    Field::number("local_port", 64, 4),
    Field::number("size", 68, 4),
    Field::pointer("sk", 72, 8, Socket(Full)),
] };

/// `struct sk_reuseport_md`.
#[rustfmt::skip]
pub static SK_REUSEPORT_MD: Context = Context { name: "sk_reuseport_md", size: 56, data: 0, end: 8, meta: -1, fields: &[
    Field::pointer("data", 0, 8, PacketData),
    Field::pointer("data_end", 8, 8, PacketEnd),
    Field::number("len", 16, 4),
    Field::number("eth_protocol", 20, 4),
    Field::number("ip_protocol", 24, 4),
    Field::number("bind_inany", 28, 4),
    Field::number("hash", 32, 4),
    Field::pointer("sk", 40, 8, Socket(Full)),
    Field::pointer("migrating_sk", 48, 8, SocketOrNull(Common)),
] };

/// `struct bpf_sk_lookup`. The number that test runs report, `cookie`, lies where `sk` does.
#[rustfmt::skip]
pub static SK_LOOKUP: Context = Context { name: "bpf_sk_lookup", size: 72, data: -1, end: -1, meta: -1, fields: &[
    Field::pointer("sk", 0, 8, SocketOrNull(Full)),
    Field::number("family", 8, 4),
    Field::number("protocol", 12, 4),
    Field::number("remote_ip4", 16, 4),
    Field::number("remote_ip6", 20, 16),
    Field::number("remote_port", 36, 4),
    Field::number("local_ip4", 40, 4),
    Field::number("local_ip6", 44, 16),
    Field::number("local_port", 60, 4),
    Field::number("ingress_ifindex", 64, 4),
] };

/// `struct bpf_sock`: context of control group socket programs, and what socket pointers show.
pub static SOCK: Context = Context {
    name: "bpf_sock",
    size: 80,
    data: -1,
    end: -1,
    meta: -1,
    fields: SOCK_FIELDS,
};

/// Every field of `struct bpf_sock`.
#[rustfmt::skip]
const SOCK_FIELDS: &[Field] = &[
    Field::number("bound_dev_if", 0, 4).whole().words(),
    Field::number("family", 4, 4),
    Field::number("type", 8, 4),
    Field::number("protocol", 12, 4),
    Field::number("mark", 16, 4).whole().words(),
    Field::number("priority", 20, 4).whole().words(),
    Field::number("src_ip4", 24, 4),
    Field::number("src_ip6", 28, 16),
    Field::number("src_port", 44, 4),
    Field::number("dst_port", 48, 2).doubled(),
    Field::number("dst_ip4", 52, 4),
    Field::number("dst_ip6", 56, 16),
    Field::number("state", 72, 4),
    Field::number("rx_queue_mapping", 76, 4),
];

/// What a socket shows that may be no full one (a request, or one that waits for its end).
pub static SOCK_COMMON: Context = Context {
    fields: &select::<10>(
        SOCK_FIELDS,
        &[&[
            "bound_dev_if",
            "family",
            "src_ip4",
            "src_ip6",
            "src_port",
            "dst_port",
            "dst_ip4",
            "dst_ip6",
            "state",
            "rx_queue_mapping",
        ]],
        &[],
    ),
    ..SOCK
};

/// `struct bpf_tcp_sock`.
#[rustfmt::skip]
pub static TCP_SOCK: Context = Context { name: "bpf_tcp_sock", size: 112, data: -1, end: -1, meta: -1, fields: &[
    Field::number("snd_cwnd", 0, 4).whole(),
    Field::number("srtt_us", 4, 4).whole(),
    Field::number("rtt_min", 8, 4).whole(),
    Field::number("snd_ssthresh", 12, 4).whole(),
    Field::number("rcv_nxt", 16, 4).whole(),
    Field::number("snd_nxt", 20, 4).whole(),
    Field::number("snd_una", 24, 4).whole(),
    Field::number("mss_cache", 28, 4).whole(),
    Field::number("ecn_flags", 32, 4).whole(),
    Field::number("rate_delivered", 36, 4).whole(),
    Field::number("rate_interval_us", 40, 4).whole(),
    Field::number("packets_out", 44, 4).whole(),
    Field::number("retrans_out", 48, 4).whole(),
    Field::number("total_retrans", 52, 4).whole(),
    Field::number("segs_in", 56, 4).whole(),
    Field::number("data_segs_in", 60, 4).whole(),
    Field::number("segs_out", 64, 4).whole(),
    Field::number("data_segs_out", 68, 4).whole(),
    Field::number("lost_out", 72, 4).whole(),
    Field::number("sacked_out", 76, 4).whole(),
    Field::number("bytes_received", 80, 8).whole(),
    Field::number("bytes_acked", 88, 8).whole(),
    Field::number("dsack_dups", 96, 4).whole(),
    Field::number("delivered", 100, 4).whole(),
    Field::number("delivered_ce", 104, 4).whole(),
    Field::number("icsk_retransmits", 108, 4).whole(),
] };

/// `struct bpf_cgroup_dev_ctx`.
#[rustfmt::skip]
pub static CGROUP_DEV: Context = Context { name: "bpf_cgroup_dev_ctx", size: 12, data: -1, end: -1, meta: -1, fields: &[
    Field::number("access_type", 0, 4),
    Field::number("major", 4, 4),
    Field::number("minor", 8, 4),
] };

/// `struct bpf_sysctl`.
#[rustfmt::skip]
pub static SYSCTL: Context = Context { name: "bpf_sysctl", size: 8, data: -1, end: -1, meta: -1, fields: &[
    Field::number("write", 0, 4),
    Field::number("file_pos", 4, 4).words(),
] };

/// `struct bpf_sockopt`.
#[rustfmt::skip]
pub static SOCKOPT: Context = Context { name: "bpf_sockopt", size: 40, data: 8, end: 16, meta: -1, fields: &[
    Field::pointer("sk", 0, 8, Socket(Full)),
    Field::pointer("optval", 8, 8, PacketData),
    Field::pointer("optval_end", 16, 8, PacketEnd),
    Field::number("level", 24, 4).words(),
    Field::number("optname", 28, 4).words(),
    Field::number("optlen", 32, 4).words(),
    Field::number("retval", 36, 4).words(),
] };

/// `struct bpf_perf_event_data`, with the registers of x86-64.
#[rustfmt::skip]
pub static PERF_EVENT_DATA: Context = Context { name: "bpf_perf_event_data", size: 184, data: -1, end: -1, meta: -1, fields: &[
    Field::number("regs", 0, 168),
    Field::number("sample_period", 168, 8),
    Field::number("addr", 176, 8),
] };

/// `struct pt_regs` of x86-64.
pub static PT_REGS: Context = opaque("pt_regs", &[Field::number("regs", 0, 168)], 168);
/// A tracepoint record; its first eight bytes belong to the kernel.
pub static TRACEPOINT: Context = opaque("tracepoint", &[Field::number("record", 8, 8184)], 8192);
/// `struct bpf_raw_tracepoint_args`, and the arguments of fentry, fexit and LSM programs: up to
/// twelve words, read as numbers.
pub static RAW_TRACEPOINT: Context = opaque(
    "bpf_raw_tracepoint_args",
    &[Field::number("args", 0, 96)],
    96,
);
/// The one number of infrared receivers.
pub static LIRC_MODE2: Context = opaque("lirc_mode2", &[Field::number("sample", 0, 4)], 4);
/// The bytes that the caller of a syscall program hands over; their number is checked at the call.
pub static SYSCALL: Context = opaque(
    "syscall",
    &[Field::number("args", 0, 65528).writable()],
    65528,
);
/// `struct bpf_nf_ctx`: two pointers to kernel objects.
pub static NETFILTER: Context = opaque("bpf_nf_ctx", &[], 16);

const fn opaque(name: &'static str, fields: &'static [Field], size: u16) -> Context {
    Context {
        name,
        size,
        data: -1,
        end: -1,
        meta: -1,
        fields,
    }
}
