#!/bin/sh
# Compiles the test programs with clang 19 (or BPF_CLANG). The objects are committed, so that tests
# need no clang.
set -eu
cd "$(dirname "$0")"
"${BPF_CLANG:-clang-19}" -target bpf -mcpu=v3 -O2 -g -std=gnu11 -Wall -Wextra -Werror -nostdinc \
    -I ../../../include -fdebug-compilation-dir=. -ffile-prefix-map="$PWD"=. -c bad.c -o bad.o
