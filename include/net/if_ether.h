// SPDX-License-Identifier: MIT OR Apache-2.0

// Ethernet II (IEEE 802.3). Multi-byte fields are in network byte order.
#pragma once

#include "../ebpf_structs.h"

#define ETHERNET_TYPE_IPV4 0x0800
#define ETHERNET_TYPE_ARP 0x0806
#define ETHERNET_TYPE_VLAN 0x8100
#define ETHERNET_TYPE_IPV6 0x86dd

typedef struct _ETHERNET_HEADER {
    uint8_t Destination[6];
    uint8_t Source[6];
    uint16_t Type;
} ETHERNET_HEADER;
