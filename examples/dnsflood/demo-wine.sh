#!/usr/bin/env bash
# The story of droppacket as the tutorial tells it for Windows, under Wine: the service manager, the
# runtime's driver, the commands of `netsh ebpf`, and a flood at the stand-ins' network interface.
# Needs wine, mingw-w64 and Rust; clang-19 to compile the program (without it the committed object is
# taken). Arguments go to `cargo xtask wine --demo`, for instance `--picture FILE.svg`.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec cargo xtask wine --demo "$@"
