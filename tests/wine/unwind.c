// SPDX-License-Identifier: MIT OR Apache-2.0

// Judges a driver image in a process: maps it, plays the kernel for it, and executes it one
// instruction at a time. At each step the unwinder of the system (RtlVirtualUnwind) must find the
// way from the current instruction back to the caller: same return address, same stack pointer,
// same values in all registers that a function must preserve. After each call they must really be
// preserved. The functions that the driver calls fill their home space and all volatile registers
// with rubbish and want an aligned stack, as the calling convention allows them to.
//
// DriverEntry, the registrar's callbacks, all getters, DriverUnload and all programs run; DriverEntry
// also with every call failing in turn, where nothing may leak. What the kernel discards after
// DriverEntry is gone here too.

#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "native.h"

#define MS __attribute__((ms_abi))
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static int Wrong;
#define REQUIRE(condition, ...)                                                                                        \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            Wrong++;                                                                                                   \
            printf("WRONG: " __VA_ARGS__);                                                                             \
            printf("\n");                                                                                              \
        }                                                                                                              \
    } while (0)

// ---- The image ----

static struct {
    uint8_t *base;
    uint32_t size;
    uint32_t entry;
    const RUNTIME_FUNCTION *functions;
    uint32_t function_count;
    uint8_t *stepped; // One byte per byte of the image: an instruction there was executed.
} Image;

static int IsInImage(uint64_t address)
{
    return address - (uint64_t)Image.base < Image.size;
}

static uint8_t *ReadFileBytes(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(size);
    if (bytes && fread(bytes, 1, size, file) != (size_t)size)
        bytes = NULL;
    fclose(file);
    return bytes;
}

static void Relocate(const IMAGE_DATA_DIRECTORY *directory, uint64_t delta)
{
    uint8_t *block = Image.base + directory->VirtualAddress, *end = block + directory->Size;
    while (block < end) {
        const IMAGE_BASE_RELOCATION *header = (const IMAGE_BASE_RELOCATION *)block;
        const uint16_t *fixes = (const uint16_t *)(header + 1);
        for (uint32_t i = 0; i < (header->SizeOfBlock - sizeof(*header)) / 2; i++)
            if (fixes[i] >> 12 == IMAGE_REL_BASED_DIR64)
                *(uint64_t *)(Image.base + header->VirtualAddress + (fixes[i] & 0xfff)) += delta;
        block += header->SizeOfBlock;
    }
}

static void *ImportByName(const char *name);

static void Bind(const IMAGE_DATA_DIRECTORY *directory)
{
    const IMAGE_IMPORT_DESCRIPTOR *import = (const void *)(Image.base + directory->VirtualAddress);
    for (; import->Name; import++) {
        const uint64_t *names = (const void *)(Image.base + import->OriginalFirstThunk);
        void **slots = (void *)(Image.base + import->FirstThunk);
        for (; *names; names++, slots++) {
            const char *name = (const char *)Image.base + *names + 2;
            *slots = ImportByName(name);
            REQUIRE(*slots, "unexpected import %s", name);
        }
    }
}

// Freshly mapped each time: data of the module is as in the file.
static int Map(const uint8_t *file)
{
    const IMAGE_NT_HEADERS64 *nt = (const void *)(file + ((const IMAGE_DOS_HEADER *)file)->e_lfanew);
    const IMAGE_OPTIONAL_HEADER64 *optional = &nt->OptionalHeader;
    if (!Image.base) {
        Image.size = optional->SizeOfImage;
        Image.base = VirtualAlloc(NULL, Image.size, MEM_COMMIT | MEM_RESERVE, PAGE_EXECUTE_READWRITE);
        Image.stepped = calloc(1, Image.size);
    }
    if (!Image.base || !Image.stepped)
        return 0;
    memset(Image.base, 0, Image.size);
    const IMAGE_SECTION_HEADER *section = IMAGE_FIRST_SECTION(nt);
    for (int i = 0; i < nt->FileHeader.NumberOfSections; i++, section++)
        memcpy(Image.base + section->VirtualAddress, file + section->PointerToRawData,
               min(section->SizeOfRawData, section->Misc.VirtualSize));
    Image.entry = optional->AddressOfEntryPoint;
    const IMAGE_DATA_DIRECTORY *directories = optional->DataDirectory;
    Image.functions = (const void *)(Image.base + directories[IMAGE_DIRECTORY_ENTRY_EXCEPTION].VirtualAddress);
    Image.function_count = directories[IMAGE_DIRECTORY_ENTRY_EXCEPTION].Size / sizeof(RUNTIME_FUNCTION);
    Relocate(&directories[IMAGE_DIRECTORY_ENTRY_BASERELOC], (uint64_t)Image.base - optional->ImageBase);
    Bind(&directories[IMAGE_DIRECTORY_ENTRY_IMPORT]);
    return 1;
}

