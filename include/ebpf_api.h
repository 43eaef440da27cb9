// SPDX-License-Identifier: MIT OR Apache-2.0

// Functions of eBPF for Windows beyond libbpf. They return `ebpf_result_t` where nothing else is said.
#pragma once

#include "bpf/libbpf.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef int ebpf_result_t; // 0: success
typedef int fd_t;
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
    int total_unreachable;
    int total_warnings;
    int max_loop_count;
} ebpf_api_verifier_stats_t;

// The message of the last error of this thread, with what to do about it; empty when there is none
// beyond errno. It stays until the next error.
const char *ebpf_last_error(void);

ebpf_result_t ebpf_close_fd(fd_t fd);
ebpf_result_t ebpf_duplicate_fd(fd_t fd, fd_t *duplicate);
// How many descriptors of this process name objects: tests look for what was left open.
int ebpf_open_fds(void);

// For text that functions below give.
void ebpf_free_string(char *text);

// 0: verified; 1: refused, with a report and a message. NULL stands for the first program of a
// section, or of the file, and for the type that its section names.
uint32_t ebpf_api_elf_verify_program_from_file(const char *file, const char *section_name,
                                               const char *program_name,
                                               const ebpf_program_type_t *program_type,
                                               ebpf_verification_verbosity_t verbosity,
                                               char **report, char **error_message,
                                               ebpf_api_verifier_stats_t *stats);
uint32_t ebpf_api_elf_verify_program_from_memory(const void *data, size_t data_length,
                                                 const char *section_name,
                                                 const char *program_name,
                                                 const ebpf_program_type_t *program_type,
                                                 ebpf_verification_verbosity_t verbosity,
                                                 char **report, char **error_message,
                                                 ebpf_api_verifier_stats_t *stats);

ebpf_result_t ebpf_program_attach(struct bpf_program *program,
                                  const ebpf_attach_type_t *attach_type,
                                  const void *attach_parameters, size_t attach_parameters_size,
                                  struct bpf_link **link);
ebpf_result_t ebpf_program_attach_by_fd(fd_t program_fd, const ebpf_attach_type_t *attach_type,
                                        const void *attach_parameters,
                                        size_t attach_parameters_size, struct bpf_link **link);
ebpf_result_t ebpf_program_attach_by_fds(fd_t program_fd, const ebpf_attach_type_t *attach_type,
                                         const void *attach_parameters,
                                         size_t attach_parameters_size, fd_t *link);
ebpf_result_t ebpf_link_close(struct bpf_link *link);
ebpf_result_t ebpf_program_query_info(fd_t fd, ebpf_execution_type_t *execution_type,
                                      char **file_name, char **section_name);
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

ebpf_result_t ebpf_ring_buffer_map_write(fd_t map_fd, const void *data, size_t data_length);
ebpf_result_t ebpf_perf_event_array_map_write(fd_t map_fd, const void *data, size_t data_length);

ebpf_result_t ebpf_get_ebpf_program_type(enum bpf_prog_type type, ebpf_program_type_t *result);
ebpf_result_t ebpf_get_ebpf_attach_type(enum bpf_attach_type type, ebpf_attach_type_t *result);
enum bpf_prog_type ebpf_get_bpf_program_type(const ebpf_program_type_t *type);
enum bpf_attach_type ebpf_get_bpf_attach_type(const ebpf_attach_type_t *type);
const char *ebpf_get_program_type_name(const ebpf_program_type_t *type);
const char *ebpf_get_attach_type_name(const ebpf_attach_type_t *type);

#ifdef __cplusplus
}
#endif
