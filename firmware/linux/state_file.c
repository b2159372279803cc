/*
 * state_file.c: see state_file.h. A new file is filled under another name and renamed, so that a half-made one is never
 * read.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/linux/state_file.h"

#include "core/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void free_bytes(uint8_t **bytes)
{
    free(*bytes);
}

static td_code make_blank(const char *path, uint32_t size, td_err *err)
{
    TD_CLEANUP(free_bytes) uint8_t *blank = malloc(size);
    if (blank == NULL) {
        return td_fail(err, TD_NOMEM, "%s: no memory for %u bytes", path, size);
    }
    memset(blank, 0xFF, size);
    return td_file_replace(path, blank, size, 0600, err);
}

td_code td_state_file_open(td_state_file *file, const char *path, uint32_t size, td_err *err)
{
    file->fd = -1;
    if (!td_path_exists(path)) {
        TD_TRY(make_blank(path, size, err));
    }
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return td_fail_errno(err, errno, "%s", path);
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        int saved = errno;
        close(fd);
        return td_fail_errno(err, saved, "%s", path);
    }
    if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > INT32_MAX || st.st_size % TD_STATE_ERASE_SIZE != 0) {
        close(fd);
        return td_fail(err, TD_CORRUPT, "%s has %lld bytes, which is no state of an agent: move it away to start anew",
                       path, (long long)st.st_size);
    }
    file->fd = fd;
    file->size = (uint32_t)st.st_size;
    return TD_OK;
}

void td_state_file_close(td_state_file *file)
{
    td_close_fd(&file->fd);
}

static bool in_range(const td_state_file *file, uint32_t offset, size_t size)
{
    return offset <= file->size && size <= file->size - offset;
}

static int state_read(void *context, uint32_t offset, void *data, size_t size)
{
    const td_state_file *file = context;
    if (!in_range(file, offset, size)) {
        return TDE_INVALID;
    }
    uint8_t *at = data;
    while (size > 0) {
        ssize_t got = pread(file->fd, at, size, offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return TDE_IO;
        }
        at += got;
        offset += (uint32_t)got;
        size -= (size_t)got;
    }
    return TDE_OK;
}

static int write_at(const td_state_file *file, uint32_t offset, const void *data, size_t size)
{
    const uint8_t *at = data;
    while (size > 0) {
        ssize_t done = pwrite(file->fd, at, size, offset);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return done < 0 && (errno == ENOSPC || errno == EDQUOT) ? TDE_NO_SPACE : TDE_IO;
        }
        at += done;
        offset += (uint32_t)done;
        size -= (size_t)done;
    }
    return TDE_OK;
}

static int state_program(void *context, uint32_t offset, const void *data, size_t size)
{
    const td_state_file *file = context;
    if (!in_range(file, offset, size)) {
        return TDE_INVALID;
    }
    int result = write_at(file, offset, data, size);
    if (result == TDE_OK && fdatasync(file->fd) != 0) {
        result = TDE_IO;
    }
    return result;
}

static int state_erase(void *context, uint32_t offset, uint32_t size)
{
    const td_state_file *file = context;
    if (!in_range(file, offset, size) || offset % TD_STATE_ERASE_SIZE != 0 || size % TD_STATE_ERASE_SIZE != 0) {
        return TDE_INVALID;
    }
    uint8_t blank[TD_STATE_ERASE_SIZE];
    memset(blank, 0xFF, sizeof blank);
    int result = TDE_OK;
    for (uint32_t done = 0; done < size && result == TDE_OK; done += TD_STATE_ERASE_SIZE) {
        result = write_at(file, offset + done, blank, sizeof blank);
    }
    return result;
}

tde_state_port td_state_file_port(td_state_file *file)
{
    return (tde_state_port){.context = file,
                            .size = file->size,
                            .erase_size = TD_STATE_ERASE_SIZE,
                            .program_size = 1,
                            .read = state_read,
                            .program = state_program,
                            .erase = state_erase};
}