// What the kernel frees after DriverEntry: the discardable sections at the end, and nothing before
// them. Whatever needs them later runs into int3, or unwinds to nowhere.
static void Discard(const uint8_t *file)
{
    const IMAGE_NT_HEADERS64 *nt = (const void *)(file + ((const IMAGE_DOS_HEADER *)file)->e_lfanew);
    const IMAGE_SECTION_HEADER *sections = IMAGE_FIRST_SECTION(nt);
    int discarded = 0;
    for (int i = nt->FileHeader.NumberOfSections - 1; i > 0; i--, discarded++) {
        if (!(sections[i].Characteristics & IMAGE_SCN_MEM_DISCARDABLE))
            break;
        memset(Image.base + sections[i].VirtualAddress, 0xCC, sections[i].Misc.VirtualSize);
    }
    REQUIRE(discarded >= 2, "only %d sections can be discarded", discarded);
}

// ---- Calling with known registers, stepping, unwinding ----

// The registers of the caller that every function must preserve. Used by the assembly below.
struct expected {
    uint64_t rbx, rbp, rsi, rdi, r12, r13, r14, r15; // 0 to 56
    uint64_t rsp, rip;                               // 64, 72
    M128A xmm[10];                                   // 80: xmm6 to xmm15
};
struct expected Expected __attribute__((aligned(16)));
static uint64_t Steps, Unwound;

// uint64_t step_call(void *function, const uint64_t arguments[5])
//
// Calls with rubbish in the registers to preserve, noted in Expected, and with the trap flag set
// from the call until after the return.
uint64_t MS step_call(void *function, const uint64_t *arguments);
extern char step_returned[];
__asm__(".globl step_call, step_returned\n"
        "step_call:\n"
        "    pushq %rbx; pushq %rbp; pushq %rsi; pushq %rdi; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
        "    subq $0xe8, %rsp\n" // home space, fifth argument, xmm6 to xmm15; 16-aligned
        "    movups %xmm6, 0x40(%rsp); movups %xmm7, 0x50(%rsp); movups %xmm8, 0x60(%rsp)\n"
        "    movups %xmm9, 0x70(%rsp); movups %xmm10, 0x80(%rsp); movups %xmm11, 0x90(%rsp)\n"
        "    movups %xmm12, 0xa0(%rsp); movups %xmm13, 0xb0(%rsp); movups %xmm14, 0xc0(%rsp)\n"
        "    movups %xmm15, 0xd0(%rsp)\n"
        "    movq %rcx, %rax\n"
        "    movq %rdx, %r11\n"
        "    movq 32(%r11), %r10; movq %r10, 0x20(%rsp)\n"
        "    leaq Expected(%rip), %r10\n"
        "    movq %rsp, 64(%r10)\n"
        "    leaq step_returned(%rip), %rcx; movq %rcx, 72(%r10)\n"
        "    movq 0(%r10), %rbx; movq 8(%r10), %rbp; movq 16(%r10), %rsi; movq 24(%r10), %rdi\n"
        "    movq 32(%r10), %r12; movq 40(%r10), %r13; movq 48(%r10), %r14; movq 56(%r10), %r15\n"
        "    movaps 80(%r10), %xmm6; movaps 96(%r10), %xmm7; movaps 112(%r10), %xmm8\n"
        "    movaps 128(%r10), %xmm9; movaps 144(%r10), %xmm10; movaps 160(%r10), %xmm11\n"
        "    movaps 176(%r10), %xmm12; movaps 192(%r10), %xmm13; movaps 208(%r10), %xmm14\n"
        "    movaps 224(%r10), %xmm15\n"
        "    movq 0(%r11), %rcx; movq 8(%r11), %rdx; movq 16(%r11), %r8; movq 24(%r11), %r9\n"
        "    pushfq; orq $0x100, (%rsp); popfq\n"
        "    call *%rax\n"
        "step_returned:\n"
        "    pushfq; andq $~0x100, (%rsp); popfq\n"
        "    movups 0x40(%rsp), %xmm6; movups 0x50(%rsp), %xmm7; movups 0x60(%rsp), %xmm8\n"
        "    movups 0x70(%rsp), %xmm9; movups 0x80(%rsp), %xmm10; movups 0x90(%rsp), %xmm11\n"
        "    movups 0xa0(%rsp), %xmm12; movups 0xb0(%rsp), %xmm13; movups 0xc0(%rsp), %xmm14\n"
        "    movups 0xd0(%rsp), %xmm15\n"
        "    addq $0xe8, %rsp\n"
        "    popq %r15; popq %r14; popq %r13; popq %r12; popq %rdi; popq %rsi; popq %rbp; popq %rbx\n"
        "    ret\n");

