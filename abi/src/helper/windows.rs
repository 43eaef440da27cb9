//! Helpers of eBPF for Windows: the general ones and those of single program types.
//!
//! Names are the ones that enter `program_info_hash`; three of them (22, 23, 25) are hashed
//! without the `_s` that the C declarations carry. Source: `ebpf_helpers.h` and the helper
//! documentation of eBPF for Windows.

use super::{
    ArgKind::*,
    Fills, Helper,
    ReturnKind::{self, Integer, NoReturnIfSucceed},
};

/// General helpers whose core implementation does not exist: only program types that override
/// them have them.
pub static WITHOUT_DEFAULT: &[u32] = &[26, 35];

/// General helpers of eBPF for Windows, ascending by id.
#[rustfmt::skip] // one row, one line
pub static WINDOWS: &[Helper] = &[
    Helper::new(1, "bpf_map_lookup_elem", ReturnKind::MapValueOrNull, &[Map, MapKey]),
    Helper::new(2, "bpf_map_update_elem", Integer, &[Map, MapKey, MapValue, Anything]),
    Helper::new(3, "bpf_map_delete_elem", Integer, &[Map, MapKey]),
    Helper::new(4, "bpf_map_lookup_and_delete_elem", ReturnKind::MapValueOrNull, &[Map, MapKey]),
    Helper::new(5, "bpf_tail_call", NoReturnIfSucceed, &[Context, MapOfPrograms, Anything]),
    Helper::new(6, "bpf_get_prandom_u32", Integer, &[]),
    Helper::new(7, "bpf_ktime_get_boot_ns", Integer, &[]),
    Helper::new(8, "bpf_get_smp_processor_id", Integer, &[]),
    Helper::new(9, "bpf_ktime_get_ns", Integer, &[]),
    Helper::new(10, "bpf_csum_diff", Integer, &[ReadableMemOrNull, ConstSizeOrZero, ReadableMemOrNull, ConstSizeOrZero, Anything]).result_32(),
    Helper::new(11, "bpf_ringbuf_output", Integer, &[Map, ReadableMem, ConstSize, Anything]).result_32(),
    Helper::new(12, "bpf_trace_printk2", Integer, &[ReadableMem, ConstSize]).result_32(),
    Helper::new(13, "bpf_trace_printk3", Integer, &[ReadableMem, ConstSize, Anything]).result_32(),
    Helper::new(14, "bpf_trace_printk4", Integer, &[ReadableMem, ConstSize, Anything, Anything]).result_32(),
    Helper::new(15, "bpf_trace_printk5", Integer, &[ReadableMem, ConstSize, Anything, Anything, Anything]).result_32(),
    Helper::new(16, "bpf_map_push_elem", Integer, &[Map, MapValue, Anything]).result_32(),
    Helper::new(17, "bpf_map_pop_elem", Integer, &[Map, MapValueOut]).result_32().fills(Fills::Some),
    Helper::new(18, "bpf_map_peek_elem", Integer, &[Map, MapValueOut]).result_32().fills(Fills::Some),
    Helper::new(19, "bpf_get_current_pid_tgid", Integer, &[]),
    Helper::new(20, "bpf_get_current_logon_id", Integer, &[Context]),
    Helper::new(21, "bpf_is_current_admin", Integer, &[Context]).result_32(),
    Helper::new(22, "bpf_memcpy", Integer, &[WritableMem, ConstSizeOrZero, ReadableMem, ConstSizeOrZero]).result_32().fills(Fills::AsMuchAsItReads),
    Helper::new(23, "bpf_memcmp", Integer, &[ReadableMem, ConstSizeOrZero, ReadableMem, ConstSizeOrZero]).result_32(),
    Helper::new(24, "bpf_memset", Integer, &[WritableMem, ConstSizeOrZero, Anything]),
    Helper::new(25, "bpf_memmove", Integer, &[WritableMem, ConstSizeOrZero, ReadableMem, ConstSizeOrZero]).result_32().fills(Fills::AsMuchAsItReads),
    Helper::new(26, "bpf_get_socket_cookie", Integer, &[Context]),
    Helper::new(27, "bpf_strncpy_s", Integer, &[WritableMem, ConstSizeOrZero, ReadableMem, ConstSizeOrZero]).result_32().fills(Fills::Some),
    Helper::new(28, "bpf_strncat_s", Integer, &[InOutMem, ConstSizeOrZero, ReadableMem, ConstSizeOrZero]).result_32(),
    Helper::new(29, "bpf_strnlen_s", Integer, &[ReadableMem, ConstSizeOrZero]).result_32(),
    Helper::new(30, "bpf_ktime_get_boot_ms", Integer, &[]),
    Helper::new(31, "bpf_ktime_get_ms", Integer, &[]),
    Helper::new(32, "bpf_perf_event_output", Integer, &[Context, Map, Anything, ReadableMem, ConstSize]).result_32(),
    Helper::new(33, "bpf_get_current_process_start_key", Integer, &[]),
    Helper::new(34, "bpf_get_current_thread_create_time", Integer, &[]),
    Helper::new(35, "bpf_redirect_map", Integer, &[Map, Anything, Anything]),
];

