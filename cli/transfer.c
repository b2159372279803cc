/*
 * transfer.c: files up and down, hashed on the way, with a bar on a terminal, over lines that break.
 *
 * What the other side has already is never sent twice: a large file goes up in pieces by offset, a download goes on
 * with Range.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/http_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fs.h"

#define BAR_CELLS 24
#define BAR_EVERY_MS 100
#define BLOCK ((size_t)256 * 1024)
#define PIECE ((int64_t)64 * 1024 * 1024)
#define TRIES_MAX 10      /* in a row without progress: about a minute */
#define FIRST_WAIT_MS 250 /* doubled up to 8 s */

typedef struct transfer {
    int fd;
    td_sha256 *hash;                /* of an upload in pieces: NULL once the digest is known */
    uint8_t digest[TD_DIGEST_SIZE]; /* of an upload */
    uint64_t size;
    uint64_t left;        /* to be sent of this request */
    uint64_t base, whole; /* what went before this request; 0: this request is all */
    const td_cli__exchange *exchange; /* of a download */
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
    int64_t total = t->whole > 0 ? (int64_t)t->whole : (int64_t)t->base + (t->up ? up_total : down_total);
    int64_t now_ms = td_clock_system.monotonic_ms(&td_clock_system);
    if (total > 0 && now_ms - t->drawn_ms >= BAR_EVERY_MS) {
        t->drawn_ms = now_ms;
        draw_bar(t, (int64_t)t->base + (t->up ? up_now : down_now), total);
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
    size_t room = size * count;
    ssize_t got = read(t->fd, out, room < t->left ? room : (size_t)t->left);
    if (got < 0) {
        t->error_number = errno;
        return CURL_READFUNC_ABORT;
    }
    if (t->hash != NULL) {
        td_sha256_update(t->hash, out, (size_t)got);
    }
    t->left -= (uint64_t)got;
    t->size += (uint64_t)got;
    return (size_t)got;
}

/* The server began anew: it has another file, or knows no ranges. */
static td_code begin_anew(transfer *t, td_err *err)
{
    if (ftruncate(t->fd, 0) != 0 || lseek(t->fd, 0, SEEK_SET) != 0) {
        return td_fail_errno(err, errno, "%s", t->title);
    }
    td_sha256_free(&t->hash);
    t->size = t->base = 0;
    return td_sha256_new(&t->hash, err);
}

static size_t write_file(char *data, size_t size, size_t count, void *context)
{
    transfer *t = context;
    td_err err = {0};
    if (t->base > 0 && t->exchange->status != 206 && begin_anew(t, &err) != TD_OK) {
        t->error_number = EIO;
        return 0;
    }
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

/* ---- lines that break ---- */

/* Bytes of one piece of a resumable upload; smaller files go in one request. */
static uint64_t piece_size(void)
{
    const char *text = getenv("TIDEMARK_TRANSFER_PIECE");
    int64_t bytes = PIECE;
    if (text != NULL && td_parse_int(text, "TIDEMARK_TRANSFER_PIECE", 1, INT64_MAX, &bytes, NULL) != TD_OK) {
        bytes = PIECE;
    }
    return (uint64_t)bytes;
}

static bool may_pass(td_code code)
{
    return code == TD_IO || code == TD_BUSY;
}

/* Waits a growing while. False: it was tried often enough without a byte of progress. */
static bool try_again(const transfer *t, int *tries)
{
    if (++*tries > TRIES_MAX) {
        return false;
    }
    if (t->shown) {
        (void)fprintf(stderr, "\r%-28.28s the connection broke; going on (%d) \x1b[K", t->title, *tries);
    }
    int64_t wait_ms = (int64_t)FIRST_WAIT_MS << (*tries < 6 ? *tries - 1 : 5);
    const struct timespec wait = {.tv_sec = wait_ms / 1000, .tv_nsec = (long)(wait_ms % 1000) * 1000000};
    (void)nanosleep(&wait, NULL);
    return true;
}

static td_code perform(td_cli *cli, transfer *t, td_cli__exchange *x, const char *file, td_err *err)
{
    t->error_number = 0;
    if (cli->progress) {
        x->progress = on_progress;
        x->progress_context = t;
    }
    td_code code = td_cli__perform(cli, x, err);
    if (code != TD_OK && t->error_number != 0) {
        code = td_fail_errno(err, t->error_number, "%s", file);
    }
    return code;
}

/* ---- up ---- */

/* The server says what it stored; it must be what we sent. */
static td_code check_answer(const json_t *answer, const char *file, const uint8_t digest[TD_DIGEST_SIZE], td_err *err)
{
    char ours[7 + TD_DIGEST_TEXT] = "sha256:";
    td_hex_encode(digest, TD_DIGEST_SIZE, ours + 7);
    const char *theirs = td_json_text(answer, "digest", "");
    if (strcmp(theirs, ours) != 0) {
        return td_fail(err, TD_CORRUPT, "%s: the server stored %.20s…, we sent %.20s…; was the file changing?", file,
                       theirs, ours);
    }
    return TD_OK;
}

static td_code upload_whole(td_cli *cli, transfer *t, const char *file, uint64_t size, td_err *err)
{
    td_cli__exchange x = {.method = "POST",
                          .path = td_cli_path(cli, "uploads", NULL),
                          .content_type = "application/octet-stream",
                          .read = read_file,
                          .read_context = t,
                          .read_size = (int64_t)size};
    t->left = size;
    td_code code = perform(cli, t, &x, file, err);
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    if (code == TD_OK) {
        code = td_json_parse(td_str_text(&x.answer), x.answer.size, "the server's answer", &answer, err);
    }
    td_str_done(&x.answer);
    TD_TRY(code);
    td_sha256_final(t->hash, t->digest);
    return check_answer(answer, file, t->digest, err);
}

typedef struct session {
    const char *path;
    uint64_t size, offset;
    bool complete;
} session;

static void read_session(const json_t *answer, session *s)
{
    s->offset = (uint64_t)td_json_int(answer, "offset", 0);
    s->complete = td_json_bool(answer, "complete", false);
}

static td_code announce(td_cli *cli, const transfer *t, session *s, td_err *err)
{
    char label[7 + TD_DIGEST_TEXT] = "sha256:";
    td_hex_encode(t->digest, TD_DIGEST_SIZE, label + 7);
    TD_CLEANUP(td_json_done)
    json_t *body = json_pack("{s:s, s:I}", "digest", label, "size", (json_int_t)s->size);
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    TD_TRY(td_cli_call(cli, "POST", td_cli_path(cli, "upload-sessions", NULL), body, &answer, err));
    s->path = td_cli_path(cli, "upload-sessions", td_json_text(answer, "id", ""), NULL);
    read_session(answer, s);
    return TD_OK;
}

static td_code send_piece(td_cli *cli, transfer *t, session *s, const char *file, td_err *err)
{
    uint64_t left = s->size - s->offset, most = piece_size();
    td_cli__exchange x = {.method = "PATCH",
                          .path = s->path,
                          .content_type = "application/octet-stream",
                          .headers = {td_cli_text(cli, "Upload-Offset: %llu", (unsigned long long)s->offset)},
                          .read = read_file,
                          .read_context = t,
                          .read_size = (int64_t)(left < most ? left : most)};
    if (lseek(t->fd, (off_t)s->offset, SEEK_SET) < 0) {
        return td_fail_errno(err, errno, "%s", file);
    }
    t->left = (uint64_t)x.read_size;
    t->base = s->offset;
    t->whole = s->size;
    td_code code = perform(cli, t, &x, file, err);
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    if (code == TD_OK) {
        code = td_json_parse(td_str_text(&x.answer), x.answer.size, "the server's answer", &answer, err);
    }
    td_str_done(&x.answer);
    if (code == TD_OK) {
        read_session(answer, s);
        code = check_answer(answer, file, t->digest, err);
    }
    return code;
}

/* After a break: where does it stand? An upload that is gone after its last byte was sent has become an object. */
static td_code find_place(td_cli *cli, session *s, bool last_sent, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    td_code code = td_cli_call(cli, "GET", s->path, NULL, &answer, err);
    if (code == TD_NOT_FOUND && last_sent) {
        s->complete = true;
        return TD_OK;
    }
    TD_TRY(code);
    read_session(answer, s);
    return TD_OK;
}

static td_code send_pieces(td_cli *cli, transfer *t, session *s, const char *file, td_err *err)
{
    int tries = 0;
    while (!s->complete) {
        uint64_t before = s->offset;
        bool last = s->size - s->offset <= piece_size();
        td_code code = send_piece(cli, t, s, file, err);
        while (may_pass(code) || code == TD_CONFLICT) {
            if (!try_again(t, &tries)) {
                return td_wrap(err, "the upload stands at %llu of %llu bytes; run it again to go on",
                               (unsigned long long)s->offset, (unsigned long long)s->size);
            }
            code = find_place(cli, s, last, err);
        }
        TD_TRY(code);
        tries = s->offset > before ? 0 : tries;
    }
    return TD_OK;
}

static td_code hash_all(transfer *t, uint64_t size, const char *file, td_err *err)
{
    TD_CLEANUP(td_free_text) char *block = malloc(BLOCK);
    if (block == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to read %s", file);
    }
    t->left = size;
    for (;;) {
        size_t got = read_file(block, 1, BLOCK, t);
        if (got == CURL_READFUNC_ABORT) {
            return td_fail_errno(err, t->error_number, "%s", file);
        }
        if (got == 0) {
            td_sha256_final(t->hash, t->digest);
            td_sha256_free(&t->hash);
            return TD_OK;
        }
    }
}

static td_code upload_pieces(td_cli *cli, transfer *t, const char *file, uint64_t size, td_err *err)
{
    session s = {.size = size};
    int tries = 0;
    TD_TRY(hash_all(t, size, file, err));
    td_code code = announce(cli, t, &s, err);
    while (may_pass(code) && try_again(t, &tries)) {
        code = announce(cli, t, &s, err);
    }
    TD_TRY(code);
    TD_TRY(send_pieces(cli, t, &s, file, err));
    t->size = size;
    return TD_OK;
}

td_code td_cli_upload(td_cli *cli, const char *file, uint8_t digest_out[TD_DIGEST_SIZE], uint64_t *size_out,
                      td_err *err)
{
    TD_CLEANUP(td_close_fd) int fd = open(file, O_RDONLY | O_CLOEXEC);
    struct stat facts;
    if (fd < 0 || fstat(fd, &facts) != 0) {
        return td_fail_errno(err, errno, "%s", file);
    }
    if (!S_ISREG(facts.st_mode)) {
        return td_fail(err, TD_INVALID, "%s is not a regular file", file);
    }
    char byte;
    if (facts.st_size == 0 && pread(fd, &byte, 1, 0) > 0) {
        return td_fail(err, TD_INVALID,
                       "%s says that it has 0 bytes, but more comes out of it (as from /proc): copy it to a plain file "
                       "and give that",
                       file);
    }
    transfer t = {.fd = fd, .title = td_cli_base_name(file), .up = true};
    TD_TRY(td_sha256_new(&t.hash, err));
    uint64_t size = (uint64_t)facts.st_size;
    td_code code = size > piece_size() ? upload_pieces(cli, &t, file, size, err)
                                       : upload_whole(cli, &t, file, size, err);
    end_bar(&t);
    td_sha256_free(&t.hash);
    TD_TRY(code);
    memcpy(digest_out, t.digest, TD_DIGEST_SIZE);
    *size_out = t.size;
    return TD_OK;
}

/* ---- down ---- */

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

/* What an earlier try left counts as much as what comes now. */
static td_code read_begun(transfer *t, const char *temporary, td_err *err)
{
    TD_CLEANUP(td_free_text) char *block = malloc(BLOCK);
    if (block == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to read %s", temporary);
    }
    for (;;) {
        ssize_t got = read(t->fd, block, BLOCK);
        if (got < 0) {
            return td_fail_errno(err, errno, "%s", temporary);
        }
        if (got == 0) {
            return TD_OK;
        }
        td_sha256_update(t->hash, block, (size_t)got);
        t->size += (uint64_t)got;
    }
}

static td_code fetch_once(td_cli *cli, transfer *t, const char *path, const char *file, const uint8_t *digest,
                          td_err *err)
{
    td_cli__exchange x = {.method = "GET", .path = path, .write = write_file, .write_context = t};
    x.answer_max = 1 << 20;
    t->exchange = &x;
    t->base = t->size;
    if (t->size > 0) {
        char text[TD_DIGEST_TEXT];
        td_hex_encode(digest, TD_DIGEST_SIZE, text);
        x.headers[0] = td_cli_text(cli, "Range: bytes=%llu-", (unsigned long long)t->size);
        x.headers[1] = td_cli_text(cli, "If-Range: \"%s\"", text);
    }
    td_code code = perform(cli, t, &x, file, err);
    td_str_done(&x.answer);
    return x.status == 416 && t->size > 0 ? TD_OK : code; /* it was all there */
}

static td_code fetch(td_cli *cli, transfer *t, const char *path, const char *file, const uint8_t *digest, td_err *err)
{
    int tries = 0;
    td_code code;
    do {
        uint64_t before = t->size;
        code = fetch_once(cli, t, path, file, digest, err);
        tries = t->size > before ? 0 : tries;
    } while (digest != NULL && t->error_number == 0 && may_pass(code) && try_again(t, &tries));
    return code;
}

static td_code open_temporary(const char *temporary, int *fd_out, td_err *err)
{
    TD_CLEANUP(td_close_fd) int fd = open(temporary, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) {
        return td_fail_errno(err, errno, "%s", temporary);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        return td_fail(err, TD_CONFLICT, "%s: another download writes to it", temporary);
    }
    *fd_out = fd;
    fd = -1;
    return TD_OK;
}

td_code td_cli_download(td_cli *cli, const char *path, const char *file, const uint8_t *digest, td_err *err)
{
    if (td_path_exists(file)) {
        return td_fail(err, TD_CONFLICT, "%s exists already; nothing was changed", file);
    }
    const char *temporary = td_cli_text(cli, "%s.part-%d", file, (int)getpid());
    char text[TD_DIGEST_TEXT];
    if (digest != NULL) { /* named by what it will be: the next try goes on with it */
        td_hex_encode(digest, TD_DIGEST_SIZE, text);
        temporary = td_cli_text(cli, "%s.part-%.12s", file, text);
    }
    TD_CLEANUP(td_close_fd) int fd = -1;
    TD_TRY(open_temporary(temporary, &fd, err));
    transfer t = {.fd = fd, .title = td_cli_base_name(file)};
    TD_TRY(td_sha256_new(&t.hash, err));
    td_code code = read_begun(&t, temporary, err);
    code = code == TD_OK ? fetch(cli, &t, path, file, digest, err) : code;
    end_bar(&t);
    bool keep = digest != NULL && may_pass(code) && t.size > 0;
    if (code == TD_OK) {
        code = finish_file(&t, temporary, file, digest, err);
    }
    td_sha256_free(&t.hash);
    if (!keep) {
        (void)unlink(temporary);
    }
    return keep ? td_wrap(err, "%s is unfinished; run it again to go on", file) : code;
}
