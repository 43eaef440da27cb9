// A native module as a C tool chain for Windows lays it out: initialised structures in named
// sections, strings and hashes in .rdata, GUIDs and arrays in .data. Compiled and linked by the test.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct header { u16 version; u64 size, total_size; };
struct guid { u32 a; u16 b, c; u8 d[8]; };
struct helper { struct header header; u32 id; const char* name; };
struct btf { struct header header; const char* name; struct guid module; };
struct map { u64 zero[2]; struct header header; u32 definition[8]; const char* name; };
struct program {
    u64 zero;
    struct header header;
    u64 (*function)(void*, const void*);
    const char *pe_section, *section, *name;
    u16* maps;
    u16 map_count;
    struct helper* helpers;
    u16 helper_count;
    u64 instructions;
    struct guid *type, *attach;
    const u8* hash;
    u64 hash_len;
    const char* hash_type;
    struct btf* functions;
    u16 function_count;
};

extern __declspec(dllimport) int NmrRegisterClient(void*, void*, void*);

static struct guid type = {0x608c517c, 0x6c52, 0x4a26, {0xb6, 0x77, 0xbb, 0x01, 0xc3, 0x44, 0x25, 0xad}};
static struct guid attach = {0xb9707e04, 0x8127, 0x4c72, {0x83, 0x3e, 0x05, 0xb1, 0xfb, 0x43, 0x94, 0x96}};
static u16 maps_of_count[] = {1, 0};
static struct helper helpers[] = {
    {{1, 40, 40}, 1, "helper_id_1"},
    {{1, 40, 40}, 0, ""},
};
static struct btf functions[] = {{{1, 48, 48}, "bpf_extra", {1, 2, 3, {4}}}};
static const u8 hash[32] = {1, 2, 3};

#pragma section("bind~1", execute, read)
__declspec(code_seg("bind~1")) static u64 count(void* ctx, const void* rc) {
    return ctx == rc;
}

#pragma section("programs", read, write)
__declspec(allocate("programs")) struct program all_programs[] = {
    {0, {1, 154, 160}, count, "bind~1", "bind/0", "count", maps_of_count, 2, helpers, 2, 17, &type, &attach, hash, 32,
     "SHA256", functions, 1},
};

#pragma section("maps", read, write)
__declspec(allocate("maps")) struct map all_maps[] = {
    {{0, 0}, {1, 80, 80}, {1, 4, 8, 100, 0, 0, 11, 0}, "process_map"},
    {{0, 0}, {1, 80, 80}, {2, 4, 4, 1, 0, 1, 12, 0}, "limits_map"},
};

void* volatile sink;

int DriverEntry(void* driver, void* path) {
    sink = driver;
    sink = all_programs;
    sink = all_maps;
    int status = NmrRegisterClient(path, driver, (void*)&sink);
    return status + 1;
}

#ifdef GUARD
// A load configuration with the linker's table of call targets.
__asm__(".section .rdata,\"dr\"\n"
        ".balign 8\n"
        ".globl _load_config_used\n"
        "_load_config_used:\n"
        ".long 256\n"
        ".fill 124, 1, 0\n"
        ".quad __guard_fids_table\n"
        ".quad __guard_fids_count\n"
        ".long __guard_flags\n"
        ".fill 108, 1, 0\n");
#endif
