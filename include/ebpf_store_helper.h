// SPDX-License-Identifier: MIT OR Apache-2.0

// The store of program types: for installers of extensions, so that the tools of eBPF for Windows know
// their program types, sections and helpers. It lies in the registry, in Software\eBPF\Providers of the
// machine, or of the user where that may not be written. The tools here have tables of their own and do not
// read it. EBPF_FILE_NOT_FOUND: what is deleted is not there.
#pragma once

#include "ebpf_program_types.h"
#include "ebpf_result.h"

#ifdef __cplusplus
extern "C" {
#endif

ebpf_result_t
ebpf_store_update_section_information(const ebpf_program_section_info_t *section_info,
                                      uint32_t section_info_count);
ebpf_result_t ebpf_store_update_program_information_array(const ebpf_program_info_t *program_info,
                                                          uint32_t program_info_count);
ebpf_result_t
ebpf_store_update_global_helper_information(ebpf_helper_function_prototype_t *helper_info,
                                            uint32_t helper_info_count);
ebpf_result_t
ebpf_store_delete_section_information(const ebpf_program_section_info_t *section_info);
ebpf_result_t ebpf_store_delete_program_information(const ebpf_program_info_t *program_info);
ebpf_result_t
ebpf_store_delete_global_helper_information(ebpf_helper_function_prototype_t *helper_info);

#ifdef __cplusplus
}
#endif
