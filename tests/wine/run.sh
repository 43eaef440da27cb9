#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Runs drivers under Wine: the service manager starts and stops examples/droppacket.o as a kernel
# driver, a stand-in for the runtime reads its metadata and runs it, and an unwinder that is not ours
# judges the unwind data at every step of every example (see unwind.c).
#
#   tests/wine/run.sh [path of bpf2native]      compares with tests/wine/expected
#   BLESS=1 tests/wine/run.sh                   writes tests/wine/expected
#
# Needs wine (8.0 or later), x86_64-w64-mingw32-gcc and its DDK headers; says SKIPPED and ends with 0
# without them. Wine has no Network Module Registrar, so netio.c replaces its netio.sys. Wine checks
# neither signatures nor the rules of HVCI; other tests do.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tool=${1:-$root/target/debug/bpf2native}

for program in wine wineserver x86_64-w64-mingw32-gcc; do
    command -v "$program" >/dev/null || { echo "SKIPPED: $program is not installed"; exit 0; }
done
[ -x "$tool" ] || { echo "no $tool: run cargo build first"; exit 1; }

work=$(mktemp -d)
export WINEPREFIX=${WINEPREFIX:-$work/prefix}
export WINEDLLOVERRIDES="netio.sys=n;mscoree,mshtml="
finish() {
    wineserver -k >/dev/null 2>&1 || true
    wineserver -w >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap finish EXIT

# Everything is redirected: services inherit pipes, which then never close.
quiet() { "$@" >>"$work/log" 2>&1 </dev/null; }

build() {
    local cc=(x86_64-w64-mingw32-gcc -std=gnu17 -O2 -Wall -Wextra -Wno-unused-parameter -Wno-multichar -Wno-missing-field-initializers)
    local ddk
    ddk=$(dirname "$(find /usr -path '*mingw*' -name ntddk.h 2>/dev/null | head -1)")
    local kernel=("${cc[@]}" -isystem "$ddk" -nostdlib -Wl,--subsystem,native -Wl,--dynamicbase)
    "${kernel[@]}" -shared -Wl,-e,DllMain "$here/netio.c" -o "$work/netio.sys" \
        -Wl,--out-implib,"$work/libnetio.a" -lntoskrnl
    "${kernel[@]}" -shared -Wl,-e,DriverEntry "$here/runtime.c" -o "$work/runtime.sys" "$work/libnetio.a" -lntoskrnl
    cp "$work/runtime.sys" "$work/runtime_b.sys" # One file is loaded once only.
    "${cc[@]}" "$here/unwind.c" -o "$work/unwind.exe" -lntdll
    for object in "$root"/examples/*.o; do
        name=$(basename "$object" .o)
        case $name in *_unsafe) continue ;; esac
        "$tool" "$object" -o "$work/$name.sys" >>"$work/log" 2>&1
    done
}

windows_path() { echo "Z:${1//\//\\}"; }

service() { # name, file
    quiet wine sc delete "$1" || true # A prefix that was used before has it.
    quiet wine sc create "$1" type= kernel start= demand group= judge binPath= "$(windows_path "$work/$2")"
}

module_id() { # service, registry type, data
    quiet wine reg add "HKLM\\System\\CurrentControlSet\\Services\\$1\\Parameters" /v NpiModuleId /t "$2" /d "$3" /f
}

start() { # service, expected outcome
    local outcome=started
    quiet wine sc start "$1" || outcome=refused
    echo "sc start $1: $outcome" >>"$work/debug"
}

stop() {
    local outcome=stopped
    quiet wine sc stop "$1" || outcome=refused
    echo "sc stop $1: $outcome" >>"$work/debug"
}

note() { echo "judge: --- $*" >>"$work/debug"; }

scenarios() {
    local good=00112233445566778899AABBCCDDEEFF
    service runtime_a runtime.sys
    service runtime_b runtime_b.sys
    service module droppacket.sys

    note "without a registry value"
    start module; stop module
    note "value of a wrong type"
    module_id module REG_SZ 0123456; start module
    note "value too short"
    module_id module REG_BINARY 0011; start module
    note "value too long"
    module_id module REG_BINARY "${good}00"; start module
    note "registration fails"
    module_id module REG_BINARY "11FA11FA445566778899AABBCCDDEEFF"; start module

    note "module first, then the runtime, then a second runtime"
    module_id module REG_BINARY "$good"
    start module; start runtime_a; start runtime_b; stop module
    note "runtime first; the module starts anew"
    stop runtime_b; start module
    note "the runtime leaves and comes back"
    stop runtime_a; start runtime_a; stop module; stop runtime_a
}

build
wineserver -p >/dev/null 2>&1 </dev/null || true
[ -d "$WINEPREFIX/drive_c" ] || WINEDEBUG=-all quiet wineboot -i
# Debug output appears where the first process of the server writes it.
wineserver -k >/dev/null 2>&1 || true
wineserver -w >/dev/null 2>&1 || true
wineserver -p >/dev/null 2>&1 </dev/null
WINEDEBUG=-all,+debugstr wine cmd /c exit >>"$work/debug" 2>&1 </dev/null
export WINEDEBUG=-all
scenarios

sed -n 's/\r//; s/^.*judge: /judge: /; /^judge: /p; /^sc /p' "$work/debug" >"$work/found"
for image in "$work"/*.sys; do
    case $image in */netio.sys | */runtime*.sys) continue ;; esac
    wine "$work/unwind.exe" "$(windows_path "$image")" >"$work/out" 2>/dev/null </dev/null || echo "exit $?" >>"$work/out"
    tr -d '\r' <"$work/out" >>"$work/found"
done

if [ -n "${BLESS:-}" ]; then
    cp "$work/found" "$here/expected"
elif ! diff -u "$here/expected" "$work/found"; then
    echo "FAILED"
    exit 1
fi
! grep -n WRONG "$work/found" || { echo "FAILED"; exit 1; }
cat "$work/found"
echo "PASSED"
