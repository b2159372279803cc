/*
 * backup_content.c: content from store to store, each object hashed on its way.
 *
 * The store of a folder of backups is a content store like the workspace's: what is there already costs nothing.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "server/backup_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE ((size_t)1 << 20)
#define LINE_SIZE (2 * TD_DIGEST_SIZE + 24)

typedef struct content_copy {
    td_content *source, *pool;
    bool trust_older;
    FILE *list;
    const td_backup_watch *watch;
    uint64_t total; /* bytes */
    td_backup_copied *copied;
} content_copy;

static td_code pour(int fd, td_content_put *put, td_err *err)
{
    char *piece = malloc(PIECE);
    td_code code = piece ? TD_OK : td_fail(err, TD_NOMEM, "no memory to copy content");
    while (code == TD_OK) {
        ssize_t size = read(fd, piece, PIECE);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size <= 0) {
            code = size < 0 ? td_fail_errno(err, errno, "reading content") : TD_OK;
            break;
        }
        code = td_content_put_write(put, piece, (size_t)size, err);
    }
    free(piece);
    return code;
}

td_code td_backup__object_copy(const td_content *from, td_content *to, const uint8_t digest[TD_DIGEST_SIZE],
                               td_err *err)
{
    TD_CLEANUP(td_close_fd) int fd = -1;
    TD_CLEANUP(td_content_put_free) td_content_put *put = NULL;
    uint8_t made[TD_DIGEST_SIZE];
    uint64_t size;
    TD_TRY(td_content_get(from, digest, &fd, NULL, err));
    TD_TRY(td_content_put_begin(to, 0, &put, err));
    TD_TRY(pour(fd, put, err));
    return td_content_put_finish(put, digest, made, &size, err);
}

/* In the pool, whole? What is damaged there is moved aside, and copied anew. */
static bool is_there(const content_copy *copy, const uint8_t digest[TD_DIGEST_SIZE], uint64_t size)
{
    uint64_t found = 0;
    td_err ignored;
    return td_content_exists(copy->pool, digest, &found) && found == size &&
           (copy->trust_older || td_content_verify(copy->pool, digest, &ignored) == TD_OK);
}

static td_code copy_object(void *context, const uint8_t digest[TD_DIGEST_SIZE], uint64_t size, td_err *err)
{
    content_copy *copy = context;
    char hex[TD_DIGEST_TEXT];
    td_hex_encode(digest, TD_DIGEST_SIZE, hex);
    if (!is_there(copy, digest, size)) {
        if (td_backup__object_copy(copy->source, copy->pool, digest, err) != TD_OK) {
            return td_wrap(err, "content/%.2s/%s", hex, hex);
        }
        copy->copied->new_objects++;
        copy->copied->new_bytes += size;
    }
    copy->copied->objects++;
    copy->copied->bytes += size;
    if (copy->watch->tell) {
        copy->watch->tell(copy->watch->context, "content", copy->copied->bytes, copy->total);
    }
    return fprintf(copy->list, "%s %llu\n", hex, (unsigned long long)size) > 0
               ? TD_OK
               : td_fail_errno(err, errno, "%s", TD_BACKUP_LIST);
}

static td_code add_size(void *context, const uint8_t digest[TD_DIGEST_SIZE], uint64_t size, td_err *err)
{
    (void)digest;
    (void)err;
    *(uint64_t *)context += size;
    return TD_OK;
}

td_code td_backup__content_copy(td_content *source, td_content *pool, const char *list_path, bool trust_older,
                                const td_backup_watch *watch, td_backup_copied *out, td_err *err)
{
    content_copy copy = {.source = source, .pool = pool, .trust_older = trust_older, .watch = watch, .copied = out};
    *out = (td_backup_copied){0};
    TD_TRY(td_content_each(source, add_size, &copy.total, err));
    copy.list = fopen(list_path, "wxe");
    if (!copy.list) {
        return td_fail_errno(err, errno, "%s", list_path);
    }
    td_code code = fchmod(fileno(copy.list), 0600) == 0 ? TD_OK : td_fail_errno(err, errno, "%s", list_path);
    code = code == TD_OK ? td_content_each(source, copy_object, &copy, err) : code;
    bool synced = fflush(copy.list) == 0 && fsync(fileno(copy.list)) == 0;
    bool closed = fclose(copy.list) == 0;
    return code == TD_OK && !(synced && closed) ? td_fail_errno(err, errno, "%s", list_path) : code;
}

static td_code read_line(const char *line, int number, uint8_t digest[TD_DIGEST_SIZE], int64_t *size_out, td_err *err)
{
    size_t length = strcspn(line, "\n");
    char size[24];
    if (length > 2 * TD_DIGEST_SIZE + 1 && length < 2 * TD_DIGEST_SIZE + 1 + sizeof size && line[length] == '\n' &&
        line[2 * TD_DIGEST_SIZE] == ' ' &&
        td_hex_decode(line, 2 * TD_DIGEST_SIZE, digest, TD_DIGEST_SIZE, NULL) == TD_OK) {
        snprintf(size, sizeof size, "%.*s", (int)(length - 2 * TD_DIGEST_SIZE - 1), line + 2 * TD_DIGEST_SIZE + 1);
        if (td_parse_int(size, "size", 0, (int64_t)TD_CONTENT_OBJECT_MAX, size_out, NULL) == TD_OK) {
            return TD_OK;
        }
    }
    return td_fail(err, TD_CORRUPT, "%s:%d: a digest and a size are expected", TD_BACKUP_LIST, number);
}

td_code td_backup__list_read(FILE *list, td_backup_visit visit, void *context, td_err *err)
{
    char line[LINE_SIZE];
    for (int number = 1; fgets(line, sizeof line, list); number++) {
        uint8_t digest[TD_DIGEST_SIZE];
        int64_t size = 0;
        TD_TRY(read_line(line, number, digest, &size, err));
        TD_TRY(visit(context, digest, (uint64_t)size, err));
    }
    return ferror(list) ? td_fail_errno(err, errno, "%s", TD_BACKUP_LIST) : TD_OK;
}

td_code td_backup__list_each(const char *list_path, td_backup_visit visit, void *context, td_err *err)
{
    FILE *list = fopen(list_path, "re");
    if (!list) {
        return td_fail_errno(err, errno, "%s", list_path);
    }
    td_code code = td_backup__list_read(list, visit, context, err);
    (void)fclose(list);
    return code;
}
