// A program that drops frames of 42 bytes, the length of an empty datagram, and finds out by a
// function of the sample extension. The object beside it is what this command wrote, in this folder:
// clang-19 -target bpf -mcpu=v3 -O2 -g -std=gnu11 -Wall -Wextra -Werror -nostdinc -I ../../../include
//     -fdebug-compilation-dir=. -c multiply.c -o multiply.o
#include "bpf_helpers.h"
#include "xdp_hooks.h"

extern unsigned long long sample_multiply(unsigned long long a, unsigned long long b) __ksym
    __attribute__((btf_decl_tag("module_id:{51a37f10-3c11-4f0e-9d53-7be064a10003}")));

SEC("xdp")
int
Multiply(xdp_md_t* ctx)
{
    unsigned long long length = (char*)ctx->data_end - (char*)ctx->data;
    return sample_multiply(length, 3) == 126 ? XDP_DROP : XDP_PASS;
}
