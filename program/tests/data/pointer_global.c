// A global variable that holds an address.
#include "defs.h"
static int target = 4;
int *volatile pointer = &target;
SEC("xdp") int use(void *ctx) { return *pointer; }
