// An inner map that differs from the template of its outer map.
#include "defs.h"
struct inner { __uint(type, ARRAY); __type(key, u32); __type(value, u64); __uint(max_entries, 5); };
struct { __uint(type, ARRAY); __type(key, u32); __type(value, u64); __uint(max_entries, 6); } larger SEC(".maps");
struct inner template SEC(".maps");
struct { __uint(type, 7); __type(key, u32); __uint(max_entries, 4); __array(values, struct inner); }
    outer SEC(".maps") = { .values = { (void *)&larger } };
SEC("xdp") int use(void *ctx) { u32 key = 0; return lookup(&outer, &key) != 0; }
