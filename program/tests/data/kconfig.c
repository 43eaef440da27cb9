// An extern that only a Linux loader could fill in.
extern int CONFIG_HZ __attribute__((section(".kconfig")));
__attribute__((section("xdp"))) int use(void *ctx) { return CONFIG_HZ; }
