// SPDX-License-Identifier: MIT OR Apache-2.0

// Hooks of the executive: processes, and events of other network drivers.
#pragma once

#include "ebpf_structs.h"

// SEC("process"): a process starts or ends.
typedef enum _process_operation {
    PROCESS_OPERATION_CREATE = 0,
    PROCESS_OPERATION_DELETE = 1,
} process_operation_t;

// Context of process programs. The command line is in UTF-16; times are in 100 ns since 1601.
typedef struct _process_md {
    uint8_t *command_start;
    uint8_t *command_end;
    uint64_t process_id;
    uint64_t parent_process_id;
    uint64_t creating_process_id;
    uint64_t creating_thread_id;
    uint64_t creation_time;
    uint64_t exit_time;
    uint32_t process_exit_code;
    uint8_t operation; // process_operation_t
    uint32_t token_sid_size;
    uint8_t token_sid[68];
} process_md_t;

// Program type of SEC("process"). A result other than 0 stops a process from being created.
typedef int process_hook_t(process_md_t *context);

// Context of SEC("netevent_monitor") programs.
typedef struct _netevent_event_md {
    uint8_t *data_meta;
    uint8_t *data;
    uint8_t *data_end;
} netevent_event_md_t;

// Program type of SEC("netevent_monitor").
typedef int netevent_event_hook_t(netevent_event_md_t *context);
