/*
 * content_verify.c: finding damage: objects are hashed again, and what fails is moved away and never served.
 *
 * Moving (not deleting) keeps the evidence; the next put of the good bytes heals the object.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "registry/content_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct walk {
    td_content *content;
    td_content_watch watch;
    td_content_report report;
    td_content_visit visit; /* instead of verifying */
    void *visit_context;
} walk;

/* Moves a damaged object away and says so. */
static td_code quarantine(const td_content *content, const uint8_t digest[TD_DIGEST_SIZE], td_err *err)
{
    char from[TD_CONTENT_PATH_MAX];
    char to[TD_CONTENT_PATH_MAX];
    char folder[TD_CONTENT_PATH_MAX];
    char label[TD_DIGEST_LABEL_SIZE];
    td_content__object_path(content, digest, from);
    td_content__damaged_path(content, digest, to);
    td_digest_format(digest, label);
    snprintf(folder, sizeof folder, "%s/damaged", content->root);
    TD_TRY(td_folder_make(folder, 0700, err));
    if (rename(from, to) != 0 && errno != ENOENT) {
        return td_fail_errno(err, errno, "moving the damaged object %s away", label);
    }
    TD_TRY(td_folder_sync(folder, err));
    return td_fail(err, TD_CORRUPT,
                   "content %s is damaged: its bytes have another digest; it was moved to damaged/ and is "
                   "not served any more; upload the file again to heal it",
                   label);
}

td_code td_content_verify(td_content *content, const uint8_t digest[TD_DIGEST_SIZE], td_err *err)
{
    char path[TD_CONTENT_PATH_MAX];
    uint8_t found[TD_DIGEST_SIZE];
    if (!td_content_exists(content, digest, NULL)) {
        return td_content__missing(content, digest, err);
    }
    td_content__object_path(content, digest, path);
    TD_TRY(td_sha256_file(path, found, NULL, err));
    if (memcmp(found, digest, sizeof found) != 0) {
        return quarantine(content, digest, err);
    }
    return TD_OK;
}

static td_code read_into(int fd, uint64_t size, td_str *out, td_err *err)
{
    char block[65536];
    uint64_t left = size;
    while (left > 0) {
        ssize_t got = read(fd, block, left < sizeof block ? (size_t)left : sizeof block);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return td_fail_errno(err, errno, "reading content");
        }
        if (got == 0) {
            break; /* shorter than its size: the digest will not match */
        }
        td_str_append(out, block, (size_t)got);
        left -= (uint64_t)got;
    }
    return td_str_check(out, err);
}

td_code td_content_read(td_content *content, const uint8_t digest[TD_DIGEST_SIZE], size_t limit, td_str *out,
                        td_err *err)
{
    TD_CLEANUP(td_close_fd) int fd = -1;
    TD_CLEANUP(td_str_done) td_str bytes = {.limit = limit};
    uint8_t found[TD_DIGEST_SIZE];
    uint64_t size = 0;
    TD_TRY(td_content_get(content, digest, &fd, &size, err));
    if (size > limit) {
        char label[TD_DIGEST_LABEL_SIZE];
        td_digest_format(digest, label);
        return td_fail(err, TD_LIMIT, "content %s has %llu bytes; at most %zu are read here", label,
                       (unsigned long long)size, limit);
    }
    TD_TRY(read_into(fd, size, &bytes, err));
    td_sha256_of(bytes.data != NULL ? bytes.data : "", bytes.size, found);
    if (memcmp(found, digest, sizeof found) != 0) {
        return quarantine(content, digest, err);
    }
    td_str_append(out, td_str_text(&bytes), bytes.size);
    return td_str_check(out, err);
}

/* ---- everything ---- */

static void tell(walk *w, const char *path, const char *problem)
{
    if (w->watch.found != NULL) {
        w->watch.found(w->watch.context, path, problem);
    }
}

static td_code look_at(walk *w, const char *folder, const char *name, td_err *err)
{
    char path[600];
    uint8_t digest[TD_DIGEST_SIZE];
    uint64_t size = 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    bool named = strlen(name) == 2 * TD_DIGEST_SIZE && strncmp(name, folder, 2) == 0 &&
                 td_hex_decode(name, 2 * TD_DIGEST_SIZE, digest, sizeof digest, NULL) == TD_OK;
    if (!named || !td_content_exists(w->content, digest, &size)) {
        w->report.foreign++;
        tell(w, path, "is no object of the content store (left alone)");
        return TD_OK;
    }
    w->report.objects++;
    w->report.bytes += size;
    if (w->visit != NULL) {
        return w->visit(w->visit_context, digest, size, err);
    }
    td_err problem;
    td_code code = td_content_verify(w->content, digest, &problem);
    if (code == TD_CORRUPT) {
        w->report.damaged++;
        tell(w, path, problem.text);
        return TD_OK;
    }
    return code == TD_OK ? TD_OK : td_fail(err, code, "%s: %s", path, problem.text);
}

static td_code walk_folder(walk *w, const char *name, td_err *err)
{
    char path[TD_CONTENT_PATH_MAX];
    snprintf(path, sizeof path, "%s/%.255s", w->content->root, name);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return errno == ENOENT ? TD_OK : td_fail_errno(err, errno, "%s", path);
    }
    td_code code = TD_OK;
    for (struct dirent *entry = readdir(dir); entry != NULL && code == TD_OK; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            code = look_at(w, name, entry->d_name, err);
        }
    }
    closedir(dir);
    return code;
}

static bool is_shard(const char *name)
{
    uint8_t byte;
    return strlen(name) == 2 && td_hex_decode(name, 2, &byte, 1, NULL) == TD_OK;
}

static bool is_known(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "tmp") == 0 ||
           strcmp(name, "damaged") == 0 || strcmp(name, "partial") == 0;
}

static td_code tell_strangers(walk *w, td_err *err)
{
    DIR *dir = opendir(w->content->root);
    if (dir == NULL) {
        return td_fail_errno(err, errno, "%s", w->content->root);
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (!is_shard(entry->d_name) && !is_known(entry->d_name)) {
            w->report.foreign++;
            tell(w, entry->d_name, "is no object of the content store (left alone)");
        }
    }
    closedir(dir);
    return TD_OK;
}

static td_code walk_shards(walk *w, td_err *err)
{
    for (unsigned shard = w->watch.first; shard < TD_CONTENT_SHARDS; shard++) {
        char name[3];
        snprintf(name, sizeof name, "%02x", shard & 0xFFu);
        if (w->watch.shard != NULL) {
            w->watch.shard(w->watch.context, shard, &w->report);
        }
        TD_TRY(walk_folder(w, name, err));
    }
    return TD_OK;
}

td_code td_content_each(td_content *content, td_content_visit visit, void *context, td_err *err)
{
    walk w = {.content = content, .visit = visit, .visit_context = context};
    return walk_shards(&w, err);
}

td_code td_content_verify_all(td_content *content, const td_content_watch *watch, td_content_report *report_out,
                              td_err *err)
{
    walk w = {.content = content};
    if (watch != NULL) {
        w.watch = *watch;
    }
    TD_TRY(tell_strangers(&w, err));
    TD_TRY(walk_shards(&w, err));
    *report_out = w.report;
    return TD_OK;
}
