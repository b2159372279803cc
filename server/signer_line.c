/*
 * signer_line.c: reaching the signer in each of the ways that audit.signer_url knows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/signer_line.h"

#include "core/base/fs.h"
#include "server/signer_child.h"
#include "server/signer_work.h"
#include "server/workspace_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct td_signer_line {
    td_signer_kind kind;
    int fd;
    pid_t child; /* 0: none */
    td_signer_stream stream;
    td_signer_apart apart;
};

/* ---- where ---- */

static td_code child_files(const char *workspace, const td_config *config, td_signer_where *out, td_err *err)
{
    TD_TRY(td_workspace_file(workspace, TD_FILE_LOG, out->key, err));
    return td_workspace__signer_state(workspace, config, out->state, err);
}

static td_code read_url(const char *url, td_signer_where *out, td_err *err)
{
    static const char unix_scheme[] = "unix:";
    if (strncmp(url, unix_scheme, strlen(unix_scheme)) != 0 || url[strlen(unix_scheme)] != '/') {
        return td_fail(err, TD_INVALID, "audit.signer_url must be unix:/PATH, not \"%.80s\"", url);
    }
    out->kind = TD_SIGNER_SOCKET;
    snprintf(out->path, sizeof out->path, "%s", url + strlen(unix_scheme));
    return TD_OK;
}

td_code td_signer_url_check(const char *url, td_err *err)
{
    td_signer_where where;
    return read_url(url, &where, err);
}

td_code td_signer_where_read(const char *workspace, const td_config *config, td_signer_where *out, td_err *err)
{
    const char *url = td_config_text(config, "audit.signer_url");
    td_signer_where where = {.kind = TD_SIGNER_CHILD};
    if (*url && *td_config_text(config, "audit.signer_state")) {
        return td_fail(err, TD_INVALID,
                       "audit.signer_state is of a signer that the server starts; with audit.signer_url the memory is "
                       "that signer's own: remove one of the two");
    }
    TD_TRY(*url ? read_url(url, &where, err) : child_files(workspace, config, &where, err));
    *out = where;
    return TD_OK;
}

/* ---- worth ---- */

static const struct {
    const char *name, *worth;
} separations[] = {
    [TD_APART_UNKNOWN] = {"unknown", "not known: the log's signer has not been reached since the server started"},
    [TD_APART_PROCESS] = {"same_user", "a process of its own, of the same user: it protects from a restored or edited "
                                       "database, not from a server that is broken into"},
    [TD_APART_USER] = {"another_user", "another user on this machine: who breaks into the server can sign no other "
                                       "history; root of this machine can"},
};

const char *td_signer_apart_name(td_signer_apart apart)
{
    return separations[apart].name;
}

const char *td_signer_apart_worth(td_signer_apart apart)
{
    return separations[apart].worth;
}

td_signer_apart td_signer_line_apart(const td_signer_line *line)
{
    return line->apart;
}

/* ---- reaching ---- */

static td_code reach_child(td_signer_line *line, const td_signer_where *where, td_err *err)
{
    return td_signer_child_start(where->key, where->state, &line->fd, &line->child, err);
}

static td_code reach_socket(td_signer_line *line, const td_signer_where *where, td_err *err)
{
    const struct timeval patience = {.tv_sec = TD_SIGNER_ANSWER_MS / 1000};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(where->path) >= sizeof address.sun_path) {
        return td_fail(err, TD_LIMIT, "audit.signer_url: the path of a socket has at most %zu bytes",
                       sizeof address.sun_path - 1);
    }
    memcpy(address.sun_path, where->path, strlen(where->path) + 1);
    line->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (line->fd < 0 || setsockopt(line->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
        connect(line->fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        return td_fail_errno(err, errno, "%s", where->path);
    }
    return TD_OK;
}

td_code td_signer_line_open(const td_signer_where *where, td_signer_line **out, td_err *err)
{
    TD_CLEANUP(td_signer_line_close) td_signer_line *line = calloc(1, sizeof *line);
    if (!line) {
        return td_fail(err, TD_NOMEM, "no memory for the line to the log's signer");
    }
    line->kind = where->kind;
    line->fd = -1;
    line->stream = td_signer_stream_of(&line->fd);
    TD_TRY(where->kind == TD_SIGNER_CHILD ? reach_child(line, where, err) : reach_socket(line, where, err));
    *out = line;
    line = NULL;
    return TD_OK;
}

void td_signer_line_close(td_signer_line **slot)
{
    td_signer_line *line = *slot;
    if (line) {
        td_close_fd(&line->fd);
        if (line->child > 0) {
            td_signer_child_stop(line->child);
        }
        free(line);
        *slot = NULL;
    }
}

/* ---- asking ---- */

/* The signer says whose process it is; one that lies about that would sign anything, too. */
static void learn(td_signer_line *line, const char *text)
{
    int64_t uid = -1;
    size_t head = strlen(TD_SIGNER_UID);
    if (strncmp(text, TD_SIGNER_UID, head) == 0 &&
        td_parse_int(text + head, "uid", 0, UINT32_MAX, &uid, NULL) == TD_OK) {
        line->apart = uid == (int64_t)geteuid() ? TD_APART_PROCESS : TD_APART_USER;
    }
}

td_code td_signer_line_ask(td_signer_line *line, const td_signer_request *request, td_signer_reply *reply, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str frame = {0};
    TD_TRY(td_signer_request_write(request, &frame, err));
    TD_TRY(td_signer_send(&line->stream, &frame, err));
    td_code code = td_signer_receive(&line->stream, TD_SIGNER_ANSWER_MS, &frame, err);
    if (code == TD_NOT_FOUND && line->kind == TD_SIGNER_SOCKET) {
        return td_fail(err, TD_IO, "it closed without a word: is this server's user the one that it serves "
                                   "(--server-user)?");
    }
    TD_TRY(code);
    TD_TRY(td_signer_reply_read(td_str_text(&frame), frame.size, reply, err));
    if (request->op == TD_SIGNER_LOOK && reply->code == TD_OK) {
        learn(line, reply->text);
    }
    return TD_OK;
}
