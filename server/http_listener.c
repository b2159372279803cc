/*
 * http_listener.c: libmicrohttpd's callbacks: collect a request, hand it to a worker, send what came of it.
 *
 * One polling thread a listener; the API's has one a processor (at most POLLERS_MAX), each with its share of the
 * connections (http_accept.c). Targets are decoded by http_path.c alone: the library's own decoding is switched off.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/http.h"

#include "core/base/log.h"
#include "server/http_accept.h"
#include "server/http_tls.h"
#include "server/http_watch.h"
#include "server/internal.h"
#include "server/mlflow.h"
#include "server/traffic.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTION_MEMORY ((size_t)48 * 1024) /* headers, and the window through which bodies stream */
#define DRAIN_MAX ((uint64_t)1024 * 1024)     /* of a refused body, so that the client gets to read the answer */
#define CONNECTIONS_PER_ADDRESS 256
#define ID_SIZE 16
#define IDS 64
#define CONNECTION_IDLE_MS 30000 /* of the database */
#define POLLERS_MAX 4

/* What a polling thread reads the records with. A thread takes any that is free, so that little work opens but one. */
typedef struct lane {
    pthread_mutex_t lock; /* of what follows; a polling thread's, and the watch's when it has rested */
    td_db *db;            /* opened by the first request that needs it */
    int64_t used_ms;
} lane;

struct td_listener {
    td_server *server;
    unsigned kind;
    char host[256];
    int port;
    struct MHD_Daemon *daemons[POLLERS_MAX]; /* one thread each */
    lane lanes[POLLERS_MAX];
    size_t pollers;        /* daemons, and lanes in use */
    td_acceptor *acceptor; /* of several pollers */
    td_watch_list *watch;
    pthread_mutex_t ids_lock;
    uint8_t ids[IDS][ID_SIZE]; /* random numbers for requests, made many at a time */
    size_t ids_left;
    int fd;
    bool tls;
};

enum MHD_Result td_send_answer(td_call *call, struct MHD_Connection *connection); /* http_send.c */

/* ---- a call's beginning and end ---- */

static void name_call(td_listener *listener, td_call *call)
{
    td_err ignored;
    pthread_mutex_lock(&listener->ids_lock);
    if (listener->ids_left == 0) {
        if (td_random(listener->ids, sizeof listener->ids, &ignored) != TD_OK) {
            memset(listener->ids, 1, sizeof listener->ids);
        }
        listener->ids_left = IDS;
    }
    td_hex_encode(listener->ids[--listener->ids_left], ID_SIZE, call->request.id);
    pthread_mutex_unlock(&listener->ids_lock);
}

static void *on_target(void *context, const char *target, struct MHD_Connection *connection)
{
    td_call *call = calloc(1, sizeof *call);
    if (!call) {
        return NULL;
    }
    call->listener = context;
    atomic_fetch_add(&call->listener->server->calls, 1);
    call->connection = connection;
    call->request.server = call->listener->server;
    call->request.answer.fd = -1;
    call->request.started_ms = td_server_monotonic_ms(call->request.server);
    call->started_us = td_traffic_now_us();
    name_call(call->listener, call);
    size_t length = strnlen(target, TD_TARGET_LENGTH_MAX + 1);
    call->target_too_long = length > TD_TARGET_LENGTH_MAX;
    call->request.mlflow = td_mlflow_owns(target);
    call->raw_target = td_arena_text(&call->request.arena, call->target_too_long ? "/" : target);
    return call;
}

static void note_traffic(const td_call *call)
{
    char peer[64];
    td_call_peer(call, peer);
    const td_traffic_seen seen = {.listener = call->listener->kind,
                                  .path = call->raw_target,
                                  .peer = peer,
                                  .duration_us = td_traffic_now_us() - call->started_us,
                                  .waited = call->waited};
    td_traffic_note(call->request.server->traffic, &call->request, &seen);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **call_slot,
                         enum MHD_RequestTerminationCode why)
{
    (void)why;
    td_listener *listener = context;
    td_call *call = *call_slot;
    *call_slot = NULL;
    td_watch_headers_wanted(listener->watch, connection);
    if (!call) {
        return;
    }
    note_traffic(call);
    atomic_fetch_sub(&listener->server->calls, 1);
    td_content_put_free(&call->put);
    td_partial_free(&call->partial);
    if (call->request.stream.open) {
        atomic_fetch_sub(&listener->server->streams, 1);
    }
    td_str_done(&call->request.stream.text);
    td_str_done(&call->body);
    td_answer_done(&call->request.answer);
    td_json_done(&call->request.body);
    td_arena_done(&call->request.arena);
    free(call);
}

