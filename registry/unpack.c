/*
 * unpack.c: looking into archives and compressed files: zip (PyTorch, .npz, .keras), tar, gzip, zlib, bzip2, lz4.
 *
 * Bounds on everything that unpacks: bytes in all, members, depth, and the copy of one member; what goes past a bound
 * is judged by the part that was seen, and is suspicious. Whatever libarchive cannot read is suspicious too: other
 * readers are more forgiving, and scanners were blinded by damaged checksums and headers. xz, lzma, zstd and 7z are
 * not looked into: a few bytes of theirs make the decoder take up to a gigabyte.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/inspect_internal.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 4
#define PEEK ((size_t)64 * 1024) /* of a member, to tell what it is */

/* ---- which bytes are an archive ---- */

enum how { ARCHIVE, STREAM, CLOSED }; /* CLOSED: not looked into */

typedef struct wrapping {
    const char *format;
    size_t offset, size;
    const char *magic;
    enum how how;
} wrapping;

static const wrapping wrappings[] = {
    {"zip", 0, 4, "PK\3\4", ARCHIVE},
    {"zip", 0, 4, "PK\5\6", ARCHIVE},
    {"zip", 0, 4, "PK\7\10", ARCHIVE},
    {"tar", 257, 5, "ustar", ARCHIVE},
    {"gzip", 0, 3, "\x1f\x8b\x08", STREAM},
    {"bzip2", 0, 3, "BZh", STREAM},
    {"lz4", 0, 4, "\x04\x22\x4d\x18", STREAM},
    {"zlib", 0, 2, "\x78\x01", STREAM},
    {"zlib", 0, 2, "\x78\x5e", STREAM},
    {"zlib", 0, 2, "\x78\x9c", STREAM},
    {"zlib", 0, 2, "\x78\xda", STREAM},
    {"7z", 0, 6, "7z\xbc\xaf\x27\x1c", CLOSED},
    {"xz", 0, 6,
     "\xfd"
     "7zXZ\0",
     CLOSED},
    {"zstd", 0, 4, "\x28\xb5\x2f\xfd", CLOSED},
    {"lzma", 0, 4, "\x5d\0\0\x80", CLOSED},
    {"lzma", 0, 4, "\x5d\0\0\0", CLOSED},
};

static const wrapping *find_wrapping(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < TD_COUNT_OF(wrappings); i++) {
        const wrapping *w = &wrappings[i];
        if (size >= w->offset + w->size && memcmp(data + w->offset, w->magic, w->size) == 0) {
            return w;
        }
    }
    return NULL;
}

/* ---- reading ---- */

/* libarchive knows gzip but not bare zlib streams (joblib's default): the same data between another head and tail. */
typedef struct source {
    const uint8_t *data;
    size_t size;
    int part;
    bool zlib;
} source;

static la_ssize_t next_part(struct archive *archive, void *context, const void **out)
{
    static const uint8_t head[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}, tail[8];
    source *s = context;
    (void)archive;
    switch (s->part++) {
    case 0:
        *out = head;
        return sizeof head;
    case 1:
        *out = s->data + 2;
        return (la_ssize_t)(s->size - 2);
    case 2:
        *out = tail;
        return sizeof tail;
    default:
        return 0;
    }
}

static void archive_done(struct archive **archive)
{
    if (*archive != NULL) {
        (void)archive_read_free(*archive);
    }
}

static bool open_archive(struct archive *archive, const wrapping *w, source *s)
{
    int bad = archive_read_support_format_tar(archive) < ARCHIVE_WARN;
    if (w->how == ARCHIVE) {
        bad |= archive_read_support_format_zip(archive) < ARCHIVE_WARN;
        bad |= archive_read_set_format_option(archive, "zip", "ignorecrc32", "1") < ARCHIVE_WARN; /* as PyTorch does */
    } else {
        bad |= archive_read_support_filter_gzip(archive) < ARCHIVE_WARN;
        bad |= archive_read_support_filter_bzip2(archive) < ARCHIVE_WARN;
        bad |= archive_read_support_filter_lz4(archive) < ARCHIVE_WARN;
        bad |= archive_read_support_format_raw(archive) < ARCHIVE_WARN;
    }
    if (bad) {
        return false;
    }
    if (s->zlib) {
        return archive_read_open(archive, s, NULL, next_part, NULL) == ARCHIVE_OK;
    }
    return archive_read_open_memory(archive, s->data, s->size) == ARCHIVE_OK;
}

