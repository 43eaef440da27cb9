// The 32-byte records of old eBPF for Windows, with templates by index and by id.
#include "defs.h"
struct definition { u32 type, key_size, value_size, max_entries, inner_map_idx, pinning, id, inner_id; };
SEC("maps") struct definition plain = { HASH, 8, 16, 10, 0, 1, 5, 0 };
SEC("maps") struct definition by_id = { 7, 4, 4, 2, 0, 0, 6, 5 };
SEC("maps/more") struct definition by_index = { 7, 4, 4, 2, 3, 0, 0, 0 };
SEC("maps/other") struct definition last = { ARRAY, 4, 4, 1, 0, 0, 0, 0 };
SEC("bind") u64 use(void *ctx) {
    u64 key = 0;
    lookup(&by_id, &key);
    lookup(&by_index, &key);
    lookup(&last, &key);
    return lookup(&plain, &key) != 0;
}
