/*
 * partial.c: one file of bytes and one small file of facts an upload; the lock on the bytes says who sends.
 *
 * The number of bytes in the facts only grows, and only after an fsync of the bytes. The hash of a stream that goes on
 * in the same process is kept (of the last few); otherwise the file is hashed once more at its end.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/partial.h"

#include "core/base/fs.h"
#include "core/base/json.h"
#include "registry/content_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FACTS_MAX ((size_t)4096)
#define OWNER_MAX 80
#define HASHES_KEPT 8

typedef struct facts {
    td_partial_facts shown;
    char owner[OWNER_MAX];
    int64_t touched_ms;
} facts;

typedef struct kept_hash {
    char id[TD_PARTIAL_ID_TEXT];
    uint64_t size;
    td_sha256 *hash;
} kept_hash;

struct td_partials {
    td_content *content;
    const td_clock *clock;
    td_partial_limits limits;
    char root[TD_CONTENT_PATH_MAX];
    pthread_mutex_t lock; /* of the folder's list, and of what follows */
    kept_hash hashes[HASHES_KEPT];
    size_t next_hash;
};

struct td_partial {
    td_partials *partials;
    facts facts;
    td_content_put *put;
};

typedef char path_text[TD_CONTENT_PATH_MAX + 64];

static void bytes_path(const td_partials *partials, const char *id, path_text out)
{
    snprintf(out, sizeof(path_text), "%s/%s", partials->root, id);
}

static void facts_path(const td_partials *partials, const char *id, path_text out)
{
    snprintf(out, sizeof(path_text), "%s/%s.json", partials->root, id);
}

static bool is_id(const char *text)
{
    return strlen(text) == TD_PARTIAL_ID_TEXT - 1 && strspn(text, "0123456789abcdef") == TD_PARTIAL_ID_TEXT - 1;
}

static td_code unknown(const char *id, td_err *err)
{
    return td_fail(err, TD_NOT_FOUND, "there is no unfinished upload %.32s; it may have expired: announce it again",
                   id);
}

/* ---- facts ---- */

static td_code write_facts(const td_partials *partials, facts *now, td_err *err)
{
    char label[TD_DIGEST_LABEL_SIZE];
    path_text path;
    now->touched_ms = td_now_ms(partials->clock);
    now->shown.expires_ms = now->touched_ms + partials->limits.keep_ms;
    td_digest_format(now->shown.digest, label);
    TD_CLEANUP(td_json_done)
    json_t *json = json_pack("{s:s, s:s, s:I, s:I, s:I}", "owner", now->owner, "digest", label, "size",
                             (json_int_t)now->shown.size, "offset", (json_int_t)now->shown.offset, "touched_ms",
                             (json_int_t)now->touched_ms);
    TD_CLEANUP(td_str_done) td_str text = {0};
    if (!json) {
        return td_fail(err, TD_NOMEM, "no memory for an upload");
    }
    TD_TRY(td_json_write(json, &text, err));
    facts_path(partials, now->shown.id, path);
    return td_file_replace(path, text.data, text.size, 0600, err);
}

static td_code read_facts(const td_partials *partials, const char *id, facts *out, td_err *err)
{
    path_text path;
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    if (!is_id(id)) {
        return unknown(id, err);
    }
    facts_path(partials, id, path);
    td_code code = td_file_read(path, FACTS_MAX, &text, err);
    if (code != TD_OK) {
        return code == TD_NOT_FOUND ? unknown(id, err) : code;
    }
    facts read = {.touched_ms = 0};
    TD_TRY(td_json_parse(text.data, text.size, path, &json, err));
    TD_TRY(td_digest_parse(td_json_text(json, "digest", ""), read.shown.digest, err));
    snprintf(read.shown.id, sizeof read.shown.id, "%s", id);
    snprintf(read.owner, sizeof read.owner, "%s", td_json_text(json, "owner", ""));
    read.shown.size = (uint64_t)td_json_int(json, "size", 0);
    read.shown.offset = (uint64_t)td_json_int(json, "offset", 0);
    read.touched_ms = td_json_int(json, "touched_ms", 0);
    read.shown.expires_ms = read.touched_ms + partials->limits.keep_ms;
    *out = read;
    return TD_OK;
}

static td_code read_own(const td_partials *partials, const char *owner, const char *id, facts *out, td_err *err)
{
    facts read;
    TD_TRY(read_facts(partials, id, &read, err));
    if (strcmp(read.owner, owner) != 0 || read.shown.expires_ms <= td_now_ms(partials->clock)) {
        return unknown(id, err);
    }
    *out = read;
    return TD_OK;
}

static void remove_files(const td_partials *partials, const char *id)
{
    path_text path;
    bytes_path(partials, id, path);
    (void)unlink(path);
    facts_path(partials, id, path);
    (void)unlink(path);
}

