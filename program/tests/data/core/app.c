// One question to the target's types per function: what r0 becomes, or the access that is made.
#define SEC(name) __attribute__((section(name), used))
#define CORE __attribute__((preserve_access_index))
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

enum state { IDLE, RUNNING = 5, GONE = 9, NEVER = 7 };
enum wide { SMALL = 1, HUGE = 0x123456789abcULL };
enum negative { BELOW = -3 };
struct inner { int x, y; } CORE;
struct tail { int len; u8 bytes[]; } CORE;
struct task {
    int pid;
    u32 flags;
    u8 narrow;
    u64 *link;
    struct inner pair[4];
    struct { int nested; union { int left; u32 right; }; };
    enum state state;
    u32 low : 3, high : 7;
    int signed_bits : 5;
    struct tail tail;
} CORE;
struct task___old { int removed; } CORE;
struct task___other { struct inner pid; } CORE;
struct gone { int a; } CORE;
typedef struct { int a, b; } CORE alias;
typedef int (*callback)(struct task *, int);
struct fits { int pid; } CORE;
struct fits_not { u64 pid; } CORE;

#define FIELD(field, kind) __builtin_preserve_field_info(((struct task *)0)->field, kind)
#define TYPE(type, kind) __builtin_preserve_type_info(*(type *)0, kind)
#define ENUM(type, value, kind) __builtin_preserve_enum_value(*(type *)value, kind)
#define ASK(name, question) SEC("socket") u64 name(void *ctx) { return question; }

ASK(offset_of_pid, FIELD(pid, 0))
ASK(offset_of_element, FIELD(pair[2].y, 0))
ASK(offset_of_nested, FIELD(nested, 0))
ASK(offset_of_left, FIELD(left, 0))
ASK(offset_in_tail, FIELD(tail.bytes[5], 0))
ASK(size_of_flags, FIELD(flags, 1))
ASK(size_of_pair, FIELD(pair, 1))
ASK(size_of_element, FIELD(pair[1], 1))
ASK(signed_pid, FIELD(pid, 3))
ASK(signed_flags, FIELD(flags, 3))
ASK(signed_state, FIELD(state, 3))
ASK(high_offset, FIELD(high, 0))
ASK(high_size, FIELD(high, 1))
ASK(high_left, FIELD(high, 4))
ASK(high_right, FIELD(high, 5))
ASK(signed_bits, FIELD(signed_bits, 3))
ASK(pid_exists, FIELD(pid, 2))
ASK(removed_exists, __builtin_preserve_field_info(((struct task___old *)0)->removed, 2))
ASK(pid_is_structure, __builtin_preserve_field_info(((struct task___other *)0)->pid, 2))
ASK(gone_exists, TYPE(struct gone, 0))
ASK(size_of_gone, TYPE(struct gone, 1))
ASK(size_of_task, TYPE(struct task, 1))
ASK(size_of_alias, TYPE(alias, 1))
ASK(alias_b, __builtin_preserve_field_info(((alias *)0)->b, 0))
ASK(callback_exists, TYPE(callback, 0))
ASK(callback_matches, TYPE(callback, 2))
ASK(fits_matches, TYPE(struct fits, 2))
ASK(fits_not_matches, TYPE(struct fits_not, 2))
ASK(state_matches, TYPE(enum state, 2))
ASK(running, ENUM(enum state, RUNNING, 1))
ASK(never_exists, ENUM(enum state, NEVER, 0))
ASK(huge, ENUM(enum wide, HUGE, 1))
ASK(below, ENUM(enum negative, BELOW, 1))
ASK(local_id, __builtin_btf_type_id(*(struct inner *)0, 0) != 0)
ASK(gone_id, __builtin_btf_type_id(*(struct gone *)0, 1))
SEC("socket") int read_pid(struct task *task) { return task->pid; }
SEC("socket") u32 read_flags(struct task *task) { return task->flags; }
SEC("socket") u64 read_narrow(struct task *task) { return task->narrow; }
SEC("socket") u64 read_link(struct task *task) { return (u64)task->link; }
SEC("socket") int read_element(struct task *task) { return task->pair[3].x; }
SEC("socket") void write_pid(struct task *task) { task->pid = 7; }
SEC("socket") int read_removed(struct task___old *task) { return task->removed; }
SEC("socket") int read_guarded(struct task___old *task) {
    if (__builtin_preserve_field_info(task->removed, 2))
        return task->removed;
    return 1;
}
SEC("socket") u64 read_never(void *ctx) { return ENUM(enum state, NEVER, 1); }
