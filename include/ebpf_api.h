// SPDX-License-Identifier: MIT OR Apache-2.0

// Functions of eBPF for Windows beyond libbpf. They return `ebpf_result_t` where nothing else is said.
#pragma once

#include "bpf/libbpf.h"
#include "ebpf_program_types.h"
#include "ebpf_result.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef int32_t fd_t;
static const fd_t ebpf_fd_invalid = -1;
// Of an event: a HANDLE on Windows, a descriptor of eventfd on Linux.
typedef intptr_t ebpf_handle_t;
static const ebpf_handle_t ebpf_handle_invalid = -1;
typedef GUID ebpf_program_type_t;
typedef GUID ebpf_attach_type_t;

typedef enum {
    EBPF_EXECUTION_ANY = 0,
    EBPF_EXECUTION_JIT = 1,
    EBPF_EXECUTION_INTERPRET = 2,
    EBPF_EXECUTION_NATIVE = 3,
} ebpf_execution_type_t;

typedef enum {
    EBPF_OBJECT_UNKNOWN = 0,
    EBPF_OBJECT_MAP = 1,
    EBPF_OBJECT_LINK = 2,
    EBPF_OBJECT_PROGRAM = 3,
} ebpf_object_type_t;

typedef enum {
    EBPF_VERIFICATION_VERBOSITY_NORMAL = 0,
    EBPF_VERIFICATION_VERBOSITY_INFORMATIONAL = 1,
    EBPF_VERIFICATION_VERBOSITY_VERBOSE = 2,
} ebpf_verification_verbosity_t;

typedef struct {
    int total_unreachable; // instructions that no path leads to
    int total_warnings;    // 1 for a program that is refused
    int max_loop_count;
} ebpf_api_verifier_stats_t;

// How often something is in a program.
typedef struct _ebpf_stat {
    struct _ebpf_stat *next;
    const char *key;
    int value;
} ebpf_stat_t;

// A program of a file.
typedef struct _ebpf_api_program_info {
    struct _ebpf_api_program_info *next;
    const char *section_name;
    const char *program_name;
    ebpf_program_type_t program_type;
    ebpf_attach_type_t expected_attach_type;
    size_t raw_data_size; // bytecode, or the code section of a driver
    char *raw_data;
    ebpf_stat_t *stats;
    size_t offset_in_section;
} ebpf_api_program_info_t;
#define ebpf_section_info_t ebpf_api_program_info_t

#define EBPF_MAX_PIN_PATH_LENGTH 256

typedef struct _ebpf_map_definition_in_memory {
    enum bpf_map_type type;
    uint32_t key_size;
    uint32_t value_size;
    uint32_t max_entries;
    uint32_t inner_map_id;
    ebpf_pin_type_t pinning;
} ebpf_map_definition_in_memory_t;

// A pinned map.
typedef struct _ebpf_map_info {
    ebpf_map_definition_in_memory_t definition;
    char *pin_path;
} ebpf_map_info_t;

// A call that looks something up in a map that is the same on every path.
typedef struct _ebpf_verifier_map_info {
    uint32_t instruction_offset;
    int32_t helper_id;
    const char *map_name;
    uint32_t map_type;
    uint32_t value_size;
    uint32_t max_entries;
    bool is_inner_map_template;
} ebpf_verifier_map_info_t;

// The message of the last error of this thread, with what to do about it; empty when there is none
// beyond errno. It stays until the next error.
const char *ebpf_last_error(void);

ebpf_result_t ebpf_close_fd(fd_t fd);
ebpf_result_t ebpf_duplicate_fd(fd_t fd, fd_t *duplicate);
// How many descriptors of this process name objects: tests look for what was left open.
int ebpf_open_fds(void);

// For text that functions below give.
void ebpf_free_string(const char *text);

// Programs of an object file or driver, with counts of their instructions when `verbose`.
ebpf_result_t ebpf_enumerate_programs(const char *file, bool verbose,
                                      ebpf_api_program_info_t **infos,
                                      const char **error_message);
void ebpf_free_programs(ebpf_api_program_info_t *infos);
// What `netsh ebpf show disassembly` prints; 0, or 1 with a message.
uint32_t ebpf_api_elf_disassemble_program(const char *file, const char *section_name,
                                          const char *program_name, const char **disassembly,
                                          const char **error_message);
// The bytes of a section of an object file or driver. Without `data` only their number is given;
// EBPF_INVALID_OBJECT: no such file, EBPF_OBJECT_NOT_FOUND: no such section,
// EBPF_INSUFFICIENT_BUFFER: there are more.
ebpf_result_t ebpf_api_get_data_section(const char *file_path, const char *section_name,
                                        uint8_t *data, size_t *data_size);

