// A program array whose slot holds a subprogram.
#include "defs.h"
noinline int plain(void *ctx) { return *(int *)ctx; }
struct { __uint(type, PROG_ARRAY); __uint(key_size, 4); __uint(max_entries, 1); __array(values, int(void *)); }
    next SEC(".maps") = { .values = { (void *)&plain } };
SEC("xdp") int entry(void *ctx) { tail_call(ctx, &next, 0); return plain(ctx); }
