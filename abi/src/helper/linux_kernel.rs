//! The kernel's structures that Linux helpers take and return, by name.
//!
//! A helper that is not here takes no object of a known type; see [`super::ArgKind::BtfId`].

/// One row: helpers, the structures they take (any of them), and the one they return.
struct Row {
    helpers: &'static [&'static str],
    takes: &'static [&'static str],
    returns: Option<&'static str>,
}

#[rustfmt::skip] // one row, one line
const TABLE: &[Row] = &[
    row(&["bpf_skb_output"], &["sk_buff"], None),
    row(&["bpf_tcp_send_ack"], &["tcp_sock"], None),
    row(&["bpf_xdp_output"], &["xdp_buff"], None),
    row(&["bpf_seq_printf", "bpf_seq_write", "bpf_seq_printf_btf"], &["seq_file"], None),
    row(&["bpf_skc_to_tcp6_sock"], SOCKETS, Some("tcp6_sock")),
    row(&["bpf_skc_to_tcp_sock"], SOCKETS, Some("tcp_sock")),
    row(&["bpf_skc_to_tcp_timewait_sock"], SOCKETS, Some("tcp_timewait_sock")),
    row(&["bpf_skc_to_tcp_request_sock"], SOCKETS, Some("tcp_request_sock")),
    row(&["bpf_skc_to_udp6_sock"], SOCKETS, Some("udp6_sock")),
    row(&["bpf_skc_to_unix_sock"], SOCKETS, Some("unix_sock")),
    row(&["bpf_skc_to_mptcp_sock"], SOCKETS, Some("mptcp_sock")),
    row(&["bpf_get_task_stack", "bpf_task_storage_get", "bpf_task_storage_delete", "bpf_find_vma", "bpf_copy_from_user_task"], &["task_struct"], None),
    row(&["bpf_get_current_task_btf"], &[], Some("task_struct")),
    row(&["bpf_task_pt_regs"], &["task_struct"], Some("pt_regs")),
    row(&["bpf_inode_storage_get", "bpf_inode_storage_delete", "bpf_ima_inode_hash"], &["inode"], None),
    row(&["bpf_d_path"], &["path"], None),
    row(&["bpf_bprm_opts_set"], &["linux_binprm"], None),
    row(&["bpf_sock_from_file"], &["file"], Some("socket")),
    row(&["bpf_ima_file_hash"], &["file"], None),
    row(&["bpf_cgrp_storage_get", "bpf_cgrp_storage_delete"], &["cgroup"], None),
];

const SOCKETS: &[&str] = &["sock_common"];

const fn row(
    helpers: &'static [&'static str],
    takes: &'static [&'static str],
    returns: Option<&'static str>,
) -> Row {
    Row {
        helpers,
        takes,
        returns,
    }
}

fn find(helper: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.helpers.contains(&helper))
}

/// The structures that a helper takes as an object, any of them.
#[must_use]
pub fn kernel_arguments(helper: &str) -> &'static [&'static str] {
    find(helper).map_or(&[], |row| row.takes)
}

/// The structure that a helper returns.
#[must_use]
pub fn kernel_result(helper: &str) -> Option<&'static str> {
    find(helper)?.returns
}

/// Does an object of a structure that is there surely lead to one that is there, too?
#[must_use]
pub fn leads_surely(from: &str, to: &str) -> bool {
    (from, to) == ("bpf_iter_meta", "seq_file")
}

/// Is it the name of a structure that some helper returns?
#[must_use]
pub fn is_kernel_result(name: &str) -> bool {
    let is_context = CONTEXTS.iter().any(|(_, context)| *context == name);
    is_context || TABLE.iter().any(|row| row.returns == Some(name))
}

/// Program types, by number, and the structure that the kernel has for their context.
const CONTEXTS: &[(&[u32], &str)] = &[
    (&[1, 3, 4, 8, 10, 11, 12, 14, 19], "sk_buff"),
    (&[2], "pt_regs"),
    (&[6], "xdp_buff"),
    (&[7], "bpf_perf_event_data_kern"),
    (&[9], "sock"),
    (&[13], "bpf_sock_ops_kern"),
    (&[15], "bpf_cgroup_dev_ctx"),
    (&[16], "sk_msg"),
    (&[18], "bpf_sock_addr_kern"),
    (&[21], "sk_reuseport_kern"),
    (&[22], "bpf_flow_dissector"),
    (&[23], "bpf_sysctl_kern"),
    (&[25], "bpf_sockopt_kern"),
    (&[30], "bpf_sk_lookup_kern"),
    (&[32], "bpf_nf_ctx"),
];

/// The structure that the kernel has for the context of a program type of Linux, if it is one.
#[must_use]
pub fn kernel_context(program_type: u32) -> Option<&'static str> {
    let row = CONTEXTS
        .iter()
        .find(|(types, _)| types.contains(&program_type));
    row.map(|(_, name)| *name)
}
