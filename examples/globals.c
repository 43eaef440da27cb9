// SPDX-License-Identifier: MIT OR Apache-2.0

// Drops TCP connection attempts to one port after the first few. Shows the three kinds of global
// variables: constants, initialised and zero. Each kind becomes one array map.

#include "ebpf.h"

// Read-only: user mode may set it before the program is loaded.
const volatile uint16_t guarded_port = 23;

// Initialised: attempts that still pass.
uint32_t allowance = 2;

// Zero: what happened so far, read by user mode.
struct {
    uint64_t attempts;
    uint64_t dropped;
} totals;

// Address of the last attempt, in network byte order.
uint8_t last_source[4];

SEC("xdp")
int GuardPort(xdp_md_t *ctx) {
    ETHERNET_HEADER *ethernet = ctx->data;
    IPV4_HEADER *ip = (void *)(ethernet + 1);
    TCP_HEADER *tcp = (void *)(ip + 1);
    if ((void *)(tcp + 1) > ctx->data_end)
        return XDP_PASS;
    if (ethernet->Type != bpf_htons(ETHERNET_TYPE_IPV4) || ip->Protocol != IPPROTO_TCP ||
        ip->HeaderLength != sizeof(*ip) / 4)
        return XDP_PASS;
    if (bpf_ntohs(tcp->destPort) != guarded_port || !(tcp->flags & TCP_FLAG_SYN))
        return XDP_PASS;

    totals.attempts += 1;
    memcpy(last_source, &ip->SourceAddress, sizeof(last_source));
    if (allowance > 0) {
        allowance -= 1;
        return XDP_PASS;
    }
    totals.dropped += 1;
    return XDP_DROP;
}
