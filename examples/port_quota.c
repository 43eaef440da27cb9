// SPDX-License-Identifier: MIT OR Apache-2.0

// Limits how many ports a process may bind. Counts per process, denies the bind that exceeds the
// quota, gives ports back when they are unbound.

#include "ebpf.h"

#define DEFAULT_QUOTA 2
#define SYSTEM_PROCESS 4

// Ports that one process may bind, 0: the default.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __type(key, uint32_t);
    __type(value, uint32_t);
    __uint(max_entries, 1);
} quota_map SEC(".maps");

// Ports bound by each process.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __type(key, uint64_t);
    __type(value, uint32_t);
    __uint(max_entries, 1024);
} bound_map SEC(".maps");

// Number of binds denied to each process.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __type(key, uint64_t);
    __type(value, uint64_t);
    __uint(max_entries, 1024);
} denied_map SEC(".maps");

static __always_inline uint32_t quota(void) {
    uint32_t key = 0;
    uint32_t *configured = bpf_map_lookup_elem(&quota_map, &key);
    return configured && *configured ? *configured : DEFAULT_QUOTA;
}

static __always_inline bind_action_t deny(uint64_t process) {
    uint64_t one = 1;
    uint64_t *denied = bpf_map_lookup_elem(&denied_map, &process);
    if (denied)
        *denied += 1;
    else
        bpf_map_update_elem(&denied_map, &process, &one, BPF_ANY);
    return BIND_DENY;
}

static __always_inline bind_action_t take(uint64_t process) {
    uint32_t one = 1;
    uint32_t *bound = bpf_map_lookup_elem(&bound_map, &process);
    if (!bound) {
        // A full table must not stop anybody from working.
        bpf_map_update_elem(&bound_map, &process, &one, BPF_ANY);
        return BIND_PERMIT;
    }
    if (*bound >= quota())
        return deny(process);
    *bound += 1;
    return BIND_PERMIT;
}

static __always_inline void give_back(uint64_t process) {
    uint32_t *bound = bpf_map_lookup_elem(&bound_map, &process);
    if (!bound)
        return;
    if (*bound <= 1)
        bpf_map_delete_elem(&bound_map, &process);
    else
        *bound -= 1;
}

SEC("bind")
bind_action_t PortQuota(bind_md_t *ctx) {
    uint64_t process = ctx->process_id;
    if (process <= SYSTEM_PROCESS)
        return BIND_PERMIT;
    switch (ctx->operation) {
    case BIND_OPERATION_BIND:
        return take(process);
    case BIND_OPERATION_UNBIND:
        give_back(process);
        return BIND_PERMIT;
    default:
        return BIND_PERMIT;
    }
}
