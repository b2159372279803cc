/*
 * bundle_write.c: packing: manifest.pb, manifest.json, then the files of the manifest in its order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "registry/tar.h"

#include <string.h>

/* Where the compressed bytes go, hashed on the way. */
typedef struct counted_sink {
    td_sha256 *hash;
    uint64_t size;
    int fd;
} counted_sink;

static td_code to_put(void *context, const void *data, size_t size, td_err *err)
{
    return td_content_put_write(context, data, size, err);
}

static td_code to_fd(void *context, const void *data, size_t size, td_err *err)
{
    counted_sink *sink = context;
    td_sha256_update(sink->hash, data, size);
    sink->size += size;
    return td_write_all(sink->fd, data, size, err);
}

static td_code write_entries(td_tar_writer *writer, td_content *content, const void *manifest, size_t manifest_size,
                             td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_manifest m;
    TD_TRY(td_manifest_read(manifest, manifest_size, &arena, &m, err));
    TD_TRY(td_manifest_text(manifest, manifest_size, &text, err));
    TD_TRY(td_tar_bytes(writer, "manifest.pb", manifest, manifest_size, err));
    TD_TRY(td_tar_bytes(writer, "manifest.json", text.data, text.size, err));
    for (size_t i = 0; i < m.file_count; i++) {
        TD_TRY(td_tar_content(writer, m.files[i].name, content, m.files[i].digest, m.files[i].size, err));
    }
    return TD_OK;
}

static td_code pack(td_content *content, const void *manifest, size_t manifest_size, td_sink_fn sink, void *context,
                    td_bundle_info *info, td_err *err)
{
    TD_CLEANUP(td_tar_writer_free) td_tar_writer *writer = NULL;
    TD_TRY(td_tar_writer_new(TD_BUNDLE_ZSTD_LEVEL, sink, context, &writer, err));
    TD_TRY(write_entries(writer, content, manifest, manifest_size, err));
    return td_tar_finish(writer, info->tar_digest, &info->tar_size, err);
}

td_code td_bundle_build(td_content *content, const void *manifest, size_t manifest_size, td_bundle_info *out,
                        td_err *err)
{
    TD_CLEANUP(td_content_put_free) td_content_put *put = NULL;
    td_bundle_info info;
    TD_TRY(td_content_put_begin(content, TD_BUNDLE_BYTES_MAX, &put, err));
    TD_TRY(pack(content, manifest, manifest_size, to_put, put, &info, err));
    TD_TRY(td_content_put_finish(put, NULL, info.digest, &info.size, err));
    *out = info;
    return TD_OK;
}

td_code td_bundle_write(td_content *content, const void *manifest, size_t manifest_size, int fd, td_bundle_info *out,
                        td_err *err)
{
    TD_CLEANUP(td_sha256_free) td_sha256 *hash = NULL;
    td_bundle_info info;
    TD_TRY(td_sha256_new(&hash, err));
    counted_sink sink = {.hash = hash, .fd = fd};
    TD_TRY(pack(content, manifest, manifest_size, to_fd, &sink, &info, err));
    td_sha256_final(hash, info.digest);
    info.size = sink.size;
    *out = info;
    return TD_OK;
}
