/*
 * content.c: the content store: putting and getting objects that are named by their digest.
 *
 * One order carries it: bytes → fsync → read-only → rename → fsync of the folder. A crash before the rename leaves a
 * file in tmp/ that the next open removes; after it, the object is whole. A temporary file is locked while it is
 * written, so that a second process that opens the same folder (an offline verify) does not sweep it away.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/content.h"

#include "core/base/fs.h"
#include "registry/content_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BLOCK ((size_t)256 * 1024)
#define WRITEBACK_STEP ((uint64_t)8 * 1024 * 1024)

struct td_content_put {
    td_content *content;
    td_sha256 *hash;
    int fd;
    bool failed;
    uint64_t size, size_max, written_back;
    char path[TD_CONTENT_PATH_MAX];
};

void td_digest_format(const uint8_t digest[TD_DIGEST_SIZE], char out[TD_DIGEST_LABEL_SIZE])
{
    memcpy(out, "sha256:", 7);
    td_hex_encode(digest, TD_DIGEST_SIZE, out + 7);
}

td_code td_digest_parse(const char *text, uint8_t digest_out[TD_DIGEST_SIZE], td_err *err)
{
    const char *digits = strncmp(text, "sha256:", 7) == 0 ? text + 7 : text;
    size_t length = strnlen(digits, 2 * TD_DIGEST_SIZE + 1);
    uint8_t digest[TD_DIGEST_SIZE];
    if (length != 2 * TD_DIGEST_SIZE || td_hex_decode(digits, length, digest, sizeof digest, NULL) != TD_OK) {
        return td_fail(err, TD_INVALID, "\"%.80s\" is not a digest; expected \"sha256:\" and 64 hexadecimal digits",
                       text);
    }
    memcpy(digest_out, digest, sizeof digest);
    return TD_OK;
}

/* ---- paths ---- */

void td_content__object_path(const td_content *content, const uint8_t digest[TD_DIGEST_SIZE],
                             char out[TD_CONTENT_PATH_MAX])
{
    char hex[TD_DIGEST_TEXT];
    td_hex_encode(digest, TD_DIGEST_SIZE, hex);
    snprintf(out, TD_CONTENT_PATH_MAX, "%s/%.2s/%s", content->root, hex, hex);
}

static void folder_path(const td_content *content, const uint8_t digest[TD_DIGEST_SIZE], char out[TD_CONTENT_PATH_MAX])
{
    snprintf(out, TD_CONTENT_PATH_MAX, "%s/%02x", content->root, digest[0]);
}

void td_content__damaged_path(const td_content *content, const uint8_t digest[TD_DIGEST_SIZE],
                              char out[TD_CONTENT_PATH_MAX])
{
    char hex[TD_DIGEST_TEXT];
    td_hex_encode(digest, TD_DIGEST_SIZE, hex);
    snprintf(out, TD_CONTENT_PATH_MAX, "%s/damaged/%s", content->root, hex);
}

td_code td_content_path(const td_content *content, const uint8_t digest[TD_DIGEST_SIZE], char out[4096], td_err *err)
{
    if (!td_content_exists(content, digest, NULL)) {
        return td_content__missing(content, digest, err);
    }
    td_content__object_path(content, digest, out);
    return TD_OK;
}

/* ---- opening ---- */

/* Removes one temporary file unless somebody holds its lock. */
static void sweep_file(const char *path)
{
    TD_CLEANUP(td_close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        (void)unlink(path);
    }
}

static td_code sweep_tmp(const td_content *content, td_err *err)
{
    char folder[TD_CONTENT_PATH_MAX];
    snprintf(folder, sizeof folder, "%s/tmp", content->root);
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return td_fail_errno(err, errno, "%s", folder);
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char path[TD_CONTENT_PATH_MAX + 256];
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            sweep_file(path);
        }
    }
    closedir(dir);
    return TD_OK;
}

static td_code new_content(const char *folder, td_content **out, td_err *err)
{
    if (strlen(folder) >= TD_CONTENT_ROOT_MAX) {
        return td_fail(err, TD_LIMIT, "the content folder's path is longer than %d characters",
                       TD_CONTENT_ROOT_MAX - 1);
    }
    td_content *content = calloc(1, sizeof *content);
    if (content == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to open the content store");
    }
    snprintf(content->root, sizeof content->root, "%s", folder);
    *out = content;
    return TD_OK;
}