/* Appends up to `most` bytes of the member to *out. False: it cannot be read further. *ended: that was all. */
static bool read_some(td_scan *scan, struct archive *archive, td_str *out, size_t most, bool *ended)
{
    char block[16384];
    *ended = false;
    while (out->size < most) {
        size_t wanted = most - out->size < sizeof block ? most - out->size : sizeof block;
        wanted = wanted < scan->unpack_left ? wanted : (size_t)scan->unpack_left;
        if (wanted == 0) {
            return false;
        }
        la_ssize_t got = archive_read_data(archive, block, wanted);
        if (got <= 0) {
            *ended = got == 0;
            return got == 0;
        }
        td_str_append(out, block, (size_t)got);
        scan->unpack_left -= (uint64_t)got;
        if (out->failed != TD_OK) {
            return false;
        }
    }
    return true;
}

/* ---- members ---- */

static bool is_config(const char *name)
{
    return strcmp(name, "config.json") == 0 || td_name__ends(name, "/config.json");
}

/* Only these are worth a whole copy; tensors and texts are not. */
static bool worth_all(const char *name, const td_str *seen)
{
    static const uint8_t hdf5[4] = {0x89, 'H', 'D', 'F'};
    const uint8_t *data = (const uint8_t *)seen->data;
    bool pickle = seen->size >= 2 && data[0] == 0x80 && data[1] <= 5;
    bool npy = seen->size >= 6 && memcmp(data, "\x93NUMPY", 6) == 0;
    return pickle || find_wrapping(data, seen->size) != NULL || td_name__ends(name, ".pkl") || is_config(name) ||
           (seen->size >= 4 && memcmp(data, hdf5, 4) == 0) ||
           (npy && memmem(data, seen->size < 512 ? seen->size : 512, "O", 1) != NULL);
}

/* The bytes of a member are judged like a file; the archive's own format is the one that is told. */
static void judge_member(td_scan *scan, const char *name, const td_str *bytes, bool whole)
{
    const char *outer = scan->format;
    const uint8_t *data = (const uint8_t *)bytes->data;
    td_verdict before = scan->verdict;
    if (is_config(name)) {
        td_keras__config(scan, data, bytes->size);
        return;
    }
    scan->verdict = TD_VERDICT_NONE;
    scan->depth++;
    bool found = td_scan__bytes(scan, data, bytes->size, name);
    scan->depth--;
    if (found && !whole && scan->verdict != TD_VERDICT_NONE) {
        td_scan__note(scan, TD_VERDICT_SUSPICIOUS, "large_member", "a member is too large to be looked at as a whole");
    }
    td_scan__raise(scan, before);
    scan->format = outer;
}

static void note_kind(td_scan *scan, const char *name)
{
    if (td_name__ends(name, "/data.pkl") || strcmp(name, "data.pkl") == 0) {
        scan->format = "pytorch";
        scan->torch = true; /* persistent ids are its tensors */
    } else if (td_name__ends(name, ".npy") && strcmp(scan->format, "zip") == 0) {
        scan->format = "npz";
    } else if (strcmp(name, "model.weights.h5") == 0) {
        scan->format = "keras";
    }
}

/* Of a stream that has shown nothing so far, damage is no finding: its mark may be chance. */
static void unreadable(td_scan *scan, struct archive *archive, const wrapping *w)
{
    char text[160];
    const char *why = archive_error_string(archive);
    if (w->how == STREAM && scan->verdict == TD_VERDICT_NONE) {
        return;
    }
    snprintf(text, sizeof text, "it cannot be looked through (%.80s); other programs may still load it",
             why != NULL ? why : "it unpacks to more than is looked at");
    td_scan__note(scan, TD_VERDICT_SUSPICIOUS, "unreadable_archive", text);
}

/* What is left of the member. In a stream it has to be unpacked to get past it: that is paid for. */
static bool skip_member(td_scan *scan, struct archive *archive, const wrapping *w)
{
    const void *block;
    size_t size = 0;
    la_int64_t offset;
    int code = ARCHIVE_OK;
    if (w->how == ARCHIVE) {
        return archive_read_data_skip(archive) >= ARCHIVE_WARN;
    }
    if (archive_format(archive) == ARCHIVE_FORMAT_RAW) {
        return true; /* the only one */
    }
    while (size <= scan->unpack_left && code >= ARCHIVE_WARN) {
        scan->unpack_left -= size;
        code = archive_read_data_block(archive, &block, &size, &offset);
        if (code == ARCHIVE_EOF) {
            return true;
        }
    }
    return false;
}

