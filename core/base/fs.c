/*
 * fs.c: temporary file, fsync, rename, fsync of the folder: the order that survives a power cut.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPORARY ".tmp-" /* between the name of what is written and six letters */

void td_close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

td_code td_write_all(int fd, const void *data, size_t size, td_err *err)
{
    const char *at = data;
    while (size > 0) {
        ssize_t written = write(fd, at, size);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return td_fail_errno(err, errno, "writing %zu bytes", size);
        }
        at += written;
        size -= (size_t)written;
    }
    return TD_OK;
}

bool td_path_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

td_code td_path_join(char out[4096], const char *folder, const char *name, td_err *err)
{
    size_t length = strlen(folder);
    const char *slash = length > 0 && folder[length - 1] == '/' ? "" : "/";
    int size = snprintf(out, 4096, "%s%s%s", folder, slash, name);
    if (size < 0 || size >= 4096) {
        return td_fail(err, TD_LIMIT, "the path %.80s…/%.80s is longer than 4095 bytes", folder, name);
    }
    return TD_OK;
}

/* The folder that holds path: "a/b" -> "a", "b" -> ".", "/b" -> "/". */
static td_code parent_of(const char *path, char out[4096], td_err *err)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        memcpy(out, ".", 2);
        return TD_OK;
    }
    size_t length = slash == path ? 1 : (size_t)(slash - path);
    if (length >= 4096) {
        return td_fail(err, TD_LIMIT, "a path is longer than 4095 bytes");
    }
    memcpy(out, path, length);
    out[length] = '\0';
    return TD_OK;
}

td_code td_folder_sync(const char *path, td_err *err)
{
    TD_CLEANUP(td_close_fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        return td_fail_errno(err, errno, "syncing the folder %s", path);
    }
    return TD_OK;
}

/* Writes data to a fresh temporary file beside path, synced; its name goes to temporary. */
static td_code write_temporary(const char *path, const void *data, size_t size, mode_t mode, char temporary[4096],
                               td_err *err)
{
    int length = snprintf(temporary, 4096, "%s" TEMPORARY "XXXXXX", path);
    if (length < 0 || length >= 4096) {
        return td_fail(err, TD_LIMIT, "the path %.120s… is longer than 4095 bytes", path);
    }
    TD_CLEANUP(td_close_fd) int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        return td_fail_errno(err, errno, "creating %s", path);
    }
    td_code code = td_write_all(fd, data, size, err);
    if (code == TD_OK && (fchmod(fd, mode) != 0 || fsync(fd) != 0)) {
        code = td_fail_errno(err, errno, "saving");
    }
    if (code != TD_OK) {
        unlink(temporary);
        return td_wrap(err, "%s", path);
    }
    return TD_OK;
}

td_code td_file_replace(const char *path, const void *data, size_t size, mode_t mode, td_err *err)
{
    char temporary[4096], folder[4096];
    TD_TRY(parent_of(path, folder, err));
    TD_TRY(write_temporary(path, data, size, mode, temporary, err));
    if (rename(temporary, path) != 0) {
        td_code code = td_fail_errno(err, errno, "renaming to %s", path);
        unlink(temporary);
        return code;
    }
    return td_folder_sync(folder, err);
}

td_code td_file_create(const char *path, const void *data, size_t size, mode_t mode, td_err *err)
{
    char temporary[4096], folder[4096];
    TD_TRY(parent_of(path, folder, err));
    TD_TRY(write_temporary(path, data, size, mode, temporary, err));
    if (link(temporary, path) != 0) {
        td_code code = errno == EEXIST ? td_fail(err, TD_CONFLICT, "%s exists already", path)
                                       : td_fail_errno(err, errno, "creating %s", path);
        unlink(temporary);
        return code;
    }
    unlink(temporary);
    return td_folder_sync(folder, err);
}