static uint64_t Call(void *function, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
    const uint64_t arguments[] = {a, b, c, d, e};
    uint64_t *numbers = (uint64_t *)&Expected;
    for (size_t i = 0; i < 8; i++)
        numbers[i] = 0x1010101010101010 + i;
    for (size_t i = 0; i < LENGTH(Expected.xmm); i++)
        Expected.xmm[i] = (M128A){0x6060606060606060 + i, 0x7070707070707070};
    return step_call(function, arguments);
}

static const RUNTIME_FUNCTION *FunctionAt(uint64_t rip)
{
    uint32_t rva = (uint32_t)(rip - (uint64_t)Image.base);
    for (uint32_t i = 0; i < Image.function_count; i++)
        if (rva >= Image.functions[i].BeginAddress && rva < Image.functions[i].EndAddress)
            return &Image.functions[i];
    return NULL;
}

// Between "add rsp, N" and "mov rsp, rbp" of an epilogue the saved registers lie below the stack
// pointer, where an interrupt overwrites them, as the exception of the step does here. The way back
// is still known. The code generator's epilogue is like that; nothing can fault there.
static int IsAfterFrame(uint64_t rip)
{
    static const uint8_t restore_rsp[] = {0x48, 0x89, 0xec};
    return IsInImage(rip) && !memcmp((const void *)rip, restore_rsp, sizeof(restore_rsp));
}

static void Compare(const CONTEXT *found, uint64_t from, const char *what)
{
    uint64_t rva = from - (uint64_t)Image.base;
    const struct {
        const char *name;
        uint64_t found, expected;
    } rows[] = {
        {"rip", found->Rip, Expected.rip}, {"rsp", found->Rsp, Expected.rsp}, {"rbp", found->Rbp, Expected.rbp},
        {"rbx", found->Rbx, Expected.rbx}, {"rsi", found->Rsi, Expected.rsi}, {"rdi", found->Rdi, Expected.rdi},
        {"r12", found->R12, Expected.r12}, {"r13", found->R13, Expected.r13}, {"r14", found->R14, Expected.r14},
        {"r15", found->R15, Expected.r15},
    };
    for (size_t i = 0; i < (IsAfterFrame(from) ? 3 : LENGTH(rows)); i++)
        REQUIRE(rows[i].found == rows[i].expected, "%s %#llx: %s is %llx, not %llx", what, rva, rows[i].name,
                rows[i].found, rows[i].expected);
    REQUIRE(!memcmp(&found->Xmm6, Expected.xmm, sizeof(Expected.xmm)), "%s %#llx: xmm6 to xmm15 changed", what, rva);
}

static void UnwindFrom(CONTEXT context)
{
    uint64_t from = context.Rip;
    for (int depth = 0; IsInImage(context.Rip); depth++) {
        RUNTIME_FUNCTION *function = (RUNTIME_FUNCTION *)FunctionAt(context.Rip);
        if (!function || depth > 32) {
            REQUIRE(0, "no function at %#llx", context.Rip - (uint64_t)Image.base);
            return;
        }
        void *handler;
        DWORD64 frame;
        RtlVirtualUnwind(UNW_FLAG_NHANDLER, (DWORD64)Image.base, context.Rip, function, &context, &handler, &frame,
                         NULL);
    }
    Unwound++;
    Compare(&context, from, "unwinding from");
}

static int IsStub(uint64_t rip);

