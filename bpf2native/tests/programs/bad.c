// SPDX-License-Identifier: MIT OR Apache-2.0

// Programs with one mistake each, as people make them. The texts that the tool prints about them are
// in `bad.expected`. Compile: see `build.sh`.

#include "ebpf.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __type(key, uint32_t);
    __type(value, uint64_t);
    __uint(max_entries, 16);
} counters SEC(".maps");

struct table {
    uint32_t entries[16];
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __type(key, uint32_t);
    __type(value, struct table);
    __uint(max_entries, 1);
} tables SEC(".maps");

// The result of a lookup may be NULL.
SEC("xdp/no_null_check")
int no_null_check(xdp_md_t *ctx) {
    uint32_t key = ctx->ingress_ifindex;
    uint64_t *count = bpf_map_lookup_elem(&counters, &key);
    *count += 1;
    return XDP_PASS;
}

// The index comes from the packet and may be up to 255; 16 entries exist.
SEC("xdp/wild_index")
int wild_index(xdp_md_t *ctx) {
    uint8_t *data = ctx->data;
    if ((void *)(data + 15) > ctx->data_end)
        return XDP_PASS;
    uint32_t key = 0;
    struct table *table = bpf_map_lookup_elem(&tables, &key);
    if (!table)
        return XDP_PASS;
    uint32_t index = data[14];
    if (index > 20)
        return XDP_PASS;
    table->entries[index] += 1;
    return XDP_PASS;
}

// The length field of the IP header moves the pointer; the check is on the wrong one.
SEC("xdp/options")
int options(xdp_md_t *ctx) {
    uint8_t *data = ctx->data;
    void *end = ctx->data_end;
    if ((void *)(data + 34) > end)
        return XDP_PASS;
    uint32_t header = (data[14] & 15) * 4;
    uint8_t *udp = data + 14 + header;
    if ((void *)(udp + 4) > end)
        return XDP_PASS;
    return *(uint32_t *)(udp + 4) == 0 ? XDP_DROP : XDP_PASS;
}

// The loop runs as often as the packet says, and the pointer moves unchecked.
SEC("xdp/unbounded_loop")
int unbounded_loop(xdp_md_t *ctx) {
    uint32_t n = ctx->ingress_ifindex;
    uint32_t sum = 0;
#pragma clang loop unroll(disable)
    while (n != 3)
        asm volatile("%0 += %1" : "+r"(sum) : "r"(n));
    return sum ? XDP_PASS : XDP_DROP;
}

// Two independent mistakes in one program: both are reported.
SEC("xdp/two_mistakes")
int two_mistakes(xdp_md_t *ctx) {
    uint8_t *data = ctx->data;
    if (ctx->ingress_ifindex == 1)
        return *data;
    uint32_t key = 1;
    uint64_t *count = bpf_map_lookup_elem(&counters, &key);
    *count = 0;
    return XDP_PASS;
}

// The mistake is in a function; the path leads through its call.
static __attribute__((noinline)) uint32_t port(uint8_t *data, void *end) {
    if ((void *)(data + 34) > end)
        return 0;
    return *(uint16_t *)(data + 36);
}

SEC("xdp/in_a_function")
int in_a_function(xdp_md_t *ctx) {
    return port(ctx->data, ctx->data_end) == 53 ? XDP_DROP : XDP_PASS;
}

// Only some fields are written before the helper reads all of the key.
struct key {
    uint8_t protocol;
    uint32_t address;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __type(key, struct key);
    __type(value, uint64_t);
    __uint(max_entries, 16);
} flows SEC(".maps");

SEC("xdp/padding")
int padding(xdp_md_t *ctx) {
    struct key key;
    key.protocol = 17;
    key.address = ctx->ingress_ifindex;
    return bpf_map_lookup_elem(&flows, &key) ? XDP_DROP : XDP_PASS;
}

// A verdict that there is not.
SEC("xdp/verdict")
int verdict(xdp_md_t *ctx) {
    return ctx->ingress_ifindex ? XDP_PASS : 4;
}