static uint64_t body_length(const td_call *call, bool *known_out)
{
    const char *length = td_call_header(call, "Content-Length");
    int64_t size = 0;
    td_err ignored;
    *known_out = length && td_parse_int(length, "Content-Length", 0, INT64_MAX, &size, &ignored) == TD_OK;
    return (uint64_t)size;
}

/* May the connection live on after a refusal, its body read and thrown away? */
static bool can_drain(const td_call *call)
{
    bool known;
    uint64_t size = body_length(call, &known);
    return td_call_header(call, "Transfer-Encoding") == NULL && (!known || size <= DRAIN_MAX);
}

/* A piece of a resumable upload, from the offset that its header names. */
static void begin_piece(td_call *call)
{
    td_request *request = &call->request;
    td_err err = {0};
    const char *text = td_call_header(call, "Upload-Offset");
    int64_t offset;
    uint64_t there = UINT64_MAX;
    td_code code = text ? td_parse_int(text, "Upload-Offset", 0, INT64_MAX, &offset, &err)
                        : td_fail(&err, TD_INVALID, "Upload-Offset is missing: a HEAD tells where the upload stands");
    if (code == TD_OK) {
        code = td_partial_begin(request->server->partials, request->principal.name, request->parameters[0],
                                (uint64_t)offset, &there, &call->partial, &err);
    }
    if (code != TD_OK) {
        td_answer_problem(request, &err);
        call->refused = true;
    }
    if (there != UINT64_MAX) {
        td_answer_header(request, "Upload-Offset", td_request_text(request, "%llu", (unsigned long long)there));
    }
}

static lane *take_lane(td_listener *listener)
{
    for (size_t i = 0; i < listener->pollers; i++) {
        if (pthread_mutex_trylock(&listener->lanes[i].lock) == 0) {
            return &listener->lanes[i];
        }
    }
    pthread_mutex_lock(&listener->lanes[0].lock); /* the watch looks at the last free one just now */
    return &listener->lanes[0];
}

/* Runs `work` with a connection to the records; false, answered already: there is none. */
static bool with_records(td_call *call, bool (*work)(td_call *call, td_db *db))
{
    td_err err = {0};
    lane *own = take_lane(call->listener);
    own->used_ms = call->request.started_ms;
    bool done = false;
    if (own->db || td_workspace_reader(call->request.server->workspace, &own->db, &err) == TD_OK) {
        done = work(call, own->db);
    } else {
        td_answer_problem(&call->request, &err);
        call->refused = true;
    }
    pthread_mutex_unlock(&own->lock);
    return done;
}

static void begin_upload(td_call *call)
{
    td_listener *listener = call->listener;
    td_err err = {0};
    if (!with_records(call, td_call_authorize)) {
        return;
    }
    if (strcmp(call->request.route->method, "PATCH") == 0) {
        begin_piece(call);
        return;
    }
    uint64_t most = (uint64_t)td_config_int(listener->server->config, "http.upload_bytes_max");
    if (td_content_put_begin(listener->server->content, most, &call->put, &err) != TD_OK) {
        td_answer_problem(&call->request, &err);
        call->refused = true;
    }
}

static enum MHD_Result begin(td_call *call, struct MHD_Connection *connection, const char *method)
{
    atomic_fetch_add(&call->request.server->requests, 1);
    call->state = TD_CALL_READING;
    call->body.limit = (size_t)td_config_int(call->request.server->config, "http.body_bytes_max") + 1;
    if (td_call_begin(call, method) && call->request.route->body == TD_BODY_STREAM) {
        begin_upload(call);
    }
    td_watch_body_wanted(call->listener->watch, connection);
    if (call->refused && !can_drain(call)) {
        call->state = TD_CALL_ANSWERED;
        return td_send_answer(call, connection);
    }
    return MHD_YES;
}

/* ---- body ---- */

static void take_bytes(td_call *call, const char *data, size_t size)
{
    td_watch_bytes(call->listener->watch, call->connection, size);
    if (call->refused) {
        return;
    }
    td_err err = {0};
    td_code code = TD_OK;
    if (call->put) {
        code = td_content_put_write(call->put, data, size, &err);
    } else if (call->partial) {
        code = td_partial_write(call->partial, data, size, &err);
    } else if (call->request.route->body == TD_BODY_JSON) {
        td_str_append(&call->body, data, size);
        code = td_str_check(&call->body, &err);
        if (code == TD_LIMIT) {
            code = td_fail(&err, TD_LIMIT, "the body is larger than http.body_bytes_max (%lld bytes)",
                           (long long)td_config_int(call->request.server->config, "http.body_bytes_max"));
        }
    }
    if (code != TD_OK) {
        td_content_put_free(&call->put);
        td_partial_free(&call->partial);
        td_answer_problem(&call->request, &err);
        call->refused = true;
    }
}