static LONG CALLBACK OnStep(EXCEPTION_POINTERS *exception)
{
    CONTEXT *context = exception->ContextRecord;
    if (exception->ExceptionRecord->ExceptionCode != EXCEPTION_SINGLE_STEP) {
        printf("WRONG: exception %08lx at %p (%#llx in the image)\n",
               (unsigned long)exception->ExceptionRecord->ExceptionCode, (void *)context->Rip,
               context->Rip - (uint64_t)Image.base);
        fflush(stdout);
        ExitProcess(1);
    }
    if (IsInImage(context->Rip)) {
        Steps++;
        Image.stepped[context->Rip - (uint64_t)Image.base] = 1;
        UnwindFrom(*context);
    } else if (context->Rip == (uint64_t)step_returned) {
        Compare(context, context->Rip, "returned");
        context->EFlags &= ~0x100u;
        return EXCEPTION_CONTINUE_EXECUTION;
    } else if (IsStub(context->Rip)) {
        // Just called out of the image: judge the frame below.
        CONTEXT caller = *context;
        caller.Rip = *(uint64_t *)context->Rsp;
        caller.Rsp += 8;
        UnwindFrom(caller);
    }
    context->EFlags |= 0x100;
    return EXCEPTION_CONTINUE_EXECUTION;
}

// ---- Functions that the image calls ----

// What the functions below do, and how often they were called.
static struct {
    int call, fail_at; // The number of this call and of the one that fails.
    uint32_t value_type, value_length, value_status;
    uint32_t register_status, attach_status, deregister_status;
    int open_keys, registered, waits, attachments;
    const uint8_t *characteristics;
    const metadata_table_t *table;
    void *handle;
} Kernel;

static int Fails(void)
{
    return ++Kernel.call == Kernel.fail_at;
}

static const char ValueData[17] = "ABCDEFGHIJKLMNOP";
#define STATUS_FAILED 0xc000009au // STATUS_INSUFFICIENT_RESOURCES

static uint64_t MS OpenKey(void **key, uint32_t access, const uint64_t *attributes)
{
    REQUIRE(access == 0x20019, "ZwOpenKey for access %x", access);
    REQUIRE((uint32_t)attributes[0] == 48 && attributes[4] == 0 && attributes[5] == 0, "OBJECT_ATTRIBUTES");
    REQUIRE((uint32_t)attributes[3] == 0x240, "OBJECT_ATTRIBUTES attributes %llx", attributes[3]);
    if (Fails())
        return STATUS_FAILED;
    Kernel.open_keys++;
    *key = (void *)(uint64_t)(0x1000 + Kernel.open_keys);
    return 0;
}

static uint64_t MS QueryValueKey(void *key, const uint16_t *name, uint32_t kind, uint32_t *out, uint32_t length,
                                 uint32_t *result_length)
{
    REQUIRE(kind == 2 && name[0] == 22, "ZwQueryValueKey kind %u name of %u bytes", kind, name[0]);
    if (Fails())
        return STATUS_FAILED;
    *result_length = 12 + Kernel.value_length;
    out[0] = 0;
    out[1] = Kernel.value_type;
    out[2] = Kernel.value_length;
    memcpy(out + 3, ValueData, min(length - 12, min(Kernel.value_length, 16)));
    return Kernel.value_length > length - 12 ? 0x80000005u : Kernel.value_status;
}

static uint64_t MS Close(void *key)
{
    Kernel.open_keys--;
    return 0;
}

static uint64_t MS RegisterClient(const uint8_t *characteristics, void *context, void **handle)
{
    Kernel.characteristics = characteristics;
    if (Fails())
        return STATUS_FAILED;
    *handle = (void *)0xC11E47;
    Kernel.registered++;
    return 0;
}

static uint64_t MS ClientAttachProvider(void *binding, void *context, const metadata_table_t *table,
                                        void **provider_context, const void **provider_table)
{
    Kernel.attachments++;
    Kernel.table = table;
    *provider_context = NULL;
    *provider_table = NULL;
    return Kernel.attach_status;
}

static uint64_t MS DeregisterClient(void *handle)
{
    REQUIRE(handle == (void *)0xC11E47, "NmrDeregisterClient gets %p", handle);
    Kernel.registered--;
    return Kernel.deregister_status;
}

static uint64_t MS WaitForClient(void *handle)
{
    REQUIRE(handle == (void *)0xC11E47, "NmrWaitForClientDeregisterComplete gets %p", handle);
    Kernel.waits++;
    return 0;
}

