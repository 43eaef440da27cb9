// Asks whether a field exists before it uses the field's size.
struct task___old { int removed; } __attribute__((preserve_access_index));
__attribute__((section("socket"), used)) int guarded(void *ctx) {
    if (__builtin_preserve_field_info(((struct task___old *)0)->removed, 2))
        return 3 + __builtin_preserve_field_info(((struct task___old *)0)->removed, 1);
    return 1;
}