static bool scan_member(td_scan *scan, struct archive *archive, const wrapping *w, const char *name)
{
    TD_CLEANUP(td_str_done) td_str bytes = {.limit = scan->memory_max + 1};
    bool ended = false;
    bool good = read_some(scan, archive, &bytes, PEEK < scan->memory_max ? PEEK : scan->memory_max, &ended);
    if (good && !ended && worth_all(name, &bytes)) {
        good = read_some(scan, archive, &bytes, scan->memory_max, &ended);
    }
    if (bytes.size > 0) {
        scan->memory_max -= bytes.size;
        judge_member(scan, name, &bytes, ended);
        scan->memory_max += bytes.size;
    }
    good = good && (ended || skip_member(scan, archive, w));
    if (!good) {
        unreadable(scan, archive, w);
    }
    return good;
}

/* Some methods of zip let a header ask for any amount of memory: only stored and deflated members are opened. */
static bool may_open(td_scan *scan, struct archive *archive, struct archive_entry *entry)
{
    const char *format = archive_format_name(archive);
    if (archive_entry_is_data_encrypted(entry) > 0) {
        td_scan__note(scan, TD_VERDICT_SUSPICIOUS, "encrypted_member", "a member is encrypted");
        return false;
    }
    bool zip = (archive_format(archive) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_ZIP;
    if (zip &&
        (format == NULL || (strstr(format, "(uncompressed)") == NULL && strstr(format, "(deflation)") == NULL))) {
        td_scan__note(scan, TD_VERDICT_SUSPICIOUS, "closed_member", "a member is packed in a way that is not opened");
        return false;
    }
    return true;
}

static void scan_members(td_scan *scan, struct archive *archive, const wrapping *w)
{
    struct archive_entry *entry;
    int code;
    while ((code = archive_read_next_header(archive, &entry)) == ARCHIVE_OK || code == ARCHIVE_WARN) {
        const char *name = archive_entry_pathname(entry);
        if (w->how == STREAM && archive_filter_code(archive, 0) == ARCHIVE_FILTER_NONE) {
            return; /* its mark was chance */
        }
        name = name != NULL && archive_format(archive) != ARCHIVE_FORMAT_RAW ? name : "";
        if (scan->members_left == 0) {
            td_scan__note(scan, TD_VERDICT_SUSPICIOUS, "many_members", "it has more members than are looked at");
            return;
        }
        scan->members_left--;
        if (!may_open(scan, archive, entry)) {
            continue;
        }
        note_kind(scan, name);
        if (!scan_member(scan, archive, w, name)) {
            return;
        }
    }
    if (code != ARCHIVE_EOF) {
        unreadable(scan, archive, w);
    }
}

static bool closed(td_scan *scan, const wrapping *w)
{
    char text[160];
    snprintf(text, sizeof text, "%s is not looked into: register what is inside", w->format);
    td_scan__note(scan, TD_VERDICT_SUSPICIOUS, "closed_archive", text);
    return true;
}

/* A compressed stream that holds nothing of interest is no finding; zlib's mark is two common bytes. */
bool td_unpack__scan(td_scan *scan, const uint8_t *data, size_t size)
{
    const wrapping *w = find_wrapping(data, size);
    TD_CLEANUP(archive_done) struct archive *archive = NULL;
    if (w == NULL) {
        return false;
    }
    const char *outer = scan->format;
    scan->format = w->format;
    if (w->how == CLOSED) {
        return closed(scan, w);
    }
    if (scan->depth >= DEPTH_MAX) {
        td_scan__note(scan, TD_VERDICT_SUSPICIOUS, "deep_archive", "archives are nested deeper than is looked at");
        return true;
    }
    source s = {.data = data, .size = size, .zlib = strcmp(w->format, "zlib") == 0};
    archive = archive_read_new();
    td_verdict before = scan->verdict;
    scan->verdict = TD_VERDICT_NONE;
    if (archive != NULL && open_archive(archive, w, &s)) {
        scan_members(scan, archive, w);
    } else if (archive != NULL) {
        unreadable(scan, archive, w);
    } else {
        td_scan__note(scan, TD_VERDICT_SUSPICIOUS, "unreadable_archive", "memory ran out");
    }
    bool found = w->how == ARCHIVE || scan->verdict != TD_VERDICT_NONE;
    td_scan__raise(scan, before);
    scan->format = found ? scan->format : outer;
    return found;
}
