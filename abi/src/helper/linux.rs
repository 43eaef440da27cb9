//! Helpers of the Linux kernel, as documented in bpf-helpers(7).
//!
//! Used for verifying and running Linux objects (`--platform linux`). Memory that a helper reads
//! and writes stands as writable. The variable arguments of `bpf_trace_printk` are not checked.
//! Kernel objects of BTF type are named so that calls get a clear answer.

use super::{
    ArgKind::{self, *},
    Callback as Function, CallbackArg as Arg, CallbackTime, DynptrKind, Helper,
    ReturnKind::{
        self, AllocMemOrNull, Integer, NoReturnIfSucceed, SockCommonOrNull, SocketOrNull,
        TcpSockOrNull, Void,
    },
};

/// More processors than any kernel is built for (`CONFIG_NR_CPUS`).
const PROCESSORS: u32 = 8192;

/// The helpers that a program type has in a form of its own, ascending by id.
pub(crate) const fn own(program_type: u32) -> &'static [Helper] {
    match program_type {
        9 => CGROUP_SOCK,
        21 => SK_REUSEPORT,
        25 => CGROUP_SOCKOPT,
        26 => TRACING,
        30 => SK_LOOKUP,
        _ => &[],
    }
}

/// To programs that see sockets come and go the context is the socket.
#[rustfmt::skip] // one row, one line
const CGROUP_SOCK: &[Helper] = &[
    Helper::new(107, "bpf_sk_storage_get", ReturnKind::MapValueOrNull, &[Map, Context, ArgKind::MapValueOrNull, Anything]),
];
/// Programs that choose among sockets have those in their context.
#[rustfmt::skip]
const SK_REUSEPORT: &[Helper] = &[
    Helper::new(46, "bpf_get_socket_cookie", Integer, &[Socket]),
];
/// Programs that follow the kernel have its own sockets.
#[rustfmt::skip]
const TRACING: &[Helper] = &[
    Helper::new(46, "bpf_get_socket_cookie", Integer, &[ArgKind::SocketOrNull]),
];
/// Programs on socket options have the socket in their context.
#[rustfmt::skip]
const CGROUP_SOCKOPT: &[Helper] = &[
    Helper::new(49, "bpf_setsockopt", Integer, &[Socket, Anything, Anything, ReadableMem, ConstSize]),
    Helper::new(57, "bpf_getsockopt", Integer, &[Socket, Anything, Anything, WritableMem, ConstSize]),
];
/// A lookup may be told that there is no socket.
#[rustfmt::skip]
const SK_LOOKUP: &[Helper] = &[
    Helper::new(124, "bpf_sk_assign", Integer, &[Context, ArgKind::SocketOrNull, Anything]),
];

