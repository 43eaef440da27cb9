// Generated from the helper table by: BLESS=1 cargo test -p abi --test headers
// SPDX-License-Identifier: MIT OR Apache-2.0

// Declarations of all helpers. A call through such a constant becomes one `call` instruction.
// Helpers that return int leave a 32-bit pattern in r0.
#pragma once

#include "ebpf_structs.h"

// General helpers.
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) __attribute__((unused)) = (void *)1;
static int64_t (*const bpf_map_update_elem)(void *map, const void *key, const void *value, uint64_t flags) __attribute__((unused)) = (void *)2;
static int64_t (*const bpf_map_delete_elem)(void *map, const void *key) __attribute__((unused)) = (void *)3;
static void *(*const bpf_map_lookup_and_delete_elem)(void *map, const void *key) __attribute__((unused)) = (void *)4;
static int64_t (*const bpf_tail_call)(void *context, void *map, uint64_t index) __attribute__((unused)) = (void *)5;
static uint32_t (*const bpf_get_prandom_u32)(void) __attribute__((unused)) = (void *)6;
static uint64_t (*const bpf_ktime_get_boot_ns)(void) __attribute__((unused)) = (void *)7;
static uint32_t (*const bpf_get_smp_processor_id)(void) __attribute__((unused)) = (void *)8;
static uint64_t (*const bpf_ktime_get_ns)(void) __attribute__((unused)) = (void *)9;
static int (*const bpf_csum_diff)(const void *memory1, uint64_t size1, const void *memory2, uint64_t size2, uint64_t seed) __attribute__((unused)) = (void *)10;
static int (*const bpf_ringbuf_output)(void *map, const void *memory, uint64_t size, uint64_t flags) __attribute__((unused)) = (void *)11;
static int (*const bpf_trace_printk2)(const void *memory, uint64_t size) __attribute__((unused)) = (void *)12;
static int (*const bpf_trace_printk3)(const void *memory, uint64_t size, uint64_t argument1) __attribute__((unused)) = (void *)13;
static int (*const bpf_trace_printk4)(const void *memory, uint64_t size, uint64_t argument1, uint64_t argument2) __attribute__((unused)) = (void *)14;
static int (*const bpf_trace_printk5)(const void *memory, uint64_t size, uint64_t argument1, uint64_t argument2, uint64_t argument3) __attribute__((unused)) = (void *)15;
static int (*const bpf_map_push_elem)(void *map, const void *value, uint64_t flags) __attribute__((unused)) = (void *)16;
static int (*const bpf_map_pop_elem)(void *map, void *value) __attribute__((unused)) = (void *)17;
static int (*const bpf_map_peek_elem)(void *map, void *value) __attribute__((unused)) = (void *)18;
static uint64_t (*const bpf_get_current_pid_tgid)(void) __attribute__((unused)) = (void *)19;
static uint64_t (*const bpf_get_current_logon_id)(void *context) __attribute__((unused)) = (void *)20;
static int (*const bpf_is_current_admin)(void *context) __attribute__((unused)) = (void *)21;
static int (*const bpf_memcpy_s)(void *memory1, uint64_t size1, const void *memory2, uint64_t size2) __attribute__((unused)) = (void *)22;
static int (*const bpf_memcmp_s)(const void *memory1, uint64_t size1, const void *memory2, uint64_t size2) __attribute__((unused)) = (void *)23;
static void *(*const bpf_memset)(void *memory, uint64_t size, uint64_t value) __attribute__((unused)) = (void *)24;
static int (*const bpf_memmove_s)(void *memory1, uint64_t size1, const void *memory2, uint64_t size2) __attribute__((unused)) = (void *)25;
static uint64_t (*const bpf_get_socket_cookie)(void *context) __attribute__((unused)) = (void *)26;
static int (*const bpf_strncpy_s)(void *memory1, uint64_t size1, const void *memory2, uint64_t size2) __attribute__((unused)) = (void *)27;
static int (*const bpf_strncat_s)(void *memory1, uint64_t size1, const void *memory2, uint64_t size2) __attribute__((unused)) = (void *)28;
static int (*const bpf_strnlen_s)(const void *memory, uint64_t size) __attribute__((unused)) = (void *)29;
static uint64_t (*const bpf_ktime_get_boot_ms)(void) __attribute__((unused)) = (void *)30;
static uint64_t (*const bpf_ktime_get_ms)(void) __attribute__((unused)) = (void *)31;
static int (*const bpf_perf_event_output)(void *context, void *map, uint64_t flags, const void *memory, uint64_t size) __attribute__((unused)) = (void *)32;
static uint64_t (*const bpf_get_current_process_start_key)(void) __attribute__((unused)) = (void *)33;
static uint64_t (*const bpf_get_current_thread_create_time)(void) __attribute__((unused)) = (void *)34;
static int64_t (*const bpf_redirect_map)(void *map, uint64_t key, uint64_t flags) __attribute__((unused)) = (void *)35;

