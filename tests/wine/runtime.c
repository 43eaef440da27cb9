// SPDX-License-Identifier: MIT OR Apache-2.0

// A stand-in for ebpfcore.sys: the provider that native modules attach to. Reports everything the
// metadata table of a module says, then runs the module's XDP programs on one packet.

#include "nmr.h"
#include "native.h"

static const GUID NativeModuleInterface = {
    0xc847aac8, 0xa6f2, 0x4b53, {0xae, 0xa3, 0xf4, 0xa9, 0x4b, 0x9a, 0x80, 0xcb}};
static const NPI_MODULEID ModuleId = {
    sizeof(ModuleId), 1, {0x5e24d2f5, 0xf799, 0x42c3, {0xa9, 0x45, 0x87, 0xfe, 0xef, 0xd9, 0x30, 0xa7}}};
static HANDLE Registration;

#define MAX_MAPS 8
static UCHAR Values[MAX_MAPS][64];
static helper_data_t Helpers[8];
static map_data_t Maps[MAX_MAPS];
static global_data_t Globals[MAX_MAPS];
static ULONG HelperCalls;

static void ReportHex(const char *what, const uint8_t *bytes, uint64_t count)
{
    static const char digits[] = "0123456789abcdef";
    char text[129] = "";
    for (uint64_t i = 0; bytes && i < count && i < 64; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
        text[2 * i + 2] = 0;
    }
    DbgPrint("judge:   %s %s\n", what, text);
}

static void ReportProgram(const program_entry_t *program)
{
    DbgPrint("judge: program %s in %s (%s), header %u.%u.%u, %u instructions, zero %u\n", program->program_name,
             program->section_name, program->pe_section_name, program->header.version,
             (ULONG)program->header.size, (ULONG)program->header.total_size, (ULONG)program->instruction_count,
             (ULONG)program->zero);
    for (uint16_t i = 0; i < program->map_count; i++)
        DbgPrint("judge:   refers to map %u\n", program->map_indices[i]);
    for (uint16_t i = 0; i < program->helper_count; i++)
        DbgPrint("judge:   calls %s, header %u.%u.%u id %u\n", program->helpers[i].name,
                 program->helpers[i].header.version, (ULONG)program->helpers[i].header.size,
                 (ULONG)program->helpers[i].header.total_size, program->helpers[i].helper_id);
    ReportHex("program type", program->program_type, 16);
    ReportHex("attach type", program->attach_type, 16);
    ReportHex(program->info_hash_type ? program->info_hash_type : "no hash", program->info_hash,
              program->info_hash_length);
}

static void ReportMap(const map_entry_t *map)
{
    DbgPrint("judge: map %s header %u.%u.%u type %u key %u value %u entries %u inner %u pinning %u inner id %u, zero %u\n",
             map->name, map->header.version, (ULONG)map->header.size, (ULONG)map->header.total_size, map->type,
             map->key_size, map->value_size, map->max_entries, map->inner_map_idx, map->pinning, map->inner_id,
             (ULONG)(map->zero[0] | map->zero[1]));
}

// Every map has one value here; looking up always finds it.
static uint64_t __attribute__((ms_abi))
Lookup(uint64_t map, uint64_t key, uint64_t r3, uint64_t r4, uint64_t r5, void *context)
{
    HelperCalls++;
    if (!context)
        DbgPrint("judge: WRONG: a helper gets no context\n");
    return map;
}

static void Run(const program_entry_t *program, const uint8_t *frame, uint64_t length)
{
    const struct {
        const uint8_t *data, *data_end;
        uint64_t meta;
        uint32_t ifindex;
    } context = {frame, frame + length, 0, 7};
    const runtime_context_t runtime = {{1, 56, 56}, Helpers, Maps, Globals};
    HelperCalls = 0;
    uint64_t result = program->function((void *)&context, &runtime);
    DbgPrint("judge: %s returns %u after %lu helper calls\n", program->program_name, (ULONG)result, HelperCalls);
}

static void RunProgram(const program_entry_t *program, uint64_t maps)
{
    // Ethernet, IPv4, UDP from port 4660 to port 53, length 8: what DropPacket drops.
    uint8_t frame[42] = {[12] = 8, [14] = 0x45, [23] = 17, [34] = 0x12, 0x34, 0, 53, 0, 8};
    if (program->helper_count > RTL_NUMBER_OF(Helpers) || maps > MAX_MAPS)
        return;
    for (uint16_t i = 0; i < program->helper_count; i++)
        Helpers[i] = (helper_data_t){{1, 33, 40}, Lookup, 0};
    RtlZeroMemory(Values, sizeof(Values));
    for (uint64_t i = 0; i < maps; i++)
        Maps[i] = (map_data_t){{1, 32, 32}, Values[i]};
    Run(program, frame, sizeof(frame));
    Run(program, frame, sizeof(frame) - 1);
    frame[39] = 9; // The datagram carries data.
    Run(program, frame, sizeof(frame));
    for (uint64_t i = 0; i < maps; i++)
        DbgPrint("judge: first number in map %u: %u\n", (ULONG)i, *(ULONG *)Values[i]);
}

static void Report(const metadata_table_t *table)
{
    const void *start;
    uint64_t count, maps;
    version_t version = {0};
    table->version(&version);
    DbgPrint("judge: table of %u bytes, version %u.%u.%u\n", (ULONG)table->size, version.major, version.minor,
             version.revision);
    table->hash(&start, &count);
    ReportHex("file hash", start, count);
    table->maps(&start, &maps);
    for (uint64_t i = 0; i < maps; i++)
        ReportMap((const map_entry_t *)start + i);
    table->initial_values(&start, &count);
    DbgPrint("judge: %u initial values, %s\n", (ULONG)count, start ? "present" : "null");
    table->globals(&start, &count);
    DbgPrint("judge: %u sections of globals, %s\n", (ULONG)count, start ? "present" : "null");
    table->programs(&start, &count);
    for (uint64_t i = 0; i < count; i++) {
        ReportProgram((const program_entry_t *)start + i);
        RunProgram((const program_entry_t *)start + i, maps);
    }
}

static NTSTATUS NTAPI Attach(HANDLE binding, void *context, const NPI_REGISTRATION_INSTANCE *client,
                             void *client_context, const void *dispatch, void **provider_context,
                             const void **provider_dispatch)
{
    DbgPrint("judge: runtime %s is asked to attach\n", (const char *)context);
    Report(dispatch);
    *provider_context = binding;
    *provider_dispatch = NULL;
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI Detach(void *context)
{
    DbgPrint("judge: runtime detaches\n");
    return STATUS_SUCCESS;
}

static const NPI_PROVIDER_CHARACTERISTICS Provider = {
    0, sizeof(Provider), Attach, Detach, NULL, {0, sizeof(NPI_REGISTRATION_INSTANCE), &NativeModuleInterface, &ModuleId}};

static void NTAPI Unload(DRIVER_OBJECT *driver)
{
    if (NmrDeregisterProvider(Registration) == STATUS_PENDING)
        NmrWaitForProviderDeregisterComplete(Registration);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path)
{
    // The last letter of the service's name tells two instances apart.
    static char name[2];
    name[0] = (char)path->Buffer[path->Length / sizeof(WCHAR) - 1];
    driver->DriverUnload = Unload;
    return NmrRegisterProvider(&Provider, name, &Registration);
}