td_code td_content_open(const char *folder, td_content **out, td_err *err)
{
    TD_CLEANUP(td_content__free) td_content *content = NULL;
    TD_TRY(new_content(folder, &content, err));
    char tmp[TD_CONTENT_PATH_MAX];
    snprintf(tmp, sizeof tmp, "%s/tmp", folder);
    TD_TRY(td_folder_make(tmp, 0700, err));
    TD_TRY(sweep_tmp(content, err));
    *out = content;
    content = NULL;
    return TD_OK;
}

td_code td_content_attach(const char *folder, td_content **out, td_err *err)
{
    if (!td_path_exists(folder)) {
        return td_fail(err, TD_NOT_FOUND, "there is no content folder %s", folder);
    }
    return new_content(folder, out, err);
}

void td_content__free(td_content **content)
{
    free(*content);
    *content = NULL;
}

void td_content_close(td_content *content)
{
    free(content);
}

/* ---- putting ---- */

static td_code put_failed(td_content_put *put, const char *what, td_err *err)
{
    int reason = errno;
    put->failed = true;
    if (reason == ENOSPC || reason == EDQUOT) {
        char written[24];
        td_format_bytes(put->size, written);
        return td_fail(err, TD_LIMIT,
                       "the disk of the content store %s is full after %s of this file; free some space "
                       "and try again",
                       put->content->root, written);
    }
    return td_fail_errno(err, reason, "content store %s: %s", put->content->root, what);
}

/* A locked temporary file. A sweep may take it between its making and its locking: then once more. */
static td_code open_temporary(td_content_put *put, td_err *err)
{
    for (int attempt = 0; attempt < 8; attempt++) {
        snprintf(put->path, sizeof put->path, "%s/tmp/put-XXXXXX", put->content->root);
        put->fd = mkostemp(put->path, O_CLOEXEC);
        if (put->fd < 0) {
            return put_failed(put, "making a temporary file", err);
        }
        struct stat st;
        if (flock(put->fd, LOCK_EX) == 0 && fstat(put->fd, &st) == 0 && st.st_nlink == 1) {
            return TD_OK;
        }
        td_close_fd(&put->fd);
    }
    put->path[0] = '\0';
    return td_fail(err, TD_BUSY, "content store %s: another process removes its temporary files", put->content->root);
}

td_code td_content_put_begin(td_content *content, uint64_t size_max, td_content_put **out, td_err *err)
{
    TD_CLEANUP(td_content_put_free) td_content_put *put = calloc(1, sizeof *put);
    if (put == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to store content");
    }
    put->fd = -1;
    put->content = content;
    put->size_max = size_max > 0 ? size_max : TD_CONTENT_OBJECT_MAX;
    TD_TRY(td_sha256_new(&put->hash, err));
    TD_TRY(open_temporary(put, err));
    *out = put;
    put = NULL;
    return TD_OK;
}

td_code td_content_put_write(td_content_put *put, const void *data, size_t size, td_err *err)
{
    if (put->failed) {
        return td_fail(err, TD_CONFLICT, "this upload has failed before; start it again");
    }
    if (size > put->size_max - put->size) {
        char most[24];
        put->failed = true;
        td_format_bytes(put->size_max, most);
        return td_fail(err, TD_LIMIT, "the file is larger than %s (%llu bytes), the most that is taken here", most,
                       (unsigned long long)put->size_max);
    }
    const uint8_t *next = data;
    for (size_t left = size; left > 0;) {
        ssize_t written = write(put->fd, next, left);
        if (written < 0 && errno != EINTR) {
            return put_failed(put, "writing", err);
        }
        if (written > 0) {
            next += written;
            left -= (size_t)written;
        }
    }
    if (put->hash != NULL) {
        td_sha256_update(put->hash, data, size);
    }
    put->size += size;
    if (put->size - put->written_back >=
        WRITEBACK_STEP) { /* the disk works while we hash: the fsync at the end is short */
        (void)sync_file_range(put->fd, (off_t)put->written_back, (off_t)(put->size - put->written_back),
                              SYNC_FILE_RANGE_WRITE);
        put->written_back = put->size;
    }
    return TD_OK;
}