static struct {
    void *context;
    uint8_t value[256];
    int finds;
    uint64_t calls;
} Helper;

static uint64_t MS CallHelper(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, void *context)
{
    Helper.calls++;
    REQUIRE(context == Helper.context, "the sixth argument of a helper is %p, not the context", context);
    return Helper.finds ? (uint64_t)Helper.value : 0;
}

static uint64_t MS CallOtherHelper(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, void *context)
{
    Helper.calls++;
    REQUIRE(context == Helper.context, "the sixth argument of a helper is %p, not the context", context);
    return 0;
}

// Each function is entered through a stub that fills the home space, and left through one that
// fills the volatile registers. The stack must be aligned at the call. Arguments five and six are
// copied, so that the stub can call.
#define STUB(function)                                                                                                 \
    extern char stub_##function[];                                                                                     \
    __asm__("stub_" #function ":\n"                                                                                    \
            "    leaq 8(%rsp), %rax; testb $15, %al; jz 1f; ud2\n"                                                     \
            "1:  movq $-1, %rax\n"                                                                                     \
            "    movq %rax, 8(%rsp); movq %rax, 16(%rsp); movq %rax, 24(%rsp); movq %rax, 32(%rsp)\n"                  \
            "    movq 40(%rsp), %r10; movq 48(%rsp), %r11\n"                                                           \
            "    subq $0x38, %rsp\n"                                                                                   \
            "    movq %r10, 0x20(%rsp); movq %r11, 0x28(%rsp)\n"                                                       \
            "    call " #function "\n"                                                                                 \
            "    addq $0x38, %rsp\n"                                                                                   \
            "    movq $-1, %rcx; movq %rcx, %rdx; movq %rcx, %r8; movq %rcx, %r9; movq %rcx, %r10; movq %rcx, %r11\n"  \
            "    pcmpeqd %xmm0, %xmm0; movaps %xmm0, %xmm1; movaps %xmm0, %xmm2; movaps %xmm0, %xmm3\n"                \
            "    movaps %xmm0, %xmm4; movaps %xmm0, %xmm5\n"                                                           \
            "    ret\n");                                                                                              \
    __attribute__((used)) static void *keep_##function = function;
STUB(OpenKey)
STUB(QueryValueKey)
STUB(Close)
STUB(RegisterClient)
STUB(ClientAttachProvider)
STUB(DeregisterClient)
STUB(WaitForClient)
STUB(CallHelper)
STUB(CallOtherHelper)

static int IsStub(uint64_t rip)
{
    void *const stubs[] = {stub_OpenKey,          stub_QueryValueKey, stub_Close,          stub_RegisterClient,
                           stub_DeregisterClient, stub_WaitForClient, stub_CallHelper,     stub_CallOtherHelper,
                           stub_ClientAttachProvider};
    for (size_t i = 0; i < LENGTH(stubs); i++)
        if (rip == (uint64_t)stubs[i])
            return 1;
    return 0;
}

static void *ImportByName(const char *name)
{
    static const struct {
        const char *name;
        void *function;
    } imports[] = {
        {"ZwOpenKey", stub_OpenKey},
        {"ZwQueryValueKey", stub_QueryValueKey},
        {"ZwClose", stub_Close},
        {"NmrRegisterClient", stub_RegisterClient},
        {"NmrClientAttachProvider", stub_ClientAttachProvider},
        {"NmrDeregisterClient", stub_DeregisterClient},
        {"NmrWaitForClientDeregisterComplete", stub_WaitForClient},
    };
    for (size_t i = 0; i < LENGTH(imports); i++)
        if (!strcmp(imports[i].name, name))
            return imports[i].function;
    return NULL;
}

// ---- What is tried ----

static uint8_t Driver[0x150]; // DRIVER_OBJECT; DriverUnload lies at 0x68.
#define UNLOAD (*(void **)(Driver + 0x68))

static uint32_t Start(void)
{
    static const uint16_t path[] = L"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\x";
    const struct {
        uint16_t length, maximum;
        const uint16_t *buffer;
    } name = {sizeof(path) - 2, sizeof(path), path};
    memset(Driver, 0, sizeof(Driver));
    return (uint32_t)Call(Image.base + Image.entry, (uint64_t)Driver, (uint64_t)&name, 0, 0, 0);
}

