// CO-RE records: offsets that a loader could move.
#include "defs.h"
struct task { u32 a; u64 b[3]; int c; } __attribute__((preserve_access_index));
SEC("xdp") int read(struct task *ctx) { return ctx->c + (int)ctx->b[1]; }
