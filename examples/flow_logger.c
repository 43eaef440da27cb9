// SPDX-License-Identifier: MIT OR Apache-2.0

// Reports every flow that is established or deleted through a ring buffer, and counts the events.

#include "ebpf.h"

typedef struct {
    uint64_t time_ns;
    uint32_t operation; // bpf_sock_op_type_t
    uint32_t family;
    uint32_t local_address[4]; // network byte order; IPv4 in the first word
    uint32_t remote_address[4];
    uint32_t local_port;
    uint32_t remote_port;
    uint32_t protocol;
    uint32_t compartment;
} flow_event_t;

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 64 * 1024);
} events_map SEC(".maps");

// Number of events by operation; the last slot counts events that found the ring buffer full.
#define LOST 3
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __type(key, uint32_t);
    __type(value, uint64_t);
    __uint(max_entries, 4);
} totals_map SEC(".maps");

static __always_inline void count(uint32_t slot) {
    uint64_t *total = bpf_map_lookup_elem(&totals_map, &slot);
    if (total)
        __sync_fetch_and_add(total, 1);
}

static __always_inline void copy_addresses(flow_event_t *event, bpf_sock_ops_t *ctx) {
    if (ctx->family == AF_INET) {
        event->local_address[0] = ctx->local_ip4;
        event->remote_address[0] = ctx->remote_ip4;
        return;
    }
    for (int i = 0; i < 4; i++) {
        event->local_address[i] = ctx->local_ip6[i];
        event->remote_address[i] = ctx->remote_ip6[i];
    }
}

SEC("sockops")
int FlowLogger(bpf_sock_ops_t *ctx) {
    flow_event_t event = {
        .time_ns = bpf_ktime_get_ns(),
        .operation = ctx->op,
        .family = ctx->family,
        .local_port = ctx->local_port,
        .remote_port = ctx->remote_port,
        .protocol = ctx->protocol,
        .compartment = ctx->compartment_id,
    };
    copy_addresses(&event, ctx);
    count(event.operation);
    if (bpf_ringbuf_output(&events_map, &event, sizeof(event), 0) != 0)
        count(LOST);
    return 0;
}