/// Helpers of the Linux kernel, ascending by id; which program type may call which is in
/// `linux_permitted`.
#[rustfmt::skip] // one row, one line
pub static LINUX: &[Helper] = &[
    Helper::new(1, "bpf_map_lookup_elem", ReturnKind::MapValueOrNull, &[Map, MapKey]),
    Helper::new(2, "bpf_map_update_elem", Integer, &[Map, MapKey, MapValue, Anything]),
    Helper::new(3, "bpf_map_delete_elem", Integer, &[Map, MapKey]),
    Helper::new(4, "bpf_probe_read", Integer, &[WritableMem, ConstSizeOrZero, Anything]).size_32(),
    Helper::new(5, "bpf_ktime_get_ns", Integer, &[]),
    Helper::new(6, "bpf_trace_printk", Integer, &[ReadableMem, ConstSize]),
    Helper::new(7, "bpf_get_prandom_u32", Integer, &[]),
    Helper::new(8, "bpf_get_smp_processor_id", Integer, &[]).below(PROCESSORS),
    Helper::new(9, "bpf_skb_store_bytes", Integer, &[Context, Anything, ReadableMem, ConstSize, Anything]).reallocates().size_32(),
    Helper::new(10, "bpf_l3_csum_replace", Integer, &[Context, Anything, Anything, Anything, Anything]).reallocates(),
    Helper::new(11, "bpf_l4_csum_replace", Integer, &[Context, Anything, Anything, Anything, Anything]).reallocates(),
    Helper::new(12, "bpf_tail_call", NoReturnIfSucceed, &[Context, MapOfPrograms, Anything]),
    Helper::new(13, "bpf_clone_redirect", Integer, &[Context, Anything, Anything]).reallocates(),
    Helper::new(14, "bpf_get_current_pid_tgid", Integer, &[]),
    Helper::new(15, "bpf_get_current_uid_gid", Integer, &[]),
    Helper::new(16, "bpf_get_current_comm", Integer, &[WritableMem, ConstSize]).size_32(),
    Helper::new(17, "bpf_get_cgroup_classid", Integer, &[Context]),
    Helper::new(18, "bpf_skb_vlan_push", Integer, &[Context, Anything, Anything]).reallocates(),
    Helper::new(19, "bpf_skb_vlan_pop", Integer, &[Context]).reallocates(),
    Helper::new(20, "bpf_skb_get_tunnel_key", Integer, &[Context, WritableMem, ConstSize, Anything]).size_32(),
    Helper::new(21, "bpf_skb_set_tunnel_key", Integer, &[Context, ReadableMem, ConstSize, Anything]).size_32(),
    Helper::new(22, "bpf_perf_event_read", Integer, &[Map, Anything]),
    Helper::new(23, "bpf_redirect", Integer, &[Anything, Anything]),
    Helper::new(24, "bpf_get_route_realm", Integer, &[Context]),
    Helper::new(25, "bpf_perf_event_output", Integer, &[Context, Map, Anything, ReadableMem, ConstSizeOrZero]),
    Helper::new(26, "bpf_skb_load_bytes", Integer, &[Context, Anything, WritableMem, ConstSize]).size_32(),
    Helper::new(27, "bpf_get_stackid", Integer, &[Context, Map, Anything]),
    Helper::new(28, "bpf_csum_diff", Integer, &[ReadableMemOrNull, ConstSizeOrZero, ReadableMemOrNull, ConstSizeOrZero, Anything]),
    Helper::new(29, "bpf_skb_get_tunnel_opt", Integer, &[Context, WritableMem, ConstSize]).size_32(),
    Helper::new(30, "bpf_skb_set_tunnel_opt", Integer, &[Context, ReadableMem, ConstSize]).size_32(),
    Helper::new(31, "bpf_skb_change_proto", Integer, &[Context, Anything, Anything]).reallocates(),
    Helper::new(32, "bpf_skb_change_type", Integer, &[Context, Anything]),
    Helper::new(33, "bpf_skb_under_cgroup", Integer, &[Context, Map, Anything]),
    Helper::new(34, "bpf_get_hash_recalc", Integer, &[Context]),
    Helper::new(35, "bpf_get_current_task", Integer, &[]),
    Helper::new(36, "bpf_probe_write_user", Integer, &[Anything, ReadableMem, ConstSize]).size_32(),
    Helper::new(37, "bpf_current_task_under_cgroup", Integer, &[Map, Anything]),
    Helper::new(38, "bpf_skb_change_tail", Integer, &[Context, Anything, Anything]).reallocates(),
    Helper::new(39, "bpf_skb_pull_data", Integer, &[Context, Anything]).reallocates(),
    Helper::new(40, "bpf_csum_update", Integer, &[Context, Anything]),
    Helper::new(41, "bpf_set_hash_invalid", Void, &[Context]),
    Helper::new(42, "bpf_get_numa_node_id", Integer, &[]),
    Helper::new(43, "bpf_skb_change_head", Integer, &[Context, Anything, Anything]).reallocates(),
    Helper::new(44, "bpf_xdp_adjust_head", Integer, &[Context, Anything]).reallocates(),
    Helper::new(45, "bpf_probe_read_str", Integer, &[WritableMem, ConstSizeOrZero, Anything]).size_32().up_to_size(),
    Helper::new(46, "bpf_get_socket_cookie", Integer, &[Context]),
    Helper::new(47, "bpf_get_socket_uid", Integer, &[Context]),
    Helper::new(48, "bpf_set_hash", Integer, &[Context, Anything]),
    Helper::new(49, "bpf_setsockopt", Integer, &[Context, Anything, Anything, ReadableMem, ConstSize]),
    Helper::new(50, "bpf_skb_adjust_room", Integer, &[Context, Anything, Anything, Anything]).reallocates(),
    Helper::new(51, "bpf_redirect_map", Integer, &[Map, Anything, Anything]),
    Helper::new(52, "bpf_sk_redirect_map", Integer, &[Context, Map, Anything, Anything]),
    Helper::new(53, "bpf_sock_map_update", Integer, &[Context, Map, MapKey, Anything]),
    Helper::new(54, "bpf_xdp_adjust_meta", Integer, &[Context, Anything]).reallocates(),
    Helper::new(55, "bpf_perf_event_read_value", Integer, &[Map, Anything, WritableMem, ConstSize]).size_32(),
    Helper::new(56, "bpf_perf_prog_read_value", Integer, &[Context, WritableMem, ConstSize]).size_32(),
    Helper::new(57, "bpf_getsockopt", Integer, &[Context, Anything, Anything, WritableMem, ConstSize]),
    Helper::new(58, "bpf_override_return", Integer, &[Context, Anything]),
    Helper::new(59, "bpf_sock_ops_cb_flags_set", Integer, &[Context, Anything]),
    Helper::new(60, "bpf_msg_redirect_map", Integer, &[Context, Map, Anything, Anything]),
    Helper::new(61, "bpf_msg_apply_bytes", Integer, &[Context, Anything]),
    Helper::new(62, "bpf_msg_cork_bytes", Integer, &[Context, Anything]),
    Helper::new(63, "bpf_msg_pull_data", Integer, &[Context, Anything, Anything, Anything]).reallocates(),
    Helper::new(64, "bpf_bind", Integer, &[Context, ReadableMem, ConstSize]),
    Helper::new(65, "bpf_xdp_adjust_tail", Integer, &[Context, Anything]).reallocates(),
    Helper::new(66, "bpf_skb_get_xfrm_state", Integer, &[Context, Anything, WritableMem, ConstSize, Anything]),
    Helper::new(67, "bpf_get_stack", Integer, &[Context, WritableMem, ConstSizeOrZero, Anything]).size_32().up_to_size(),
    Helper::new(68, "bpf_skb_load_bytes_relative", Integer, &[Context, Anything, WritableMem, ConstSize, Anything]).size_32(),
    Helper::new(69, "bpf_fib_lookup", Integer, &[Context, InOutMem, ConstSize, Anything]),
    Helper::new(70, "bpf_sock_hash_update", Integer, &[Context, Map, MapKey, Anything]),
    Helper::new(71, "bpf_msg_redirect_hash", Integer, &[Context, Map, MapKey, Anything]),
    Helper::new(72, "bpf_sk_redirect_hash", Integer, &[Context, Map, MapKey, Anything]),
    Helper::new(73, "bpf_lwt_push_encap", Integer, &[Context, Anything, ReadableMem, ConstSize]).reallocates(),
    Helper::new(74, "bpf_lwt_seg6_store_bytes", Integer, &[Context, Anything, ReadableMem, ConstSize]).reallocates(),
    Helper::new(75, "bpf_lwt_seg6_adjust_srh", Integer, &[Context, Anything, Anything]).reallocates(),
    Helper::new(76, "bpf_lwt_seg6_action", Integer, &[Context, Anything, ReadableMem, ConstSize]).reallocates(),
    Helper::new(77, "bpf_rc_repeat", Integer, &[Context]),
    Helper::new(78, "bpf_rc_keydown", Integer, &[Context, Anything, Anything, Anything]),
    Helper::new(79, "bpf_skb_cgroup_id", Integer, &[Context]),
    Helper::new(80, "bpf_get_current_cgroup_id", Integer, &[]),
    Helper::new(81, "bpf_get_local_storage", ReturnKind::MapValue, &[Map, Anything]),
    Helper::new(82, "bpf_sk_select_reuseport", Integer, &[Context, Map, MapKey, Anything]),
    Helper::new(83, "bpf_skb_ancestor_cgroup_id", Integer, &[Context, Anything]),
    Helper::new(84, "bpf_sk_lookup_tcp", SocketOrNull, &[Context, ReadableMem, ConstSize, Anything, Anything]).acquires(),
    Helper::new(85, "bpf_sk_lookup_udp", SocketOrNull, &[Context, ReadableMem, ConstSize, Anything, Anything]).acquires(),
    Helper::new(86, "bpf_sk_release", Integer, &[Socket]).releases(),
    Helper::new(87, "bpf_map_push_elem", Integer, &[Map, MapValue, Anything]),
    Helper::new(88, "bpf_map_pop_elem", Integer, &[Map, MapValueOut]),
    Helper::new(89, "bpf_map_peek_elem", Integer, &[Map, MapValueOut]),
    Helper::new(90, "bpf_msg_push_data", Integer, &[Context, Anything, Anything, Anything]).reallocates(),
    Helper::new(91, "bpf_msg_pop_data", Integer, &[Context, Anything, Anything, Anything]).reallocates(),
    Helper::new(92, "bpf_rc_pointer_rel", Integer, &[Context, Anything, Anything]),
    Helper::new(93, "bpf_spin_lock", Void, &[SpinLock]),
    Helper::new(94, "bpf_spin_unlock", Void, &[SpinLock]),
    Helper::new(95, "bpf_sk_fullsock", SocketOrNull, &[Socket]),
    Helper::new(96, "bpf_tcp_sock", TcpSockOrNull, &[Socket]),
    Helper::new(97, "bpf_skb_ecn_set_ce", Integer, &[Context]).reallocates(),
    Helper::new(98, "bpf_get_listener_sock", SocketOrNull, &[Socket]),
    Helper::new(99, "bpf_skc_lookup_tcp", SockCommonOrNull, &[Context, ReadableMem, ConstSize, Anything, Anything]).acquires(),
    Helper::new(100, "bpf_tcp_check_syncookie", Integer, &[Socket, ReadableMem, ConstSize, ReadableMem, ConstSize]),
    Helper::new(101, "bpf_sysctl_get_name", Integer, &[Context, WritableMem, ConstSize, Anything]),
    Helper::new(102, "bpf_sysctl_get_current_value", Integer, &[Context, WritableMem, ConstSize]),
    Helper::new(103, "bpf_sysctl_get_new_value", Integer, &[Context, WritableMem, ConstSize]),
    Helper::new(104, "bpf_sysctl_set_new_value", Integer, &[Context, ReadableMem, ConstSize]),
    Helper::new(105, "bpf_strtol", Integer, &[ReadableMem, ConstSize, Anything, FixedMemOut(8)]),
    Helper::new(106, "bpf_strtoul", Integer, &[ReadableMem, ConstSize, Anything, FixedMemOut(8)]),
    Helper::new(107, "bpf_sk_storage_get", ReturnKind::MapValueOrNull, &[Map, Socket, ArgKind::MapValueOrNull, Anything]),
    Helper::new(108, "bpf_sk_storage_delete", Integer, &[Map, Socket]),
    Helper::new(109, "bpf_send_signal", Integer, &[Anything]),
    Helper::new(110, "bpf_tcp_gen_syncookie", Integer, &[Socket, ReadableMem, ConstSize, ReadableMem, ConstSize]),
    Helper::new(111, "bpf_skb_output", Integer, &[ArgKind::BtfId, Map, Anything, ReadableMem, ConstSizeOrZero]),
    Helper::new(112, "bpf_probe_read_user", Integer, &[WritableMem, ConstSizeOrZero, Anything]).size_32(),
    Helper::new(113, "bpf_probe_read_kernel", Integer, &[WritableMem, ConstSizeOrZero, Anything]).size_32(),
    Helper::new(114, "bpf_probe_read_user_str", Integer, &[WritableMem, ConstSizeOrZero, Anything]).size_32().up_to_size(),
    Helper::new(115, "bpf_probe_read_kernel_str", Integer, &[WritableMem, ConstSizeOrZero, Anything]).size_32().up_to_size(),
    Helper::new(116, "bpf_tcp_send_ack", Integer, &[ArgKind::BtfId, Anything]),
    Helper::new(117, "bpf_send_signal_thread", Integer, &[Anything]),
    Helper::new(118, "bpf_jiffies64", Integer, &[]),
    Helper::new(119, "bpf_read_branch_records", Integer, &[Context, WritableMemOrNull, ConstSizeOrZero, Anything]),
    Helper::new(120, "bpf_get_ns_current_pid_tgid", Integer, &[Anything, Anything, WritableMem, ConstSize]),
    Helper::new(121, "bpf_xdp_output", Integer, &[ArgKind::BtfId, Map, Anything, ReadableMem, ConstSizeOrZero]),
    Helper::new(122, "bpf_get_netns_cookie", Integer, &[ContextOrNull]),
    Helper::new(123, "bpf_get_current_ancestor_cgroup_id", Integer, &[Anything]),
    Helper::new(124, "bpf_sk_assign", Integer, &[Context, Socket, Anything]),
    Helper::new(125, "bpf_ktime_get_boot_ns", Integer, &[]),
    Helper::new(126, "bpf_seq_printf", Integer, &[ArgKind::BtfId, ReadableMem, ConstSize, ReadableMemOrNull, ConstSizeOrZero]),
    Helper::new(127, "bpf_seq_write", Integer, &[ArgKind::BtfId, ReadableMem, ConstSizeOrZero]),
    Helper::new(128, "bpf_sk_cgroup_id", Integer, &[Socket]),
    Helper::new(129, "bpf_sk_ancestor_cgroup_id", Integer, &[Socket, Anything]),
    Helper::new(130, "bpf_ringbuf_output", Integer, &[Map, ReadableMem, ConstSizeOrZero, Anything]),
    Helper::new(131, "bpf_ringbuf_reserve", AllocMemOrNull, &[Map, ConstAllocSize, Anything]).acquires(),
    Helper::new(132, "bpf_ringbuf_submit", Void, &[AllocMem, Anything]).releases(),
    Helper::new(133, "bpf_ringbuf_discard", Void, &[AllocMem, Anything]).releases(),
    Helper::new(134, "bpf_ringbuf_query", Integer, &[Map, Anything]),
    Helper::new(135, "bpf_csum_level", Integer, &[Context, Anything]),
    Helper::new(136, "bpf_skc_to_tcp6_sock", ReturnKind::BtfIdOrNull, &[Socket]),
    Helper::new(137, "bpf_skc_to_tcp_sock", ReturnKind::BtfIdOrNull, &[Socket]),
    Helper::new(138, "bpf_skc_to_tcp_timewait_sock", ReturnKind::BtfIdOrNull, &[Socket]),
    Helper::new(139, "bpf_skc_to_tcp_request_sock", ReturnKind::BtfIdOrNull, &[Socket]),
    Helper::new(140, "bpf_skc_to_udp6_sock", ReturnKind::BtfIdOrNull, &[Socket]),
    Helper::new(141, "bpf_get_task_stack", Integer, &[ArgKind::BtfId, WritableMem, ConstSizeOrZero, Anything]).up_to_size(),
    Helper::new(142, "bpf_load_hdr_opt", Integer, &[Context, InOutMem, ConstSize, Anything]),
    Helper::new(143, "bpf_store_hdr_opt", Integer, &[Context, ReadableMem, ConstSize, Anything]),
    Helper::new(144, "bpf_reserve_hdr_opt", Integer, &[Context, Anything, Anything]),
    Helper::new(145, "bpf_inode_storage_get", ReturnKind::MapValueOrNull, &[Map, ArgKind::BtfId, ArgKind::MapValueOrNull, Anything]),
    Helper::new(146, "bpf_inode_storage_delete", Integer, &[Map, ArgKind::BtfId]),
    Helper::new(147, "bpf_d_path", Integer, &[ArgKind::BtfId, WritableMem, ConstSizeOrZero]),
    Helper::new(148, "bpf_copy_from_user", Integer, &[WritableMem, ConstSizeOrZero, Anything]),
    Helper::new(149, "bpf_snprintf_btf", Integer, &[WritableMem, ConstSize, ReadableMem, ConstSize, Anything]),
    Helper::new(150, "bpf_seq_printf_btf", Integer, &[ArgKind::BtfId, ReadableMem, ConstSizeOrZero, Anything]),
    Helper::new(151, "bpf_skb_cgroup_classid", Integer, &[Context]),
    Helper::new(152, "bpf_redirect_neigh", Integer, &[Anything, ReadableMemOrNull, ConstSizeOrZero, Anything]),
    Helper::new(153, "bpf_per_cpu_ptr", ReturnKind::BtfIdOrNull, &[ArgKind::BtfId, Anything]),
    Helper::new(154, "bpf_this_cpu_ptr", ReturnKind::BtfId, &[ArgKind::BtfId]),
    Helper::new(155, "bpf_redirect_peer", Integer, &[Anything, Anything]),
    Helper::new(156, "bpf_task_storage_get", ReturnKind::MapValueOrNull, &[Map, ArgKind::BtfId, ArgKind::MapValueOrNull, Anything]),
    Helper::new(157, "bpf_task_storage_delete", Integer, &[Map, ArgKind::BtfId]),
    Helper::new(158, "bpf_get_current_task_btf", ReturnKind::BtfId, &[]),
    Helper::new(159, "bpf_bprm_opts_set", Integer, &[ArgKind::BtfId, Anything]),
    Helper::new(160, "bpf_ktime_get_coarse_ns", Integer, &[]),
    Helper::new(161, "bpf_ima_inode_hash", Integer, &[ArgKind::BtfId, WritableMem, ConstSize]),
    Helper::new(162, "bpf_sock_from_file", ReturnKind::BtfIdOrNull, &[ArgKind::BtfId]),
    Helper::new(163, "bpf_check_mtu", Integer, &[Context, Anything, FixedMemOut(4), Anything, Anything]),
    Helper::new(164, "bpf_for_each_map_elem", Integer, &[Map, Callback, CallbackContext, Anything]).calls(&EACH_ELEMENT),
    Helper::new(165, "bpf_snprintf", Integer, &[ArgKind::WritableMemOrNull, ConstSizeOrZero, ConstStr, ReadableMemOrNull, ConstSizeOrZero]),
    Helper::new(166, "bpf_sys_bpf", Integer, &[Anything, WritableMem, ConstSize]),
    Helper::new(167, "bpf_btf_find_by_name_kind", Integer, &[ReadableMem, ConstSizeOrZero, Anything, Anything]),
    Helper::new(168, "bpf_sys_close", Integer, &[Anything]),
    Helper::new(169, "bpf_timer_init", Integer, &[Timer, Map, Anything]),
    Helper::new(170, "bpf_timer_set_callback", Integer, &[Timer, Callback]).calls(&TIMER),
    Helper::new(171, "bpf_timer_start", Integer, &[Timer, Anything, Anything]),
    Helper::new(172, "bpf_timer_cancel", Integer, &[Timer]),
    Helper::new(173, "bpf_get_func_ip", Integer, &[Context]),
    Helper::new(174, "bpf_get_attach_cookie", Integer, &[Context]),
    Helper::new(175, "bpf_task_pt_regs", ReturnKind::BtfId, &[ArgKind::BtfId]),
    Helper::new(176, "bpf_get_branch_snapshot", Integer, &[WritableMem, ConstSizeOrZero, Anything]),
    Helper::new(177, "bpf_trace_vprintk", Integer, &[ReadableMem, ConstSize, ReadableMemOrNull, ConstSizeOrZero]),
    Helper::new(178, "bpf_skc_to_unix_sock", ReturnKind::BtfIdOrNull, &[Socket]),
    Helper::new(179, "bpf_kallsyms_lookup_name", Integer, &[ReadableMem, ConstSizeOrZero, Anything, FixedMemOut(8)]),
    Helper::new(180, "bpf_find_vma", Integer, &[ArgKind::BtfId, Anything, Callback, CallbackContext, Anything]).calls(&VMA),
    Helper::new(181, "bpf_loop", Integer, &[Anything, Callback, CallbackContext, Anything]).calls(&LOOP),
    Helper::new(182, "bpf_strncmp", Integer, &[ReadableMem, ConstSize, ConstStr]),
    Helper::new(183, "bpf_get_func_arg", Integer, &[Context, Anything, FixedMemOut(8)]),
    Helper::new(184, "bpf_get_func_ret", Integer, &[Context, FixedMemOut(8)]),
    Helper::new(185, "bpf_get_func_arg_cnt", Integer, &[Context]),
    Helper::new(186, "bpf_get_retval", Integer, &[]),
    Helper::new(187, "bpf_set_retval", Integer, &[Anything]),
    Helper::new(188, "bpf_xdp_get_buff_len", Integer, &[Context]),
    Helper::new(189, "bpf_xdp_load_bytes", Integer, &[Context, Anything, WritableMem, ConstSize]),
    Helper::new(190, "bpf_xdp_store_bytes", Integer, &[Context, Anything, ReadableMem, ConstSize]),
    Helper::new(191, "bpf_copy_from_user_task", Integer, &[WritableMem, ConstSizeOrZero, Anything, ArgKind::BtfId, Anything]),
    Helper::new(192, "bpf_skb_set_tstamp", Integer, &[Context, Anything, Anything]),
    Helper::new(193, "bpf_ima_file_hash", Integer, &[ArgKind::BtfId, WritableMem, ConstSize]),
    Helper::new(194, "bpf_kptr_xchg", ReturnKind::BtfIdOrNull, &[ArgKind::BtfId, ArgKind::BtfId]),
    Helper::new(195, "bpf_map_lookup_percpu_elem", ReturnKind::MapValueOrNull, &[Map, MapKey, Anything]),
    Helper::new(196, "bpf_skc_to_mptcp_sock", ReturnKind::BtfIdOrNull, &[Socket]),
    Helper::new(197, "bpf_dynptr_from_mem", Integer, &[MapMem, ConstSizeOrZero, Anything, DynptrOut(DynptrKind::Local)]),
    Helper::new(198, "bpf_ringbuf_reserve_dynptr", Integer, &[Map, Anything, Anything, DynptrOut(DynptrKind::Record)]),
    Helper::new(199, "bpf_ringbuf_submit_dynptr", Void, &[DynptrRecord, Anything]).releases(),
    Helper::new(200, "bpf_ringbuf_discard_dynptr", Void, &[DynptrRecord, Anything]).releases(),
    Helper::new(201, "bpf_dynptr_read", Integer, &[WritableMem, ConstSizeOrZero, Dynptr, Anything, Anything]),
    Helper::new(202, "bpf_dynptr_write", Integer, &[Dynptr, Anything, ReadableMem, ConstSizeOrZero, Anything]),
    Helper::new(203, "bpf_dynptr_data", ReturnKind::SliceOrNull, &[Dynptr, Anything, ConstAllocSize]),
    Helper::new(204, "bpf_tcp_raw_gen_syncookie_ipv4", Integer, &[FixedMem(20), ReadableMem, ConstSize]),
    Helper::new(205, "bpf_tcp_raw_gen_syncookie_ipv6", Integer, &[FixedMem(40), ReadableMem, ConstSize]),
    Helper::new(206, "bpf_tcp_raw_check_syncookie_ipv4", Integer, &[FixedMem(20), FixedMem(20)]),
    Helper::new(207, "bpf_tcp_raw_check_syncookie_ipv6", Integer, &[FixedMem(40), FixedMem(20)]),
    Helper::new(208, "bpf_ktime_get_tai_ns", Integer, &[]),
    Helper::new(209, "bpf_user_ringbuf_drain", Integer, &[Map, Callback, CallbackContext, Anything]).calls(&DRAIN),
    Helper::new(210, "bpf_cgrp_storage_get", ReturnKind::MapValueOrNull, &[Map, ArgKind::BtfId, ArgKind::MapValueOrNull, Anything]),
    Helper::new(211, "bpf_cgrp_storage_delete", Integer, &[Map, ArgKind::BtfId]),
];

static LOOP: Function = during(&[Arg::Index, Arg::Context]);
static EACH_ELEMENT: Function = during(&[Arg::Map, Arg::Key, Arg::Value, Arg::Context]);
static VMA: Function = during(&[Arg::Object, Arg::Object, Arg::Context]);
static DRAIN: Function = during(&[Arg::Dynptr, Arg::Context]);
static TIMER: Function = Function {
    args: &[Arg::Map, Arg::Key, Arg::Value],
    time: CallbackTime::Later,
    result_most: 0,
};

/// Called while the helper runs; 1 ends the iteration.
const fn during(args: &'static [Arg]) -> Function {
    Function {
        args,
        time: CallbackTime::During,
        result_most: 1,
    }
}
