// Global variables in all section families; static ones are referred to by section and offset.
#include "defs.h"
u64 counter;
static u32 hidden[4];
u32 start = 7;
static volatile u32 step = 3;
const volatile u32 limit = 100;
const volatile u32 config SEC(".rodata.config") = 0x11223344;
static const char names[3][4] = { "abc", "def", "ghi" };
SEC("xdp") int count(void *ctx) {
    counter += step;
    hidden[counter & 3] += start;
    if (counter > limit) return names[counter % 3][1];
    return config + hidden[2];
}
