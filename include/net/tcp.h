// SPDX-License-Identifier: MIT OR Apache-2.0

// TCP (RFC 9293). Multi-byte fields are in network byte order.
#pragma once

#include "../ebpf_structs.h"

#define TCP_FLAG_FIN 0x01
#define TCP_FLAG_SYN 0x02
#define TCP_FLAG_RST 0x04
#define TCP_FLAG_PSH 0x08
#define TCP_FLAG_ACK 0x10
#define TCP_FLAG_URG 0x20

typedef struct _TCP_HEADER {
    uint16_t srcPort;
    uint16_t destPort;
    uint32_t seqNum;
    uint32_t ackNum;
    uint8_t reserved : 4;
    uint8_t dataOffset : 4; // in words of four bytes
    uint8_t flags;          // TCP_FLAG_*
    uint16_t window;
    uint16_t checksum;
    uint16_t urgentPointer;
} TCP_HEADER;
