// A map without entries.
#include "defs.h"
struct { __uint(type, HASH); __type(key, u32); __type(value, u64); } zero SEC(".maps");
SEC("xdp") int use(void *ctx) { u32 key = 0; return lookup(&zero, &key) != 0; }
