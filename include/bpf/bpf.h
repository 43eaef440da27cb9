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
    uint32_t nr_map_ids; // in: room at `map_ids`; out: maps of the program
    uint64_t map_ids; // in: 0, or the address of room for `nr_map_ids` ids, which are filled
    char name[BPF_OBJ_NAME_LEN];
    GUID type_uuid;
    GUID attach_type_uuid;
    uint32_t pinned_path_count;
    uint32_t link_count;
    uint64_t run_cnt; // behind what eBPF for Windows tells; not written when nobody counts runs
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

// Commands of `bpf`, with the numbers of Linux.
enum bpf_cmd_id {
    BPF_MAP_CREATE = 0,
    BPF_MAP_LOOKUP_ELEM = 1,
    BPF_MAP_UPDATE_ELEM = 2,
    BPF_MAP_DELETE_ELEM = 3,
    BPF_MAP_GET_NEXT_KEY = 4,
    BPF_PROG_LOAD = 5,
    BPF_OBJ_PIN = 6,
    BPF_OBJ_GET = 7,
    BPF_PROG_ATTACH = 8,
    BPF_PROG_DETACH = 9,
    BPF_PROG_TEST_RUN = 10,
    BPF_PROG_GET_NEXT_ID = 11,
    BPF_MAP_GET_NEXT_ID = 12,
    BPF_PROG_GET_FD_BY_ID = 13,
    BPF_MAP_GET_FD_BY_ID = 14,
    BPF_OBJ_GET_INFO_BY_FD = 15,
    BPF_MAP_LOOKUP_AND_DELETE_ELEM = 21,
    BPF_LINK_GET_FD_BY_ID = 30,
    BPF_LINK_GET_NEXT_ID = 31,
    BPF_LINK_DETACH = 34,
    BPF_PROG_BIND_MAP = 35,
};

#define SYS_BPF_OBJ_NAME_LEN 16

// Attributes of the commands, as the system call of Linux has them. Addresses are numbers.
union bpf_attr {
    struct {
        enum bpf_map_type map_type;
        uint32_t key_size;
        uint32_t value_size;
        uint32_t max_entries;
        uint32_t map_flags;
        uint32_t inner_map_fd; // template of the maps inside
        uint32_t numa_node;
        char map_name[SYS_BPF_OBJ_NAME_LEN];
        uint32_t map_ifindex;
    } map_create;
    struct {
        uint32_t map_fd;
        uint32_t _pad0;
        uint64_t key;
        uint64_t value;
        uint64_t flags;
    } map_lookup, map_update;
    struct {
        uint32_t map_fd;
        uint32_t _pad0;
        uint64_t key;
    } map_delete;
    struct {
        uint32_t map_fd;
        uint32_t _pad0;
        uint64_t key; // 0 asks for the first one
        uint64_t next_key;
    } map_get_next_key;
    struct {
        enum bpf_prog_type prog_type;
        uint32_t insn_cnt;
        uint64_t insns;
        uint64_t license;
        uint32_t log_level;
        uint32_t log_size;
        uint64_t log_buf; // gets the verifier's report when the program is refused
        uint32_t kern_version;
        uint32_t prog_flags;
        char prog_name[SYS_BPF_OBJ_NAME_LEN];
        uint32_t prog_ifindex;
        enum bpf_attach_type expected_attach_type;
    } prog_load;
    struct {
        uint64_t pathname;
        uint32_t bpf_fd;
        uint32_t flags;
    } obj_pin, obj_get;
    struct {
        uint32_t target_fd;
        uint32_t attach_bpf_fd;
        enum bpf_attach_type attach_type;
        uint32_t attach_flags;
    } prog_attach, prog_detach;
    struct {
        uint32_t prog_fd;
        uint32_t retval; // out
        uint32_t data_size_in;
        uint32_t data_size_out; // in: room, out: size
        uint64_t data_in;
        uint64_t data_out;
        uint32_t repeat;
        uint32_t duration; // out: mean nanoseconds of a run
        uint32_t ctx_size_in;
        uint32_t ctx_size_out; // in: room, out: size
        uint64_t ctx_in;
        uint64_t ctx_out;
        uint32_t flags;
        uint32_t cpu;
        uint32_t batch_size;
        uint32_t _pad0;
    } test;
    struct {
        uint32_t start_id;
        uint32_t next_id; // out
    } map_get_next_id, prog_get_next_id, link_get_next_id;
    uint32_t map_id;
    uint32_t prog_id;
    uint32_t link_id;
    struct {
        uint32_t bpf_fd;
        uint32_t info_len; // in: room, out: what was filled
        uint64_t info;     // a structure of Linux: `sys_bpf_map_info_t` and its like
    } info;
    struct {
        uint32_t link_fd;
    } link_detach;
    struct {
        uint32_t prog_fd;
        uint32_t map_fd;
        uint32_t flags;
    } prog_bind_map;
};

