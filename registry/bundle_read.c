/*
 * bundle_read.c: a bundle, or an export around one, streamed entry by entry against the manifest.
 *
 * An entry is refused by its header before its data is read; data is only counted and hashed, never written. A file
 * that is listed and lacking, twice there, or not listed has an error of its own.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/bundle_read.h"

#include "core/base/fs.h"
#include "registry/hasher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK ((size_t)128 * 1024)
#define KEPT_BYTES_MAX ((size_t)1024 * 1024) /* of a lineage or card that is kept for inspect */
#define BUNDLE_NAME "bundle.tar.zst"

typedef struct file_source {
    int fd;
    const char *path;
    uint8_t block[BLOCK];
} file_source;

void td_bundle__contents_free(td_bundle__contents **contents_in)
{
    td_bundle__contents *contents = *contents_in;
    if (contents == NULL) {
        return;
    }
    for (size_t i = 0; i < contents->attest_count; i++) {
        td_str_done(&contents->attests[i].data);
    }
    td_hasher_free(&contents->hasher);
    td_str_done(&contents->manifest_bytes);
    td_str_done(&contents->lineage);
    td_str_done(&contents->card);
    td_arena_done(&contents->arena);
    free(contents);
    *contents_in = NULL;
}

const td_str *td_bundle__attest(const td_bundle__contents *contents, const char *name)
{
    for (size_t i = 0; i < contents->attest_count; i++) {
        if (strcmp(contents->attests[i].name, name) == 0) {
            return &contents->attests[i].data;
        }
    }
    return NULL;
}

td_code td_bundle__expect(td_bundle__contents *contents, const void *manifest, size_t size, td_err *err)
{
    TD_TRY(td_manifest_read(manifest, size, &contents->arena, &contents->manifest, err));
    td_str_clear(&contents->manifest_bytes);
    td_str_append(&contents->manifest_bytes, manifest, size);
    TD_TRY(td_str_check(&contents->manifest_bytes, err));
    contents->manifest_known = true;
    return TD_OK;
}

/* ---- entries of the bundle ---- */

static td_code read_manifest(td_tar_reader *tar, td_bundle__contents *contents, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    if (contents->pb_seen) {
        return td_fail(err, TD_CORRUPT, "archive entry \"manifest.pb\" is there twice");
    }
    contents->pb_seen = true;
    TD_TRY(td_tar_read_all(tar, TD_MANIFEST_BYTES_MAX, &bytes, err));
    if (!contents->manifest_known) {
        return td_bundle__expect(contents, bytes.data, bytes.size, err);
    }
    if (bytes.size != contents->manifest_bytes.size ||
        memcmp(bytes.data, contents->manifest_bytes.data, bytes.size) != 0) {
        return td_fail(err, TD_CORRUPT, "manifest.pb in the bundle is not the manifest that the approvers signed");
    }
    return TD_OK;
}

static td_code read_text(td_tar_reader *tar, td_bundle__contents *contents, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str want = {0};
    TD_CLEANUP(td_str_done) td_str found = {0};
    if (contents->text_seen) {
        return td_fail(err, TD_CORRUPT, "archive entry \"manifest.json\" is there twice");
    }
    contents->text_seen = true;
    TD_TRY(td_manifest_text(contents->manifest_bytes.data, contents->manifest_bytes.size, &want, err));
    TD_TRY(td_tar_read_all(tar, want.size, &found, err));
    if (found.size != want.size || memcmp(found.data, want.data, want.size) != 0) {
        return td_fail(err, TD_CORRUPT, "manifest.json does not say what manifest.pb says");
    }
    return TD_OK;
}

/* Index of a listed file, or file_count. */
static size_t find_file(const td_manifest *m, const char *name)
{
    size_t i = 0;
    while (i < m->file_count && strcmp(m->files[i].name, name) != 0) {
        i++;
    }
    return i;
}

/* Where a small file's bytes are kept for inspect, or NULL. */
static td_str *kept(td_bundle__contents *contents, const td_manifest_file *file)
{
    if (file->size > KEPT_BYTES_MAX) {
        return NULL;
    }
    if (strcmp(file->name, "meta/lineage.json") == 0) {
        return &contents->lineage;
    }
    return strcmp(file->name, "meta/card.md") == 0 ? &contents->card : NULL;
}

