// SPDX-License-Identifier: MIT OR Apache-2.0

// What the test programs share: a check that says where it failed, and why.
#pragma once

#include <ebpf_api.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\nerrno %d, last error: %s\n", __FILE__, __LINE__,           \
                    #condition, errno, ebpf_last_error());                                         \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

// Nothing is left: descriptors, maps, programs, links.
static inline void check_nothing_left(void) {
    uint32_t id;
    CHECK(ebpf_open_fds() == 0);
    CHECK(bpf_link_get_next_id(0, &id) == -ENOENT);
    CHECK(bpf_prog_get_next_id(0, &id) == -ENOENT);
    CHECK(bpf_map_get_next_id(0, &id) == -ENOENT);
}
