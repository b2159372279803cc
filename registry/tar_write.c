/*
 * tar_write.c: a tar that depends on names and bytes alone.
 *
 * Two libarchive writers in a row: the first makes the tar, whose bytes are hashed, the second compresses them, so
 * that the digest does not depend on zstd's version. Compression runs on one thread beside the hashing (its output is
 * the same every time). zstd stores blocks that do not shrink by itself; libarchive offers no "store" per file.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/tar.h"

#include "core/base/fs.h"
#include "registry/hasher.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK ((size_t)256 * 1024)

struct td_tar_writer {
    struct archive *tar;
    struct archive *zstd; /* NULL: plain */
    td_hasher *hash;      /* of the tar, before compression */
    uint64_t tar_size;
    td_sink_fn sink;
    void *context;
    bool dropped;   /* what still comes goes nowhere */
    td_err problem; /* of the sink */
};

/* The last stage: compressed (or plain) bytes leave. A failure is remembered and not told to libarchive, whose writers
 * leak their buffers when a callback fails; every public function looks at it. */
static la_ssize_t to_sink(struct archive *archive, void *context, const void *data, size_t size)
{
    td_tar_writer *writer = context;
    (void)archive;
    if (!writer->dropped && writer->sink(writer->context, data, size, &writer->problem) != TD_OK) {
        writer->dropped = true;
    }
    return (la_ssize_t)size;
}

/* Between the stages: tar bytes are hashed and compressed. */
static la_ssize_t to_zstd(struct archive *archive, void *context, const void *data, size_t size)
{
    td_tar_writer *writer = context;
    td_hasher_update(writer->hash, data, size);
    writer->tar_size += size;
    if (archive_write_data(writer->zstd, data, size) != (la_ssize_t)size) {
        archive_set_error(archive, EIO, "%s", archive_error_string(writer->zstd));
        return -1;
    }
    return (la_ssize_t)size;
}

static td_code failed(td_tar_writer *writer, struct archive *archive, td_err *err)
{
    if (writer->problem.code != TD_OK) {
        return td_fail(err, writer->problem.code, "%s", writer->problem.text);
    }
    const char *text = archive_error_string(archive);
    return td_fail(err, TD_INTERNAL, "writing the archive failed: %s", text != NULL ? text : "unknown reason");
}

static td_code add_entry(td_tar_writer *writer, struct archive *archive, const char *name, int64_t size, td_err *err)
{
    struct archive_entry *entry = archive_entry_new();
    if (entry == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to write an archive");
    }
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, 0, 0);
    if (size >= 0) {
        archive_entry_set_size(entry, size);
    }
    int code = archive_write_header(archive, entry);
    archive_entry_free(entry);
    return code == ARCHIVE_OK && !writer->dropped ? TD_OK : failed(writer, archive, err);
}

static td_code open_zstd(td_tar_writer *writer, int level, td_err *err)
{
    char text[16];
    snprintf(text, sizeof text, "%d", level);
    writer->zstd = archive_write_new();
    bool good = writer->zstd != NULL && archive_write_set_format_raw(writer->zstd) == ARCHIVE_OK &&
                archive_write_add_filter_zstd(writer->zstd) == ARCHIVE_OK &&
                archive_write_set_filter_option(writer->zstd, "zstd", "compression-level", text) == ARCHIVE_OK &&
                archive_write_set_filter_option(writer->zstd, "zstd", "threads", "1") == ARCHIVE_OK &&
                archive_write_set_bytes_per_block(writer->zstd, (int)BLOCK) == ARCHIVE_OK &&
                archive_write_set_bytes_in_last_block(writer->zstd, 1) == ARCHIVE_OK &&
                archive_write_open(writer->zstd, writer, NULL, to_sink, NULL) == ARCHIVE_OK;
    if (!good) {
        return td_fail(err, TD_INTERNAL, "libarchive cannot write zstd here");
    }
    return add_entry(writer, writer->zstd, "data", -1, err);
}

