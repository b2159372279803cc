/*
 * bundle_export.c: the bundle with its attestations beside it, as one plain tar: attest/… first, so that whoever reads
 * it knows whom to believe before the bundle's first byte.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "registry/tar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const td_attest *const *)a)->name, (*(const td_attest *const *)b)->name);
}

static td_code write_attest(td_tar_writer *writer, const td_attest *attest, td_err *err)
{
    char name[TD_FILE_NAME_MAX + 1];
    int length = snprintf(name, sizeof name, "attest/%s", attest->name);
    if (length < 0 || length > TD_FILE_NAME_MAX || attest->size > TD_BUNDLE_ATTEST_BYTES_MAX) {
        return td_fail(err, TD_LIMIT, "attestation \"%.60s\" has too long a name or more than %zu bytes", attest->name,
                       TD_BUNDLE_ATTEST_BYTES_MAX);
    }
    TD_TRY(td_check_file_name(name, (size_t)length, err));
    return td_tar_bytes(writer, name, attest->data, attest->size, err);
}

static td_code write_attests(td_tar_writer *writer, const td_export *export, td_err *err)
{
    const td_attest *sorted[TD_BUNDLE_ATTEST_MAX];
    if (export->attest_count > TD_BUNDLE_ATTEST_MAX) {
        return td_fail(err, TD_LIMIT, "an export carries at most %d attestations", TD_BUNDLE_ATTEST_MAX);
    }
    for (size_t i = 0; i < export->attest_count; i++) {
        sorted[i] = &export->attests[i];
    }
    qsort(sorted, export->attest_count, sizeof sorted[0], by_name);
    for (size_t i = 0; i < export->attest_count; i++) {
        if (i > 0 && strcmp(sorted[i - 1]->name, sorted[i]->name) == 0) {
            return td_fail(err, TD_INVALID, "attestation \"%s\" is given twice", sorted[i]->name);
        }
        TD_TRY(write_attest(writer, sorted[i], err));
    }
    return TD_OK;
}

td_code td_bundle_export(td_content *content, const td_export *export, td_sink_fn sink, void *context, td_err *err)
{
    TD_CLEANUP(td_tar_writer_free) td_tar_writer *writer = NULL;
    TD_CLEANUP(td_close_fd) int fd = -1;
    uint64_t size;
    if (td_content_get(content, export->bundle_digest, &fd, &size, err) != TD_OK) {
        return td_wrap(err, "the bundle");
    }
    TD_TRY(td_tar_writer_new(0, sink, context, &writer, err));
    TD_TRY(write_attests(writer, export, err));
    TD_TRY(td_tar_content(writer, "bundle.tar.zst", content, export->bundle_digest, size, err));
    return td_tar_finish(writer, NULL, NULL, err);
}

static td_code to_put(void *context, const void *data, size_t size, td_err *err)
{
    return td_content_put_write(context, data, size, err);
}

td_code td_bundle_export_content(td_content *content, const td_export *export, uint8_t digest_out[TD_DIGEST_SIZE],
                                 uint64_t *size_out, td_err *err)
{
    TD_CLEANUP(td_content_put_free) td_content_put *put = NULL;
    TD_TRY(td_content_put_begin(content, 0, &put, err));
    TD_TRY(td_bundle_export(content, export, to_put, put, err));
    return td_content_put_finish(put, NULL, digest_out, size_out, err);
}
