// SPDX-License-Identifier: MIT OR Apache-2.0

// droppacket with one mistake: nobody checks that the UDP header lies inside the frame. A short
// frame would make it read past the end, so it must be rejected.

#include "ebpf.h"

#define DNS_PORT 53

// Number of dropped datagrams.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __type(key, uint32_t);
    __type(value, uint64_t);
    __uint(max_entries, 1);
} dropcnt_map SEC(".maps");

SEC("xdp")
int DropPacket(xdp_md_t *ctx) {
    ETHERNET_HEADER *ethernet = ctx->data;
    IPV4_HEADER *ip = (void *)(ethernet + 1);
    if ((void *)(ip + 1) > ctx->data_end)
        return XDP_PASS;
    if (ethernet->Type != bpf_htons(ETHERNET_TYPE_IPV4) || ip->Protocol != IPPROTO_UDP)
        return XDP_PASS;

    UDP_HEADER *udp = (void *)(ip + 1);
    // Missing: if ((void *)(udp + 1) > ctx->data_end) return XDP_PASS;
    if (udp->destPort != bpf_htons(DNS_PORT))
        return XDP_PASS;

    uint32_t key = 0;
    uint64_t *dropped = bpf_map_lookup_elem(&dropcnt_map, &key);
    if (dropped)
        *dropped += 1;
    return XDP_DROP;
}