td_code td_tar_writer_new(int level, td_sink_fn sink, void *context, td_tar_writer **out, td_err *err)
{
    TD_CLEANUP(td_tar_writer_free) td_tar_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to write an archive");
    }
    writer->sink = sink;
    writer->context = context;
    if (level > 0) {
        TD_TRY(td_hasher_new(&writer->hash, err));
        TD_TRY(open_zstd(writer, level, err));
    }
    writer->tar = archive_write_new();
    bool good = writer->tar != NULL && archive_write_set_format_pax_restricted(writer->tar) == ARCHIVE_OK &&
                archive_write_set_bytes_per_block(writer->tar, (int)BLOCK) == ARCHIVE_OK &&
                archive_write_set_bytes_in_last_block(writer->tar, 1) == ARCHIVE_OK &&
                archive_write_open(writer->tar, writer, NULL, level > 0 ? to_zstd : to_sink, NULL) == ARCHIVE_OK;
    if (!good) {
        return td_fail(err, TD_INTERNAL, "libarchive cannot write tar here");
    }
    *out = writer;
    writer = NULL;
    return TD_OK;
}

td_code td_tar_entry(td_tar_writer *writer, const char *name, uint64_t size, td_err *err)
{
    return add_entry(writer, writer->tar, name, (int64_t)size, err);
}

td_code td_tar_data(td_tar_writer *writer, const void *data, size_t size, td_err *err)
{
    if (size > 0 && (archive_write_data(writer->tar, data, size) != (la_ssize_t)size || writer->dropped)) {
        return failed(writer, writer->tar, err);
    }
    return TD_OK;
}

td_code td_tar_bytes(td_tar_writer *writer, const char *name, const void *data, size_t size, td_err *err)
{
    TD_TRY(td_tar_entry(writer, name, size, err));
    return td_tar_data(writer, data, size, err);
}

/* Copies size bytes and hashes them. */
static td_code copy_file(td_tar_writer *writer, int fd, uint64_t size, uint8_t digest_out[TD_DIGEST_SIZE], td_err *err)
{
    TD_CLEANUP(td_sha256_free) td_sha256 *hash = NULL;
    TD_CLEANUP(td_free_text) char *block = malloc(BLOCK);
    TD_TRY(td_sha256_new(&hash, err));
    if (block == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to write an archive");
    }
    for (uint64_t left = size; left > 0;) {
        ssize_t got = read(fd, block, left < BLOCK ? (size_t)left : BLOCK);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return td_fail_errno(err, errno, "reading content");
        }
        if (got == 0) {
            break;
        }
        td_sha256_update(hash, block, (size_t)got);
        TD_TRY(td_tar_data(writer, block, (size_t)got, err));
        left -= (uint64_t)got;
    }
    td_sha256_final(hash, digest_out);
    return TD_OK;
}

td_code td_tar_content(td_tar_writer *writer, const char *name, td_content *content,
                       const uint8_t digest[TD_DIGEST_SIZE], uint64_t size, td_err *err)
{
    TD_CLEANUP(td_close_fd) int fd = -1;
    uint8_t found[TD_DIGEST_SIZE];
    uint64_t there;
    if (td_content_get(content, digest, &fd, &there, err) != TD_OK) {
        return td_wrap(err, "file \"%s\"", name);
    }
    if (there != size) {
        return td_fail(err, TD_CORRUPT, "file \"%s\" has %llu bytes in content, not %llu as listed", name,
                       (unsigned long long)there, (unsigned long long)size);
    }
    TD_TRY(td_tar_entry(writer, name, size, err));
    TD_TRY(copy_file(writer, fd, size, found, err));
    if (memcmp(found, digest, sizeof found) != 0) {
        TD_TRY(td_content_verify(content, digest, err)); /* moves it away */
        return td_fail(err, TD_IO, "file \"%s\" was read wrongly from the content store; try again", name);
    }
    return TD_OK;
}

td_code td_tar_finish(td_tar_writer *writer, uint8_t *tar_digest_out, uint64_t *tar_size_out, td_err *err)
{
    if (archive_write_close(writer->tar) != ARCHIVE_OK || writer->dropped) {
        return failed(writer, writer->tar, err);
    }
    if (writer->zstd != NULL && (archive_write_close(writer->zstd) != ARCHIVE_OK || writer->dropped)) {
        return failed(writer, writer->zstd, err);
    }
    if (tar_digest_out != NULL && writer->hash != NULL) {
        td_hasher_final(writer->hash, tar_digest_out);
    }
    if (tar_size_out != NULL) {
        *tar_size_out = writer->tar_size;
    }
    return TD_OK;
}

void td_tar_writer_free(td_tar_writer **writer)
{
    if (*writer != NULL) {
        (*writer)->dropped = true; /* what is not finished is not flushed into the sink */
        (void)archive_write_free((*writer)->tar);
        (void)archive_write_free((*writer)->zstd);
        td_hasher_free(&(*writer)->hash);
        free(*writer);
        *writer = NULL;
    }
}
