// SPDX-License-Identifier: MIT OR Apache-2.0

// Maps, programs, links and pins by descriptor, with the names of libbpf. Functions return 0 or a
// descriptor, or a negative errno, which is also stored in errno; `ebpf_last_error` has the message.
// Descriptors are closed with `ebpf_close_fd` (ebpf_api.h).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../ebpf_structs.h"

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

// An instruction slot.
struct bpf_insn {
    uint8_t code;
    uint8_t dst_reg : 4;
    uint8_t src_reg : 4;
    int16_t off;
    int32_t imm; // loads of maps: the descriptor of the map
};

#define BPF_OBJ_NAME_LEN 64

struct bpf_map_info {
    uint32_t id;
    enum bpf_map_type type;
    uint32_t key_size;
    uint32_t value_size;
    uint32_t max_entries;
    char name[BPF_OBJ_NAME_LEN];
    uint32_t map_flags;
    uint32_t inner_map_id;
    uint32_t pinned_path_count;
};

struct bpf_prog_info {
    uint32_t id;
    enum bpf_prog_type type;
    uint32_t nr_map_ids;
    uint64_t map_ids; // not filled
    char name[BPF_OBJ_NAME_LEN];
    GUID type_uuid;
    GUID attach_type_uuid;
    uint32_t pinned_path_count;
    uint32_t link_count;
};

enum bpf_link_type {
    BPF_LINK_TYPE_UNSPEC = 0,
    BPF_LINK_TYPE_PLAIN = 1,
    BPF_LINK_TYPE_CGROUP = 2,
    BPF_LINK_TYPE_XDP = 3,
};

struct bpf_link_info {
    uint32_t id;
    uint32_t prog_id; // 0: detached
    enum bpf_link_type type;
    enum bpf_attach_type attach_type;
    GUID attach_type_uuid;
    GUID program_type_uuid;
    union {
        uint64_t attach_data;
        struct {
            int ifindex;
        } xdp;
        struct {
            uint64_t cgroup_id;
        } cgroup;
    };
};

struct bpf_map_create_opts {
    size_t sz; // size of this structure
    uint32_t btf_fd;
    uint32_t btf_key_type_id;
    uint32_t btf_value_type_id;
    uint32_t btf_vmlinux_value_type_id;
    uint32_t inner_map_fd; // template of the maps inside
    uint32_t map_flags;
};

struct bpf_map_batch_opts {
    size_t sz; // size of this structure
    uint64_t elem_flags; // of bpf_map_update_elem
    uint64_t flags;
};

struct bpf_prog_load_opts {
    size_t sz; // size of this structure
    int attempts;
    enum bpf_attach_type expected_attach_type;
    uint32_t prog_btf_fd;
    uint32_t prog_flags;
    uint32_t prog_ifindex;
    uint32_t kern_version;
    uint32_t attach_btf_id;
    uint32_t attach_prog_fd;
    uint32_t attach_btf_obj_fd;
    const int *fd_array;
    const void *func_info;
    uint32_t func_info_cnt;
    uint32_t func_info_rec_size;
    const void *line_info;
    uint32_t line_info_cnt;
    uint32_t line_info_rec_size;
    uint32_t log_level;
    uint32_t log_size;
    char *log_buf; // gets the verifier's report when the program is refused
};

struct bpf_test_run_opts {
    size_t sz; // size of this structure
    const void *data_in;
    void *data_out;
    uint32_t data_size_in;
    uint32_t data_size_out; // in: room, out: size
    const void *ctx_in;
    void *ctx_out;
    uint32_t ctx_size_in;
    uint32_t ctx_size_out; // in: room, out: size
    uint32_t retval;       // out
    int repeat;
    uint32_t duration; // out: mean nanoseconds of a run
    uint32_t flags;    // BPF_F_TEST_RUN_ON_CPU
    uint32_t cpu;
    uint32_t batch_size;
};

