/*
 * fuzz_bundle.c: any bytes as a bundle or an export, through a file in memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/bundle.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    char path[64];
    td_err err;
    int fd = memfd_create("bundle", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
        return 0;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    (void)!td_bundle_inspect_json(path, &json, &err);
    close(fd);
    return 0;
}
