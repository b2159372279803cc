/*
 * export_read.c: reading an export forward, in the memory of one chunk.
 *
 * Nothing is ever extracted: entries are read as streams, in the one order that they may have, each with a limit.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/export.h"

#include "core/base/json.h"
#include "core/base/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#define BLOCK ((size_t)64 * 1024)
#define HEAD_MAX ((size_t)16 * 1024)

struct td_export_reader {
    struct archive *tar;
    td_export_head head;
    int64_t next; /* number of the next record */
    td_str records, leaves;
    size_t at; /* in records */
};

void td_export_close(td_export_reader **reader)
{
    if (reader != NULL && *reader != NULL) {
        if ((*reader)->tar != NULL) {
            archive_read_free((*reader)->tar);
        }
        td_str_done(&(*reader)->head.checkpoint);
        td_str_done(&(*reader)->records);
        td_str_done(&(*reader)->leaves);
        free(*reader);
        *reader = NULL;
    }
}

const td_export_head *td_export_head_of(const td_export_reader *reader)
{
    return &reader->head;
}

static td_code tar_failed(td_export_reader *reader, td_err *err)
{
    const char *text = archive_error_string(reader->tar);
    return td_fail(err, TD_CORRUPT, "the export is not a readable tar: %s",
                   text != NULL ? text : "it ends too early");
}

static td_code read_content(td_export_reader *reader, const char *name, size_t limit, td_str *out, td_err *err)
{
    TD_CLEANUP(td_free_text) char *block = malloc(BLOCK);
    if (block == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to read the export");
    }
    td_str_clear(out);
    out->limit = limit + 1;
    for (;;) {
        la_ssize_t got = archive_read_data(reader->tar, block, BLOCK);
        if (got < 0) {
            return tar_failed(reader, err);
        }
        if (got == 0) {
            return TD_OK;
        }
        td_str_append(out, block, (size_t)got);
        if (out->failed == TD_LIMIT) {
            return td_fail(err, TD_CORRUPT, "%s in the export is larger than %zu bytes", name, limit);
        }
        TD_TRY(td_str_check(out, err));
    }
}

/* The next entry must be a plain file of this name. */
static td_code read_entry(td_export_reader *reader, const char *name, size_t limit, td_str *out, td_err *err)
{
    struct archive_entry *entry = NULL;
    int result = archive_read_next_header(reader->tar, &entry);
    if (result == ARCHIVE_EOF) {
        return td_fail(err, TD_CORRUPT, "the export ends before %s", name);
    }
    if (result != ARCHIVE_OK) {
        return tar_failed(reader, err);
    }
    const char *found = archive_entry_pathname(entry);
    if (found == NULL || strcmp(found, name) != 0 || archive_entry_filetype(entry) != AE_IFREG) {
        return td_fail(err, TD_CORRUPT, "the export has \"%.80s\" where the plain file %s belongs",
                       found != NULL ? found : "?", name);
    }
    return read_content(reader, name, limit, out, err);
}

static td_code read_format(td_export_reader *reader, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_TRY(read_entry(reader, TD_EXPORT_FORMAT_FILE, HEAD_MAX, &text, err));
    if (td_json_parse(td_str_text(&text), text.size, TD_EXPORT_FORMAT_FILE, &json, err) != TD_OK) {
        return td_fail(err, TD_CORRUPT, "the export's " TD_EXPORT_FORMAT_FILE " is not JSON, or has a key twice");
    }
    const char *submitter = td_json_text(json, "submitter", "");
    const char *vkey = td_json_text(json, "vkey", "");
    if (strcmp(td_json_text(json, "format", ""), TD_EXPORT_FORMAT) != 0 || td_json_int(json, "v", 0) != 1) {
        return td_fail(err, TD_CORRUPT,
                       "not an export of an audit log that this program knows (format \"%.40s\", v %lld)",
                       td_json_text(json, "format", ""), (long long)td_json_int(json, "v", 0));
    }
    reader->head.size = td_json_int(json, "size", -1);
    if (reader->head.size < 0 || td_json_int(json, "chunk", 0) != TD_EXPORT_CHUNK ||
        strlen(vkey) >= sizeof reader->head.vkey ||
        td_hex_decode(submitter, strlen(submitter), reader->head.submitter, TD_ED25519_PUBLIC_SIZE, NULL) != TD_OK) {
        return td_fail(err, TD_CORRUPT,
                       "the export's " TD_EXPORT_FORMAT_FILE " lacks size, chunk, submitter or vkey");
    }
    snprintf(reader->head.vkey, sizeof reader->head.vkey, "%s", vkey);
    return TD_OK;
}

