#!/bin/sh
# Compiles every example with clang 19 (or BPF_CLANG) and nothing but ../include. The objects are
# committed; they carry no absolute path, so the same compiler gives the same bytes anywhere.
# Usage: examples/build.sh [OUTPUT-DIRECTORY]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here}
mkdir -p "$out"
out=$(cd "$out" && pwd)
clang=${BPF_CLANG:-clang-19}
cd "$here"
for source in *.c; do
    "$clang" -target bpf -mcpu=v3 -O2 -g -std=gnu11 -Wall -Wextra -Werror -nostdinc -I ../include \
        -fdebug-compilation-dir=. -ffile-prefix-map="$here"=. -c "$source" -o "$out/${source%.c}.o"
done