// 0: verified; 1: refused, with a report and a message. NULL stands for the first program of a
// section, or of the file, and for the type that its section names.
uint32_t ebpf_api_elf_verify_program_from_file(const char *file, const char *section_name,
                                               const char *program_name,
                                               const ebpf_program_type_t *program_type,
                                               ebpf_verification_verbosity_t verbosity,
                                               const char **report, const char **error_message,
                                               ebpf_api_verifier_stats_t *stats);
uint32_t ebpf_api_elf_verify_program_from_memory(const char *data, size_t data_length,
                                                 const char *section_name,
                                                 const char *program_name,
                                                 const ebpf_program_type_t *program_type,
                                                 ebpf_verification_verbosity_t verbosity,
                                                 const char **report, const char **error_message,
                                                 ebpf_api_verifier_stats_t *stats);

// What the last verification of this thread found out. All of it belongs to the library; what is about
// the program stays until the thread verifies again.
ebpf_result_t ebpf_get_program_info_from_verifier(const ebpf_program_info_t **program_info);
ebpf_result_t
ebpf_get_map_annotations_from_verifier(const ebpf_verifier_map_info_t **annotations, size_t *count);
// Functions of other modules are numbered from 1 in the order of the file. What their arguments must be
// is not known: EBPF_ARGUMENT_TYPE_DONTCARE.
ebpf_result_t ebpf_get_btf_resolved_function_info_from_verifier(
    int32_t btf_id, const ebpf_btf_resolved_function_info_t **function_info);

ebpf_result_t ebpf_program_attach(const struct bpf_program *program,
                                  const ebpf_attach_type_t *attach_type,
                                  void *attach_parameters, size_t attach_parameters_size,
                                  struct bpf_link **link);
ebpf_result_t ebpf_program_attach_by_fd(fd_t program_fd, const ebpf_attach_type_t *attach_type,
                                        void *attach_parameters,
                                        size_t attach_parameters_size, struct bpf_link **link);
ebpf_result_t ebpf_program_attach_by_fds(fd_t program_fd, const ebpf_attach_type_t *attach_type,
                                         void *attach_parameters,
                                         size_t attach_parameters_size, fd_t *link);
void ebpf_link_close(struct bpf_link *link);
ebpf_result_t ebpf_program_query_info(fd_t fd, ebpf_execution_type_t *execution_type,
                                      const char **file_name, const char **section_name);
// The structure of the object's kind in bpf/bpf.h, NULL for none.
ebpf_result_t ebpf_object_get_info_by_fd(fd_t bpf_fd, void *info, uint32_t *info_size,
                                         ebpf_object_type_t *type);
// Object files are interpreted, drivers are native; asking for another way is an error.
ebpf_execution_type_t ebpf_object_get_execution_type(const struct bpf_object *object);
ebpf_result_t ebpf_object_set_execution_type(struct bpf_object *object,
                                             ebpf_execution_type_t execution_type);
ebpf_result_t ebpf_get_program_type_by_name(const char *name, ebpf_program_type_t *program_type,
                                            ebpf_attach_type_t *expected_attach_type);
ebpf_result_t ebpf_program_synchronize(void);

// A descriptor, or a negative errno.
fd_t ebpf_object_get(const char *path);
ebpf_result_t ebpf_object_unpin(const char *path);
// `type` chooses one kind of objects (EBPF_OBJECT_UNKNOWN: any) and gets what was found.
ebpf_result_t ebpf_get_next_pinned_object_path(const char *start_path, char *next_path,
                                               size_t next_path_len, ebpf_object_type_t *type);

// The form of a path that pins are listed with.
ebpf_result_t ebpf_canonicalize_pin_path(char *output, size_t output_size, const char *input);
ebpf_result_t ebpf_api_get_pinned_map_info(uint16_t *map_count, ebpf_map_info_t **map_info);
void ebpf_api_map_info_free(uint16_t map_count, const ebpf_map_info_t *map_info);

// Loads a driver without an object. EBPF_NO_MEMORY: there are more maps or programs than there is room
// for; the counts say how many, and nothing is loaded.
ebpf_result_t ebpf_object_load_native_by_fds(const char *file_name, size_t *count_of_maps,
                                             fd_t *map_fds, size_t *count_of_programs,
                                             fd_t *program_fds);
