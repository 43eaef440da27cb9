// SPDX-License-Identifier: MIT OR Apache-2.0

// A helper in C that asks netsh to match its arguments, as helpers made with netsh.h do. Whatever is wrong
// is the answer of InitHelperDll: the line of the check.
#include <windows.h>

typedef struct {
    LPCWSTR tag;
    DWORD required;
    BOOL present;
} TAG_TYPE;

typedef struct {
    LPCWSTR token;
    DWORD value;
} TOKEN_VALUE;

typedef BOOL(WINAPI *match_token)(LPCWSTR, LPCWSTR);
typedef DWORD(WINAPI *match_enum_tag)(HANDLE, LPCWSTR, DWORD, const TOKEN_VALUE *, DWORD *);
typedef DWORD(WINAPI *preprocess)(HANDLE, LPWSTR *, DWORD, DWORD, TAG_TYPE *, DWORD, DWORD, DWORD, DWORD *);

#define CHECK(condition)                                                                           \
    if (!(condition))                                                                              \
    return __LINE__

DWORD WINAPI InitHelperDll(DWORD version, void *reserved) {
    HMODULE netsh = GetModuleHandleW(NULL);
    match_token token = (match_token)(void *)GetProcAddress(netsh, "MatchToken");
    match_enum_tag enum_tag = (match_enum_tag)(void *)GetProcAddress(netsh, "MatchEnumTag");
    preprocess command = (preprocess)(void *)GetProcAddress(netsh, "PreprocessCommand");
    CHECK(token && enum_tag && command && version == 1 && !reserved);
    CHECK(token(L"Prog", L"programs") && !token(L"programss", L"programs"));
    const TOKEN_VALUE levels[] = {{L"normal", 7}, {L"verbose", 8}};
    DWORD value = 0;
    CHECK(enum_tag(NULL, L"VERB", 2, levels, &value) == NO_ERROR && value == 8);
    CHECK(enum_tag(NULL, L"loud", 2, levels, &value) == ERROR_NOT_FOUND);
    WCHAR words[4][16] = {L"add", L"program", L"t=xdp", L"a.o"};
    LPWSTR arguments[] = {words[0], words[1], words[2], words[3]};
    TAG_TYPE tags[] = {{L"filename", 1, FALSE}, {L"type", 0, FALSE}, {L"pinned", 0, FALSE}};
    DWORD types[2] = {9, 9};
    CHECK(command(NULL, arguments, 2, 4, tags, 3, 1, 3, types) == NO_ERROR);
    CHECK(types[0] == 1 && types[1] == 0);
    CHECK(lstrcmpW(arguments[2], L"xdp") == 0 && lstrcmpW(arguments[3], L"a.o") == 0);
    CHECK(tags[0].present && tags[1].present && !tags[2].present);
    CHECK(command(NULL, arguments, 4, 4, tags, 3, 1, 3, types) == 15001);
    return NO_ERROR;
}
