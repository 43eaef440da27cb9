// The 36-byte records of iproute2, the inner map by id.
#include "defs.h"
struct bpf_elf_map { u32 type, size_key, size_value, max_elem, flags, id, pinning, inner_id, inner_idx; };
SEC("maps") struct bpf_elf_map outer = { 12, 4, 4, 16, 0, 1, 2, 42, 0 };
SEC("maps") struct bpf_elf_map inner = { ARRAY, 4, 8, 1, 0, 42, 0, 0, 0 };
SEC("classifier") int use(void *ctx) {
    u32 key = 0;
    lookup(&inner, &key);
    return lookup(&outer, &key) != 0;
}
