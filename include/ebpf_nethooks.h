// SPDX-License-Identifier: MIT OR Apache-2.0

// Hooks of the network stack: bind, sock_addr, sockops. Addresses and ports are in network byte
// order unless said otherwise.
#pragma once

#include "ebpf_structs.h"

#ifndef AF_INET
#define AF_INET 2
#define AF_INET6 23
#endif
#ifndef IPPROTO_TCP
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ICMPV6 58
#endif

// SEC("bind"): a socket gets or gives up a local address.
typedef enum _bind_operation {
    BIND_OPERATION_BIND = 0,      // before the address is taken
    BIND_OPERATION_POST_BIND = 1, // after it is taken
    BIND_OPERATION_UNBIND = 2,    // after it is given up
} bind_operation_t;

// Context of bind programs. The application id is the executable's path in UTF-16.
typedef struct _bind_md {
    uint8_t *app_id_start;
    uint8_t *app_id_end;
    uint64_t process_id;
    uint8_t socket_address[16]; // struct sockaddr: family, port, address
    uint8_t socket_address_length;
    uint32_t operation; // bind_operation_t
    uint8_t protocol;   // IPPROTO_*
} bind_md_t;

// Result of bind programs.
typedef enum _bind_action {
    BIND_PERMIT_SOFT = 0, // allow, unless another filter denies
    BIND_DENY = 1,
    BIND_REDIRECT = 2,
    BIND_PERMIT_HARD = 3, // allow, whatever other filters say
} bind_action_t;
#define BIND_PERMIT BIND_PERMIT_SOFT

// Program type of SEC("bind").
typedef bind_action_t bind_hook_t(bind_md_t *context);

// SEC("cgroup/connect4"), connect6, recv_accept4/6, connect_authorization4/6, bind4/6, listen4/6:
// a socket is about to do that. Attach parameter: compartment id.
typedef struct bpf_sock_addr {
    uint32_t family; // AF_INET or AF_INET6, in host order
    union {
        uint32_t msg_src_ip4;
        uint32_t msg_src_ip6[4];
    }; // source address
    uint16_t msg_src_port;
    union {
        uint32_t user_ip4;
        uint32_t user_ip6[4];
    }; // destination address; writable at connect
    uint16_t user_port; // destination port; writable at connect
    uint32_t protocol;  // IPPROTO_*
    uint32_t compartment_id;
    uint64_t interface_luid;
} bpf_sock_addr_t;

// Result of sock_addr programs.
typedef enum _ebpf_sock_addr_verdict {
    BPF_SOCK_ADDR_VERDICT_REJECT = 0,
    BPF_SOCK_ADDR_VERDICT_PROCEED_SOFT = 1, // allow, unless another filter blocks
    BPF_SOCK_ADDR_VERDICT_PROCEED_HARD = 2, // allow, whatever other filters say
} ebpf_sock_addr_verdict_t;
#define BPF_SOCK_ADDR_VERDICT_PROCEED BPF_SOCK_ADDR_VERDICT_PROCEED_SOFT

// Program type of the sock_addr sections.
typedef ebpf_sock_addr_verdict_t sock_addr_hook_t(bpf_sock_addr_t *context);

// What bpf_sock_addr_get_network_context writes.
typedef struct _bpf_sock_addr_network_context {
    uint32_t version;
    uint32_t interface_type;
    uint32_t tunnel_type;
    uint64_t next_hop_interface_luid;
    uint32_t sub_interface_index;
} bpf_sock_addr_network_context_t;

// SEC("sockops"): a flow is established or deleted. Attach parameter: compartment id.
typedef enum _bpf_sock_op_type {
    BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB = 0,  // we connected
    BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB = 1, // we accepted
    BPF_SOCK_OPS_CONNECTION_DELETED_CB = 2,
} bpf_sock_op_type_t;
#define BPF_SOCK_OP_ACTIVE_ESTABLISHED_CB BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB
#define BPF_SOCK_OP_PASSIVE_ESTABLISHED_CB BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB
#define BPF_SOCK_OP_CONNECTION_DELETED_CB BPF_SOCK_OPS_CONNECTION_DELETED_CB

// Context of sockops programs.
typedef struct bpf_sock_ops {
    uint32_t op;     // bpf_sock_op_type_t
    uint32_t family; // AF_INET or AF_INET6, in host order
    union {
        uint32_t local_ip4;
        uint32_t local_ip6[4];
    };
    uint32_t local_port;
    union {
        uint32_t remote_ip4;
        uint32_t remote_ip6[4];
    };
    uint32_t remote_port;
    uint8_t protocol; // IPPROTO_*
    uint32_t compartment_id;
    uint64_t interface_luid;
} bpf_sock_ops_t;

// Program type of SEC("sockops"). The result is ignored; return 0.
typedef int sock_ops_hook_t(bpf_sock_ops_t *context);
