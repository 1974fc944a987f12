#!/usr/bin/env bash
# Builds the library for Linux on aarch64 on an x86-64 Debian 12, and tries it under QEMU. On demand: it downloads
# some 250 MB and compiles for some minutes. Nothing is installed: Debian's packages are unpacked in target/aarch64.
#
#   packages/aarch64.sh TOOLS PYTHON
#
# TOOLS is the folder of commands that packages/zigbuild.sh takes; PYTHON has pip. It leaves
# target/packages/parts-aarch64 (libbge.so, libonnxruntime.so, licences), of which `make packages` then makes an npm
# package too.
#
# Rust's own downloads cannot be had everywhere. Debian's rustc-web comes with a standard library for arm64, and zig
# is linker and C compiler. Under QEMU 7.2, ONNX Runtime 1.28.0 for aarch64 crashes when it is merely opened
# (QEMU's fault or its own: no aarch64 machine was at hand), so it is tried with 1.21.1.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(realpath "$1") python=$(realpath --no-symlinks "$2")
work=$PWD/target/aarch64 parts=$PWD/target/packages/parts-aarch64
target=aarch64-unknown-linux-gnu glibc=2.28
shipped=1.28.0 tried=1.21.1
mkdir -p "$work/lists/partial" "$work/debs"

# --- Debian's compiler, and a small aarch64 system to run in --------------------------------

apt=(apt-get -qq -o APT::Architecture=amd64 -o APT::Architectures::=amd64 -o APT::Architectures::=arm64
     -o "Dir::State::Lists=$work/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)

unpack() {   # FOLDER PACKAGE...
    local folder=$1; shift
    [ -e "$folder/.complete" ] && return
    rm -rf "$folder" "$work/debs"; mkdir -p "$folder" "$work/debs"
    echo "getting $*"
    (cd "$work/debs" && "${apt[@]}" download "$@" 2>/dev/null)
    local deb
    for deb in "$work"/debs/*.deb; do dpkg -x "$deb" "$folder"; done
    touch "$folder/.complete"
}

[ -e "$work/host/.complete" ] && [ -e "$work/guest/.complete" ] || "${apt[@]}" update
unpack "$work/host" rustc-web libstd-rust-web-1.96 libstd-rust-web-dev:amd64 libstd-rust-web-dev:arm64 \
    libllvm22:amd64 libz3-4:amd64 qemu-user-static
unpack "$work/guest" sqlite3:arm64 libsqlite3-0:arm64 libc6:arm64 libgcc-s1:arm64 libstdc++6:arm64 zlib1g:arm64 \
    libreadline8:arm64 libtinfo6:arm64

# --- build ------------------------------------------------------------------------------------

cat > "$work/rustc" <<END
#!/bin/sh
LD_LIBRARY_PATH=$work/host/usr/lib/x86_64-linux-gnu:$work/host/usr/lib exec $work/host/usr/bin/rustc --sysroot $work/host/usr "\$@"
END
chmod +x "$work/rustc"
headers=$(ls -d /usr/lib/llvm-*/lib/clang/*/include /usr/lib/clang/*/include 2>/dev/null | sort -V | tail -n 1)
echo "building for $target"
RUSTC=$work/rustc C_INCLUDE_PATH=$headers PATH=$tools:$PATH CARGO_TARGET_DIR=$work/cargo \
    CARGO_PROFILE_RELEASE_STRIP=symbols \
    cargo zigbuild --quiet --release --features loadable --target "$target.$glibc"

# --- the parts --------------------------------------------------------------------------------

runtime() {   # VERSION FOLDER: the library of a wheel and its licences
    [ -e "$2/libonnxruntime.so" ] && return
    rm -rf "$2"; mkdir -p "$2"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --implementation cp \
        --python-version 3.12 --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
        --platform manylinux_2_17_aarch64 -d "$2" "onnxruntime==$1"
    "$python" - "$2" <<'END'
import pathlib, sys, zipfile
folder = pathlib.Path(sys.argv[1])
with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
    for name in wheel.namelist():
        if name.startswith("onnxruntime/capi/libonnxruntime.so."):
            (folder / "libonnxruntime.so").write_bytes(wheel.read(name))
        elif name in ("onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt"):
            (folder / name.rsplit("/", 1)[1]).write_bytes(wheel.read(name))
END
    rm "$2"/*.whl
}

runtime "$shipped" "$work/runtime-$shipped"
runtime "$tried" "$work/runtime-$tried"
rm -rf "$parts"; mkdir -p "$parts/licenses/onnxruntime"
cp "$work/cargo/$target/release/libbge.so" "$work/runtime-$shipped/libonnxruntime.so" "$parts"
cp "$work/runtime-$shipped"/[LT]* "$parts/licenses/onnxruntime"
cp LICENSE-MIT LICENSE-APACHE "$parts/licenses"
[ ! -e target/packages/parts/licenses/rust-crates.txt ] || cp target/packages/parts/licenses/rust-crates.txt "$parts/licenses"

# --- try ----------------------------------------------------------------------------------------

echo "trying it under QEMU with ONNX Runtime $tried"
got=$(BGE_MODELS=$PWD/dist/models BGE_ORT_LIB=$work/runtime-$tried/libonnxruntime.so ORT_DISABLE_TELEMETRY=1 \
    "$work/host/usr/bin/qemu-aarch64-static" -L "$work/guest" "$work/guest/usr/bin/sqlite3" :memory: \
    ".load $parts/libbge" \
    "SELECT round(bge_cosine(bge_embed('embedding'), bge_embed('I love machine learning and nlp')), 5);")
echo "aarch64 gives $got"
[ "$got" = 0.60462 ]
