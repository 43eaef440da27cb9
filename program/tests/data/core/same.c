// Asks for a field that both structures of `target_ambiguous.c` have at one place.
struct task { long more; int same; } __attribute__((preserve_access_index));
__attribute__((section("socket"), used)) int read_same(struct task *task) { return task->same; }