#define BPF_F_TEST_RUN_ON_CPU 1

// Declares a structure of options with its size set.
#define LIBBPF_OPTS(TYPE, NAME, ...) struct TYPE NAME = {.sz = sizeof(struct TYPE), __VA_ARGS__}
#define DECLARE_LIBBPF_OPTS LIBBPF_OPTS

int bpf_map_create(enum bpf_map_type map_type, const char *map_name, uint32_t key_size,
                   uint32_t value_size, uint32_t max_entries,
                   const struct bpf_map_create_opts *opts);
int bpf_create_map(enum bpf_map_type map_type, int key_size, int value_size, int max_entries,
                   uint32_t map_flags);
int bpf_create_map_in_map(enum bpf_map_type map_type, const char *name, int key_size,
                          int inner_map_fd, int max_entries, uint32_t map_flags);

// Values of per-CPU maps have a copy for each processor, padded to 8 bytes. Maps of maps and of
// programs take descriptors and give ids.
int bpf_map_lookup_elem(int fd, const void *key, void *value);
int bpf_map_lookup_and_delete_elem(int fd, const void *key, void *value);
int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags);
int bpf_map_delete_elem(int fd, const void *key);
int bpf_map_get_next_key(int fd, const void *previous_key, void *next_key);
// `count` says how many elements there is room for, and how many were done. Reading stores the last
// key in `out_batch`, and ends with -ENOENT together with the last elements.
int bpf_map_lookup_batch(int fd, void *in_batch, void *out_batch, void *keys, void *values,
                         uint32_t *count, const struct bpf_map_batch_opts *opts);
int bpf_map_lookup_and_delete_batch(int fd, void *in_batch, void *out_batch, void *keys,
                                    void *values, uint32_t *count,
                                    const struct bpf_map_batch_opts *opts);
int bpf_map_update_batch(int fd, const void *keys, const void *values, uint32_t *count,
                         const struct bpf_map_batch_opts *opts);
int bpf_map_delete_batch(int fd, const void *keys, uint32_t *count,
                         const struct bpf_map_batch_opts *opts);

int bpf_prog_load(enum bpf_prog_type prog_type, const char *prog_name, const char *license,
                  const struct bpf_insn *insns, size_t insn_cnt,
                  const struct bpf_prog_load_opts *opts);
int bpf_prog_test_run_opts(int prog_fd, struct bpf_test_run_opts *opts);
int bpf_prog_bind_map(int prog_fd, int map_fd, const void *opts);

// Attached by descriptor, a program stays until it is detached.
int bpf_prog_attach(int prog_fd, int attachable_fd, enum bpf_attach_type type, unsigned int flags);
int bpf_prog_detach(int attachable_fd, enum bpf_attach_type type);
int bpf_prog_detach2(int prog_fd, int attachable_fd, enum bpf_attach_type type);
int bpf_xdp_attach(int ifindex, int prog_fd, uint32_t flags, const void *opts);
int bpf_xdp_detach(int ifindex, uint32_t flags, const void *opts);
int bpf_xdp_query_id(int ifindex, int flags, uint32_t *prog_id);
int bpf_set_link_xdp_fd(int ifindex, int fd, uint32_t flags);
int bpf_link_detach(int link_fd);

int bpf_obj_pin(int fd, const char *pathname);
int bpf_obj_get(const char *pathname);
int bpf_obj_get_info_by_fd(int bpf_fd, void *info, uint32_t *info_len);

int bpf_map_get_next_id(uint32_t start_id, uint32_t *next_id);
int bpf_prog_get_next_id(uint32_t start_id, uint32_t *next_id);
int bpf_link_get_next_id(uint32_t start_id, uint32_t *next_id);
int bpf_map_get_fd_by_id(uint32_t id);
int bpf_prog_get_fd_by_id(uint32_t id);
int bpf_link_get_fd_by_id(uint32_t id);

#ifdef __cplusplus
}
#endif
