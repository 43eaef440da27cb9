// SPDX-License-Identifier: MIT OR Apache-2.0

// Drops UDP datagrams to port 53 that carry no data: a flood of them keeps a name server busy with
// nothing to answer. Everything else passes. Counts what it drops.

#include "ebpf.h"

#define DNS_PORT 53

// The interface to protect, 0: all.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __type(key, uint32_t);
    __type(value, uint32_t);
    __uint(max_entries, 1);
} interface_index_map SEC(".maps");

// Number of dropped datagrams.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __type(key, uint32_t);
    __type(value, uint64_t);
    __uint(max_entries, 1);
} dropcnt_map SEC(".maps");

static __always_inline bool is_empty_dns(const UDP_HEADER *udp) {
    return udp->destPort == bpf_htons(DNS_PORT) && udp->length == bpf_htons(sizeof(UDP_HEADER));
}

// Finds the UDP header of a frame, NULL when there is none.
static __always_inline UDP_HEADER *find_udp(void *frame, void *end) {
    ETHERNET_HEADER *ethernet = frame;
    if ((void *)(ethernet + 1) > end)
        return NULL;
    if (ethernet->Type == bpf_htons(ETHERNET_TYPE_IPV4)) {
        IPV4_HEADER *ip = (void *)(ethernet + 1);
        if ((void *)(ip + 1) > end || ip->Protocol != IPPROTO_UDP)
            return NULL;
        return (void *)ip + ip->HeaderLength * 4;
    }
    if (ethernet->Type == bpf_htons(ETHERNET_TYPE_IPV6)) {
        IPV6_HEADER *ip = (void *)(ethernet + 1);
        if ((void *)(ip + 1) > end || ip->NextHeader != IPPROTO_UDP)
            return NULL;
        return (void *)(ip + 1);
    }
    return NULL;
}

SEC("xdp")
int DropPacket(xdp_md_t *ctx) {
    uint32_t key = 0;
    uint32_t *interface = bpf_map_lookup_elem(&interface_index_map, &key);
    if (interface && *interface && *interface != ctx->ingress_ifindex)
        return XDP_PASS;

    UDP_HEADER *udp = find_udp(ctx->data, ctx->data_end);
    if (!udp || (void *)(udp + 1) > ctx->data_end || !is_empty_dns(udp))
        return XDP_PASS;

    uint64_t *dropped = bpf_map_lookup_elem(&dropcnt_map, &key);
    if (dropped)
        __sync_fetch_and_add(dropped, 1);
    return XDP_DROP;
}
