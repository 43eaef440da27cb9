//! Program and attach types of eBPF for Windows (`ebpf_program_attach_type_guids.h`,
//! `ebpf_structs.h`; xdp from XDP for Windows; netevent and process from ntosebpfext).

use super::{AttachType, LinkType, LinkType::*, Platform, ProgramType};
use crate::{
    context::{Context, windows as context},
    guid::Guid,
    helper::{Helper, windows as helper},
};

/// `xdp`: sees frames below the network stack.
pub static XDP: ProgramType = ProgramType {
    packet_writable: true,
    helpers: helper::XDP,
    return_range: Some((1, 3)),
    ..program(
        "xdp",
        1,
        0xf1832a85_85d5_45b0_98a0_7069d63013b0,
        &context::XDP_MD,
    )
};
/// `bind`: sees sockets getting and giving up local addresses.
pub static BIND: ProgramType = ProgramType {
    return_range: Some((0, 3)),
    ..program(
        "bind",
        2,
        0x608c517c_6c52_4a26_b677_bb1c34425adf,
        &context::BIND_MD,
    )
};
/// `sock_addr`: decides about connections.
pub static SOCK_ADDR: ProgramType = ProgramType {
    helpers: helper::SOCK_ADDR,
    return_range: Some((0, 2)),
    ..program(
        "sock_addr",
        3,
        0x92ec8e39_aeec_11ec_9a30_18602489beee,
        &context::BPF_SOCK_ADDR,
    )
};
/// `sockops`: sees established and deleted flows.
pub static SOCKOPS: ProgramType = ProgramType {
    helpers: helper::SOCKOPS,
    ..program(
        "sockops",
        4,
        0x43fb224d_68f8_46d6_aa3f_c856518cbb32,
        &context::BPF_SOCK_OPS,
    )
};
/// `netevent_monitor`: sees network events of other drivers.
pub static NETEVENT_MONITOR: ProgramType = ProgramType {
    helpers: helper::NETEVENT,
    ..program(
        "netevent_monitor",
        5,
        0xfc4adc85_49c3_4f0a_8393_facce89cde91,
        &context::NETEVENT_EVENT_MD,
    )
};
/// `process`: sees processes start and end.
pub static PROCESS: ProgramType = ProgramType {
    helpers: helper::PROCESS,
    ..program(
        "process",
        6,
        0x22ea7b37_1043_4d0d_b60d_cafa1c7b638e,
        &context::PROCESS_MD,
    )
};
/// `sample`: the test extension.
pub static SAMPLE: ProgramType = ProgramType {
    packet_writable: true,
    helpers: helper::SAMPLE,
    ..program(
        "sample",
        999,
        0xf788ef4a_207d_4dc3_85cf_0f2ea107213c,
        &context::SAMPLE,
    )
};
/// `xdp_test`: used by unit tests of the runtime only.
pub static XDP_TEST: ProgramType = program(
    "xdp_test",
    0,
    0xce8ccef8_4241_4975_984d_bb3921dfa73c,
    &context::XDP_MD,
);

/// All program types of eBPF for Windows.
pub static TYPES: &[&ProgramType] = &[
    &XDP,
    &BIND,
    &SOCK_ADDR,
    &SOCKOPS,
    &NETEVENT_MONITOR,
    &PROCESS,
    &SAMPLE,
    &XDP_TEST,
];

/// The destination of a connection, which can be rewritten at the connect hooks alone.
const FIXED: &[&str] = &["user_ip", "user_port"];

/// All attach types of eBPF for Windows. "bind" is a prefix of every name that starts so.
#[rustfmt::skip] // one row, one line
pub static ATTACH: &[AttachType] = &[
    hook("xdp", &XDP, 0x85e0d8ef_579e_4931_b072_8ee226bb2e9d, 1, Xdp),
    hook("bind", &BIND, 0xb9707e04_8127_4c72_833e_05b1fb439496, 2, Plain),
    hook("cgroup/connect4", &SOCK_ADDR, 0xa82e37b1_aee7_11ec_9a30_18602489beee, 3, Cgroup),
    hook("cgroup/connect6", &SOCK_ADDR, 0xa82e37b2_aee7_11ec_9a30_18602489beee, 4, Cgroup),
    hook("cgroup/recv_accept4", &SOCK_ADDR, 0xa82e37b3_aee7_11ec_9a30_18602489beee, 5, Cgroup).fixing(FIXED),
    hook("cgroup/recv_accept6", &SOCK_ADDR, 0xa82e37b4_aee7_11ec_9a30_18602489beee, 6, Cgroup).fixing(FIXED),
    hook("sockops", &SOCKOPS, 0x837d02cd_3251_4632_8d94_60d3b45769f2, 7, Cgroup),
    hook("sample_ext", &SAMPLE, 0xf788ef4b_207d_4dc3_85cf_0f2ea107213c, 8, Plain),
    hook("netevent_monitor", &NETEVENT_MONITOR, 0x68011b08_ab6b_4b46_85e4_67bae1afe741, 10, Plain),
    hook("process", &PROCESS, 0x66e20687_9805_4458_a0db_38e220d31685, 11, Plain),
    hook("cgroup/connect_authorization4", &SOCK_ADDR, 0x6076c13a_f04f_4ff8_8380_908553f22276, 12, Cgroup).fixing(FIXED),
    hook("cgroup/connect_authorization6", &SOCK_ADDR, 0x54b0b6ed_432a_4674_8b27_8d9f5b40c675, 13, Cgroup).fixing(FIXED),
    hook("cgroup/bind4", &SOCK_ADDR, 0x0d7ce21a_7773_405c_93b6_d5bfb92e74bc, 14, Cgroup).fixing(FIXED),
    hook("cgroup/bind6", &SOCK_ADDR, 0x81de64c0_2973_468d_8382_6769f033d759, 15, Cgroup).fixing(FIXED),
    hook("cgroup/listen4", &SOCK_ADDR, 0xe1b0cb3d_d70c_4ee2_b23a_0742bedb06d6, 16, Cgroup).fixing(FIXED),
    hook("cgroup/listen6", &SOCK_ADDR, 0x4e72f92e_5ed0_4fe5_b851_b124fe14074d, 17, Cgroup).fixing(FIXED),
    hook("xdp_test", &XDP_TEST, 0x0dccc15d_a5f9_4dc1_ac79_fa25eef215c3, 0, Xdp),
];

const NO_HELPERS: &[Helper] = &[];

const fn program(
    name: &'static str,
    number: u32,
    guid: u128,
    context: &'static Context,
) -> ProgramType {
    ProgramType {
        platform: Platform::Windows,
        name,
        number,
        guid: Guid::from_u128(guid),
        privileged: false,
        context,
        helpers: NO_HELPERS,
        return_range: None,
        packet_writable: false,
        legacy_packet: false,
    }
}

const fn hook(
    prefix: &'static str,
    program_type: &'static ProgramType,
    guid: u128,
    number: u32,
    link: LinkType,
) -> AttachType {
    AttachType {
        prefix,
        program_type,
        guid: Guid::from_u128(guid),
        number,
        link,
        read_only: &[],
        return_range: None,
    }
}
