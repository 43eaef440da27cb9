// SPDX-License-Identifier: MIT OR Apache-2.0

// Decides about outgoing connections by destination: allow, reject, or send elsewhere. One rule
// names an address, a port and a protocol; port 0 means any. Without a rule the connection
// proceeds.

#include "ebpf.h"

typedef struct {
    uint32_t address[4]; // network byte order; IPv4 in the first word
    uint16_t port;       // network byte order
    uint16_t family;
    uint32_t protocol;
} destination_t;

enum action {
    ACTION_ALLOW = 0,
    ACTION_REJECT = 1,
    ACTION_REDIRECT = 2,
};

typedef struct {
    uint32_t action;
    uint32_t address[4]; // where to, for ACTION_REDIRECT
    uint16_t port;
    uint16_t padding;
} rule_t;

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __type(key, destination_t);
    __type(value, rule_t);
    __uint(max_entries, 256);
} policy_map SEC(".maps");

// Number of decisions by action.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __type(key, uint32_t);
    __type(value, uint64_t);
    __uint(max_entries, 3);
} decisions_map SEC(".maps");

static __always_inline rule_t *find_rule(destination_t *destination) {
    rule_t *rule = bpf_map_lookup_elem(&policy_map, destination);
    if (rule)
        return rule;
    destination->port = 0;
    return bpf_map_lookup_elem(&policy_map, destination);
}

static __always_inline void count(uint32_t action) {
    uint64_t *decisions = bpf_map_lookup_elem(&decisions_map, &action);
    if (decisions)
        __sync_fetch_and_add(decisions, 1);
}

SEC("cgroup/connect4")
ebpf_sock_addr_verdict_t ConnectPolicy4(bpf_sock_addr_t *ctx) {
    destination_t destination = {
        .address = {ctx->user_ip4},
        .port = ctx->user_port,
        .family = AF_INET,
        .protocol = ctx->protocol,
    };
    rule_t *rule = find_rule(&destination);
    if (!rule) {
        count(ACTION_ALLOW);
        return BPF_SOCK_ADDR_VERDICT_PROCEED_SOFT;
    }
    count(rule->action);
    if (rule->action == ACTION_REJECT)
        return BPF_SOCK_ADDR_VERDICT_REJECT;
    if (rule->action == ACTION_REDIRECT) {
        ctx->user_ip4 = rule->address[0];
        ctx->user_port = rule->port;
    }
    return BPF_SOCK_ADDR_VERDICT_PROCEED_SOFT;
}

SEC("cgroup/connect6")
ebpf_sock_addr_verdict_t ConnectPolicy6(bpf_sock_addr_t *ctx) {
    destination_t destination = {
        .address = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]},
        .port = ctx->user_port,
        .family = AF_INET6,
        .protocol = ctx->protocol,
    };
    rule_t *rule = find_rule(&destination);
    if (!rule) {
        count(ACTION_ALLOW);
        return BPF_SOCK_ADDR_VERDICT_PROCEED_SOFT;
    }
    count(rule->action);
    if (rule->action == ACTION_REJECT)
        return BPF_SOCK_ADDR_VERDICT_REJECT;
    if (rule->action == ACTION_REDIRECT) {
        ctx->user_ip6[0] = rule->address[0];
        ctx->user_ip6[1] = rule->address[1];
        ctx->user_ip6[2] = rule->address[2];
        ctx->user_ip6[3] = rule->address[3];
        ctx->user_port = rule->port;
    }
    return BPF_SOCK_ADDR_VERDICT_PROCEED_SOFT;
}