/* The root is synced in either case: whoever made the folder may not have come that far yet. */
static td_code make_folder(td_content_put *put, const char *folder, td_err *err)
{
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        return put_failed(put, "making a folder", err);
    }
    return td_folder_sync(put->content->root, err);
}

/* From here on the object is there, and stays there. */
static td_code publish(td_content_put *put, const uint8_t digest[TD_DIGEST_SIZE], td_err *err)
{
    char folder[TD_CONTENT_PATH_MAX];
    char path[TD_CONTENT_PATH_MAX];
    folder_path(put->content, digest, folder);
    td_content__object_path(put->content, digest, path);
    if (fchmod(put->fd, 0444) != 0 || fsync(put->fd) != 0) {
        return put_failed(put, "syncing", err);
    }
    TD_TRY(make_folder(put, folder, err));
    if (rename(put->path, path) != 0) {
        return put_failed(put, "renaming", err);
    }
    put->path[0] = '\0';
    return td_folder_sync(folder, err);
}

td_code td_content__put_adopt(td_content *content, const char *path, int fd, uint64_t size, uint64_t size_max,
                              td_sha256 *hash, td_content_put **out, td_err *err)
{
    td_content_put *put = calloc(1, sizeof *put);
    if (put == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to store content");
    }
    *put = (td_content_put){.content = content,
                            .hash = hash,
                            .fd = fd,
                            .size = size,
                            .size_max = size_max,
                            .written_back = size};
    (void)snprintf(put->path, sizeof put->path, "%s", path);
    *out = put;
    return TD_OK;
}

void td_content__put_release(td_content_put **put_in, td_sha256 **hash_out)
{
    td_content_put *put = *put_in;
    *hash_out = put->failed ? NULL : put->hash;
    if (!put->failed) {
        put->hash = NULL;
    }
    put->path[0] = '\0';
    td_content_put_free(put_in);
}

uint64_t td_content__put_size(const td_content_put *put)
{
    return put->size;
}

int td_content__put_fd(const td_content_put *put)
{
    return put->fd;
}

/* Of a put that began in an earlier process: its file is read once more. */
static td_code hash_file(td_content_put *put, td_err *err)
{
    TD_CLEANUP(td_free_text) char *block = malloc(COPY_BLOCK);
    if (block == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to hash");
    }
    TD_TRY(td_sha256_new(&put->hash, err));
    for (uint64_t at = 0; at < put->size;) {
        ssize_t got = pread(put->fd, block, COPY_BLOCK, (off_t)at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return put_failed(put, "reading back", err);
        }
        td_sha256_update(put->hash, block, (size_t)got);
        at += (uint64_t)got;
    }
    return TD_OK;
}

td_code td_content_put_finish(td_content_put *put, const uint8_t *expected, uint8_t digest_out[TD_DIGEST_SIZE],
                              uint64_t *size_out, td_err *err)
{
    if (put->failed) {
        return td_fail(err, TD_CONFLICT, "this upload has failed before; start it again");
    }
    uint8_t digest[TD_DIGEST_SIZE];
    if (put->hash == NULL) {
        TD_TRY(hash_file(put, err));
    }
    td_sha256_final(put->hash, digest);
    put->failed = true; /* a put ends once */
    if (expected != NULL && memcmp(expected, digest, sizeof digest) != 0) {
        char want[TD_DIGEST_LABEL_SIZE];
        char found[TD_DIGEST_LABEL_SIZE];
        td_digest_format(expected, want);
        td_digest_format(digest, found);
        return td_fail(err, TD_CORRUPT, "the bytes received are %s, not %s as announced; send the file again", found,
                       want);
    }
    TD_TRY(publish(put, digest, err));
    memcpy(digest_out, digest, sizeof digest);
    if (size_out != NULL) {
        *size_out = put->size;
    }
    return TD_OK;
}

void td_content_put_free(td_content_put **put_in)
{
    td_content_put *put = *put_in;
    if (put == NULL) {
        return;
    }
    if (put->path[0] != '\0' && put->fd >= 0) {
        (void)unlink(put->path);
    }
    td_close_fd(&put->fd);
    td_sha256_free(&put->hash);
    free(put);
    *put_in = NULL;
}

