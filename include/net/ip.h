// SPDX-License-Identifier: MIT OR Apache-2.0

// IPv4 (RFC 791) and IPv6 (RFC 8200). Multi-byte fields are in network byte order.
#pragma once

#include "../ebpf_structs.h"

#ifndef IPPROTO_TCP
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ICMPV6 58
#endif
#define IPPROTO_IPV4 4
#define IPPROTO_IPV6 41

typedef struct _IPV4_HEADER {
    union {
        uint8_t VersionAndHeaderLength;
        struct {
            uint8_t HeaderLength : 4; // in words of four bytes
            uint8_t Version : 4;
        };
    };
    uint8_t TypeOfService;
    uint16_t TotalLength;
    uint16_t Identification;
    uint16_t FlagsAndOffset;
    uint8_t TimeToLive;
    uint8_t Protocol;
    uint16_t HeaderChecksum;
    uint32_t SourceAddress;
    uint32_t DestinationAddress;
} IPV4_HEADER;

typedef struct _IPV6_HEADER {
    uint32_t VersionClassFlow;
    uint16_t PayloadLength;
    uint8_t NextHeader;
    uint8_t HopLimit;
    uint8_t SourceAddress[16];
    uint8_t DestinationAddress[16];
} IPV6_HEADER;