static td_code open_tar(td_export_reader *reader, const char *path, const void *data, size_t size, td_err *err)
{
    reader->tar = archive_read_new();
    if (reader->tar == NULL || archive_read_support_format_tar(reader->tar) != ARCHIVE_OK) {
        return td_fail(err, TD_NOMEM, "no memory to read the export");
    }
    if (path != NULL && !td_path_exists(path)) {
        return td_fail(err, TD_NOT_FOUND, "there is no file %s", path);
    }
    int result = path != NULL ? archive_read_open_filename(reader->tar, path, BLOCK)
                              : archive_read_open_memory(reader->tar, data, size);
    return result == ARCHIVE_OK ? TD_OK : tar_failed(reader, err);
}

td_code td_export_open(const char *path, const void *data, size_t size, td_export_reader **out, td_err *err)
{
    TD_CLEANUP(td_export_close) td_export_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to read the export");
    }
    TD_TRY(open_tar(reader, path, data, size, err));
    TD_TRY(read_format(reader, err));
    TD_TRY(read_entry(reader, TD_EXPORT_CHECKPOINT, TD_LOG_NOTE_MAX, &reader->head.checkpoint, err));
    *out = reader;
    reader = NULL;
    return TD_OK;
}

static td_code next_chunk(td_export_reader *reader, td_err *err)
{
    char name[64];
    int64_t left = reader->head.size - reader->next;
    size_t count = left < TD_EXPORT_CHUNK ? (size_t)left : TD_EXPORT_CHUNK;
    snprintf(name, sizeof name, TD_EXPORT_RECORDS, (long long)reader->next);
    TD_TRY(read_entry(reader, name, count * (TD_AUDIT_RECORD_MAX + 1), &reader->records, err));
    snprintf(name, sizeof name, TD_EXPORT_LEAVES, (long long)reader->next);
    TD_TRY(read_entry(reader, name, count * TD_LOG_LEAF_SIZE, &reader->leaves, err));
    if (reader->leaves.size != count * TD_LOG_LEAF_SIZE) {
        return td_fail(err, TD_CORRUPT, "%s in the export has %zu bytes, not %zu", name, reader->leaves.size,
                       count * TD_LOG_LEAF_SIZE);
    }
    reader->at = 0;
    return TD_OK;
}

static td_code check_end(td_export_reader *reader, td_err *err)
{
    struct archive_entry *entry = NULL;
    int result = archive_read_next_header(reader->tar, &entry);
    if (result == ARCHIVE_EOF) {
        return TD_OK;
    }
    return result == ARCHIVE_OK ? td_fail(err, TD_CORRUPT, "the export has more entries than its %lld records need",
                                          (long long)reader->head.size)
                                : tar_failed(reader, err);
}

/* The next line of the chunk at hand. */
static td_code take_line(td_export_reader *reader, const char **line_out, size_t *size_out, td_err *err)
{
    size_t left = reader->records.size - reader->at;
    const char *line = left > 0 ? reader->records.data + reader->at : NULL;
    const char *newline = line != NULL ? memchr(line, '\n', left) : NULL;
    if (newline == NULL) {
        return td_fail(err, TD_CORRUPT, "record %lld: the export lacks its line", (long long)reader->next);
    }
    *line_out = line;
    *size_out = (size_t)(newline - line);
    reader->at += *size_out + 1;
    return TD_OK;
}

td_code td_export_next(td_export_reader *reader, bool *more_out, const char **body_out, size_t *size_out,
                       const uint8_t **leaf_out, td_err *err)
{
    size_t index = (size_t)(reader->next % TD_EXPORT_CHUNK);
    bool boundary = index == 0 || reader->next == reader->head.size;
    if (boundary && reader->at != reader->records.size) {
        return td_fail(err, TD_CORRUPT, "the export has more lines than records before record %lld",
                       (long long)reader->next);
    }
    *more_out = reader->next < reader->head.size;
    if (!*more_out) {
        return check_end(reader, err);
    }
    if (index == 0) {
        TD_TRY(next_chunk(reader, err));
    }
    TD_TRY(take_line(reader, body_out, size_out, err));
    bool erased = *size_out == strlen(TD_EXPORT_ERASED) && memcmp(*body_out, TD_EXPORT_ERASED, *size_out) == 0;
    *body_out = erased ? NULL : *body_out;
    *leaf_out = (const uint8_t *)reader->leaves.data + index * TD_LOG_LEAF_SIZE;
    reader->next++;
    return TD_OK;
}

size_t td_export_leaves_ahead(const td_export_reader *reader)
{
    size_t last = (size_t)((reader->next - 1) % TD_EXPORT_CHUNK);
    return reader->leaves.size / TD_LOG_LEAF_SIZE - last;
}
