// SPDX-License-Identifier: MIT OR Apache-2.0

// The store of program types: on Windows what is written is read from the registry and deleted again;
// elsewhere there is none, and only arguments are checked.

#include "check.h"

#include <ebpf_store_helper.h>
#include <wchar.h>

#ifdef _WIN32
// Windows' own header declares a GUID too.
typedef struct HKEY__ *HKEY;
__declspec(dllimport) long __stdcall RegGetValueW(HKEY key, const wchar_t *path, const wchar_t *name,
                                                  unsigned long flags, unsigned long *type,
                                                  void *data, unsigned long *size);
enum { ANY = 0xffff, SZ = 1, BINARY = 3, DWORD_ = 4 };

// Whether a value below the store has this type and these bytes. Tests run as an administrator.
static bool stored(const wchar_t *path, const wchar_t *name, unsigned long type, const void *bytes,
                   unsigned long size) {
    wchar_t full[512] = L"Software\\eBPF\\Providers\\";
    unsigned char found[256];
    unsigned long found_type = 0, found_size = sizeof(found);
    wcscat(full, path);
    HKEY machine = (HKEY)(uintptr_t)(intptr_t)(int32_t)0x80000002;
    if (RegGetValueW(machine, full, name, ANY, &found_type, found, &found_size) != 0)
        return false;
    return found_type == type && found_size == size && memcmp(found, bytes, size) == 0;
}
#endif

static const GUID program_type = {0x01234567, 0x89ab, 0xcdef, {1, 2, 3, 4, 5, 6, 7, 8}};
static const GUID attach_type = {0x76543210, 0xba98, 0xfedc, {8, 7, 6, 5, 4, 3, 2, 1}};
static const ebpf_context_descriptor_t context = {24, 0, 8, -1};
static const ebpf_program_type_descriptor_t descriptor = {
    EBPF_PROGRAM_TYPE_DESCRIPTOR_HEADER, "test_type", &context, program_type, 998, 1};
static ebpf_helper_function_prototype_t helpers[] = {
    {EBPF_HELPER_FUNCTION_PROTOTYPE_HEADER,
     0x10000,
     "test_first",
     EBPF_RETURN_TYPE_INTEGER,
     {EBPF_ARGUMENT_TYPE_PTR_TO_CTX},
     {.reallocate_packet = true},
     false},
    {EBPF_HELPER_FUNCTION_PROTOTYPE_HEADER,
     0x10001,
     "test_second",
     EBPF_RETURN_TYPE_INTEGER,
     {EBPF_ARGUMENT_TYPE_PTR_TO_READABLE_MEM, EBPF_ARGUMENT_TYPE_CONST_SIZE},
     {.reallocate_packet = false},
     false},
};
static const ebpf_program_info_t program = {
    EBPF_PROGRAM_INFORMATION_HEADER, &descriptor, 2, helpers, 0, NULL};
static const ebpf_program_section_info_t sections[] = {
    {EBPF_PROGRAM_SECTION_INFORMATION_HEADER, L"test_a", &program_type, &attach_type, 998, 997},
    {EBPF_PROGRAM_SECTION_INFORMATION_HEADER, L"test/b", &program_type, &attach_type, 998, 996},
};

static void wrong_arguments(void) {
    ebpf_program_section_info_t section = sections[0];
    CHECK(ebpf_store_update_section_information(NULL, 0) == EBPF_SUCCESS);
    CHECK(ebpf_store_update_section_information(NULL, 1) == EBPF_INVALID_ARGUMENT);
    section.header.version = 2;
    CHECK(ebpf_store_update_section_information(&section, 1) == EBPF_INVALID_ARGUMENT);
    section = sections[0];
    section.header.size = 8;
    CHECK(ebpf_store_update_section_information(&section, 1) == EBPF_INVALID_ARGUMENT);
    section = sections[0];
    section.section_name = L"a\\b";
    CHECK(ebpf_store_update_section_information(&section, 1) == EBPF_INVALID_ARGUMENT);
    CHECK(strstr(ebpf_last_error(), "a\\b") != NULL);
    section.section_name = NULL;
    CHECK(ebpf_store_delete_section_information(&section) == EBPF_INVALID_ARGUMENT);
    ebpf_program_info_t no_helpers = program;
    no_helpers.program_type_specific_helper_prototype = NULL;
    CHECK(ebpf_store_update_program_information_array(&no_helpers, 1) == EBPF_INVALID_ARGUMENT);
    ebpf_helper_function_prototype_t helper = helpers[0];
    helper.name = "";
    CHECK(ebpf_store_update_global_helper_information(&helper, 1) == EBPF_INVALID_ARGUMENT);
    CHECK(ebpf_store_delete_global_helper_information(NULL) == EBPF_INVALID_ARGUMENT);
    CHECK(ebpf_store_delete_program_information(NULL) == EBPF_INVALID_ARGUMENT);
}

