// SPDX-License-Identifier: MIT OR Apache-2.0

// Lets each IPv4 source send a burst of packets per second and drops the rest (token bucket).
// Sources live in an LRU map: an attacker with many addresses pushes out only the ones that were
// quiet longest. Sources that were limited are kept in a hash map for user mode.

#include "ebpf.h"

#define BURST 3
#define PERIOD_NS 1000000000ULL

typedef struct {
    uint64_t started_ns; // when the current period began
    uint64_t packets;    // passed in it
} bucket_t;

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __type(key, uint32_t);
    __type(value, bucket_t);
    __uint(max_entries, 4096);
} buckets_map SEC(".maps");

// Number of packets dropped from each source.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __type(key, uint32_t);
    __type(value, uint64_t);
    __uint(max_entries, 1024);
} limited_map SEC(".maps");

static __always_inline bool has_token(uint32_t source) {
    uint64_t now = bpf_ktime_get_ns();
    bucket_t *bucket = bpf_map_lookup_elem(&buckets_map, &source);
    if (!bucket) {
        bucket_t first = {.started_ns = now, .packets = 1};
        bpf_map_update_elem(&buckets_map, &source, &first, BPF_ANY);
        return true;
    }
    if (now - bucket->started_ns >= PERIOD_NS) {
        bucket->started_ns = now;
        bucket->packets = 0;
    }
    // Two processors may both take the last token; a limit need not be exact.
    if (bucket->packets >= BURST)
        return false;
    bucket->packets += 1;
    return true;
}

static __always_inline void note_limited(uint32_t source) {
    uint64_t one = 1;
    uint64_t *dropped = bpf_map_lookup_elem(&limited_map, &source);
    if (dropped)
        __sync_fetch_and_add(dropped, 1);
    else
        bpf_map_update_elem(&limited_map, &source, &one, BPF_NOEXIST);
}

SEC("xdp")
int RateLimit(xdp_md_t *ctx) {
    ETHERNET_HEADER *ethernet = ctx->data;
    IPV4_HEADER *ip = (void *)(ethernet + 1);
    if ((void *)(ip + 1) > ctx->data_end || ethernet->Type != bpf_htons(ETHERNET_TYPE_IPV4))
        return XDP_PASS;
    uint32_t source = ip->SourceAddress;
    if (has_token(source))
        return XDP_PASS;
    note_limited(source);
    return XDP_DROP;
}
