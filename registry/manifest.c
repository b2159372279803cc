/*
 * manifest.c: building a manifest: sorted files, piece tables into content, deterministic bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/manifest.h"

#include "core/base/fs.h"
#include "registry/manifest_internal.h"
#include "registry/proto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIB ((uint64_t)1024)

const char *const td_file_role_names[TD_FILE_ROLE_COUNT + 1] = {"model", "baseline", "meta", "golden", NULL};

td_code td_file_role_parse(const char *name, td_file_role *out, td_err *err)
{
    for (int i = 0; i < TD_FILE_ROLE_COUNT; i++) {
        if (name != NULL && strcmp(name, td_file_role_names[i]) == 0) {
            *out = (td_file_role)i;
            return TD_OK;
        }
    }
    return td_fail(err, TD_INVALID, "\"%.40s\" is no role of a file; it is one of model, baseline, meta, golden",
                   name != NULL ? name : "");
}

uint32_t td_piece_size(uint64_t file_size)
{
    if (file_size <= KIB * 1024) {
        return 4 * 1024;
    }
    return file_size <= 64 * KIB * 1024 ? 64 * 1024 : 1024 * 1024;
}

uint64_t td_manifest_device_bytes(const td_manifest *manifest)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < manifest->file_count; i++) {
        sum += manifest->files[i].role != TD_FILE_META ? manifest->files[i].size : 0;
    }
    return sum;
}

/* A folder a role, so that the name alone tells what a file is for. */
td_code td_manifest__name_check(const char *name, size_t length, td_file_role role, td_err *err)
{
    static const char *const folders[TD_FILE_ROLE_COUNT] = {"model/", "baseline.pb", "meta/", "golden/"};
    TD_TRY(td_check_file_name(name, length, err));
    bool good = role == TD_FILE_BASELINE ? strcmp(name, folders[role]) == 0
                                         : strncmp(name, folders[role], strlen(folders[role])) == 0;
    if (!good) {
        return td_fail(err, TD_INVALID, "a file of role %s must be named %s%s, not \"%s\"", td_file_role_names[role],
                       folders[role], role == TD_FILE_BASELINE ? "" : "…", name);
    }
    return TD_OK;
}

/* ---- pieces ---- */

static td_code read_piece(int fd, uint8_t *piece, size_t size, const char *name, td_err *err)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = read(fd, piece + done, size - done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return td_fail_errno(err, errno, "reading %s", name);
        }
        if (got == 0) {
            return td_fail(err, TD_CORRUPT, "the content of %s is shorter than its size", name);
        }
        done += (size_t)got;
    }
    return TD_OK;
}

static td_code hash_pieces(int fd, const td_manifest_file *file, td_str *table, td_err *err)
{
    TD_CLEANUP(td_free_text) char *piece = malloc(file->piece_size);
    if (piece == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to cut %s into pieces", file->name);
    }
    for (uint64_t left = file->size; left > 0;) {
        uint8_t digest[TD_DIGEST_SIZE];
        size_t size = left < file->piece_size ? (size_t)left : file->piece_size;
        TD_TRY(read_piece(fd, (uint8_t *)piece, size, file->name, err));
        td_sha256_of(piece, size, digest);
        td_str_append(table, digest, sizeof digest);
        left -= size;
    }
    return td_str_check(table, err);
}

/* Sets the piece fields of a file; reads it only if it has more than one piece. */
static td_code cut(td_content *content, td_manifest_file *file, td_err *err)
{
    TD_CLEANUP(td_close_fd) int fd = -1;
    TD_CLEANUP(td_str_done) td_str table = {0};
    uint64_t size;
    if (td_content_get(content, file->digest, &fd, &size, err) != TD_OK) {
        return td_wrap(err, "file \"%s\"", file->name);
    }
    if (size != file->size) {
        return td_fail(err, TD_INVALID, "file \"%s\" has %llu bytes in content, not %llu", file->name,
                       (unsigned long long)size, (unsigned long long)file->size);
    }
    file->piece_size = td_piece_size(size);
    file->has_pieces = size > file->piece_size;
    if (!file->has_pieces) {
        return TD_OK;
    }
    TD_TRY(hash_pieces(fd, file, &table, err));
    return td_content_put_bytes(content, table.data, table.size, file->piece_table_digest, err);
}

