// SPDX-License-Identifier: MIT OR Apache-2.0

// What every program needs: sections, maps, helper functions. The network hooks come along because
// programs for Windows expect them here.
#pragma once

#include "ebpf_nethooks.h"
#include "ebpf_structs.h"

// Puts a function or variable into an ELF section. The section of a program chooses its hook.
#define SEC(name)                                                                                  \
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wignored-attributes\"")      \
    __attribute__((section(name), used)) _Pragma("GCC diagnostic pop")

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#ifndef __noinline
#define __noinline __attribute__((noinline))
#endif
#ifndef __weak
#define __weak __attribute__((weak))
#endif
#ifndef __hidden
#define __hidden __attribute__((visibility("hidden")))
#endif
// Keeps an extern that the linker resolves by name, with the module that provides it.
#define __ksym __attribute__((section(".ksyms")))

// Members of a map definition in SEC(".maps"). The debug information carries them, no code does.
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
#define __array(name, value) typeof(value) *name[]

#include "bpf_helper_defs.h"

#ifndef memcpy
#define memcpy(to, from, size) __builtin_memcpy((to), (from), (size))
#endif
#ifndef memset
#define memset(to, value, size) __builtin_memset((to), (value), (size))
#endif
#ifndef memmove
#define memmove(to, from, size) __builtin_memmove((to), (from), (size))
#endif

// bpf_trace_printk(format, size, ...) with up to three numbers; one helper per count.
#define BPF_PRINTK_CHOOSE(_1, _2, _3, _4, _5, name, ...) name
#define bpf_trace_printk(...)                                                                      \
    BPF_PRINTK_CHOOSE(__VA_ARGS__, bpf_trace_printk5, bpf_trace_printk4, bpf_trace_printk3,        \
                      bpf_trace_printk2, bpf_trace_printk2)                                        \
    (__VA_ARGS__)

// Prints to the trace log: bpf_printk("format %d", number). Understands %d %i %u %x with l and ll.
#define bpf_printk(format, ...)                                                                    \
    ({                                                                                             \
        char bpf_printk_format[] = format;                                                         \
        bpf_trace_printk(bpf_printk_format, sizeof(bpf_printk_format), ##__VA_ARGS__);             \
    })
