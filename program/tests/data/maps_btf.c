// BTF maps in every shape: typedef and qualifier chains, sizes by number, static maps, pinning,
// flags, locks and timers nested in the value.
#include "defs.h"
struct bpf_spin_lock { u32 val; };
struct bpf_timer { u64 opaque[2]; } __attribute__((aligned(8)));
struct flow { u32 a, b; u16 port[2]; };
typedef const volatile struct flow flow_t;
typedef flow_t flow_key;
struct locked { u32 count; struct bpf_spin_lock lock; };
struct timed { u64 count; struct { u32 pad[2]; struct bpf_timer timer; } nested; };

struct { __uint(type, HASH); __type(key, flow_key); __type(value, u64); __uint(max_entries, 100); } flows SEC(".maps");
static struct { __uint(type, ARRAY); __uint(key_size, 4); __uint(value_size, 24); __uint(max_entries, 2); } sized SEC(".maps");
typedef struct { __uint(type, HASH); __type(key, u32); __type(value, struct locked); __uint(max_entries, 7); __uint(pinning, 1); __uint(map_flags, 1); } locked_map;
typedef locked_map locked_alias;
locked_alias locks SEC(".maps");
struct { __uint(type, HASH); __type(key, u8[6]); __type(value, struct timed); __uint(max_entries, 3); __uint(numa_node, 1); } timers SEC(".maps");

#define kept __attribute__((btf_type_tag("kptr")))
struct bpf_list_head { u64 opaque[2]; } __attribute__((aligned(8)));
struct object { int number; };
struct owner { u64 count; struct object kept *one; struct bpf_list_head list; struct { u64 n; struct object kept *more[3]; } nested[2]; struct object *own; };
struct { __uint(type, ARRAY); __type(key, u32); __type(value, struct owner); __uint(max_entries, 1); } owners SEC(".maps");

struct object kept *global;
int beside;

SEC("xdp") int touch(void *ctx) {
    struct flow key = {};
    u32 index = 1;
    u64 *hits = lookup(&flows, &key);
    if (hits) *hits += 1;
    lookup(&locks, &index);
    lookup(&timers, &key);
    lookup(&owners, &index);
    beside++;
    global = 0;
    return lookup(&sized, &index) != 0;
}