/* A refused body without a length may not go on for ever. */
static enum MHD_Result drain_limit(td_call *call, size_t size)
{
    call->request.upload_size += size; /* not used otherwise by a refused call */
    return !call->refused || call->request.upload_size <= 64 * DRAIN_MAX ? MHD_YES : MHD_NO;
}

static bool answer_here(td_call *call, td_db *db)
{
    td_call_work(call, db);
    return true;
}

static enum MHD_Result hand_over(td_call *call, struct MHD_Connection *connection)
{
    if (call->refused) {
        call->state = TD_CALL_ANSWERED;
        return td_send_answer(call, connection);
    }
    if (call->request.route->body == TD_BODY_POINT) {
        (void)with_records(call, answer_here);
        call->state = TD_CALL_ANSWERED;
        return td_send_answer(call, connection);
    }
    td_watch_working(call->listener->watch, connection);
    call->state = TD_CALL_WORKING;
    MHD_suspend_connection(connection);
    if (!td_pool_push(call->request.server->pool, call)) {
        td_answer_problem_status(&call->request, 503, "busy", "too many requests are waiting; try again");
        td_answer_header(&call->request, "Retry-After", "1");
        call->state = TD_CALL_ANSWERED;
        MHD_resume_connection(connection);
    }
    return MHD_YES;
}

static enum MHD_Result on_access(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                 const char *version, const char *data, size_t *size, void **call_slot)
{
    (void)context;
    (void)url;
    (void)version;
    td_call *call = *call_slot;
    if (!call) {
        return MHD_NO;
    }
    switch (call->state) {
    case TD_CALL_NEW:
        return begin(call, connection, method);
    case TD_CALL_READING:
        if (*size) {
            size_t taken = *size;
            take_bytes(call, data, taken);
            *size = 0;
            return drain_limit(call, taken);
        }
        return hand_over(call, connection);
    case TD_CALL_ANSWERED:
        if (*size) {
            *size = 0;
            return MHD_YES;
        }
        return td_send_answer(call, connection);
    default:
        return MHD_YES; /* TD_CALL_WORKING: suspended; not asked */
    }
}

void td_call_resume(td_call *call)
{
    MHD_resume_connection(call->connection);
}

/* ---- what a listener is ---- */

int td_listener_port(const td_listener *listener)
{
    return listener->port;
}

unsigned td_listener_kind(const td_listener *listener)
{
    return listener->kind;
}

bool td_listener_tls(const td_listener *listener)
{
    return listener->tls;
}

const char *td_listener_host(const td_listener *listener)
{
    return listener->host;
}

/* ---- start and stop ---- */

static size_t keep_raw(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **slot,
                          enum MHD_ConnectionNotificationCode what)
{
    td_listener *listener = context;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *slot = td_watch_add(listener->watch, info ? info->connect_fd : -1);
    } else {
        td_watch_remove(listener->watch, *slot);
        *slot = NULL;
        td_acceptor_ended(listener->acceptor);
    }
}

__attribute__((format(printf, 2, 0))) static void log_library(void *context, const char *format, va_list arguments)
{
    (void)context;
    char text[256];
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = 0;
    td_log_debug("http", "%s", text);
}

#define FEW_OPTIONS 5

/* The options that not every daemon has. */
static void name_options(const td_listener *listener, const td_listener_options *options,
                         struct MHD_OptionItem out[FEW_OPTIONS])
{
    size_t used = 0;
    if (!listener->acceptor) {
        out[used++] = (struct MHD_OptionItem){MHD_OPTION_LISTEN_SOCKET, listener->fd, NULL};
    }
    if (listener->tls) {
        out[used++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TD_TLS_PRIORITIES};
    }
    if (options->tls) {
        out[used++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK, 0, td_tls_callback()};
    } else if (listener->tls) {
        out[used++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)options->certificate_pem};
        out[used++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)options->key_pem};
    }
    out[used] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
}

/* Of a listener with an acceptor one of its daemons: without a socket to listen on, and with its share of an address's
 * connections. */