// What BPF_OBJ_GET_INFO_BY_FD fills.
typedef struct {
    enum bpf_map_type type;
    uint32_t id;
    uint32_t key_size;
    uint32_t value_size;
    uint32_t max_entries;
    uint32_t map_flags;
    char name[SYS_BPF_OBJ_NAME_LEN];
} sys_bpf_map_info_t;

typedef struct {
    enum bpf_prog_type type;
    uint32_t id;
    uint8_t tag[8];
    uint32_t jited_prog_len;
    uint32_t xlated_prog_len;
    uint64_t jited_prog_insns;
    uint64_t xlated_prog_insns;
    uint64_t load_time;
    uint32_t created_by_uid;
    uint32_t nr_map_ids; // in: room at `map_ids`; out: maps of the program
    uint64_t map_ids;
    char name[SYS_BPF_OBJ_NAME_LEN];
} sys_bpf_prog_info_t;

typedef struct {
    enum bpf_link_type type;
    uint32_t id;
    uint32_t prog_id;
} sys_bpf_link_info_t;

// Attributes of older functions.
struct bpf_create_map_attr {
    const char *name;
    enum bpf_map_type map_type;
    uint32_t map_flags;
    uint32_t key_size;
    uint32_t value_size;
    uint32_t max_entries;
    uint32_t numa_node;
    uint32_t btf_fd;
    uint32_t btf_key_type_id;
    uint32_t btf_value_type_id;
    uint32_t map_ifindex;
    union {
        uint32_t inner_map_fd;
        uint32_t btf_vmlinux_value_type_id;
    };
};

struct bpf_load_program_attr {
    enum bpf_prog_type prog_type;
    enum bpf_attach_type expected_attach_type;
    const char *name;
    const struct bpf_insn *insns;
    size_t insns_cnt;
    const char *license; // this and the rest is not read
    union {
        uint32_t kern_version;
        uint32_t attach_prog_fd;
    };
    union {
        uint32_t prog_ifindex;
        uint32_t attach_btf_id;
    };
    uint32_t prog_btf_fd;
    uint32_t func_info_rec_size;
    const void *func_info;
    uint32_t func_info_cnt;
    uint32_t line_info_rec_size;
    const void *line_info;
    uint32_t line_info_cnt;
    uint32_t log_level;
    uint32_t prog_flags;
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

// One of `enum bpf_cmd_id`. The attributes may be shorter or longer than the union, as long as what is not
// known here is zero.
int bpf(int cmd, union bpf_attr *attr, unsigned int size);

int bpf_map_create(enum bpf_map_type map_type, const char *map_name, uint32_t key_size,
                   uint32_t value_size, uint32_t max_entries,
                   const struct bpf_map_create_opts *opts);
int bpf_create_map(enum bpf_map_type map_type, int key_size, int value_size, int max_entries,
                   uint32_t map_flags);
int bpf_create_map_in_map(enum bpf_map_type map_type, const char *name, int key_size,
                          int inner_map_fd, int max_entries, uint32_t map_flags);
int bpf_create_map_xattr(const struct bpf_create_map_attr *create_attr);

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
int bpf_load_program(enum bpf_prog_type type, const struct bpf_insn *insns, size_t insns_cnt,
                     const char *license, uint32_t kern_version, char *log_buf, size_t log_buf_sz);
int bpf_load_program_xattr(const struct bpf_load_program_attr *load_attr, char *log_buf,
                           size_t log_buf_sz);
int bpf_prog_test_run_opts(int prog_fd, struct bpf_test_run_opts *opts);
int bpf_prog_bind_map(int prog_fd, int map_fd, const void *opts);

// Attached by descriptor, a program stays until it is detached.
int bpf_prog_attach(int prog_fd, int attachable_fd, enum bpf_attach_type type, unsigned int flags);
int bpf_prog_detach(int attachable_fd, enum bpf_attach_type type);
int bpf_prog_detach2(int prog_fd, int attachable_fd, enum bpf_attach_type type);
// Two programs cannot be on one interface; with XDP_FLAGS_REPLACE the one that is there goes. A program of
// -1 detaches. The modes of Linux mean nothing here.
#ifndef XDP_FLAGS_REPLACE
#define XDP_FLAGS_UPDATE_IF_NOEXIST (1U << 0)
#define XDP_FLAGS_REPLACE (1U << 4)
#endif
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
