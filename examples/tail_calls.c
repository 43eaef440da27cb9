// SPDX-License-Identifier: MIT OR Apache-2.0

// A dispatcher that hands each frame to the program for its protocol through a table of programs.
// The table is filled from this file when the module is loaded. The ARP program calls itself until
// the limit of tail calls stops it, which shows what a failed tail call does: it just returns.

#include "ebpf.h"

enum stage {
    STAGE_IPV4 = 0,
    STAGE_IPV6 = 1,
    STAGE_ARP = 2,
    STAGE_EMPTY = 3, // a slot without program
    STAGES = 4,
};

int HandleIpv4(xdp_md_t *ctx);
int HandleIpv6(xdp_md_t *ctx);
int HandleArp(xdp_md_t *ctx);

struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, STAGES);
    __uint(key_size, sizeof(uint32_t));
    __array(values, int(xdp_md_t *));
} stages_map SEC(".maps") = {
    .values =
        {
            [STAGE_IPV4] = &HandleIpv4,
            [STAGE_IPV6] = &HandleIpv6,
            [STAGE_ARP] = &HandleArp,
        },
};

// Number of runs of each stage; the last slot counts frames that no stage took.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __type(key, uint32_t);
    __type(value, uint64_t);
    __uint(max_entries, STAGES);
} runs_map SEC(".maps");

static __always_inline void count(uint32_t stage) {
    uint64_t *runs = bpf_map_lookup_elem(&runs_map, &stage);
    if (runs)
        *runs += 1;
}

static __always_inline uint32_t stage_of(uint16_t type) {
    switch (type) {
    case bpf_htons(ETHERNET_TYPE_IPV4):
        return STAGE_IPV4;
    case bpf_htons(ETHERNET_TYPE_IPV6):
        return STAGE_IPV6;
    case bpf_htons(ETHERNET_TYPE_ARP):
        return STAGE_ARP;
    default:
        return STAGE_EMPTY;
    }
}

SEC("xdp")
int Dispatch(xdp_md_t *ctx) {
    ETHERNET_HEADER *ethernet = ctx->data;
    if ((void *)(ethernet + 1) > ctx->data_end)
        return XDP_DROP;
    bpf_tail_call(ctx, &stages_map, stage_of(ethernet->Type));
    // Only reached when there is no such program.
    count(STAGE_EMPTY);
    return XDP_PASS;
}

SEC("xdp/ipv4")
int HandleIpv4(xdp_md_t *ctx) {
    count(STAGE_IPV4);
    IPV4_HEADER *ip = ctx->data + sizeof(ETHERNET_HEADER);
    if ((void *)(ip + 1) > ctx->data_end || ip->TimeToLive == 0)
        return XDP_DROP;
    return XDP_PASS;
}

SEC("xdp/ipv6")
int HandleIpv6(xdp_md_t *ctx) {
    count(STAGE_IPV6);
    IPV6_HEADER *ip = ctx->data + sizeof(ETHERNET_HEADER);
    if ((void *)(ip + 1) > ctx->data_end || ip->HopLimit == 0)
        return XDP_DROP;
    return XDP_PASS;
}

SEC("xdp/arp")
int HandleArp(xdp_md_t *ctx) {
    count(STAGE_ARP);
    bpf_tail_call(ctx, &stages_map, STAGE_ARP);
    return XDP_TX;
}
