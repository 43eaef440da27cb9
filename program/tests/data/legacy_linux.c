// The 20-byte records of libbpf before BTF.
#include "defs.h"
struct bpf_map_def { u32 type, key_size, value_size, max_entries, map_flags; };
SEC("maps") struct bpf_map_def ports = { HASH, 2, 4, 64, 1 };
SEC("maps") struct bpf_map_def counters = { 6, 4, 8, 256, 0 };
struct lock_value { u64 before; struct bpf_spin_lock { u32 val; } lock; };
struct ____btf_map_ports { u16 key; struct lock_value value; } *annotation;
SEC("socket") int use(void *ctx) {
    u64 key = annotation != 0;
    lookup(&ports, &key);
    return lookup(&counters, &key) != 0;
}
