// SPDX-License-Identifier: MIT OR Apache-2.0

// Everything for writing eBPF programs for Windows, in one include.
#pragma once

#include "bpf_endian.h"
#include "bpf_helpers.h"
#include "ebpf_nethooks.h"
#include "ebpf_ntos_hooks.h"
#include "ebpf_structs.h"
#include "xdp_hooks.h"

#include "net/icmp.h"
#include "net/if_ether.h"
#include "net/ip.h"
#include "net/tcp.h"
#include "net/udp.h"

// Names of the first tutorials, whose map definitions in section "maps" begin with their own size.
typedef struct _ebpf_map_definition_with_size {
    uint32_t size;
    uint32_t type;
    uint32_t key_size;
    uint32_t value_size;
    uint32_t max_entries;
    uint32_t inner_map_idx;
    uint32_t pinning;
    uint32_t id;
    uint32_t inner_id;
} ebpf_map_definition_t;
#define ebpf_map_definition_in_file_t ebpf_map_definition_t
#define EBPF_MAP_TYPE_HASH BPF_MAP_TYPE_HASH
#define EBPF_MAP_TYPE_ARRAY BPF_MAP_TYPE_ARRAY
#define ebpf_map_lookup_elem bpf_map_lookup_elem
#define ebpf_map_update_elem bpf_map_update_elem
#define ebpf_map_delete_elem bpf_map_delete_elem
