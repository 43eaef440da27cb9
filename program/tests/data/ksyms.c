// Platform functions by name and module, and weak externs.
#include "defs.h"
#define MODULE(guid) __attribute__((btf_decl_tag("module_id:{" guid "}")))
extern int first(u64 x) __attribute__((section(".ksyms"))) MODULE("8f6c1f83-ce4c-4b58-8b91-654a29e23b7c");
extern int second(void) __attribute__((section(".ksyms"))) MODULE("00112233-4455-6677-8899-aabbccddeeff");
extern int absent(void) __attribute__((weak)) __attribute__((section(".ksyms"))) MODULE("00112233-4455-6677-8899-aabbccddeeff");
SEC("bind") int one(void *ctx) { return second() + first(3); }
SEC("bind/two") int two(void *ctx) { return absent ? second() : first(1); }
