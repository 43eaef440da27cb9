// A section whose name says nothing, beside one that does.
#include "defs.h"
SEC("xdp") int known(void *ctx) { return 1; }
SEC("mystery/one") int unknown(void *ctx) { return 2; }
int config[2] SEC("settings") = { 1, 2 };
