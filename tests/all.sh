#!/usr/bin/env bash
# Runs every check and test of the project; installs what it needs on Debian and Ubuntu.
#
# The only thing it cannot install is Rust itself (https://rustup.rs). Judges that are missing on
# other systems are named at the start, and the tests that need them say that they were skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(clang-19 llvm-19 lld-19 osslsigncode sbsigntool chromium wine wine64 gcc-mingw-w64-x86-64
    iproute2 ethtool dnsmasq-base)
tools=(clang-19 llvm-readobj-19 lld-link-19 osslsigncode sbverify chromium wine x86_64-w64-mingw32-gcc
    ip ethtool dnsmasq)

missing() {
    for tool in "${tools[@]}"; do
        command -v "$tool" >/dev/null || echo "$tool"
    done
}

install_judges() {
    local sudo=()
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    "${sudo[@]}" apt-get update -qq
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
}

if [ -n "$(missing)" ] && command -v apt-get >/dev/null; then
    echo "installing: ${packages[*]}"
    install_judges || echo "the installation failed; going on without"
fi
for tool in $(missing); do
    echo "NOT INSTALLED: $tool; the tests that need it are skipped and say so"
done
command -v cargo >/dev/null || { echo "Rust is missing: install it from https://rustup.rs"; exit 2; }

# The kernel-side crates are checked for a target without std, and drivers and programs for Windows
# are built for theirs. Where rustup cannot bring a library, a compiler of the system with its sources
# does for Windows; a step that still misses something says so.
for target in x86_64-unknown-none x86_64-pc-windows-msvc x86_64-pc-windows-gnu; do
    rustup target add "$target" >/dev/null 2>&1 && continue
    echo "NOT INSTALLED: the standard library for $target"
    packages=(rustc-web cargo-web rust-web-src)
    if [ "$target" != x86_64-unknown-none ] && [ ! -x /usr/bin/rustc ] && command -v apt-get >/dev/null; then
        install_judges || echo "neither by rustup nor as packages: ${packages[*]}"
    fi
done

# Miri needs a nightly compiler; without it its step says so.
nightly=$(sed -n 's/^pub(crate) const NIGHTLY: &str = "\(.*\)";$/\1/p' xtask/src/judges.rs)
rustup toolchain install "$nightly" --profile minimal --no-self-update --component miri \
    --component rust-src >/dev/null 2>&1 || echo "NOT INSTALLED: Miri of $nightly"

exec cargo xtask ci
