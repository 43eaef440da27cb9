// Calls of every kind: global and static subprograms, shared ones, a callee in the caller's section,
// the address of a function, functions that the compiler calls by itself, a helper by name.
#include "defs.h"
extern void *bpf_map_lookup_elem(void *map, const void *key);
struct { __uint(type, ARRAY); __type(key, u32); __type(value, u64); __uint(max_entries, 1); } table SEC(".maps");
static long (*loop)(u32 count, void *callback, void *data, u64 flags) = (void *)181;
struct block { u64 words[20]; };
// Under other names, so that the compiler does not see its own functions.
extern void *set(void *to, int byte, u64 len) __asm__("memset");
extern void *copy(void *to, const void *from, u64 len) __asm__("memcpy");

noinline int leaf(int x) { return x * 3; }
static noinline int shared(int x) { return leaf(x) + x; }
noinline int unused(int x) { return shared(x) - 1; }
static long step(u32 index, void *data) { *(u32 *)data += index; return 0; }
static noinline SEC("xdp") int beside(int x) { return x ^ 0x55; }

SEC("xdp") int entry(int *ctx) {
    struct block one, two;
    u32 sum = 0;
    set(&one, 1, sizeof one);
    if (ctx[0] == 7) return shared(beside(1));
    copy(&two, &one, 150);
    loop(10, step, &sum, 0);
    bpf_map_lookup_elem(&table, &sum);
    return sum + shared(2);
}
SEC("xdp/second") int again(int *ctx) { return shared(*ctx); }
