#!/bin/sh
# footprint.sh: size of the device core for a Cortex-M4, -Os, file by file; fails above the budget of 32 KiB of flash.
#
# Needs clang and llvm-size or size; no C library for the target: the handful of functions from string.h that the core
# uses are declared here. nanopb's runtime and the P-256 back end are not counted: they are the board's.
# Use: footprint.sh FOLDER-WITH-GENERATED-HEADERS [FOLDER-WITH-PB.H]
# SPDX-License-Identifier: Apache-2.0
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
generated=${1:?"usage: footprint.sh FOLDER-WITH-GENERATED-HEADERS [FOLDER-WITH-PB.H]"}
nanopb=${2:-/usr/include}
budget=32768
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/string.h" <<'END'
#include <stddef.h>
void *memcpy(void *, const void *, size_t);
void *memmove(void *, const void *, size_t);
void *memset(void *, int, size_t);
int memcmp(const void *, const void *, size_t);
size_t strlen(const char *);
int strcmp(const char *, const char *);
END
cp "$work/string.h" "$work/stdlib.h" # pb.h includes it and uses nothing of it here
cp "$nanopb"/pb.h "$nanopb"/pb_encode.h "$nanopb"/pb_decode.h "$nanopb"/pb_common.h "$work/"
for source in "$root"/firmware/edge/*.c; do
    clang --target=thumbv7em-none-eabi -mcpu=cortex-m4 -mthumb -Os -ffreestanding -std=c11 -w \
        -I"$root" -I"$generated" -isystem "$work" -c "$source" -o "$work/$(basename "$source" .c).o"
done
cd "$work"
size -- *.o
size -- *.o | awk -v budget="$budget" '
    NR > 1 { flash += $1; ram += $2 + $3 }
    END {
        printf "flash %d of %d bytes, static memory %d bytes\n", flash, budget, ram
        exit flash > budget || ram > 0
    }'
