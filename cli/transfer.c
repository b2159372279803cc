/*
 * transfer.c: files up and down, hashed on the way, with a bar on a terminal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/http_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fs.h"

#define BAR_CELLS 24
#define BAR_EVERY_MS 100

typedef struct transfer {
    int fd;
    td_sha256 *hash;
    uint64_t size;
    int error_number; /* of read(2) or write(2) */
    const char *title;
    bool up, shown;
    int64_t drawn_ms;
} transfer;

static void draw_bar(transfer *t, int64_t now, int64_t total)
{
    char done[24], whole[24], bar[BAR_CELLS + 1];
    int filled = total > 0 ? (int)(now * BAR_CELLS / total) : 0;
    memset(bar, '.', BAR_CELLS);
    memset(bar, '#', (size_t)filled);
    bar[BAR_CELLS] = '\0';
    td_format_bytes((uint64_t)now, done);
    td_format_bytes((uint64_t)total, whole);
    (void)fprintf(stderr, "\r%-28.28s [%s] %s of %s \x1b[K", t->title, bar, done, whole);
    t->shown = true;
}

static int on_progress(void *context, curl_off_t down_total, curl_off_t down_now, curl_off_t up_total,
                       curl_off_t up_now)
{
    transfer *t = context;
    int64_t total = t->up ? up_total : down_total;
    int64_t now_ms = td_clock_system.monotonic_ms(&td_clock_system);
    if (total > 0 && now_ms - t->drawn_ms >= BAR_EVERY_MS) {
        t->drawn_ms = now_ms;
        draw_bar(t, t->up ? up_now : down_now, total);
    }
    return 0;
}

static void end_bar(const transfer *t)
{
    if (t->shown) {
        (void)fputs("\r\x1b[K", stderr);
    }
}

static size_t read_file(char *out, size_t size, size_t count, void *context)
{
    transfer *t = context;
    ssize_t got = read(t->fd, out, size * count);
    if (got < 0) {
        t->error_number = errno;
        return CURL_READFUNC_ABORT;
    }
    td_sha256_update(t->hash, out, (size_t)got);
    t->size += (uint64_t)got;
    return (size_t)got;
}

static size_t write_file(char *data, size_t size, size_t count, void *context)
{
    transfer *t = context;
    td_err err = {0};
    if (td_write_all(t->fd, data, size * count, &err) != TD_OK) {
        t->error_number = errno == 0 ? EIO : errno;
        return 0;
    }
    td_sha256_update(t->hash, data, size * count);
    t->size += size * count;
    return size * count;
}

const char *td_cli_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* The server says what it stored; it must be what we sent. */
static td_code check_answer(td_cli__exchange *x, const char *file, const uint8_t digest[TD_DIGEST_SIZE], td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    char ours[7 + TD_DIGEST_TEXT] = "sha256:";
    TD_TRY(td_json_parse(td_str_text(&x->answer), x->answer.size, "the server's answer", &answer, err));
    td_hex_encode(digest, TD_DIGEST_SIZE, ours + 7);
    const char *theirs = td_json_text(answer, "digest", "");
    if (strcmp(theirs, ours) != 0) {
        return td_fail(err, TD_CORRUPT, "%s: the server stored %.20s…, we sent %.20s…; was the file changing?", file,
                       theirs, ours);
    }
    return TD_OK;
}

td_code td_cli_upload(td_cli *cli, const char *file, uint8_t digest_out[TD_DIGEST_SIZE], uint64_t *size_out,
                      td_err *err)
{
    TD_CLEANUP(td_close_fd) int fd = open(file, O_RDONLY | O_CLOEXEC);
    TD_CLEANUP(td_sha256_free) td_sha256 *hash = NULL;
    struct stat facts;
    if (fd < 0 || fstat(fd, &facts) != 0) {
        return td_fail_errno(err, errno, "%s", file);
    }
    if (!S_ISREG(facts.st_mode)) {
        return td_fail(err, TD_INVALID, "%s is not a regular file", file);
    }
    TD_TRY(td_sha256_new(&hash, err));
    transfer t = {.fd = fd, .hash = hash, .title = td_cli_base_name(file), .up = true};
    td_cli__exchange x = {.method = "POST",
                          .path = td_cli_path(cli, "uploads", NULL),
                          .content_type = "application/octet-stream",
                          .read = read_file,
                          .read_context = &t,
                          .read_size = facts.st_size};
    if (cli->progress) {
        x.progress = on_progress;
        x.progress_context = &t;
    }
    td_code code = td_cli__perform(cli, &x, err);
    end_bar(&t);
    if (code != TD_OK && t.error_number != 0) {
        code = td_fail_errno(err, t.error_number, "%s", file);
    }
    if (code == TD_OK) {
        td_sha256_final(hash, digest_out);
        *size_out = t.size;
        code = check_answer(&x, file, digest_out, err);
    }
    td_str_done(&x.answer);
    return code;
}

static td_code finish_file(transfer *t, const char *temporary, const char *file, const uint8_t *digest, td_err *err)
{
    uint8_t found[TD_DIGEST_SIZE];
    td_sha256_final(t->hash, found);
    if (digest != NULL && !td_equal_secret(found, digest, TD_DIGEST_SIZE)) {
        char text[TD_DIGEST_TEXT];
        td_hex_encode(found, sizeof found, text);
        return td_fail(err, TD_CORRUPT, "%s: what came has SHA-256 %.16s…, which is not what the version lists", file,
                       text);
    }
    if (fsync(t->fd) != 0 || link(temporary, file) != 0) {
        return td_fail_errno(err, errno, "%s", file);
    }
    return TD_OK;
}

td_code td_cli_download(td_cli *cli, const char *path, const char *file, const uint8_t *digest, td_err *err)
{
    if (td_path_exists(file)) {
        return td_fail(err, TD_CONFLICT, "%s exists already; nothing was changed", file);
    }
    const char *temporary = td_cli_text(cli, "%s.part-%d", file, (int)getpid());
    TD_CLEANUP(td_sha256_free) td_sha256 *hash = NULL;
    TD_TRY(td_sha256_new(&hash, err));
    TD_CLEANUP(td_close_fd) int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) {
        return td_fail_errno(err, errno, "%s", temporary);
    }
    transfer t = {.fd = fd, .hash = hash, .title = td_cli_base_name(file)};
    td_cli__exchange x = {
        .method = "GET", .path = path, .write = write_file, .write_context = &t, .answer_max = 1 << 20};
    if (cli->progress) {
        x.progress = on_progress;
        x.progress_context = &t;
    }
    td_code code = td_cli__perform(cli, &x, err);
    end_bar(&t);
    if (code != TD_OK && t.error_number != 0) {
        code = td_fail_errno(err, t.error_number, "%s", file);
    }
    if (code == TD_OK) {
        code = finish_file(&t, temporary, file, digest, err);
    }
    td_str_done(&x.answer);
    (void)unlink(temporary);
    return code;
}
