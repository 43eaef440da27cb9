// BTF maps without BTF: compiled without `-g`.
#include "defs.h"
struct { __uint(type, ARRAY); __type(key, u32); __type(value, u64); __uint(max_entries, 5); } map SEC(".maps");
SEC("xdp") int use(void *ctx) { u32 key = 0; return lookup(&map, &key) != 0; }