/* Opens the bytes and locks them. */
static td_code open_bytes(const td_partials *partials, const char *id, int *fd_out, uint64_t *size_out, td_err *err)
{
    path_text path;
    struct stat st;
    bytes_path(partials, id, path);
    TD_CLEANUP(td_close_fd) int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? unknown(id, err) : td_fail_errno(err, errno, "%s", path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        return td_fail(err, TD_BUSY, "another connection is sending to upload %s; try again in a moment", id);
    }
    if (fstat(fd, &st) != 0 || lseek(fd, 0, SEEK_END) < 0) {
        return td_fail_errno(err, errno, "%s", path);
    }
    if (st.st_nlink == 0) {
        return unknown(id, err); /* dropped between the opening and the lock */
    }
    *size_out = (uint64_t)st.st_size;
    *fd_out = fd;
    fd = -1;
    return TD_OK;
}

static td_code sync_to(const td_partials *partials, int fd, uint64_t size, facts *now, td_err *err)
{
    if (size == now->shown.offset) {
        return TD_OK;
    }
    if (fdatasync(fd) != 0) {
        return td_fail_errno(err, errno, "making upload %s durable", now->shown.id);
    }
    now->shown.offset = size;
    return write_facts(partials, now, err);
}

/* ---- kept hashes ---- */

static void keep_hash(td_partials *partials, const char *id, uint64_t size, td_sha256 *hash)
{
    if (!hash) {
        return;
    }
    pthread_mutex_lock(&partials->lock);
    kept_hash *slot = &partials->hashes[partials->next_hash];
    partials->next_hash = (partials->next_hash + 1) % HASHES_KEPT;
    td_sha256_free(&slot->hash);
    snprintf(slot->id, sizeof slot->id, "%s", id);
    slot->size = size;
    slot->hash = hash;
    pthread_mutex_unlock(&partials->lock);
}

/* NULL: what is there has to be hashed again. */
static td_sha256 *take_hash(td_partials *partials, const char *id, uint64_t size)
{
    td_sha256 *found = NULL;
    pthread_mutex_lock(&partials->lock);
    for (size_t i = 0; i < HASHES_KEPT; i++) {
        kept_hash *slot = &partials->hashes[i];
        if (slot->hash && strcmp(slot->id, id) == 0) {
            if (slot->size == size) {
                found = slot->hash;
            } else {
                td_sha256_free(&slot->hash);
            }
            slot->hash = NULL;
        }
    }
    pthread_mutex_unlock(&partials->lock);
    td_err ignored;
    if (!found && size == 0 && td_sha256_new(&found, &ignored) != TD_OK) {
        return NULL;
    }
    return found;
}

/* ---- the folder ---- */

typedef bool (*each_fn)(td_partials *partials, const facts *found, void *context); /* true: go on */

static td_code each(td_partials *partials, each_fn fn, void *context, td_err *err)
{
    DIR *dir = opendir(partials->root);
    if (!dir) {
        return td_fail_errno(err, errno, "%s", partials->root);
    }
    bool more = true;
    for (struct dirent *entry = readdir(dir); entry && more; entry = readdir(dir)) {
        char id[TD_PARTIAL_ID_TEXT];
        facts found;
        if (snprintf(id, sizeof id, "%.32s", entry->d_name) > 0 && is_id(id) && entry->d_name[32] == '.' &&
            read_facts(partials, id, &found, NULL) == TD_OK) {
            more = fn(partials, &found, context);
        }
    }
    closedir(dir);
    return TD_OK;
}

static bool expire_one(td_partials *partials, const facts *found, void *context)
{
    (void)context;
    TD_CLEANUP(td_close_fd) int fd = -1;
    uint64_t size;
    if (found->shown.expires_ms <= td_now_ms(partials->clock) &&
        open_bytes(partials, found->shown.id, &fd, &size, NULL) != TD_BUSY) {
        remove_files(partials, found->shown.id);
    }
    return true;
}

void td_partials_expire(td_partials *partials)
{
    td_err ignored;
    pthread_mutex_lock(&partials->lock);
    (void)!each(partials, expire_one, NULL, &ignored);
    pthread_mutex_unlock(&partials->lock);
}

/* Bytes that were not known to be on disk when an earlier run ended are not believed. */
static bool cut_one(td_partials *partials, const facts *found, void *context)
{
    (void)context;
    path_text path;
    bytes_path(partials, found->shown.id, path);
    struct stat st;
    if (stat(path, &st) != 0 || (uint64_t)st.st_size < found->shown.offset ||
        truncate(path, (off_t)found->shown.offset) != 0) {
        remove_files(partials, found->shown.id);
    }
    return true;
}