#ifdef _WIN32

static void kept(void) {
    const wchar_t *type = L"ProgramData\\{01234567-89ab-cdef-0102-030405060708}";
    wchar_t path[256];
    uint32_t two = 2, one = 1, zero = 0, number = 998, size = 66;
    CHECK(ebpf_store_update_section_information(sections, 2) == EBPF_SUCCESS);
    CHECK(stored(L"SectionData\\test_a", L"ProgramType", BINARY, &program_type, 16));
    CHECK(stored(L"SectionData\\test/b", L"AttachType", BINARY, &attach_type, 16));
    CHECK(stored(L"SectionData\\test/b", L"BpfProgType", DWORD_, &number, 4));
    CHECK(ebpf_store_update_program_information_array(&program, 1) == EBPF_SUCCESS);
    CHECK(stored(type, L"HelperCount", DWORD_, &two, 4));
    swprintf(path, 256, L"%ls\\TypeDescriptor", type);
    CHECK(stored(path, L"Name", SZ, L"test_type", 20));
    CHECK(stored(path, L"ContextDescriptor", BINARY, &context, sizeof(context)));
    CHECK(stored(path, L"IsPrivileged", DWORD_, &one, 4));
    swprintf(path, 256, L"%ls\\Helpers\\test_first", type);
    CHECK(stored(path, L"Size", DWORD_, &size, 4) && stored(path, L"Version", DWORD_, &one, 4));
    CHECK(stored(path, L"ReallocatePacket", DWORD_, &one, 4));
    uint32_t prototype[7] = {0x10001, 0, EBPF_ARGUMENT_TYPE_PTR_TO_READABLE_MEM,
                             EBPF_ARGUMENT_TYPE_CONST_SIZE};
    swprintf(path, 256, L"%ls\\Helpers\\test_second", type);
    CHECK(stored(path, L"Prototype", BINARY, prototype, sizeof(prototype)));
    CHECK(stored(path, L"ReallocatePacket", DWORD_, &zero, 4));
    CHECK(ebpf_store_update_global_helper_information(helpers, 2) == EBPF_SUCCESS);
    CHECK(stored(L"GlobalHelpers\\test_second", L"Prototype", BINARY, prototype, sizeof(prototype)));

    for (int at = 0; at < 2; at++) {
        CHECK(ebpf_store_delete_section_information(&sections[at]) == EBPF_SUCCESS);
        CHECK(ebpf_store_delete_section_information(&sections[at]) == EBPF_FILE_NOT_FOUND);
        CHECK(ebpf_store_delete_global_helper_information(&helpers[at]) == EBPF_SUCCESS);
        CHECK(ebpf_store_delete_global_helper_information(&helpers[at]) == EBPF_FILE_NOT_FOUND);
    }
    CHECK(ebpf_store_delete_program_information(&program) == EBPF_SUCCESS);
    CHECK(ebpf_store_delete_program_information(&program) == EBPF_FILE_NOT_FOUND);
    CHECK(!stored(path, L"Prototype", BINARY, prototype, sizeof(prototype)));
    CHECK(!stored(L"SectionData\\test_a", L"ProgramType", BINARY, &program_type, 16));
}

#else

static void kept(void) {
    CHECK(ebpf_store_update_section_information(sections, 2) == EBPF_OPERATION_NOT_SUPPORTED);
    CHECK(strstr(ebpf_last_error(), "registry") != NULL);
    CHECK(ebpf_store_update_program_information_array(&program, 1) == EBPF_OPERATION_NOT_SUPPORTED);
    CHECK(ebpf_store_update_global_helper_information(helpers, 2) == EBPF_OPERATION_NOT_SUPPORTED);
    CHECK(ebpf_store_delete_section_information(&sections[0]) == EBPF_OPERATION_NOT_SUPPORTED);
    CHECK(ebpf_store_delete_program_information(&program) == EBPF_OPERATION_NOT_SUPPORTED);
    CHECK(ebpf_store_delete_global_helper_information(helpers) == EBPF_OPERATION_NOT_SUPPORTED);
}

#endif

int main(void) {
    wrong_arguments();
    kept();
    check_nothing_left();
    puts("store: done");
    return 0;
}
