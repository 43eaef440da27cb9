// A function that nobody defines.
#include "defs.h"
extern int nobody(int x);
SEC("xdp") int use(void *ctx) { return nobody(2); }
