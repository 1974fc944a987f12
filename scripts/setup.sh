#!/usr/bin/env bash
# Sees to it that the tools a make target needs are on this machine.
#
#   scripts/setup.sh NEED...
#
# NEED is one or more of: cc libclang sqlite3 libsqlite3 python3 venv loading_python maven strace binutils unzip
# chromium qemu node go jdk rust.
# Each need is checked by trying it, never by asking the package manager what it believes to
# have installed: a compiler from elsewhere counts too. Says nothing when nothing is missing.
# What is missing is installed with apt-get when we are root; anybody else gets the command to
# run, because a build must not ask for a password. Rust is the exception: Debian's is too old,
# so the way out is explained instead.
#
# Exit codes: 0 everything is there, 1 something is missing, 2 asked for in a wrong way.
set -u

NEEDS="cc libclang sqlite3 libsqlite3 python3 venv loading_python maven strace binutils unzip chromium qemu node go jdk rust"
RUST_WANTED=1.92   # the oldest that the `ort` crate builds with
NODE_WANTED=18.17  # of packages/node
GO_WANTED=1.23     # of examples/go

have() { command -v "$1" >/dev/null 2>&1; }

# --- one check for each need -------------------------------------------------------------

# A bare compiler without the C library's headers is common in small images; cargo's linker
# needs both.
has_cc() { have cc && printf '#include <stdio.h>\n' | cc -E -x c - >/dev/null 2>&1; }

# bindgen loads libclang at run time, and libclang reads its own stdarg.h and friends. Debian
# packs the two apart, so a library alone is not enough. libclang-cpp is another library. What
# LIBCLANG_PATH names is the user's own choice and is believed.
has_libclang() {
    if [ -n "${LIBCLANG_PATH:-}" ]; then
        case "$LIBCLANG_PATH" in *.so*) [ -e "$LIBCLANG_PATH" ] && return 0 ;; esac
        any_libclang_in "$LIBCLANG_PATH" && return 0
    fi
    local folder
    for folder in /usr/lib/llvm-*/lib /usr/lib/*-linux-gnu /usr/lib64 /usr/lib; do
        any_libclang_in "$folder" && has_clang_headers "$folder" && return 0
    done
    have llvm-config && folder=$(llvm-config --libdir 2>/dev/null) &&
        any_libclang_in "$folder" && has_clang_headers "$folder"
}

any_libclang_in() {
    local file
    for file in "$1"/libclang.so* "$1"/libclang-[0-9]*.so*; do
        [ -e "$file" ] && return 0
    done
    return 1
}

has_clang_headers() {
    local file
    for file in "$1"/clang/*/include/stdarg.h /usr/lib/llvm-*/lib/clang/*/include/stdarg.h \
                /usr/lib/clang/*/include/stdarg.h; do
        [ -e "$file" ] && return 0
    done
    return 1
}

has_sqlite3()  { have sqlite3; }
# The header and the library that a C program of the tests is linked with.
has_libsqlite3() {
    have cc && printf '#include <sqlite3.h>\nint main(void) { return sqlite3_initialize(); }\n' |
        cc -x c - -o /dev/null -lsqlite3 >/dev/null 2>&1
}
has_python3()  { ask_python; case $python_says in new*) ;; *) return 1 ;; esac; }
has_venv()     { ask_python; case $python_says in *venv) ;; *) return 1 ;; esac; }
has_maven()    { have mvn && { have java || [ -x "${JAVA_HOME:-/nowhere}/bin/java" ]; }; }
has_strace()   { have strace; }
has_binutils() { have nm && have readelf; }
has_unzip()    { have unzip; }
has_chromium() { have chromium; }
# Debian 13 and later have dropped the suffix together with the static build.
has_qemu()     { have qemu-x86_64-static || have qemu-x86_64; }
has_loading_python() { "$(dirname "${BASH_SOURCE[0]}")/loading_python.sh" >/dev/null; }

has_node()     { have npm && have node && at_least "$(node -p process.versions.node 2>/dev/null)" $NODE_WANTED; }
has_go()       { have go && at_least "$(go version 2>/dev/null | sed -n 's/.* go\([0-9][0-9.]*\).*/\1/p')" $GO_WANTED; }
has_jdk()      { have java && have javac; }

