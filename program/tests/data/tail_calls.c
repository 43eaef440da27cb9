// Several programs in one section and a program array that is filled by initialisers.
#include "defs.h"
int second(void *ctx);
int third(void *ctx);
struct { __uint(type, PROG_ARRAY); __uint(key_size, 4); __uint(max_entries, 3); __array(values, int(void *)); }
    next SEC(".maps") = { .values = { [0] = (void *)&second, [2] = (void *)&third } };
SEC("xdp/entry") int first(void *ctx) { tail_call(ctx, &next, 0); return 0; }
SEC("xdp/next") int second(void *ctx) { tail_call(ctx, &next, 2); return 1; }
SEC("xdp/next") int third(void *ctx) { return 2; }
char _license[] SEC("license") = "Dual MIT/GPL";
u32 _version SEC("version") = 0x60102;
