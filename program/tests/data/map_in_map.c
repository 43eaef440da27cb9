// Maps of maps: a named template, an anonymous one, initial slots with holes.
#include "defs.h"
#ifdef LINUX
enum { ARRAY_OF_MAPS = 12, HASH_OF_MAPS = 13 };
#else
enum { ARRAY_OF_MAPS = 7, HASH_OF_MAPS = 6 };
#endif
struct inner { __uint(type, ARRAY); __type(key, u32); __type(value, u64); __uint(max_entries, 5); };
struct inner first SEC(".maps");
struct inner second SEC(".maps");
struct { __uint(type, ARRAY_OF_MAPS); __type(key, u32); __uint(max_entries, 4); __array(values, struct inner); }
    by_index SEC(".maps") = { .values = { [1] = &second, [3] = &first } };
struct { __uint(type, HASH_OF_MAPS); __type(key, u16); __uint(max_entries, 8);
    __array(values, struct { __uint(type, HASH); __type(key, u64); __type(value, u8); __uint(max_entries, 9); }); }
    by_key SEC(".maps");

SEC("xdp/outer") int walk(void *ctx) {
    u32 index = 3;
    void *inner = lookup(&by_index, &index);
    if (inner) lookup(inner, &index);
    return lookup(&by_key, &index) != 0;
}
