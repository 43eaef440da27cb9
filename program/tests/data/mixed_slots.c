// A program array with programs of two types.
#include "defs.h"
int one(void *ctx);
int two(void *ctx);
struct { __uint(type, PROG_ARRAY); __uint(key_size, 4); __uint(max_entries, 2); __array(values, int(void *)); }
    next SEC(".maps") = { .values = { (void *)&one, (void *)&two } };
SEC("xdp") int one(void *ctx) { tail_call(ctx, &next, 1); return 0; }
SEC("bind") int two(void *ctx) { return 1; }