/* ---- encoding ---- */

static td_code encode_file(const td_manifest_file *file, td_str *out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str one = {0};
    td_proto_text(&one, 1, file->name);
    td_proto_number(&one, 2, file->size);
    td_proto_bytes(&one, 3, file->digest, TD_DIGEST_SIZE);
    td_proto_number(&one, 4, (uint64_t)file->role);
    td_proto_number(&one, 5, file->piece_size);
    if (file->has_pieces) {
        td_proto_bytes(&one, 6, file->piece_table_digest, TD_DIGEST_SIZE);
    }
    TD_TRY(td_str_check(&one, err));
    td_proto_bytes(out, 9, one.data, one.size);
    return td_str_check(out, err);
}

static td_code encode_requirement(const td_manifest *m, td_str *out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str one = {0};
    td_proto_text(&one, 1, m->hardware != NULL ? m->hardware : "");
    for (size_t i = 0; i < m->runtime_count; i++) {
        td_proto_text(&one, 2, m->runtimes[i]);
    }
    td_proto_number(&one, 3, m->ram_bytes);
    TD_TRY(td_str_check(&one, err));
    if (one.size > 0) {
        td_proto_bytes(out, 7, one.data, one.size);
    }
    return td_str_check(out, err);
}

static td_code encode(const td_manifest *m, const td_manifest_file *files, td_str *out, td_err *err)
{
    td_proto_text(out, 1, m->project);
    td_proto_text(out, 2, m->model);
    td_proto_number(out, 3, m->version);
    td_proto_number(out, 4, m->security_counter);
    td_proto_text(out, 5, m->format);
    if (m->has_edges) {
        td_proto_bytes(out, 6, m->edges_digest, TD_DIGEST_SIZE);
    }
    TD_TRY(encode_requirement(m, out, err));
    td_proto_number(out, 8, m->created_ms);
    for (size_t i = 0; i < m->file_count; i++) {
        TD_TRY(encode_file(&files[i], out, err));
    }
    return td_str_check(out, err);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const td_manifest_file *)a)->name, ((const td_manifest_file *)b)->name);
}

static td_code check_files(const td_manifest_file *files, size_t count, td_err *err)
{
    for (size_t i = 0; i < count; i++) {
        TD_TRY(td_manifest__name_check(files[i].name, strlen(files[i].name), files[i].role, err));
        if (i > 0 && strcmp(files[i - 1].name, files[i].name) == 0) {
            return td_fail(err, TD_INVALID, "the file \"%s\" is listed twice", files[i].name);
        }
    }
    return TD_OK;
}

td_code td_manifest_build(const td_manifest *manifest, td_content *content, td_str *bytes_out, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    td_manifest checked;
    size_t count = manifest->file_count;
    if (count == 0 || count > TD_MANIFEST_FILES_MAX) {
        return td_fail(err, TD_LIMIT, "a manifest lists 1 to %d files, not %zu", TD_MANIFEST_FILES_MAX, count);
    }
    td_manifest_file *files = td_arena_copy(&arena, manifest->files, count * sizeof *files);
    if (files == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to build a manifest");
    }
    qsort(files, count, sizeof *files, by_name);
    TD_TRY(check_files(files, count, err));
    for (size_t i = 0; i < count; i++) {
        TD_TRY(cut(content, &files[i], err));
    }
    TD_TRY(encode(manifest, files, &bytes, err));
    if (bytes.size > TD_MANIFEST_BYTES_MAX) {
        return td_fail(err, TD_LIMIT,
                       "the manifest has %zu bytes; at most %zu fit into a message to a device: use fewer files or "
                       "shorter names",
                       bytes.size, TD_MANIFEST_BYTES_MAX);
    }
    TD_TRY(td_manifest_read(bytes.data, bytes.size, &arena, &checked, err)); /* what we write we can read */
    td_str_append(bytes_out, bytes.data, bytes.size);
    return td_str_check(bytes_out, err);
}