static td_code hash_file(td_tar_reader *tar, td_hasher *hash, td_str *keep, uint8_t digest_out[TD_DIGEST_SIZE],
                         td_err *err)
{
    for (;;) {
        const void *data;
        size_t size;
        TD_TRY(td_tar_read(tar, &data, &size, err));
        if (size == 0) {
            td_hasher_final(hash, digest_out);
            return TD_OK;
        }
        td_hasher_update(hash, data, size);
        if (keep != NULL) {
            td_str_append(keep, data, size);
        }
    }
}

static td_code read_file(td_tar_reader *tar, const char *name, uint64_t size, td_bundle__contents *contents,
                         td_err *err)
{
    size_t index = find_file(&contents->manifest, name);
    if (index == contents->manifest.file_count) {
        return td_fail(err, TD_CORRUPT, "archive entry \"%s\" is not listed in the manifest", name);
    }
    if (contents->seen[index]) {
        return td_fail(err, TD_CORRUPT, "archive entry \"%s\" is there twice", name);
    }
    contents->seen[index] = true;
    const td_manifest_file *file = &contents->manifest.files[index];
    if (size != file->size) {
        return td_fail(err, TD_CORRUPT, "archive entry \"%s\" has %s bytes than the manifest lists (%llu, not %llu)",
                       name, size > file->size ? "more" : "fewer", (unsigned long long)size,
                       (unsigned long long)file->size);
    }
    uint8_t digest[TD_DIGEST_SIZE];
    TD_TRY(hash_file(tar, contents->hasher, kept(contents, file), digest, err));
    if (memcmp(digest, file->digest, sizeof digest) != 0) {
        return td_fail(err, TD_CORRUPT, "archive entry \"%s\" was changed: its digest is not the one in the manifest",
                       name);
    }
    contents->files++;
    contents->bytes += size;
    return TD_OK;
}

static td_code read_entry(td_tar_reader *tar, const char *name, uint64_t size, td_bundle__contents *contents,
                          td_err *err)
{
    if (strcmp(name, "manifest.pb") == 0) {
        return read_manifest(tar, contents, err);
    }
    if (!contents->manifest_known) {
        return td_fail(err, TD_CORRUPT, "archive entry \"%s\" comes before manifest.pb: this is no bundle", name);
    }
    if (strcmp(name, "manifest.json") == 0) {
        return read_text(tar, contents, err);
    }
    return read_file(tar, name, size, contents, err);
}

static td_code check_complete(const td_bundle__contents *contents, td_err *err)
{
    if (!contents->pb_seen || !contents->text_seen) {
        return td_fail(err, TD_CORRUPT, "the bundle lacks %s", contents->pb_seen ? "manifest.json" : "manifest.pb");
    }
    for (size_t i = 0; i < contents->manifest.file_count; i++) {
        if (!contents->seen[i]) {
            return td_fail(err, TD_CORRUPT, "the bundle lacks the file \"%s\", which its manifest lists",
                           contents->manifest.files[i].name);
        }
    }
    return TD_OK;
}

static td_code read_bundle(td_source_fn source, void *context, td_bundle__contents *contents, td_err *err)
{
    TD_CLEANUP(td_tar_reader_free) td_tar_reader *tar = NULL;
    const char *name;
    uint64_t size;
    TD_TRY(td_tar_reader_new(true, source, context, &tar, err));
    TD_TRY(td_tar_next(tar, &name, &size, err));
    while (name != NULL) {
        TD_TRY(read_entry(tar, name, size, contents, err));
        TD_TRY(td_tar_next(tar, &name, &size, err));
    }
    return check_complete(contents, err);
}

/* ---- entries of an export ---- */

static td_code from_outer(void *context, const void **data_out, size_t *size_out, td_err *err)
{
    return td_tar_read(context, data_out, size_out, err);
}

