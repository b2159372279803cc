#!/usr/bin/env bash
# The same tests with other tools: Clang, the thread sanitizer (and the demo under it), mbedTLS 3.6 (Debian 13's), arm64
# (cross-compiled, under qemu-user).
#
# Foreign packages are fetched with apt into folders of their own under build/matrix; nothing of the system is changed.
# Usage: tests/matrix/matrix.sh [clang|tsan|mbedtls36|arm64] …   (all by default)
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/../.."
base=$PWD/build/matrix
mkdir -p "$base"

# fetch NAME ARCHITECTURE SUITE PACKAGE…
fetch() {
    local name=$1
    shift
    tests/debian.sh "$base/$name" "$@"
}

# leg NAME CMAKE-OPTION…: configures, builds, runs the quick layers.
leg() {
    local name=$1
    shift
    printf '== %s\n' "$name"
    cmake -S . -B "$base/build-$name" -G Ninja -DTIDEMARK_WERROR=ON "$@" >"$base/$name.log" 2>&1 &&
        cmake --build "$base/build-$name" >>"$base/$name.log" 2>&1 || { tail -n 30 "$base/$name.log"; return 1; }
    ctest --test-dir "$base/build-$name" -L '^(unit|vectors|fuzz)$' -j 2 --output-on-failure | tail -n 40
}

leg_clang() {
    leg clang -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_COMPILER=clang
}

leg_tsan() {
    export TSAN_OPTIONS="suppressions=$PWD/tests/matrix/tsan.supp exitcode=66"
    leg tsan -DCMAKE_BUILD_TYPE=Debug -DTIDEMARK_TSAN=ON
    python3 examples/pump/demo.py --bin "$base/build-tsan/bin" --devices 4 | tail -n 8
}

leg_mbedtls36() {
    fetch mbedtls36 "" trixie libmbedtls-dev libmbedtls21 libmbedcrypto16 libmbedx509-7
    local root=$base/mbedtls36/root/usr library
    library=$root/lib/$(gcc -print-multiarch 2>/dev/null || gcc -dumpmachine)
    [ -d "$library" ] || library=$(dirname "$(find "$root/lib" -name libmbedtls.a | head -n 1)")
    leg mbedtls36 -DCMAKE_BUILD_TYPE=Debug "-DDEP_mbedtls_INCLUDE=$root/include" "-DDEP_mbedtls_mbedtls=$library/libmbedtls.a" \
        "-DDEP_mbedtls_mbedx509=$library/libmbedx509.a" "-DDEP_mbedtls_mbedcrypto=$library/libmbedcrypto.a"
}

leg_arm64() {
    local emulator=qemu-aarch64-static compiler=aarch64-linux-gnu-gcc
    command -v $emulator >/dev/null && command -v $compiler >/dev/null ||
        { printf 'arm64: install gcc-aarch64-linux-gnu and qemu-user-static\n'; return 1; }
    fetch arm64 arm64 "" libc6-dev libsqlite3-dev libssl-dev libjansson-dev libyaml-dev libarchive-dev libmicrohttpd-dev \
        libcurl4-openssl-dev libmbedtls-dev libpaho-mqtt-dev libnanopb-dev libcmocka-dev
    local root=$base/arm64/root
    cat >"$base/arm64/toolchain.cmake" <<TEXT
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER $compiler)
set(CMAKE_SYSROOT $root)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH $root)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} $root)
set(ENV{PKG_CONFIG_LIBDIR} $root/usr/lib/aarch64-linux-gnu/pkgconfig:$root/usr/share/pkgconfig)
set(CMAKE_CROSSCOMPILING_EMULATOR "$emulator;-L;$root")
TEXT
    leg arm64 -DCMAKE_BUILD_TYPE=Release "-DCMAKE_TOOLCHAIN_FILE=$base/arm64/toolchain.cmake"
}

[ $# -gt 0 ] || set -- clang tsan mbedtls36 arm64
status=0
for name in "$@"; do
    "leg_$name" || status=1
done
exit $status