static void Reset(void)
{
    memset(&Kernel, 0, sizeof(Kernel));
    Kernel.value_type = 3;
    Kernel.value_length = 16;
}

static void RequireNothingLeft(uint32_t status, const char *what)
{
    REQUIRE((int32_t)status < 0, "DriverEntry returns %x although %s", status, what);
    REQUIRE(Kernel.open_keys == 0, "%d keys stay open when %s", Kernel.open_keys, what);
    REQUIRE(Kernel.registered == 0, "the client stays registered when %s", what);
    REQUIRE(!UNLOAD, "DriverUnload is set when %s", what);
}

static void StartFailing(const uint8_t *file)
{
    for (int fail_at = 1; fail_at <= 4; fail_at++) {
        Map(file);
        Reset();
        Kernel.fail_at = fail_at;
        RequireNothingLeft(Start(), "a call fails");
    }
    static const struct {
        uint32_t type, length;
        const char *what;
    } values[] = {{1, 16, "the value is text"}, {3, 15, "the value is short"}, {3, 17, "the value is long"},
                  {3, 0, "the value is empty"}, {11, 8, "the value is a number"}};
    for (size_t i = 0; i < LENGTH(values); i++) {
        Map(file);
        Reset();
        Kernel.value_type = values[i].type;
        Kernel.value_length = values[i].length;
        RequireNothingLeft(Start(), values[i].what);
        REQUIRE(!Kernel.characteristics, "the client registers although %s", values[i].what);
    }
}

static void StartWell(const uint8_t *file)
{
    Map(file);
    Reset();
    uint32_t status = Start();
    REQUIRE(status == 0 && Kernel.open_keys == 0 && Kernel.registered == 1 && UNLOAD, "DriverEntry returns %x", status);
    const uint8_t *c = Kernel.characteristics;
    const uint8_t *module_id = *(const uint8_t **)(c + 48);
    REQUIRE(*(uint32_t *)c == 72 << 16 && *(uint64_t *)(c + 24) == 0, "NPI_CLIENT_CHARACTERISTICS");
    REQUIRE(*(uint32_t *)(c + 32) == 40 << 16 && *(uint32_t *)(c + 56) == 0 && *(uint64_t *)(c + 64) == 0,
            "NPI_REGISTRATION_INSTANCE");
    REQUIRE(*(uint16_t *)module_id == 24 && *(uint32_t *)(module_id + 4) == 1, "NPI_MODULEID");
    REQUIRE(!memcmp(module_id + 8, ValueData, 16), "the module id is not that of the registry");
}

static void AttachAndDetach(void)
{
    void *attach = *(void **)(Kernel.characteristics + 8), *detach = *(void **)(Kernel.characteristics + 16);
    Kernel.attach_status = STATUS_FAILED;
    uint32_t status = (uint32_t)Call(attach, 0xB1, 0, 0, 0, 0);
    REQUIRE(status == STATUS_FAILED, "a failed attach returns %x", status);
    Kernel.attach_status = 0;
    for (int round = 0; round < 2; round++) {
        status = (uint32_t)Call(attach, 0xB2, 0, 0, 0, 0);
        REQUIRE(status == 0, "attach returns %x", status);
        int before = Kernel.attachments;
        status = (uint32_t)Call(attach, 0xB3, 0, 0, 0, 0);
        REQUIRE((int32_t)status < 0 && Kernel.attachments == before, "a second runtime may attach");
        if (round == 0) {
            status = (uint32_t)Call(detach, 0, 0, 0, 0, 0);
            REQUIRE(status == 0, "detach returns %x", status);
        }
    }
}

static uint64_t Get(getter_t getter, const void **start)
{
    uint64_t count = ~0ull;
    *start = (void *)~0ull;
    Call(getter, (uint64_t)start, (uint64_t)&count, 0, 0, 0);
    REQUIRE((count == 0) == (*start == NULL), "%llu elements at %p", count, *start);
    REQUIRE(!*start || IsInImage((uint64_t)*start), "an array outside of the image");
    return count;
}

