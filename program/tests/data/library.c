// A library section, a section that is loaded only on demand, and one that nobody knows.
#include "defs.h"
SEC("shared/code") noinline int helper(int x) { return x * 7; }
SEC("?xdp") int optional(int *ctx) { return helper(*ctx); }
SEC("xdp") int always(int *ctx) { return helper(ctx[1]); }
