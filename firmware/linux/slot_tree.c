/*
 * slot_tree.c: see slot_tree.h. One walk serves all: it calls a function for each regular file and for each folder
 * after its children, and stops at the first result that is not zero.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/linux/slot_tree.h"

#include "core/base/fs.h"
#include "firmware/edge/ports.h"
#include "firmware/linux/slot_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct tree_walk {
    char path[PATH_MAX];
    int (*visit)(struct tree_walk *walk, const struct stat *st); /* walk->path; folders come after what is in them */
    /* What the visitors gather. */
    uint64_t bytes;
    const uint8_t *digest;
    uint64_t size;
    td_err *err;
} tree_walk;

static int walk_folder(tree_walk *walk, int depth);

static int walk_child(tree_walk *walk, const char *name, int depth)
{
    size_t length = strlen(walk->path);
    struct stat st;
    int wrote = snprintf(walk->path + length, sizeof walk->path - length, "/%s", name);
    int result = -1;
    if (wrote > 0 && (size_t)wrote < sizeof walk->path - length && lstat(walk->path, &st) == 0) {
        result = S_ISDIR(st.st_mode) ? walk_folder(walk, depth + 1) : S_ISREG(st.st_mode) ? walk->visit(walk, &st) : 0;
    }
    if (result <= 0) { /* a hit (> 0) leaves its path for the caller */
        walk->path[length] = 0;
    }
    return result;
}

static void close_stream(DIR **stream)
{
    if (*stream != NULL) {
        closedir(*stream);
    }
}

static int walk_folder(tree_walk *walk, int depth)
{
    struct stat st;
    TD_CLEANUP(close_stream) DIR *stream = depth <= TD_TREE_DEPTH_MAX ? opendir(walk->path) : NULL;
    if (stream == NULL || fstat(dirfd(stream), &st) != 0) {
        return -1;
    }
    for (struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            int result = walk_child(walk, entry->d_name, depth);
            if (result != 0) {
                return result;
            }
        }
    }
    return walk->visit(walk, &st);
}

static int add_bytes(tree_walk *walk, const struct stat *st)
{
    walk->bytes += S_ISREG(st->st_mode) ? (uint64_t)st->st_blocks * 512 : 0;
    return 0;
}

uint64_t td_tree_bytes(const char *folder)
{
    tree_walk walk = {.visit = add_bytes};
    snprintf(walk.path, sizeof walk.path, "%s", folder);
    return walk_folder(&walk, 0) == 0 ? walk.bytes : 0;
}

static int match_digest(tree_walk *walk, const struct stat *st)
{
    uint8_t digest[TD_DIGEST_SIZE];
    td_err err;
    if (!S_ISREG(st->st_mode) || (uint64_t)st->st_size != walk->size ||
        td_sha256_file(walk->path, digest, NULL, &err) != TD_OK) {
        return 0;
    }
    return memcmp(digest, walk->digest, sizeof digest) == 0 ? 1 : 0;
}

static bool is_place_id(const char *name)
{
    return strlen(name) == TD_PLACE_ID_TEXT - 1 && strspn(name, "0123456789abcdef") == TD_PLACE_ID_TEXT - 1;
}

bool td_tree_find(const char *slot_folder, const char *but_id, const uint8_t digest[TD_DIGEST_SIZE], uint64_t size,
                  char found_out[PATH_MAX])
{
    TD_CLEANUP(close_stream) DIR *stream = opendir(slot_folder);
    if (stream == NULL) {
        return false;
    }
    for (struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        tree_walk walk = {.visit = match_digest, .digest = digest, .size = size};
        if (!is_place_id(entry->d_name) || strcmp(entry->d_name, but_id) == 0) {
            continue;
        }
        int length = snprintf(walk.path, sizeof walk.path, "%s/%s", slot_folder, entry->d_name);
        if (length > 0 && (size_t)length < sizeof walk.path && walk_folder(&walk, 0) > 0) {
            memcpy(found_out, walk.path, sizeof walk.path);
            return true;
        }
    }
    return false;
}

static int errno_result(void)
{
    return errno == ENOSPC || errno == EDQUOT ? TDE_NO_SPACE : TDE_IO;
}

/* Plain reads and writes, for file systems without copy_file_range. */
static int copy_by_hand(int from, int to, uint64_t offset, uint64_t size)
{
    uint8_t block[16384];
    while (offset < size) {
        ssize_t got = pread(from, block, sizeof block, (off_t)offset);
        if (got <= 0) {
            return TDE_IO;
        }
        for (ssize_t done = 0; done < got;) {
            ssize_t wrote = pwrite(to, block + done, (size_t)(got - done), (off_t)offset + done);
            if (wrote <= 0) {
                return errno_result();
            }
            done += wrote;
        }
        offset += (uint64_t)got;
    }
    return TDE_OK;
}

int td_tree_copy(const char *path, int fd, uint64_t size)
{
    TD_CLEANUP(td_close_fd) int from = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (from < 0) {
        return TDE_IO;
    }
    uint64_t offset = 0;
    while (offset < size) {
        loff_t in = (loff_t)offset, out = (loff_t)offset;
        ssize_t done = copy_file_range(from, &in, fd, &out, (size_t)(size - offset), 0);
        if (done <= 0) {
            break;
        }
        offset += (uint64_t)done;
    }
    int result = copy_by_hand(from, fd, offset, size);
    if (result == TDE_OK && fdatasync(fd) != 0) {
        result = errno_result();
    }
    return result;
}

static int settle(tree_walk *walk, const struct stat *st)
{
    TD_CLEANUP(td_close_fd) int fd = open(walk->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || (S_ISREG(st->st_mode) && fchmod(fd, 0444) != 0) || fsync(fd) != 0) {
        (void)td_fail_errno(walk->err, errno, "%s", walk->path);
        return -1;
    }
    return 0;
}

td_code td_tree_settle(const char *folder, td_err *err)
{
    td_err raised = {.code = TD_IO};
    tree_walk walk = {.visit = settle, .err = &raised};
    (void)td_fail(&raised, TD_IO, "%s cannot be read", folder);
    snprintf(walk.path, sizeof walk.path, "%s", folder);
    if (walk_folder(&walk, 0) == 0) {
        return TD_OK;
    }
    *err = raised;
    return raised.code;
}

static bool is_kept(const char *name, const uint8_t (*digests)[TD_DIGEST_SIZE], size_t count)
{
    char id[TD_PLACE_ID_TEXT];
    for (size_t i = 0; i < count; i++) {
        td_place_id(digests[i], id);
        if (strcmp(id, name) == 0) {
            return true;
        }
    }
    return false;
}

td_code td_tree_keep(const char *folder, const uint8_t (*digests)[TD_DIGEST_SIZE], size_t count, td_err *err)
{
    TD_CLEANUP(close_stream) DIR *stream = opendir(folder);
    if (stream == NULL) {
        return errno == ENOENT ? TD_OK : td_fail_errno(err, errno, "%s", folder);
    }
    for (struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        char path[PATH_MAX];
        if (!is_place_id(entry->d_name) || is_kept(entry->d_name, digests, count)) {
            continue;
        }
        TD_TRY(td_path_join(path, folder, entry->d_name, err));
        TD_TRY(td_folder_remove(path, err));
    }
    return td_folder_sync(folder, err);
}
