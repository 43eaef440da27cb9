// SPDX-License-Identifier: MIT OR Apache-2.0

// SEC("xdp"): frames, before the network stack sees them. Attach parameter: interface index.
#pragma once

#include "ebpf_structs.h"

// Context of XDP programs.
typedef struct xdp_md_ {
    void *data;               // first byte of the frame
    void *data_end;           // one past the last byte
    uint64_t data_meta;       // metadata in front of the frame
    uint32_t ingress_ifindex; // interface the frame came in on
} xdp_md_t;
#define xdp_md xdp_md_

// Result of XDP programs.
typedef enum _xdp_action {
    XDP_PASS = 1, // to the network stack
    XDP_DROP = 2, // nowhere
    XDP_TX = 3,   // back out of the same interface
} xdp_action_t;

// Program type of SEC("xdp").
typedef xdp_action_t xdp_hook_t(xdp_md_t *context);
