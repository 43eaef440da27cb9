// Programs that refuse port 80, one for each hook at which a process asks before it uses a socket and
// of which no example has a program. The object beside it is what this command wrote, in this folder:
// clang-19 -target bpf -mcpu=v3 -O2 -g -std=gnu11 -Wall -Wextra -Werror -nostdinc -I ../../../include
//     -fdebug-compilation-dir=. -c ports.c -o ports.o
#include "ebpf.h"

#define REFUSED 80

#define HOOK(section, name)                                                                        \
    SEC(section) ebpf_sock_addr_verdict_t name(bpf_sock_addr_t *ctx) {                             \
        return ctx->user_port == bpf_htons(REFUSED) ? BPF_SOCK_ADDR_VERDICT_REJECT                 \
                                                    : BPF_SOCK_ADDR_VERDICT_PROCEED_SOFT;          \
    }

HOOK("cgroup/bind4", Bind4)
HOOK("cgroup/bind6", Bind6)
HOOK("cgroup/listen4", Listen4)
HOOK("cgroup/listen6", Listen6)
HOOK("cgroup/recv_accept4", Accept4)
HOOK("cgroup/recv_accept6", Accept6)
HOOK("cgroup/connect_authorization4", Authorize4)
HOOK("cgroup/connect_authorization6", Authorize6)
