// SPDX-License-Identifier: MIT OR Apache-2.0

// Objects with programs and maps, links and ring buffers, with the names of libbpf. Functions that
// return pointers return NULL and set errno when they fail.
#pragma once

#include "bpf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bpf_object;
struct bpf_program;
struct bpf_map;
struct bpf_link;
struct ring_buffer;
struct perf_buffer;

struct bpf_object_open_opts {
    size_t sz; // size of this structure
    const char *object_name;
};

struct bpf_object_load_attr {
    struct bpf_object *obj;
    int log_level;
    const char *target_btf_path;
};

// An object file (.o) for the interpreter, or a driver (.sys).
struct bpf_object *bpf_object__open(const char *path);
struct bpf_object *bpf_object__open_file(const char *path,
                                         const struct bpf_object_open_opts *opts);
struct bpf_object *bpf_object__open_mem(const void *obj_buf, size_t obj_buf_sz,
                                        const struct bpf_object_open_opts *opts);
int bpf_object__load(struct bpf_object *obj);
int bpf_object__load_xattr(struct bpf_object_load_attr *attr);
// Opens and loads a file; gives the object and the descriptor of its first program, which belongs to it.
int bpf_prog_load_deprecated(const char *file_name, enum bpf_prog_type type,
                             struct bpf_object **object, int *program_fd);
int bpf_object__unload(struct bpf_object *obj);
void bpf_object__close(struct bpf_object *obj);
const char *bpf_object__name(const struct bpf_object *obj);
// The object that was opened after another, the first one after NULL.
struct bpf_object *bpf_object__next(struct bpf_object *prev);

struct bpf_program *bpf_object__next_program(const struct bpf_object *obj,
                                             struct bpf_program *prog);
struct bpf_program *bpf_object__prev_program(const struct bpf_object *obj,
                                             struct bpf_program *prog);
struct bpf_map *bpf_object__next_map(const struct bpf_object *obj, const struct bpf_map *map);
struct bpf_map *bpf_object__prev_map(const struct bpf_object *obj, const struct bpf_map *map);
struct bpf_program *bpf_object__find_program_by_name(const struct bpf_object *obj,
                                                     const char *name);
struct bpf_map *bpf_object__find_map_by_name(const struct bpf_object *obj, const char *name);
int bpf_object__find_map_fd_by_name(const struct bpf_object *obj, const char *name);
#define bpf_object__for_each_program(pos, obj)                                                     \
    for ((pos) = bpf_object__next_program((obj), NULL); (pos) != NULL;                             \
         (pos) = bpf_object__next_program((obj), (pos)))
#define bpf_object__for_each_map(pos, obj)                                                         \
    for ((pos) = bpf_object__next_map((obj), NULL); (pos) != NULL;                                 \
         (pos) = bpf_object__next_map((obj), (pos)))

// Below a folder: maps by their names, programs by their sections with `_` for `/`.
int bpf_object__pin(struct bpf_object *obj, const char *path);
int bpf_object__pin_maps(struct bpf_object *obj, const char *path);
int bpf_object__unpin_maps(struct bpf_object *obj, const char *path);
int bpf_object__pin_programs(struct bpf_object *obj, const char *path);
int bpf_object__unpin_programs(struct bpf_object *obj, const char *path);

struct bpf_program *bpf_program__next(struct bpf_program *prog, const struct bpf_object *obj);
struct bpf_program *bpf_program__prev(struct bpf_program *prog, const struct bpf_object *obj);
int bpf_program__fd(const struct bpf_program *prog);
const char *bpf_program__name(const struct bpf_program *prog);
const char *bpf_program__section_name(const struct bpf_program *prog);
size_t bpf_program__insn_cnt(const struct bpf_program *prog);
enum bpf_prog_type bpf_program__type(const struct bpf_program *prog);
enum bpf_prog_type bpf_program__get_type(const struct bpf_program *prog);
int bpf_program__set_type(struct bpf_program *prog, enum bpf_prog_type type);
enum bpf_attach_type bpf_program__get_expected_attach_type(const struct bpf_program *prog);
int bpf_program__set_expected_attach_type(struct bpf_program *prog, enum bpf_attach_type type);
bool bpf_program__autoload(const struct bpf_program *prog);
int bpf_program__set_autoload(struct bpf_program *prog, bool autoload);
// For the hooks that a program is attached to; chosen before it is loaded.
uint32_t bpf_program__flags(const struct bpf_program *prog);
int bpf_program__set_flags(struct bpf_program *prog, uint32_t flags);
// The verifier's report about a program that was refused, NULL for others. It belongs to the object,
// until that is loaded again or closed.
const char *bpf_program__log_buf(const struct bpf_program *prog, size_t *log_size);
// Gives one program up; the others of its object stay loaded.
void bpf_program__unload(struct bpf_program *prog);
struct bpf_link *bpf_program__attach(const struct bpf_program *prog);
struct bpf_link *bpf_program__attach_xdp(const struct bpf_program *prog, int ifindex);
int bpf_program__pin(struct bpf_program *prog, const char *path);
int bpf_program__unpin(struct bpf_program *prog, const char *path);