// For handles that a program got from the driver by itself; not those of descriptors.
ebpf_result_t ebpf_api_close_handle(ebpf_handle_t handle);

ebpf_result_t ebpf_ring_buffer_map_write(fd_t map_fd, const void *data, size_t data_length);
ebpf_result_t ebpf_perf_event_array_map_write(fd_t map_fd, const void *data, size_t data_length);

struct ebpf_ring_buffer_opts {
    size_t sz; // of this structure
    uint64_t flags;
};

struct ebpf_perf_buffer_opts {
    size_t sz; // of this structure
    uint64_t flags;
};

enum ebpf_ring_buffer_flags {
    EBPF_RINGBUF_FLAG_AUTO_CALLBACK = 1,
};

enum ebpf_perf_buffer_flags {
    EBPF_PERFBUF_FLAG_AUTO_CALLBACK = 1,
};

// Without a flag they are ring_buffer__new and perf_buffer__new. With "auto callback" threads of the
// library call back, one at a time, until the reader is freed; what the callback returns is ignored.
// Then there is no wait handle, and nothing to poll, consume or add.
struct ring_buffer *ebpf_ring_buffer__new(int map_fd, ring_buffer_sample_fn sample_cb, void *ctx,
                                          const struct ebpf_ring_buffer_opts *opts);
struct perf_buffer *ebpf_perf_buffer__new(int map_fd, size_t page_cnt,
                                          perf_buffer_sample_fn sample_cb,
                                          perf_buffer_lost_fn lost_cb, void *ctx,
                                          const struct ebpf_perf_buffer_opts *opts);

// Set while there are records; consuming and polling take it back. It goes with the reader.
ebpf_handle_t ebpf_ring_buffer_get_wait_handle(struct ring_buffer *rb);
ebpf_handle_t ebpf_perf_buffer_get_wait_handle(struct perf_buffer *pb);

// Has an event of the caller set with each record; ebpf_handle_invalid for none any more. A ring has one
// event: this one replaces that of a reader. Ring buffers have index 0, perf event arrays one for each
// processor.
ebpf_result_t ebpf_map_set_wait_handle(fd_t map_fd, uint64_t index, ebpf_handle_t handle);

// A ring in place. Positions only grow, the place of one is its remainder by the size of the ring, which
// is a power of two. A record begins at a multiple of 8 with `ebpf_ring_buffer_record_t`, its data
// follow; the ring is there twice, one behind the other, so that no record is in two parts.
typedef struct {
    volatile uint64_t consumer_offset; // read up to here; the reader writes it
} ebpf_ring_buffer_consumer_page_t;

typedef struct {
    volatile uint64_t producer_offset; // written up to here; not writable
} ebpf_ring_buffer_producer_page_t;

typedef struct {
    uint32_t length; // of the data, with the two bits below
    uint32_t page_offset;
} ebpf_ring_buffer_record_t;

#define EBPF_RINGBUF_LOCK_BIT (1u << 31)    // not finished: the reader waits for it
#define EBPF_RINGBUF_DISCARD_BIT (1u << 30) // without data: the reader passes over it

// Where a ring of a reader is; rings count in the order in which they were added. It goes with the reader.
ebpf_result_t ebpf_ring_buffer_get_buffer(struct ring_buffer *rb, uint32_t index,
                                          ebpf_ring_buffer_consumer_page_t **consumer_page,
                                          const ebpf_ring_buffer_producer_page_t **producer_page,
                                          const uint8_t **data, uint64_t *data_size);

// Shows a ring buffer to this process until it is unmapped; each call does so anew.
ebpf_result_t ebpf_ring_buffer_map_map_buffer(fd_t map_fd, void **consumer, const void **producer,
                                              const uint8_t **data, size_t *data_size);
ebpf_result_t ebpf_ring_buffer_map_unmap_buffer(fd_t map_fd, void *consumer, const void *producer,
                                                const void *data);

// NULL: there is none.
const ebpf_program_type_t *ebpf_get_ebpf_program_type(enum bpf_prog_type type);
ebpf_result_t ebpf_get_ebpf_attach_type(enum bpf_attach_type type, ebpf_attach_type_t *result);
enum bpf_prog_type ebpf_get_bpf_program_type(const ebpf_program_type_t *type);
enum bpf_attach_type ebpf_get_bpf_attach_type(const ebpf_attach_type_t *type);
const char *ebpf_get_program_type_name(const ebpf_program_type_t *type);
const char *ebpf_get_attach_type_name(const ebpf_attach_type_t *type);

#ifdef __cplusplus
}
#endif