/* Bytes without facts: the crash came between the two. */
static void sweep(const td_partials *partials)
{
    DIR *dir = opendir(partials->root);
    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
        path_text path;
        if (is_id(entry->d_name)) {
            facts_path(partials, entry->d_name, path);
            if (!td_path_exists(path)) {
                remove_files(partials, entry->d_name);
            }
        }
    }
    if (dir) {
        closedir(dir);
    }
}

td_code td_partials_open(td_content *content, const td_clock *clock, const td_partial_limits *limits,
                         td_partials **out, td_err *err)
{
    TD_CLEANUP(td_partials_close) td_partials *partials = calloc(1, sizeof *partials);
    if (!partials) {
        return td_fail(err, TD_NOMEM, "no memory for uploads");
    }
    *partials = (td_partials){.content = content, .clock = clock, .limits = *limits};
    pthread_mutex_init(&partials->lock, NULL);
    snprintf(partials->root, sizeof partials->root, "%s/partial", content->root);
    TD_TRY(td_folder_make(partials->root, 0700, err));
    TD_TRY(each(partials, cut_one, NULL, err));
    sweep(partials);
    td_partials_expire(partials);
    *out = partials;
    partials = NULL;
    return TD_OK;
}

void td_partials_close(td_partials **slot)
{
    td_partials *partials = *slot;
    if (!partials) {
        return;
    }
    for (size_t i = 0; i < HASHES_KEPT; i++) {
        td_sha256_free(&partials->hashes[i].hash);
    }
    pthread_mutex_destroy(&partials->lock);
    free(partials);
    *slot = NULL;
}

/* ---- announcing ---- */

typedef struct census {
    const char *owner;
    const uint8_t *digest;
    uint64_t size, bytes;
    int count, own;
    bool same;
    facts found;
} census;

static bool count_one(td_partials *partials, const facts *found, void *context)
{
    census *sum = context;
    bool own = strcmp(found->owner, sum->owner) == 0;
    if (found->shown.expires_ms <= td_now_ms(partials->clock)) {
        return true;
    }
    sum->bytes += found->shown.size;
    sum->count++;
    sum->own += own;
    if (own && found->shown.size == sum->size && memcmp(found->shown.digest, sum->digest, TD_DIGEST_SIZE) == 0) {
        sum->same = true;
        sum->found = *found;
        return false;
    }
    return true;
}

static td_code check_room(const td_partials *partials, const census *sum, td_err *err)
{
    char most[24];
    if (sum->size > partials->limits.object_bytes_max) {
        td_format_bytes(partials->limits.object_bytes_max, most);
        return td_fail(err, TD_LIMIT, "the file has %llu bytes; at most %s are taken (http.upload_bytes_max)",
                       (unsigned long long)sum->size, most);
    }
    if (sum->own >= TD_PARTIALS_PER_OWNER_MAX || sum->count >= TD_PARTIALS_MAX) {
        return td_fail(err, TD_LIMIT,
                       "there are %d unfinished uploads of %s, %d in all; finish or delete some (at most %d and %d)",
                       sum->own, sum->owner, sum->count, TD_PARTIALS_PER_OWNER_MAX, TD_PARTIALS_MAX);
    }
    if (sum->size > partials->limits.bytes_max || sum->bytes > partials->limits.bytes_max - sum->size) {
        td_format_bytes(partials->limits.bytes_max, most);
        return td_fail(err, TD_LIMIT, "unfinished uploads may take %s together (http.uploads_unfinished_bytes_max)",
                       most);
    }
    return TD_OK;
}

static td_code make_new(const td_partials *partials, const census *sum, facts *out, td_err *err)
{
    uint8_t random[16];
    path_text path;
    facts fresh = {.touched_ms = 0};
    TD_TRY(td_random(random, sizeof random, err));
    td_hex_encode(random, sizeof random, fresh.shown.id);
    snprintf(fresh.owner, sizeof fresh.owner, "%s", sum->owner);
    memcpy(fresh.shown.digest, sum->digest, TD_DIGEST_SIZE);
    fresh.shown.size = sum->size;
    bytes_path(partials, fresh.shown.id, path);
    TD_CLEANUP(td_close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return td_fail_errno(err, errno, "%s", path);
    }
    td_code code = write_facts(partials, &fresh, err);
    if (code != TD_OK) {
        remove_files(partials, fresh.shown.id);
        return code;
    }
    *out = fresh;
    return TD_OK;
}

