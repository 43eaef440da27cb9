// SPDX-License-Identifier: MIT OR Apache-2.0

// What providers of program types say about them: contexts, helpers, sections. Every structure begins
// with a version (1), the end of its last meaningful field, and the distance to the next element.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpf_structs.h"

#ifdef __cplusplus
extern "C" {
#endif

// A GUID in memory.
#ifndef GUID_DEFINED
#define GUID_DEFINED
typedef struct _GUID {
    uint32_t Data1;
    uint16_t Data2;
    uint16_t Data3;
    uint8_t Data4[8];
} GUID;
#endif

typedef struct _ebpf_extension_header {
    uint16_t version;
    size_t size;
    size_t total_size;
} ebpf_extension_header_t;

// The header of a structure whose last field is named.
#define EBPF_EXTENSION_HEADER_OF(TYPE, LAST)                                                       \
    {1, offsetof(TYPE, LAST) + sizeof(((TYPE *)0)->LAST), sizeof(TYPE)}

typedef enum _ebpf_return_type {
    EBPF_RETURN_TYPE_INTEGER = 0,
    EBPF_RETURN_TYPE_PTR_TO_MAP_VALUE_OR_NULL = 1,
    EBPF_RETURN_TYPE_INTEGER_OR_NO_RETURN_IF_SUCCEED = 2,
} ebpf_return_type_t;

typedef enum _ebpf_argument_type {
    EBPF_ARGUMENT_TYPE_DONTCARE = 0,
    EBPF_ARGUMENT_TYPE_ANYTHING = 1,
    EBPF_ARGUMENT_TYPE_CONST_SIZE = 2,
    EBPF_ARGUMENT_TYPE_CONST_SIZE_OR_ZERO = 3,
    EBPF_ARGUMENT_TYPE_PTR_TO_CTX = 4,
    EBPF_ARGUMENT_TYPE_PTR_TO_MAP = 5,
    EBPF_ARGUMENT_TYPE_PTR_TO_MAP_OF_PROGRAMS = 6,
    EBPF_ARGUMENT_TYPE_PTR_TO_MAP_KEY = 7,
    EBPF_ARGUMENT_TYPE_PTR_TO_MAP_VALUE = 8,
    EBPF_ARGUMENT_TYPE_PTR_TO_READABLE_MEM = 9,
    EBPF_ARGUMENT_TYPE_PTR_TO_READABLE_MEM_OR_NULL = 10,
    EBPF_ARGUMENT_TYPE_PTR_TO_WRITABLE_MEM = 11,
} ebpf_argument_type_t;

// Bytes of the context, and offsets of its packet pointers, -1 for none.
typedef struct _ebpf_context_descriptor {
    int size;
    int data;
    int end;
    int meta;
} ebpf_context_descriptor_t;

typedef struct _ebpf_program_type_descriptor {
    ebpf_extension_header_t header;
    const char *name;
    const ebpf_context_descriptor_t *context_descriptor;
    GUID program_type;
    uint32_t bpf_prog_type;
    unsigned char is_privileged;
} ebpf_program_type_descriptor_t;

typedef struct _ebpf_helper_function_prototype_flags {
    bool reallocate_packet : 1;
} ebpf_helper_function_prototype_flags_t;

typedef struct _ebpf_helper_function_prototype {
    ebpf_extension_header_t header;
    uint32_t helper_id;
    const char *name;
    ebpf_return_type_t return_type;
    ebpf_argument_type_t arguments[5];
    ebpf_helper_function_prototype_flags_t flags;
    bool implicit_context;
} ebpf_helper_function_prototype_t;

typedef struct _ebpf_program_info {
    ebpf_extension_header_t header;
    const ebpf_program_type_descriptor_t *program_type_descriptor;
    uint32_t count_of_program_type_specific_helpers;
    const ebpf_helper_function_prototype_t *program_type_specific_helper_prototype;
    uint32_t count_of_global_helpers;
    const ebpf_helper_function_prototype_t *global_helper_prototype;
} ebpf_program_info_t;

typedef struct _ebpf_program_section_info {
    ebpf_extension_header_t header;
    const wchar_t *section_name;
    const GUID *program_type;
    const GUID *attach_type;
    uint32_t bpf_program_type;
    uint32_t bpf_attach_type;
} ebpf_program_section_info_t;

// A function of another module that programs call by its name.
typedef struct _ebpf_btf_resolved_function_prototype {
    ebpf_extension_header_t header;
    const char *name;
    ebpf_return_type_t return_type;
    ebpf_argument_type_t arguments[5];
    uint32_t flags;
} ebpf_btf_resolved_function_prototype_t;

typedef struct _ebpf_btf_resolved_function_info {
    GUID module_guid;
    ebpf_btf_resolved_function_prototype_t prototype;
} ebpf_btf_resolved_function_info_t;

#define EBPF_PROGRAM_TYPE_DESCRIPTOR_HEADER                                                        \
    EBPF_EXTENSION_HEADER_OF(ebpf_program_type_descriptor_t, is_privileged)
#define EBPF_HELPER_FUNCTION_PROTOTYPE_HEADER                                                      \
    EBPF_EXTENSION_HEADER_OF(ebpf_helper_function_prototype_t, implicit_context)
#define EBPF_PROGRAM_INFORMATION_HEADER                                                            \
    EBPF_EXTENSION_HEADER_OF(ebpf_program_info_t, global_helper_prototype)
#define EBPF_PROGRAM_SECTION_INFORMATION_HEADER                                                    \
    EBPF_EXTENSION_HEADER_OF(ebpf_program_section_info_t, bpf_attach_type)

#ifdef __cplusplus
}
#endif