static td_code read_attest(td_tar_reader *tar, const char *name, td_bundle__contents *contents, td_err *err)
{
    if (strncmp(name, "attest/", 7) != 0 || name[7] == '\0') {
        return td_fail(err, TD_CORRUPT,
                       "archive entry \"%s\" does not belong into an export (attest/… and " BUNDLE_NAME ")", name);
    }
    if (td_bundle__attest(contents, name + 7) != NULL) {
        return td_fail(err, TD_CORRUPT, "archive entry \"%s\" is there twice", name);
    }
    if (contents->attest_count == TD_BUNDLE_ATTEST_MAX) {
        return td_fail(err, TD_CORRUPT, "the export carries more than %d attestations", TD_BUNDLE_ATTEST_MAX);
    }
    size_t index = contents->attest_count++;
    snprintf(contents->attests[index].name, sizeof contents->attests[index].name, "%s", name + 7);
    return td_tar_read_all(tar, TD_BUNDLE_ATTEST_BYTES_MAX, &contents->attests[index].data, err);
}

static td_code read_export(td_source_fn source, void *source_context, td_bundle__trust_fn trust, void *context,
                           td_bundle__contents *contents, td_err *err)
{
    TD_CLEANUP(td_tar_reader_free) td_tar_reader *tar = NULL;
    const char *name;
    uint64_t size;
    TD_TRY(td_tar_reader_new(false, source, source_context, &tar, err));
    TD_TRY(td_tar_next(tar, &name, &size, err));
    while (name != NULL && strcmp(name, BUNDLE_NAME) != 0) {
        TD_TRY(read_attest(tar, name, contents, err));
        TD_TRY(td_tar_next(tar, &name, &size, err));
    }
    if (name == NULL) {
        return td_fail(err, TD_CORRUPT, "there is no " BUNDLE_NAME " in this file: it is no export");
    }
    TD_TRY(trust(context, contents, err));
    TD_TRY(read_bundle(from_outer, tar, contents, err));
    for (;;) { /* what zstd left unread of the entry */
        const void *data;
        size_t left;
        TD_TRY(td_tar_read(tar, &data, &left, err));
        if (left == 0) {
            break;
        }
    }
    TD_TRY(td_tar_next(tar, &name, &size, err));
    if (name != NULL) {
        return td_fail(err, TD_CORRUPT, "archive entry \"%s\" comes after the bundle: it would not be covered", name);
    }
    return TD_OK;
}

/* ---- the file ---- */

static td_code from_file(void *context, const void **data_out, size_t *size_out, td_err *err)
{
    file_source *source = context;
    for (;;) {
        ssize_t got = read(source->fd, source->block, sizeof source->block);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return td_fail_errno(err, errno, "reading %s", source->path);
        }
        *data_out = source->block;
        *size_out = (size_t)got;
        return TD_OK;
    }
}

static td_code open_file(const char *path, file_source *source, bool *zstd_out, td_err *err)
{
    static const uint8_t magic[4] = {0x28, 0xB5, 0x2F, 0xFD};
    uint8_t start[4] = {0};
    struct stat st;
    source->path = path;
    source->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (source->fd < 0 || fstat(source->fd, &st) != 0) {
        return td_fail_errno(err, errno, "%s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return td_fail(err, TD_INVALID, "%s is not a regular file", path);
    }
    ssize_t got = pread(source->fd, start, sizeof start, 0);
    if (got < 0) {
        return td_fail_errno(err, errno, "reading %s", path);
    }
    *zstd_out = memcmp(start, magic, sizeof magic) == 0;
    return TD_OK;
}

static void free_source(file_source **source)
{
    if (*source != NULL) {
        td_close_fd(&(*source)->fd);
        free(*source);
        *source = NULL;
    }
}

td_code td_bundle__read(const char *path, td_bundle__trust_fn trust, void *context, td_bundle__contents **contents_out,
                        td_err *err)
{
    TD_CLEANUP(free_source) file_source *source = calloc(1, sizeof *source);
    TD_CLEANUP(td_bundle__contents_free) td_bundle__contents *contents = calloc(1, sizeof *contents);
    bool zstd = false;
    if (source == NULL || contents == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to read a bundle");
    }
    source->fd = -1;
    TD_TRY(td_hasher_new(&contents->hasher, err));
    TD_TRY(open_file(path, source, &zstd, err));
    if (zstd) {
        TD_TRY(trust(context, contents, err));
        TD_TRY(read_bundle(from_file, source, contents, err));
    } else {
        TD_TRY(read_export(from_file, source, trust, context, contents, err));
    }
    *contents_out = contents;
    contents = NULL;
    return TD_OK;
}
