/* What the programs of the interpreter bench share. Each provides
 *     PROG { ... }   with   u8 *mem, *data, *data_end
 * mem: 4096 bytes of input and scratch memory. data, data_end: the packet of packet programs, which lies
 * at mem + 2048 with its length in the first word of mem. */
#ifndef BENCH_H
#define BENCH_H
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
typedef signed char s8; typedef short s16; typedef int s32; typedef long long s64;
#define NOINLINE __attribute__((noinline))
#define INLINE static inline __attribute__((always_inline))
/* How often to go round: a number below 2^k that the input gives. */
#define N(max) (*(u32 *)mem & (max))
#define SEED (*(u64 *)(mem + 8))
/* The helper of the conformance suite that returns 0. */
static u64 (*bench_helper)(u64, u64) = (void *)2;
INLINE u64 BODY(u8 *mem, u8 *data, u8 *data_end);
u64 entry(void *memory, u64 length) {
    u8 *mem = memory;
    u8 *data = mem + 2048;
    return BODY(mem, data, data + *(u32 *)mem);
}
#define PROG INLINE u64 BODY(u8 *mem, u8 *data, u8 *data_end)
#define bswap16 __builtin_bswap16
#define bswap32 __builtin_bswap32
#define bswap64 __builtin_bswap64
#endif