// Helpers of xdp programs.
static int (*const bpf_xdp_adjust_head)(void *context, uint64_t delta) __attribute__((unused)) = (void *)65536;

// Helpers of sock_addr programs.
static int (*const bpf_sock_addr_set_redirect_context)(void *context, const void *memory, uint64_t size) __attribute__((unused)) = (void *)65537;
static int (*const bpf_sock_addr_get_network_context)(void *context, void *memory, uint64_t size) __attribute__((unused)) = (void *)65538;

// Helpers of sockops programs.
static uint64_t (*const bpf_sock_ops_get_flow_id)(void *context) __attribute__((unused)) = (void *)65536;

// Helpers of netevent_monitor programs.
static int (*const bpf_netevent_push_event)(void *context) __attribute__((unused)) = (void *)65536;

// Helpers of process programs.
static int (*const bpf_process_get_image_path)(void *context, void *memory, uint64_t size) __attribute__((unused)) = (void *)65536;
static int (*const bpf_process_get_account_name)(void *context, void *memory, uint64_t size) __attribute__((unused)) = (void *)65537;
static int (*const bpf_process_get_account_domain)(void *context, void *memory, uint64_t size) __attribute__((unused)) = (void *)65538;

// Helpers of sample programs.
static int (*const sample_ebpf_extension_helper_function1)(void *context) __attribute__((unused)) = (void *)65536;
static int (*const sample_ebpf_extension_find)(const void *memory1, uint64_t size1, const void *memory2, uint64_t size2) __attribute__((unused)) = (void *)65537;
static int (*const sample_ebpf_extension_replace)(const void *memory1, uint64_t size1, uint64_t position, const void *memory2, uint64_t size2) __attribute__((unused)) = (void *)65538;
static int (*const sample_ebpf_extension_helper_implicit_1)(void) __attribute__((unused)) = (void *)65539;
static int (*const sample_ebpf_extension_helper_implicit_2)(void) __attribute__((unused)) = (void *)65540;
static void *(*const sample_ext_helper_map_lookup_element)(void *map, const void *key) __attribute__((unused)) = (void *)65541;
static int (*const sample_ext_helper_map_get_value)(void *map, const void *key, void *memory, uint64_t size) __attribute__((unused)) = (void *)65542;

// Numbers of the general helpers.
enum bpf_func_id {
    BPF_FUNC_map_lookup_elem = 1,
    BPF_FUNC_map_update_elem = 2,
    BPF_FUNC_map_delete_elem = 3,
    BPF_FUNC_map_lookup_and_delete_elem = 4,
    BPF_FUNC_tail_call = 5,
    BPF_FUNC_get_prandom_u32 = 6,
    BPF_FUNC_ktime_get_boot_ns = 7,
    BPF_FUNC_get_smp_processor_id = 8,
    BPF_FUNC_ktime_get_ns = 9,
    BPF_FUNC_csum_diff = 10,
    BPF_FUNC_ringbuf_output = 11,
    BPF_FUNC_trace_printk2 = 12,
    BPF_FUNC_trace_printk3 = 13,
    BPF_FUNC_trace_printk4 = 14,
    BPF_FUNC_trace_printk5 = 15,
    BPF_FUNC_map_push_elem = 16,
    BPF_FUNC_map_pop_elem = 17,
    BPF_FUNC_map_peek_elem = 18,
    BPF_FUNC_get_current_pid_tgid = 19,
    BPF_FUNC_get_current_logon_id = 20,
    BPF_FUNC_is_current_admin = 21,
    BPF_FUNC_memcpy = 22,
    BPF_FUNC_memcmp = 23,
    BPF_FUNC_memset = 24,
    BPF_FUNC_memmove = 25,
    BPF_FUNC_get_socket_cookie = 26,
    BPF_FUNC_strncpy_s = 27,
    BPF_FUNC_strncat_s = 28,
    BPF_FUNC_strnlen_s = 29,
    BPF_FUNC_ktime_get_boot_ms = 30,
    BPF_FUNC_ktime_get_ms = 31,
    BPF_FUNC_perf_event_output = 32,
    BPF_FUNC_get_current_process_start_key = 33,
    BPF_FUNC_get_current_thread_create_time = 34,
    BPF_FUNC_redirect_map = 35,
};
