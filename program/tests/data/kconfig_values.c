// Values of the kernel's configuration of each shape, for a Linux loader.
enum libbpf_tristate { TRI_NO = 0, TRI_YES = 1, TRI_MODULE = 2 };
#define KCONFIG __attribute__((section(".kconfig")))
#define WEAK __attribute__((section(".kconfig"), weak))
extern int LINUX_KERNEL_VERSION KCONFIG;
extern int CONFIG_HZ KCONFIG;
extern enum libbpf_tristate CONFIG_XDP_SOCKETS WEAK;
extern _Bool CONFIG_BPF WEAK;
extern char CONFIG_DEFAULT_HOSTNAME[16] WEAK;

// Reads in front of the packet on kernels before 5.4.
__attribute__((section("xdp"))) int version(int *context) {
    if (LINUX_KERNEL_VERSION >= 0x050400)
        return 1;
    return *(volatile char *)(long)context[0];
}

// Looks up a value in a table: in bounds where it is small.
static const volatile int table[8] = {1, 2, 3, 4, 5, 6, 7, 8};
__attribute__((section("xdp/table"))) int lookup(void *context) {
    long number;
    // Keeps the compiler from bounding the number itself.
    asm volatile("%0 = %1" : "=r"(number) : "r"((long)CONFIG_HZ));
    return *(volatile int *)((char *)table + number * 4);
}

__attribute__((section("xdp/sum"))) int sum(void *context) {
    return CONFIG_XDP_SOCKETS * 1000 + CONFIG_BPF * 100 + CONFIG_DEFAULT_HOSTNAME[0];
}
