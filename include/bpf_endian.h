// SPDX-License-Identifier: MIT OR Apache-2.0

// Byte order: networks are big-endian, eBPF machines mostly are not. Constants are converted at
// compile time, other values with one instruction.
#pragma once

#include "ebpf_structs.h"

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define bpf_cpu_to_be16(x) ((uint16_t)__builtin_bswap16((uint16_t)(x)))
#define bpf_cpu_to_be32(x) ((uint32_t)__builtin_bswap32((uint32_t)(x)))
#define bpf_cpu_to_be64(x) ((uint64_t)__builtin_bswap64((uint64_t)(x)))
#else
#define bpf_cpu_to_be16(x) ((uint16_t)(x))
#define bpf_cpu_to_be32(x) ((uint32_t)(x))
#define bpf_cpu_to_be64(x) ((uint64_t)(x))
#endif

#define bpf_be16_to_cpu(x) bpf_cpu_to_be16(x)
#define bpf_be32_to_cpu(x) bpf_cpu_to_be32(x)
#define bpf_be64_to_cpu(x) bpf_cpu_to_be64(x)

#define bpf_htons(x) bpf_cpu_to_be16(x)
#define bpf_ntohs(x) bpf_be16_to_cpu(x)
#define bpf_htonl(x) bpf_cpu_to_be32(x)
#define bpf_ntohl(x) bpf_be32_to_cpu(x)
#define bpf_htonll(x) bpf_cpu_to_be64(x)
#define bpf_ntohll(x) bpf_be64_to_cpu(x)

#ifndef htons
#define htons(x) bpf_htons(x)
#define ntohs(x) bpf_ntohs(x)
#define htonl(x) bpf_htonl(x)
#define ntohl(x) bpf_ntohl(x)
#endif
