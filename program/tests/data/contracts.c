// What type information says about the arguments of global functions.
#include "defs.h"
#define tagged(text) __attribute__((btf_decl_tag(text)))

struct pair { long first, second; };
struct open;
struct xdp_md { unsigned data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex; };
enum colour { RED, GREEN };

noinline int numbers(int a, unsigned char b, enum colour c, long d) { return a + b + c + d; }
noinline long memory(struct pair *p) { return p ? p->second : 0; }
noinline long surely(struct pair *p tagged("arg:nonnull")) { return p->second; }
noinline int context(struct xdp_md *ctx, const int *p) { return p ? *p + (int)ctx->ingress_ifindex : 0; }
noinline int by_tag(void *ctx tagged("arg:ctx")) { return *(int *)ctx; }
noinline void nothing(int *p) { if (p) *p = 1; }
noinline int opaque(struct open *p) { return p != 0; }
noinline int other(struct pair *p tagged("arg:trusted")) { return p != 0; }
noinline struct pair *address(struct pair *p) { return p + 1; }
static noinline int hidden(struct pair *p) { return p->first; }

SEC("xdp") int entry(struct xdp_md *ctx)
{
    struct pair p = {1, 2};
    int n = 3;
    nothing(&n);
    return numbers(n, n, n, n) + memory(&p) + surely(&p) + context(ctx, &n) + by_tag(ctx) +
        opaque((void *)&p) + other(&p) + (address(&p) != 0) + hidden(&p);
}