# Asked once for both: behind a pyenv shim python3 takes a tenth of a second to start.
python_says=
ask_python() {
    [ -z "$python_says" ] || return 0
    python_says=$(python3 -c '
import sys
print("new" if sys.version_info >= (3, 9) else "old", end=" ")
import ensurepip, venv
print("venv")' 2>/dev/null)
    [ -n "$python_says" ] || python_says=none
}

# The Debian packages that bring a need.
packages_for() {
    case $1 in
        cc)       echo gcc libc6-dev ;;
        libclang) echo libclang-dev ;;
        libsqlite3) echo libsqlite3-dev ;;
        venv)     echo python3-venv ;;
        loading_python) echo python3 python3-venv ;;   # Debian's, beside one that pyenv may have put first
        maven)    echo maven default-jre-headless ;;   # Debian's maven takes any JRE; say which
        node)     echo nodejs npm ;;
        go)       echo golang-go ;;
        jdk)      echo default-jdk-headless ;;
        qemu)     echo qemu-user-static ;;
        *)        echo "$1" ;;
    esac
}

# --- rust ---------------------------------------------------------------------------------

check_rust() {
    local found way_out
    if have rustup; then way_out="rustup update stable"; else way_out="get it from https://rustup.rs"; fi
    if ! have cargo; then
        echo "cargo is not here; Rust $RUST_WANTED or newer is wanted: $way_out" \
             "(if it is installed already, add ~/.cargo/bin to PATH)" >&2
        return 1
    fi
    found=$(cargo --version 2>&1 | sed -n 's/^cargo \([0-9][0-9.]*\).*/\1/p')
    if [ -z "$found" ]; then
        echo "cargo --version gives no version: $(cargo --version 2>&1 | head -n 1)" >&2
        return 1
    fi
    if ! at_least "$found" "$RUST_WANTED"; then
        echo "cargo $found is too old, $RUST_WANTED or newer is wanted: $way_out" >&2
        return 1
    fi
}

at_least() {   # FOUND WANTED, both MAJOR.MINOR[.PATCH]; FOUND is empty where there is none
    [ -n "$1" ] || return 1
    local found_major=${1%%.*} wanted_major=${2%%.*} found_minor=${1#*.} wanted_minor=${2#*.}
    found_minor=${found_minor%%.*} wanted_minor=${wanted_minor%%.*}
    [ "$found_major" -gt "$wanted_major" ] ||
        { [ "$found_major" -eq "$wanted_major" ] && [ "$found_minor" -ge "$wanted_minor" ]; }
}

# --- installing ---------------------------------------------------------------------------

# apt-get's chatter is kept back, and shown only when it failed.
quietly() {
    local output
    if ! output=$("$@" 2>&1); then
        printf '%s\n' "$output" >&2
        echo "this failed: $*" >&2
        return 1
    fi
}

# Another apt-get may be at work (a machine that has just booted, a second make): wait for it.
install() {
    echo "installing $* with apt-get"
    export DEBIAN_FRONTEND=noninteractive
    quietly apt-get -qq -o DPkg::Lock::Timeout=300 update &&
        quietly apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
}

# Packages that were asked for may still not give what is needed: `python3` can be one that
# pyenv put first in PATH, which Debian's python3-venv does not touch.
still_missing() {
    local need failed=0
    python_says=
    hash -r
    for need in "$@"; do
        has_"$need" && continue
        case $need in
            python3|venv) echo "$need: $(command -v python3) still does not do;" \
                               "put a Python 3.9 or newer that has venv first in PATH" >&2 ;;
            node) echo "node: $NODE_WANTED or newer is wanted, the packages brought $(node --version 2>&1)" >&2 ;;
            go)   echo "go: $GO_WANTED or newer is wanted, the package brought $(go version 2>&1)" >&2 ;;
            *) echo "$need is still missing after its packages were installed" >&2 ;;
        esac
        failed=1
    done
    return $failed
}

get_missing() {
    local need packages=()
    for need in "$@"; do packages+=($(packages_for "$need")); done
    if ! have apt-get; then
        echo "missing: $*; there is no apt-get here, so install them with your package manager" \
             "(Debian calls the packages: ${packages[*]})" >&2
        return 1
    fi
    if [ "$(id -u)" != 0 ]; then
        echo "missing: $*; run this, then try again:" >&2
        echo "sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages[*]}" >&2
        return 1
    fi
    install "${packages[@]}" && still_missing "$@"
}

main() {
    local need missing=() want_rust=no failed=0
    if [ $# -eq 0 ]; then echo "usage: $0 NEED...; NEED is one of: $NEEDS" >&2; exit 2; fi
    for need in "$@"; do
        case " $NEEDS " in
            *" $need "*) ;;
            *) echo "'$need' is no known need; known are: $NEEDS" >&2; exit 2 ;;
        esac
    done
    for need in "$@"; do
        if [ "$need" = rust ]; then want_rust=yes; else has_"$need" || missing+=("$need"); fi
    done
    [ ${#missing[@]} -eq 0 ] || get_missing "${missing[@]}" || failed=1
    [ $want_rust = no ] || check_rust || failed=1
    exit $failed
}

# The tests read this file to try single functions.
if [ "${BASH_SOURCE[0]}" = "$0" ]; then main "$@"; fi