td_code td_file_sweep(const char *path, td_err *err)
{
    char parent[4096], head[256 + sizeof TEMPORARY];
    const char *slash = strrchr(path, '/');
    TD_TRY(parent_of(path, parent, err));
    int length = snprintf(head, sizeof head, "%s" TEMPORARY, slash ? slash + 1 : path);
    if (length < 0 || (size_t)length >= sizeof head) {
        return td_fail(err, TD_LIMIT, "the name %.120s… is longer than 255 bytes", path);
    }
    DIR *folder = opendir(parent);
    if (folder == NULL) {
        return td_fail_errno(err, errno, "%s", parent);
    }
    td_code code = TD_OK;
    for (const struct dirent *entry; code == TD_OK && (entry = readdir(folder)) != NULL;) {
        if (strncmp(entry->d_name, head, (size_t)length) == 0 && strlen(entry->d_name) == (size_t)length + 6 &&
            unlinkat(dirfd(folder), entry->d_name, 0) != 0) {
            code = td_fail_errno(err, errno, "%s/%s", parent, entry->d_name);
        }
    }
    closedir(folder);
    return code;
}

td_code td_file_read(const char *path, size_t limit, td_str *out, td_err *err)
{
    TD_CLEANUP(td_close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        return td_fail_errno(err, errno, "%s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return td_fail(err, TD_INVALID, "%s is not a regular file", path);
    }
    char block[16384];
    size_t total = 0;
    for (;;) {
        ssize_t got = read(fd, block, sizeof block);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return td_fail_errno(err, errno, "reading %s", path);
        }
        if (got == 0) {
            return td_str_check(out, err);
        }
        total += (size_t)got;
        if (total > limit) {
            return td_fail(err, TD_LIMIT, "%s is larger than %zu bytes", path, limit);
        }
        td_str_append(out, block, (size_t)got);
    }
}

td_code td_folder_make(const char *path, mode_t mode, td_err *err)
{
    char part[4096], folder[4096];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof part) {
        return td_fail(err, TD_INVALID, "not a folder's path: \"%.80s\"", path);
    }
    for (size_t end = 1; end <= length; end++) {
        if (end < length && path[end] != '/') {
            continue;
        }
        memcpy(part, path, end);
        part[end] = '\0';
        if (mkdir(part, mode) == 0) {
            TD_TRY(parent_of(part, folder, err));
            TD_TRY(td_folder_sync(folder, err));
        } else if (errno != EEXIST) {
            return td_fail_errno(err, errno, "making the folder %s", part);
        }
    }
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        return td_fail(err, TD_CONFLICT, "%s exists and is not a folder", path);
    }
    return TD_OK;
}

static td_code remove_inside(int parent, const char *name, int depth, td_err *err)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) {
        return TD_OK;
    }
    if ((errno != EISDIR && errno != EPERM) || depth > 64) {
        return td_fail_errno(err, errno, "removing %s", name);
    }
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder == NULL) {
        td_code code = td_fail_errno(err, errno, "removing %s", name);
        td_close_fd(&fd);
        return code;
    }
    td_code code = TD_OK;
    for (struct dirent *entry = readdir(folder); entry != NULL && code == TD_OK; entry = readdir(folder)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            code = remove_inside(dirfd(folder), entry->d_name, depth + 1, err);
        }
    }
    closedir(folder);
    if (code == TD_OK && unlinkat(parent, name, AT_REMOVEDIR) != 0) {
        code = td_fail_errno(err, errno, "removing the folder %s", name);
    }
    return code;
}

td_code td_folder_remove(const char *path, td_err *err)
{
    return remove_inside(AT_FDCWD, path, 0, err);
}

static bool part_fits(const char *part, size_t length)
{
    return length > 0 && !(length == 1 && part[0] == '.') && !(length == 2 && part[0] == '.' && part[1] == '.');
}

td_code td_check_file_name(const char *name, size_t length, td_err *err)
{
    if (length == 0 || length > 200) {
        return td_fail(err, TD_INVALID, "a file's name has %zu characters; 1 to 200 are allowed", length);
    }
    size_t start = 0;
    for (size_t i = 0; i <= length; i++) {
        char c = i < length ? name[i] : '/';
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                     c == '_' || c == '-';
        if (c == '/') {
            if (!part_fits(name + start, i - start)) {
                return td_fail(err, TD_INVALID, "file name \"%.*s\": empty, \".\" and \"..\" parts are refused",
                               (int)length, name);
            }
            start = i + 1;
        } else if (!plain) {
            return td_fail(err, TD_INVALID, "a file's name may hold A-Z a-z 0-9 . _ - and /; character %zu is another",
                           i + 1);
        }
    }
    return TD_OK;
}