/* Whether the object is there with exactly these bytes (a damaged one is not, and gets replaced). */
static bool holds_bytes(const td_content *content, const uint8_t digest[TD_DIGEST_SIZE], const void *data, size_t size)
{
    TD_CLEANUP(td_close_fd) int fd = -1;
    uint64_t there = 0;
    if (td_content_get(content, digest, &fd, &there, NULL) != TD_OK || there != size) {
        return false;
    }
    char block[16384];
    const char *want = data;
    for (size_t left = size; left > 0;) {
        ssize_t got = read(fd, block, left < sizeof block ? left : sizeof block);
        if (got <= 0 || memcmp(block, want, (size_t)got) != 0) {
            return false;
        }
        want += got;
        left -= (size_t)got;
    }
    return true;
}

td_code td_content_put_bytes(td_content *content, const void *data, size_t size, uint8_t digest_out[TD_DIGEST_SIZE],
                             td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    td_sha256_of(data, size, digest);
    if (holds_bytes(content, digest, data, size)) {
        char folder[TD_CONTENT_PATH_MAX];
        folder_path(content, digest, folder);
        TD_TRY(td_folder_sync(folder, err)); /* whoever put it may not have come that far yet */
        memcpy(digest_out, digest, sizeof digest);
        return TD_OK;
    }
    TD_CLEANUP(td_content_put_free) td_content_put *put = NULL;
    TD_TRY(td_content_put_begin(content, size > 0 ? size : 1, &put, err));
    TD_TRY(td_content_put_write(put, data, size, err));
    return td_content_put_finish(put, NULL, digest_out, NULL, err);
}

static td_code copy_in(td_content_put *put, int fd, const char *path, td_err *err)
{
    TD_CLEANUP(td_free_text) char *block = malloc(COPY_BLOCK);
    if (block == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to copy %s", path);
    }
    for (;;) {
        ssize_t got = read(fd, block, COPY_BLOCK);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return td_fail_errno(err, errno, "reading %s", path);
        }
        if (got == 0) {
            return TD_OK;
        }
        TD_TRY(td_content_put_write(put, block, (size_t)got, err));
    }
}

td_code td_content_put_file(td_content *content, const char *path, uint64_t size_max,
                            uint8_t digest_out[TD_DIGEST_SIZE], uint64_t *size_out, td_err *err)
{
    TD_CLEANUP(td_close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        return td_fail_errno(err, errno, "%s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return td_fail(err, TD_INVALID, "%s is not a regular file", path);
    }
    TD_CLEANUP(td_content_put_free) td_content_put *put = NULL;
    TD_TRY(td_content_put_begin(content, size_max, &put, err));
    TD_TRY(copy_in(put, fd, path, err));
    return td_content_put_finish(put, NULL, digest_out, size_out, err);
}

/* ---- getting ---- */

td_code td_content__missing(const td_content *content, const uint8_t digest[TD_DIGEST_SIZE], td_err *err)
{
    char label[TD_DIGEST_LABEL_SIZE];
    char path[TD_CONTENT_PATH_MAX];
    td_digest_format(digest, label);
    td_content__damaged_path(content, digest, path);
    if (td_path_exists(path)) {
        return td_fail(err, TD_CORRUPT,
                       "content %s is damaged on disk and is not served; upload the file again to heal it", label);
    }
    return td_fail(err, TD_NOT_FOUND, "content %s is not in the store", label);
}

td_code td_content_get(const td_content *content, const uint8_t digest[TD_DIGEST_SIZE], int *fd_out, uint64_t *size_out,
                       td_err *err)
{
    char path[TD_CONTENT_PATH_MAX];
    td_content__object_path(content, digest, path);
    TD_CLEANUP(td_close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) {
        return td_content__missing(content, digest, err);
    }
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        return td_fail_errno(err, errno, "%s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return td_fail(err, TD_CORRUPT, "%s is not a regular file", path);
    }
    if (size_out != NULL) {
        *size_out = (uint64_t)st.st_size;
    }
    *fd_out = fd;
    fd = -1;
    return TD_OK;
}

bool td_content_exists(const td_content *content, const uint8_t digest[TD_DIGEST_SIZE], uint64_t *size_out)
{
    char path[TD_CONTENT_PATH_MAX];
    struct stat st;
    td_content__object_path(content, digest, path);
    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
        return false;
    }
    if (size_out != NULL) {
        *size_out = (uint64_t)st.st_size;
    }
    return true;
}
