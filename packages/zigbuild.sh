#!/usr/bin/env bash
# Builds the library for other people's machines: against glibc 2.28 (Debian 10, RHEL 8, Ubuntu 20.04
# and later), with zig as linker and C compiler.
#
#   packages/zigbuild.sh TOOLS OUTPUT
#
# TOOLS is a folder of commands with cargo-zigbuild and zig's Python package; OUTPUT the stripped library.
set -euo pipefail
tools=$(realpath "$1") output=$2  # absolute: cargo runs build scripts in other folders
target=x86_64-unknown-linux-gnu glibc=2.28

# bindgen reads sqlite3ext.h with zig's headers, among which libclang does not find its own (stdarg.h).
headers=$(ls -d /usr/lib/llvm-*/lib/clang/*/include /usr/lib/clang/*/include 2>/dev/null | sort -V | tail -n 1)
export C_INCLUDE_PATH="${headers}${C_INCLUDE_PATH:+:$C_INCLUDE_PATH}"
export PATH="$tools:$PATH"

cargo zigbuild --quiet --release --features loadable --target "$target.$glibc"
mkdir -p "$(dirname "$output")"
strip --strip-all -o "$output.new" "${CARGO_TARGET_DIR:-target}/$target/release/libbge.so"
mv "$output.new" "$output"
