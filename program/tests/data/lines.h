// A function in another file.
static noinline u64 helper(u64 x) {
    x += 5;
    return x * x;
}
