// SPDX-License-Identifier: MIT OR Apache-2.0

// Drops IPv4 packets whose header checksum is wrong. The work is done in functions that are
// really called, three deep, with pointers to the caller's stack; two programs share them.

#include "ebpf.h"

#define HEADER_WORDS (sizeof(IPV4_HEADER) / 2)

enum outcome {
    OUTCOME_GOOD = 0,
    OUTCOME_BAD = 1,
    OUTCOME_OTHER = 2,
    OUTCOMES = 3,
};

// Number of packets by outcome.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __type(key, uint32_t);
    __type(value, uint64_t);
    __uint(max_entries, OUTCOMES);
} outcomes_map SEC(".maps");

// Adds the carries of a ones' complement sum.
static __noinline uint32_t fold(uint32_t sum) {
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

static __noinline uint32_t add_words(const uint16_t *words) {
    uint32_t sum = 0;
#pragma unroll 1
    for (uint32_t i = 0; i < HEADER_WORDS; i++)
        sum += words[i];
    return fold(sum);
}

// Whether a header, its checksum included, sums to all ones (RFC 1071).
static __noinline uint32_t is_intact(const IPV4_HEADER *header) {
    return add_words((const uint16_t *)header) == 0xffff;
}

static __noinline uint32_t count(uint32_t outcome) {
    uint64_t *packets = bpf_map_lookup_elem(&outcomes_map, &outcome);
    if (packets)
        __sync_fetch_and_add(packets, 1);
    return outcome;
}

// Copies the IPv4 header of a frame to the stack and judges it.
static __always_inline uint32_t judge(xdp_md_t *ctx) {
    ETHERNET_HEADER *ethernet = ctx->data;
    IPV4_HEADER *ip = (void *)(ethernet + 1);
    if ((void *)(ip + 1) > ctx->data_end || ethernet->Type != bpf_htons(ETHERNET_TYPE_IPV4) ||
        ip->HeaderLength != sizeof(IPV4_HEADER) / 4)
        return OUTCOME_OTHER;
    IPV4_HEADER copy = *ip;
    return is_intact(&copy) ? OUTCOME_GOOD : OUTCOME_BAD;
}

// Drops what is damaged.
SEC("xdp")
int DropDamaged(xdp_md_t *ctx) {
    return count(judge(ctx)) == OUTCOME_BAD ? XDP_DROP : XDP_PASS;
}

// Drops everything but intact IPv4.
SEC("xdp/strict")
int PassIntact(xdp_md_t *ctx) {
    return count(judge(ctx)) == OUTCOME_GOOD ? XDP_PASS : XDP_DROP;
}
