/*
 * tar_read.c: tar in, as hostile bytes: one format, at most one filter, regular files with names of the grammar.
 *
 * libarchive's readers of other formats are not enabled, its disk writer is not linked in. What an entry's header
 * claims is told before its data is read, so that a caller can refuse it by its list.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/tar.h"

#include "core/base/fs.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct td_tar_reader {
    struct archive *archive;
    td_source_fn source;
    void *context;
    td_err problem; /* of the source */
    uint64_t left;  /* of the entry */
    char name[TD_FILE_NAME_MAX + 1];
};

static la_ssize_t from_source(struct archive *archive, void *context, const void **data)
{
    td_tar_reader *reader = context;
    size_t size = 0;
    if (reader->source(reader->context, data, &size, &reader->problem) != TD_OK) {
        archive_set_error(archive, EIO, "source");
        return -1;
    }
    return (la_ssize_t)size;
}

static td_code broken(td_tar_reader *reader, td_err *err)
{
    if (reader->problem.code != TD_OK) {
        return td_fail(err, reader->problem.code, "%s", reader->problem.text);
    }
    const char *text = archive_error_string(reader->archive);
    return td_fail(err, TD_CORRUPT, "the archive is cut short or garbled (%.100s)", text != NULL ? text : "no details");
}

td_code td_tar_reader_new(bool zstd, td_source_fn source, void *context, td_tar_reader **out, td_err *err)
{
    TD_CLEANUP(td_tar_reader_free) td_tar_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL || (reader->archive = archive_read_new()) == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to read an archive");
    }
    reader->source = source;
    reader->context = context;
    bool good = archive_read_support_format_tar(reader->archive) == ARCHIVE_OK &&
                (!zstd || archive_read_support_filter_zstd(reader->archive) == ARCHIVE_OK);
    if (!good) {
        return td_fail(err, TD_INTERNAL, "libarchive cannot read tar and zstd here");
    }
    if (archive_read_open(reader->archive, reader, NULL, from_source, NULL) != ARCHIVE_OK) {
        return broken(reader, err);
    }
    *out = reader;
    reader = NULL;
    return TD_OK;
}

void td_tar_reader_free(td_tar_reader **reader)
{
    if (*reader != NULL) {
        if ((*reader)->archive != NULL) {
            (void)archive_read_free((*reader)->archive);
        }
        free(*reader);
        *reader = NULL;
    }
}

/* For messages: what is not printable becomes '?'. */
static void printable(const char *name, char out[64])
{
    snprintf(out, 64, "%.63s", name);
    for (char *c = out; *c != '\0'; c++) {
        *c = *c < 0x20 || *c > 0x7e ? '?' : *c;
    }
}

static td_code check_type(struct archive_entry *entry, const char *shown, td_err *err)
{
    if (archive_entry_hardlink(entry) != NULL) {
        return td_fail(err, TD_CORRUPT, "archive entry \"%s\" is a hard link; only regular files are allowed", shown);
    }
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
        return TD_OK;
    case AE_IFLNK:
        return td_fail(err, TD_CORRUPT, "archive entry \"%s\" is a symbolic link; only regular files are allowed",
                       shown);
    case AE_IFDIR:
        return td_fail(err, TD_CORRUPT, "archive entry \"%s\" is a folder; only regular files are allowed", shown);
    default:
        return td_fail(err, TD_CORRUPT,
                       "archive entry \"%s\" is a device, pipe or socket; only regular files are allowed", shown);
    }
}

static bool has_dotdot(const char *name)
{
    for (const char *part = name; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0')) {
            return true;
        }
    }
    return false;
}

static td_code check_name(const char *name, const char *shown, td_err *err)
{
    if (name[0] == '/') {
        return td_fail(err, TD_CORRUPT, "archive entry \"%s\" has an absolute path", shown);
    }
    if (has_dotdot(name)) {
        return td_fail(err, TD_CORRUPT, "archive entry \"%s\" climbs out of its folder with \"..\"", shown);
    }
    if (td_check_file_name(name, strnlen(name, TD_FILE_NAME_MAX + 1), NULL) != TD_OK) {
        return td_fail(err, TD_CORRUPT,
                       "archive entry \"%s\" has a name that is not allowed (1 to %d of A-Z a-z 0-9 . _ / -)", shown,
                       TD_FILE_NAME_MAX);
    }
    return TD_OK;
}

td_code td_tar_next(td_tar_reader *reader, const char **name_out, uint64_t *size_out, td_err *err)
{
    struct archive_entry *entry;
    char shown[64];
    int code = archive_read_next_header(reader->archive, &entry);
    if (code == ARCHIVE_EOF) {
        *name_out = NULL;
        *size_out = 0;
        return TD_OK;
    }
    if (code != ARCHIVE_OK) {
        return broken(reader, err);
    }
    const char *name = archive_entry_pathname(entry);
    printable(name != NULL ? name : "", shown);
    TD_TRY(check_type(entry, shown, err));
    TD_TRY(check_name(name != NULL ? name : "", shown, err));
    if (!archive_entry_size_is_set(entry) || archive_entry_size(entry) < 0 || archive_entry_sparse_count(entry) > 0) {
        return td_fail(err, TD_CORRUPT, "archive entry \"%s\" has no plain size", shown);
    }
    snprintf(reader->name, sizeof reader->name, "%s", name);
    reader->left = (uint64_t)archive_entry_size(entry);
    *name_out = reader->name;
    *size_out = reader->left;
    return TD_OK;
}

td_code td_tar_read(td_tar_reader *reader, const void **data_out, size_t *size_out, td_err *err)
{
    la_int64_t offset;
    const void *data = NULL;
    size_t size = 0;
    if (reader->left == 0) {
        *size_out = 0;
        return TD_OK;
    }
    int code = archive_read_data_block(reader->archive, &data, &size, &offset);
    if (code == ARCHIVE_EOF || (code == ARCHIVE_OK && size == 0)) {
        return td_fail(err, TD_CORRUPT, "archive entry \"%s\" is shorter than its header says", reader->name);
    }
    if (code != ARCHIVE_OK) {
        return broken(reader, err);
    }
    if (size > reader->left) {
        return td_fail(err, TD_CORRUPT, "archive entry \"%s\" has more bytes than its header says", reader->name);
    }
    reader->left -= size;
    *data_out = data;
    *size_out = size;
    return TD_OK;
}

td_code td_tar_read_all(td_tar_reader *reader, size_t limit, td_str *out, td_err *err)
{
    if (reader->left > limit) {
        return td_fail(err, TD_CORRUPT, "archive entry \"%s\" has %llu bytes; at most %zu are allowed there",
                       reader->name, (unsigned long long)reader->left, limit);
    }
    for (;;) {
        const void *data;
        size_t size;
        TD_TRY(td_tar_read(reader, &data, &size, err));
        if (size == 0) {
            return td_str_check(out, err);
        }
        td_str_append(out, data, size);
    }
}