static td_code start_daemon(td_listener *listener, const td_listener_options *options, struct MHD_Daemon **out,
                            td_err *err)
{
    unsigned flags =
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    flags |= listener->acceptor ? (unsigned)MHD_USE_NO_LISTEN_SOCKET : 0u;
    flags |= listener->tls ? (unsigned)MHD_USE_TLS : 0u;
    struct MHD_OptionItem few[FEW_OPTIONS];
    name_options(listener, options, few);
    const td_config *config = listener->server->config;
    unsigned timeout_s = (unsigned)((td_config_int(config, "http.timeout") + 999) / 1000);
    unsigned per_address = (CONNECTIONS_PER_ADDRESS + (unsigned)listener->pollers - 1) / (unsigned)listener->pollers;
    *out = MHD_start_daemon(
        flags, 0, NULL, NULL, on_access, listener, MHD_OPTION_EXTERNAL_LOGGER, log_library, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, listener, MHD_OPTION_NOTIFY_CONNECTION, on_connection, listener,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, listener, MHD_OPTION_UNESCAPE_CALLBACK, keep_raw, NULL,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)td_config_int(config, "http.connections_max"), MHD_OPTION_CONNECTION_TIMEOUT, timeout_s,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, listener->kind == TD_LISTENER_ADMIN ? 0u : per_address,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, few, MHD_OPTION_END);
    return *out ? TD_OK : td_fail(err, TD_IO, "the %s listener could not be started", listener->tls ? "HTTPS" : "HTTP");
}

static td_code start_daemons(td_listener *listener, const td_listener_options *options, td_err *err)
{
    listener->tls = options->tls || options->certificate_pem != NULL;
    if (listener->pollers > 1) {
        size_t most = (size_t)td_config_int(listener->server->config, "http.connections_max");
        TD_TRY(td_acceptor_new(listener->fd, most, &listener->acceptor, err));
    }
    for (size_t i = 0; i < listener->pollers; i++) {
        TD_TRY(start_daemon(listener, options, &listener->daemons[i], err));
    }
    return listener->acceptor ? td_acceptor_start(listener->acceptor, listener->daemons, listener->pollers, err)
                              : TD_OK;
}

static size_t processors(void)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : online > POLLERS_MAX ? POLLERS_MAX : (size_t)online;
}

td_code td_listener_start(td_server *server, const td_listener_options *options, td_listener **out, td_err *err)
{
    TD_CLEANUP(td_listener_stop) td_listener *listener = calloc(1, sizeof *listener);
    if (!listener) {
        return td_fail(err, TD_NOMEM, "no memory for a listener");
    }
    listener->server = server;
    listener->kind = options->kind;
    listener->fd = -1;
    listener->pollers = options->kind == TD_LISTENER_API ? processors() : 1;
    pthread_mutex_init(&listener->ids_lock, NULL);
    for (size_t i = 0; i < POLLERS_MAX; i++) {
        pthread_mutex_init(&listener->lanes[i].lock, NULL);
    }
    snprintf(listener->host, sizeof listener->host, "%s", options->kind == TD_LISTENER_ADMIN ? "admin" : options->host);
    TD_TRY(td_watch_new(server->clock, td_config_int(server->config, "http.timeout"), &listener->watch, err));
    if (options->kind == TD_LISTENER_ADMIN) {
        TD_TRY(td_socket_listen_path(options->host, 0600, &listener->fd, err));
    } else {
        TD_TRY(td_socket_listen(options->host, options->port, &listener->fd, &listener->port, err));
    }
    TD_TRY(start_daemons(listener, options, err));
    *out = listener;
    listener = NULL;
    return TD_OK;
}

void td_listener_quiesce(td_listener *listener)
{
    if (!listener || listener->fd < 0) {
        return;
    }
    td_acceptor_stop(listener->acceptor);
    if (listener->daemons[0] && !listener->acceptor) {
        (void)MHD_quiesce_daemon(listener->daemons[0]);
    }
    close(listener->fd);
    listener->fd = -1;
}

void td_listener_stop(td_listener **slot)
{
    td_listener *listener = *slot;
    if (!listener) {
        return;
    }
    td_listener_quiesce(listener);
    for (size_t i = 0; i < listener->pollers; i++) {
        if (listener->daemons[i]) {
            MHD_stop_daemon(listener->daemons[i]);
        }
    }
    td_acceptor_free(&listener->acceptor);
    for (size_t i = 0; i < POLLERS_MAX; i++) {
        td_db_close(listener->lanes[i].db);
        pthread_mutex_destroy(&listener->lanes[i].lock);
    }
    pthread_mutex_destroy(&listener->ids_lock);
    td_watch_free(&listener->watch);
    free(listener);
    *slot = NULL;
}

void td_listener_watch(td_listener *listener, int64_t now_ms)
{
    if (!listener) {
        return;
    }
    td_watch_check(listener->watch, now_ms);
    for (size_t i = 0; i < listener->pollers; i++) {
        lane *resting = &listener->lanes[i];
        if (pthread_mutex_trylock(&resting->lock) == 0) { /* at rest it holds no pages of the database */
            if (resting->db && now_ms - resting->used_ms > CONNECTION_IDLE_MS) {
                td_db_close(resting->db);
                resting->db = NULL;
            }
            pthread_mutex_unlock(&resting->lock);
        }
    }
}
