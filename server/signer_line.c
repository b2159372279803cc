/*
 * signer_line.c: reaching the signer in each of the ways that audit.signer_url knows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/signer_line.h"

#include "core/base/fs.h"
#include "server/signer_child.h"
#include "server/signer_tls.h"
#include "server/signer_work.h"
#include "server/workspace_internal.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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
    bool far;    /* the other end of a TLS line has another address than ours */
    gnutls_certificate_credentials_t credentials;
    gnutls_session_t tls;
    td_signer_stream stream;
    td_signer_apart apart;
};

/* ---- where ---- */

static td_code child_files(const char *workspace, const td_config *config, td_signer_where *out, td_err *err)
{
    TD_TRY(td_workspace_file(workspace, TD_FILE_LOG, out->key, err));
    return td_workspace__signer_state(workspace, config, out->state, err);
}

/* "host:port" or "[2001:db8::1]:port". */
static bool cut_address(const char *text, td_signer_where *out)
{
    const char *colon = strrchr(text, ':');
    bool bracketed = *text == '[' && colon && colon > text + 2 && colon[-1] == ']';
    const char *host = bracketed ? text + 1 : text;
    int64_t port;
    size_t length = colon ? (size_t)(colon - host) - bracketed : 0;
    if (!colon || length == 0 || length >= sizeof out->host || strlen(colon + 1) >= sizeof out->port ||
        td_parse_int(colon + 1, "port", 1, 65535, &port, NULL) != TD_OK) {
        return false;
    }
    snprintf(out->host, sizeof out->host, "%.*s", (int)length, host);
    snprintf(out->port, sizeof out->port, "%s", colon + 1);
    return bracketed || !strchr(out->host, ':');
}

td_code td_signer_url_read(const char *url, td_signer_where *out, td_err *err)
{
    static const char local[] = "unix:", remote[] = "tls://";
    if (strncmp(url, local, strlen(local)) == 0 && url[strlen(local)] == '/') {
        out->kind = TD_SIGNER_SOCKET;
        snprintf(out->path, sizeof out->path, "%s", url + strlen(local));
        return TD_OK;
    }
    if (strncmp(url, remote, strlen(remote)) == 0 && cut_address(url + strlen(remote), out)) {
        out->kind = TD_SIGNER_TLS;
        return TD_OK;
    }
    return td_fail(err, TD_INVALID, "audit.signer_url must be unix:/PATH or tls://HOST:PORT, not \"%.80s\"", url);
}

/* As configured, or in the workspace. */
static td_code find_file(const char *workspace, const td_config *config, const char *key, const char *name,
                         char out[4096], td_err *err)
{
    const char *told = td_config_text(config, key);
    if (!*told) {
        return td_workspace_file(workspace, name, out, err);
    }
    snprintf(out, 4096, "%s", told);
    return TD_OK;
}

static td_code read_service(const char *workspace, const td_config *config, td_signer_where *out, td_err *err)
{
    TD_TRY(td_signer_url_read(td_config_text(config, "audit.signer_url"), out, err));
    TD_TRY(find_file(workspace, config, "audit.signer_ca_file", TD_FILE_CA, out->ca, err));
    TD_TRY(find_file(workspace, config, "audit.signer_cert_file", TD_FILE_MQTT, out->certificate, err));
    return find_file(workspace, config, "audit.signer_key_file", TD_FILE_MQTT_KEY, out->certificate_key, err);
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
    TD_TRY(*url ? read_service(workspace, config, &where, err) : child_files(workspace, config, &where, err));
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
    [TD_APART_HOST] = {"another_host", "another host: who breaks into this machine, even as root, can sign no other "
                                       "history"},
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

static void set_patience(int fd)
{
    const struct timeval patience = {.tv_sec = TD_SIGNER_ANSWER_MS / 1000};
    int yes = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience); /* of connecting, too */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
}

static td_code connect_to(const td_signer_where *where, int *fd_out, td_err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found = NULL;
    int failed = getaddrinfo(where->host, where->port, &hints, &found), number = 0;
    TD_CLEANUP(td_close_fd) int fd = -1;
    if (failed) {
        return td_fail(err, TD_IO, "%s: %s", where->host, gai_strerror(failed));
    }
    for (const struct addrinfo *at = found; at; at = at->ai_next) {
        td_close_fd(&fd);
        fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        set_patience(fd);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) == 0) {
            break;
        }
        number = errno;
        td_close_fd(&fd);
    }
    freeaddrinfo(found);
    if (fd < 0) {
        return td_fail_errno(err, number, "%s port %s", where->host, where->port);
    }
    *fd_out = fd;
    fd = -1;
    return TD_OK;
}

/* Where both ends have one address, they are on one machine. */
static bool is_far(int fd)
{
    struct sockaddr_storage own = {0}, peer = {0};
    socklen_t own_size = sizeof own, peer_size = sizeof peer;
    if (getsockname(fd, (struct sockaddr *)&own, &own_size) != 0 ||
        getpeername(fd, (struct sockaddr *)&peer, &peer_size) != 0 || own.ss_family != peer.ss_family) {
        return false;
    }
    return own.ss_family == AF_INET6 ? memcmp(&((const struct sockaddr_in6 *)&own)->sin6_addr,
                                              &((const struct sockaddr_in6 *)&peer)->sin6_addr, 16) != 0
                                     : ((const struct sockaddr_in *)&own)->sin_addr.s_addr !=
                                           ((const struct sockaddr_in *)&peer)->sin_addr.s_addr;
}

static td_code reach_tls(td_signer_line *line, const td_signer_where *where, td_err *err)
{
    const td_signer_tls_files files = {where->certificate, where->certificate_key, where->ca};
    TD_TRY(td_signer_tls_read(&files, &line->credentials, err));
    TD_TRY(connect_to(where, &line->fd, err));
    TD_TRY(td_signer_tls_connect(line->credentials, line->fd, where->host, TD_SIGNER_ANSWER_MS, &line->tls, err));
    line->far = is_far(line->fd);
    line->stream = (td_signer_stream){td_signer_tls_send, td_signer_tls_receive, line->tls};
    return TD_OK;
}

static td_code reach(td_signer_line *line, const td_signer_where *where, td_err *err)
{
    switch (where->kind) {
    case TD_SIGNER_CHILD: return reach_child(line, where, err);
    case TD_SIGNER_SOCKET: return reach_socket(line, where, err);
    case TD_SIGNER_TLS: break;
    }
    return reach_tls(line, where, err);
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
    TD_TRY(reach(line, where, err));
    *out = line;
    line = NULL;
    return TD_OK;
}

void td_signer_line_close(td_signer_line **slot)
{
    td_signer_line *line = *slot;
    if (line) {
        td_signer_tls_close(&line->tls);
        td_signer_tls_free(&line->credentials);
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
        line->apart = line->far ? TD_APART_HOST : uid == (int64_t)geteuid() ? TD_APART_PROCESS : TD_APART_USER;
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