struct bpf_map *bpf_map__next(const struct bpf_map *map, const struct bpf_object *obj);
struct bpf_map *bpf_map__prev(const struct bpf_map *map, const struct bpf_object *obj);
int bpf_map__fd(const struct bpf_map *map);
const char *bpf_map__name(const struct bpf_map *map);
enum bpf_map_type bpf_map__type(const struct bpf_map *map);
uint32_t bpf_map__key_size(const struct bpf_map *map);
uint32_t bpf_map__value_size(const struct bpf_map *map);
uint32_t bpf_map__max_entries(const struct bpf_map *map);
int bpf_map__pin(struct bpf_map *map, const char *path);
int bpf_map__unpin(struct bpf_map *map, const char *path);
bool bpf_map__is_pinned(const struct bpf_map *map);

// A destroyed link detaches its program, unless it is pinned or was disconnected.
int bpf_link__destroy(struct bpf_link *link);
void bpf_link__disconnect(struct bpf_link *link);
int bpf_link__detach(struct bpf_link *link);
int bpf_link__fd(const struct bpf_link *link);
int bpf_link__pin(struct bpf_link *link, const char *path);
// Where it was pinned or opened.
int bpf_link__unpin(struct bpf_link *link);
struct bpf_link *bpf_link__open(const char *path);

// A negative result ends reading and is returned.
typedef int (*ring_buffer_sample_fn)(void *ctx, void *data, size_t size);

struct ring_buffer *ring_buffer__new(int map_fd, ring_buffer_sample_fn sample_cb, void *ctx,
                                     const void *opts);
int ring_buffer__add(struct ring_buffer *rb, int map_fd, ring_buffer_sample_fn sample_cb,
                     void *ctx);
int ring_buffer__poll(struct ring_buffer *rb, int timeout_ms);
int ring_buffer__consume(struct ring_buffer *rb);
void ring_buffer__free(struct ring_buffer *rb);

typedef void (*perf_buffer_sample_fn)(void *ctx, int cpu, void *data, uint32_t size);
typedef void (*perf_buffer_lost_fn)(void *ctx, int cpu, uint64_t cnt);

struct perf_buffer *perf_buffer__new(int map_fd, size_t page_cnt, perf_buffer_sample_fn sample_cb,
                                     perf_buffer_lost_fn lost_cb, void *ctx, const void *opts);
int perf_buffer__poll(struct perf_buffer *pb, int timeout_ms);
int perf_buffer__consume(struct perf_buffer *pb);
// The same for the ring of one processor.
int perf_buffer__consume_buffer(struct perf_buffer *pb, size_t cpu);
size_t perf_buffer__buffer_cnt(const struct perf_buffer *pb);
void perf_buffer__free(struct perf_buffer *pb);

int libbpf_prog_type_by_name(const char *name, enum bpf_prog_type *prog_type,
                             enum bpf_attach_type *expected_attach_type);
int libbpf_attach_type_by_name(const char *name, enum bpf_attach_type *attach_type);
const char *libbpf_bpf_map_type_str(enum bpf_map_type type);
const char *libbpf_bpf_prog_type_str(enum bpf_prog_type type);
const char *libbpf_bpf_attach_type_str(enum bpf_attach_type type);
const char *libbpf_bpf_link_type_str(enum bpf_link_type type);
int libbpf_num_possible_cpus(void);
int libbpf_strerror(int err, char *buf, size_t size);
long libbpf_get_error(const void *ptr);

#ifdef __cplusplus
}
#endif
