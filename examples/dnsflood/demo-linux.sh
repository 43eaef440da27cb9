#!/usr/bin/env bash
# The story of droppacket on this machine: a real flood, a real name server, the real driver image.
# Needs Linux, root, and the packages iproute2, ethtool, dnsmasq-base; clang-19 to compile the program
# (without it the committed object is taken). Arguments go to `demo`, see `demo --help`.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ "$(uname)" != Linux ] || [ "$(id -u)" != 0 ]; then
    echo "NOT RUN: needs Linux and root (network namespaces, packet sockets)"
    exit 0
fi
for tool in ip ethtool dnsmasq; do
    command -v "$tool" >/dev/null || { echo "NOT RUN: $tool is not installed"; exit 0; }
done
if ! ip netns add dnsflood-test 2>/dev/null; then
    echo "NOT RUN: this machine allows no network namespaces"
    exit 0
fi
ip netns delete dnsflood-test
if [ ! -e /dev/net/tun ]; then
    echo "NOT RUN: this machine has no TAP devices (/dev/net/tun)"
    exit 0
fi

out=${CARGO_TARGET_DIR:-target}/dnsflood
mkdir -p "$out"
cargo build --quiet --package bpf2native --package dnsflood
bin=${CARGO_TARGET_DIR:-target}/debug

say() { echo "\$ $*"; }
if command -v "${BPF_CLANG:-clang-19}" >/dev/null; then
    say examples/build.sh "$out"
    examples/build.sh "$out"
else
    echo "no ${BPF_CLANG:-clang-19}: the committed objects are taken"
    cp examples/droppacket.o examples/droppacket_unsafe.o "$out"
fi

say bpf2native verify "$out/droppacket.o"
"$bin/bpf2native" verify "$out/droppacket.o"
say bpf2native "$out/droppacket.o" -o "$out/droppacket.sys"
"$bin/bpf2native" "$out/droppacket.o" -o "$out/droppacket.sys"
say bpf2native "$out/droppacket_unsafe.o" -o "$out/unsafe.sys"
if "$bin/bpf2native" "$out/droppacket_unsafe.o" -o "$out/unsafe.sys"; then
    echo "FAILED: the unsafe variant was accepted"
    exit 1
fi

say demo --driver "$out/droppacket.sys" "$@"
"$bin/demo" --driver "$out/droppacket.sys" --picture "$out/dnsflood.svg" "$@"