/// Helpers of `xdp`. The released provider does not flag `bpf_xdp_adjust_head` as moving packet
/// data, so the hash has no flags byte; a program must all the same survive a provider that does.
#[rustfmt::skip]
pub(crate) static XDP: &[Helper] = &[
    Helper::new(65536, "bpf_xdp_adjust_head", Integer, &[Context, Anything]).reallocates(),
];

/// Helpers of `sock_addr`; 65536 is reserved and has no prototype.
#[rustfmt::skip]
pub(crate) static SOCK_ADDR: &[Helper] = &[
    Helper::new(19, "bpf_get_current_pid_tgid", Integer, &[]).implicit(),
    Helper::new(20, "bpf_get_current_logon_id", Integer, &[Context]),
    Helper::new(21, "bpf_is_current_admin", Integer, &[Context]).result_32(),
    Helper::new(26, "bpf_get_socket_cookie", Integer, &[Context]),
    Helper::new(65537, "bpf_sock_addr_set_redirect_context", Integer, &[Context, ReadableMem, ConstSize]),
    Helper::new(65538, "bpf_sock_addr_get_network_context", Integer, &[Context, WritableMem, ConstSize]),
];

/// Helpers of `sockops`.
#[rustfmt::skip]
pub(crate) static SOCKOPS: &[Helper] = &[
    Helper::new(19, "bpf_get_current_pid_tgid", Integer, &[]).implicit(),
    Helper::new(65536, "bpf_sock_ops_get_flow_id", Integer, &[Context]),
];

/// Helpers of `netevent_monitor`.
#[rustfmt::skip]
pub(crate) static NETEVENT: &[Helper] = &[
    Helper::new(65536, "bpf_netevent_push_event", Integer, &[Context]),
];

/// Helpers of `process`.
#[rustfmt::skip]
pub(crate) static PROCESS: &[Helper] = &[
    Helper::new(65536, "bpf_process_get_image_path", Integer, &[Context, WritableMem, ConstSize]),
    Helper::new(65537, "bpf_process_get_account_name", Integer, &[Context, WritableMem, ConstSize]),
    Helper::new(65538, "bpf_process_get_account_domain", Integer, &[Context, WritableMem, ConstSize]),
];

/// Helpers of `sample`, the extension that tests use.
#[rustfmt::skip]
pub(crate) static SAMPLE: &[Helper] = &[
    Helper::new(19, "bpf_get_current_pid_tgid", Integer, &[]).implicit(),
    Helper::new(35, "bpf_redirect_map", Integer, &[Map, Anything, Anything]),
    Helper::new(65536, "sample_ebpf_extension_helper_function1", Integer, &[Context]),
    Helper::new(65537, "sample_ebpf_extension_find", Integer, &[ReadableMem, ConstSize, ReadableMem, ConstSize]),
    Helper::new(65538, "sample_ebpf_extension_replace", Integer, &[ReadableMem, ConstSize, Anything, ReadableMem, ConstSize]),
    Helper::new(65539, "sample_ebpf_extension_helper_implicit_1", Integer, &[]).implicit(),
    Helper::new(65540, "sample_ebpf_extension_helper_implicit_2", Integer, &[]).implicit(),
    Helper::new(65541, "sample_ext_helper_map_lookup_element", ReturnKind::MapValueOrNull, &[Map, MapKey]).implicit(),
    Helper::new(65542, "sample_ext_helper_map_get_value", Integer, &[Map, MapKey, WritableMem, ConstSize]).implicit(),
];
