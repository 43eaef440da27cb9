// Programs attached to functions of the kernel, one of which the object itself declares.
struct node { struct node *next; int value; };
__attribute__((section("socket"), used)) int traced(struct node *node, int count) { return count; }
__attribute__((section("fentry"), used)) int anywhere(void *ctx) { return 0; }
__attribute__((section("fentry/traced"), used)) int there(void *ctx) { return 0; }
__attribute__((section("fentry/other"), used)) int elsewhere(void *ctx) { return 0; }