static void RunProgram(const program_entry_t *program, const runtime_context_t *runtime)
{
    // Ethernet and IPv4, IPv6, ARP; UDP to port 53 without and with data.
    static const uint8_t kinds[][2] = {{8, 0}, {0x86, 0xdd}, {8, 6}};
    uint8_t frame[128];
    uint64_t context[32];
    for (int variant = 0; variant < 12; variant++) {
        memset(frame, 0, sizeof(frame));
        memset(context, 0, sizeof(context));
        memcpy(frame + 12, kinds[variant % 3], 2);
        frame[14] = variant % 3 ? 0x60 : 0x45;
        frame[20] = frame[23] = 17;
        frame[variant % 3 ? 57 : 37] = 53;
        frame[variant % 3 ? 59 : 39] = variant < 6 ? 8 : 9;
        context[0] = (uint64_t)frame;
        context[1] = (uint64_t)frame + sizeof(frame);
        Helper.context = context;
        Helper.finds = variant / 3 % 2;
        Call(program->function, (uint64_t)context, (uint64_t)runtime, 0, 0, 0);
    }
}

static void RunAll(void)
{
    static helper_data_t helpers[32];
    static map_data_t maps[32];
    static global_data_t globals[8];
    const void *start;
    uint64_t count = Get(Kernel.table->globals, &start);
    REQUIRE(count <= LENGTH(globals), "too many globals");
    for (uint64_t i = 0; i < count; i++) {
        const global_info_t *info = (const global_info_t *)start + i;
        globals[i] = (global_data_t){{1, 32, 32}, malloc(info->size)};
        memcpy(globals[i].address_of_map_value, info->initial_data, info->size);
    }
    REQUIRE(Get(Kernel.table->maps, &start) <= LENGTH(maps), "too many maps");
    for (size_t i = 0; i < LENGTH(maps); i++)
        maps[i] = (map_data_t){{1, 32, 32}, Helper.value};
    Get(Kernel.table->hash, &start);
    Get(Kernel.table->initial_values, &start);
    version_t version = {0};
    Call(Kernel.table->version, (uint64_t)&version, 0, 0, 0, 0);
    REQUIRE(version.major == 1 && version.minor < 4, "version %u.%u", version.major, version.minor);
    const runtime_context_t runtime = {{1, 56, 56}, helpers, maps, globals};
    uint64_t programs = Get(Kernel.table->programs, &start);
    for (uint64_t i = 0; i < programs; i++) {
        const program_entry_t *program = (const program_entry_t *)start + i;
        REQUIRE(program->helper_count <= LENGTH(helpers), "too many helpers");
        for (int k = 0; k < program->helper_count; k++) {
            uint32_t id = program->helpers[k].helper_id;
            helpers[k] = (helper_data_t){{1, 33, 40}, (void *)(id == 1 ? stub_CallHelper : stub_CallOtherHelper), id == 5};
        }
        RunProgram(program, &runtime);
    }
}

static void Unload(uint32_t status, int waits)
{
    Kernel.deregister_status = status;
    Kernel.waits = 0;
    Kernel.registered = 1;
    Call(UNLOAD, (uint64_t)Driver, 0, 0, 0, 0);
    REQUIRE(Kernel.registered == 0 && Kernel.waits == waits, "DriverUnload: %d registered, %d waits", Kernel.registered,
            Kernel.waits);
}

// Functions no instruction of which ran say nothing about their unwind data.
static uint32_t FunctionsStepped(void)
{
    uint32_t stepped = 0;
    for (uint32_t i = 0; i < Image.function_count; i++)
        stepped += memchr(Image.stepped + Image.functions[i].BeginAddress, 1,
                          Image.functions[i].EndAddress - Image.functions[i].BeginAddress) != NULL;
    return stepped;
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "";
    const uint8_t *file = ReadFileBytes(path);
    if (!file || !Map(file)) {
        printf("WRONG: cannot read %s\n", path);
        return 1;
    }
    AddVectoredExceptionHandler(1, OnStep);
    StartFailing(file);
    StartWell(file);
    Discard(file);
    AttachAndDetach();
    RunAll();
    Unload(0x103, 1);
    Unload(0, 0);
    uint32_t places = 0;
    for (uint32_t i = 0; i < Image.size; i++)
        places += Image.stepped[i];
    const char *name = strrchr(path, '\\');
    printf("%s: %u of %u functions, %s, %s\n", name ? name + 1 : path, FunctionsStepped(), Image.function_count,
           places > 200 ? "stepped through" : "WRONG: hardly any steps", Wrong ? "WRONG" : "unwound everywhere");
    fprintf(stderr, "%llu steps, %llu unwound, %u places\n", Steps, Unwound, places);
    return Wrong != 0;
}
