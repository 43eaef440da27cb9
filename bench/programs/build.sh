#!/bin/sh
# Compiles the programs of the interpreter bench with clang 19 (or BPF_CLANG). The objects are committed;
# they carry no path, so the same compiler gives the same bytes anywhere.
# Usage: bench/programs/build.sh [OUTPUT-DIRECTORY]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here}
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$here"
for source in *.bpf.c; do
    "${BPF_CLANG:-clang-19}" -target bpf -O2 -mcpu=v3 -fno-builtin -g0 -nostdinc -c "$source" \
        -o "$out/${source%.bpf.c}.o"
done
