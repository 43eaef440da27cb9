// SPDX-License-Identifier: MIT OR Apache-2.0

// The native module interface of eBPF for Windows as its documentation describes it, written down
// here a second time on purpose: these tests must not share a mistake with the product.

#pragma once

#include <stdint.h>

typedef struct {
    uint16_t version;
    uint64_t size;
    uint64_t total_size;
} header_t;

typedef struct {
    header_t header;
    uint32_t helper_id;
    const char *name;
} helper_entry_t;

typedef struct {
    header_t header;
    uint64_t(__attribute__((ms_abi)) * address)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, void *);
    uint8_t tail_call;
} helper_data_t;

typedef struct {
    uint64_t zero[2];
    header_t header;
    uint32_t type, key_size, value_size, max_entries, inner_map_idx, pinning, id, inner_id;
    const char *name;
} map_entry_t;

typedef struct {
    header_t header;
    void *address;
} map_data_t;

typedef struct {
    header_t header;
    const char *name;
    uint64_t count;
    const char **values;
} initial_values_t;

typedef struct {
    header_t header;
    const char *name;
    uint64_t size;
    const uint8_t *initial_data;
} global_info_t;

typedef struct {
    header_t header;
    uint8_t *address_of_map_value;
} global_data_t;

typedef struct {
    header_t header;
    helper_data_t *helpers;
    map_data_t *maps;
    global_data_t *globals;
} runtime_context_t;

typedef uint64_t(__attribute__((ms_abi)) * program_t)(void *, const runtime_context_t *);

typedef struct {
    uint64_t zero;
    header_t header;
    program_t function;
    const char *pe_section_name, *section_name, *program_name;
    const uint16_t *map_indices;
    uint16_t map_count;
    const helper_entry_t *helpers;
    uint16_t helper_count;
    uint64_t instruction_count;
    const uint8_t *program_type, *attach_type, *info_hash;
    uint64_t info_hash_length;
    const char *info_hash_type;
} program_entry_t;

typedef struct {
    uint32_t major, minor, revision;
} version_t;

typedef void(__attribute__((ms_abi)) * getter_t)(const void **, uint64_t *);

typedef struct {
    uint64_t size;
    getter_t programs, maps, hash;
    void(__attribute__((ms_abi)) * version)(version_t *);
    getter_t initial_values, globals;
} metadata_table_t;

_Static_assert(sizeof(header_t) == 24, "header");
_Static_assert(sizeof(helper_entry_t) == 40, "helper entry");
_Static_assert(sizeof(helper_data_t) == 40, "helper data");
_Static_assert(sizeof(map_entry_t) == 80, "map entry");
_Static_assert(sizeof(map_data_t) == 32, "map data before 1.4");
_Static_assert(sizeof(global_data_t) == 32, "global data");
_Static_assert(sizeof(program_entry_t) == 144, "program entry before 1.5");
_Static_assert(sizeof(metadata_table_t) == 56, "metadata table");
