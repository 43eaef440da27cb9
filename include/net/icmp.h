// SPDX-License-Identifier: MIT OR Apache-2.0

// ICMP (RFC 792) and ICMPv6 (RFC 4443). Multi-byte fields are in network byte order.
#pragma once

#include "../ebpf_structs.h"

typedef struct _ICMP_HEADER {
    uint8_t Type;
    uint8_t Code;
    uint16_t Checksum;
    uint32_t Data;
} ICMP_HEADER;
