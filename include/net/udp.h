// SPDX-License-Identifier: MIT OR Apache-2.0

// UDP (RFC 768). Fields are in network byte order; `length` counts this header too.
#pragma once

#include "../ebpf_structs.h"

typedef struct _UDP_HEADER {
    uint16_t srcPort;
    uint16_t destPort;
    uint16_t length;
    uint16_t checksum;
} UDP_HEADER;
