// One safe program, one unsafe, one that names a function which nobody defines.
#include "defs.h"
extern int nobody(int x);
SEC("xdp") int good(void *ctx) { return 1; }
SEC("bind") int endless(void *ctx) { for (;;) __asm__ volatile(""); }
SEC("xdp/other") int unlinkable(void *ctx) { return nobody(2); }