td_code td_partial_announce(td_partials *partials, const char *owner, const uint8_t digest[TD_DIGEST_SIZE],
                            uint64_t size, td_partial_facts *out, bool *new_out, td_err *err)
{
    census sum = {.owner = owner, .digest = digest, .size = size};
    facts fresh;
    pthread_mutex_lock(&partials->lock);
    td_code code = each(partials, count_one, &sum, err);
    if (code == TD_OK && !sum.same) {
        code = check_room(partials, &sum, err);
        code = code == TD_OK ? make_new(partials, &sum, &fresh, err) : code;
    }
    pthread_mutex_unlock(&partials->lock);
    TD_TRY(code);
    if (sum.same) {
        *new_out = false;
        return td_partial_look(partials, owner, sum.found.shown.id, out, err);
    }
    *out = fresh.shown;
    *new_out = true;
    return TD_OK;
}

td_code td_partial_look(td_partials *partials, const char *owner, const char *id, td_partial_facts *out, td_err *err)
{
    facts now;
    uint64_t size;
    TD_CLEANUP(td_close_fd) int fd = -1;
    TD_TRY(read_own(partials, owner, id, &now, err));
    TD_TRY(open_bytes(partials, id, &fd, &size, err));
    TD_TRY(sync_to(partials, fd, size, &now, err));
    *out = now.shown;
    return TD_OK;
}

td_code td_partial_drop(td_partials *partials, const char *owner, const char *id, td_err *err)
{
    facts now;
    uint64_t size;
    TD_CLEANUP(td_close_fd) int fd = -1;
    TD_TRY(read_own(partials, owner, id, &now, err));
    TD_TRY(open_bytes(partials, id, &fd, &size, err));
    remove_files(partials, id);
    return TD_OK;
}

/* ---- sending ---- */

td_code td_partial_begin(td_partials *partials, const char *owner, const char *id, uint64_t offset,
                         uint64_t *there_out, td_partial **out, td_err *err)
{
    TD_CLEANUP(td_close_fd) int fd = -1;
    uint64_t size;
    path_text path;
    TD_CLEANUP(td_partial_free) td_partial *partial = calloc(1, sizeof *partial);
    if (!partial) {
        return td_fail(err, TD_NOMEM, "no memory for an upload");
    }
    partial->partials = partials;
    TD_TRY(read_own(partials, owner, id, &partial->facts, err));
    TD_TRY(open_bytes(partials, id, &fd, &size, err));
    if (size != offset) {
        *there_out = size;
        return td_fail(err, TD_CONFLICT, "upload %s stands at %llu, not at %llu: go on from there", id,
                       (unsigned long long)size, (unsigned long long)offset);
    }
    td_sha256 *hash = take_hash(partials, id, size);
    bytes_path(partials, id, path);
    td_code code = td_content__put_adopt(partials->content, path, fd, size, partial->facts.shown.size, hash,
                                         &partial->put, err);
    if (code != TD_OK) {
        td_sha256_free(&hash);
        return code;
    }
    fd = -1;
    *out = partial;
    partial = NULL;
    return TD_OK;
}

td_code td_partial_write(td_partial *partial, const void *data, size_t size, td_err *err)
{
    td_code code = td_content_put_write(partial->put, data, size, err);
    if (code == TD_LIMIT && td_content__put_size(partial->put) + size > partial->facts.shown.size) {
        return td_fail(err, TD_LIMIT, "more bytes came than the %llu that were announced",
                       (unsigned long long)partial->facts.shown.size);
    }
    return code;
}

static td_code finish(td_partial *partial, td_err *err)
{
    td_partials *partials = partial->partials;
    facts *now = &partial->facts;
    uint8_t digest[TD_DIGEST_SIZE];
    td_code code = td_content_put_finish(partial->put, now->shown.digest, digest, NULL, err);
    if (code == TD_OK || code == TD_CORRUPT) {
        td_content_put_free(&partial->put); /* takes the bytes along if they did not become an object */
        remove_files(partials, now->shown.id);
    }
    return code;
}

td_code td_partial_end(td_partial *partial, td_partial_facts *out, bool *whole_out, td_err *err)
{
    facts *now = &partial->facts;
    uint64_t size = td_content__put_size(partial->put);
    bool whole = size == now->shown.size;
    if (whole) {
        now->shown.offset = size;
        TD_TRY(finish(partial, err));
    } else {
        TD_TRY(sync_to(partial->partials, td_content__put_fd(partial->put), size, now, err));
    }
    *out = now->shown;
    *whole_out = whole;
    return TD_OK;
}

void td_partial_free(td_partial **slot)
{
    td_partial *partial = *slot;
    if (!partial) {
        return;
    }
    if (partial->put) {
        td_sha256 *hash = NULL;
        uint64_t size = td_content__put_size(partial->put);
        td_content__put_release(&partial->put, &hash);
        keep_hash(partial->partials, partial->facts.shown.id, size, hash);
    }
    free(partial);
    *slot = NULL;
}
