/*
 * serve.c: starting everything in order, waiting for signals, stopping everything in the opposite order.
 *
 * Readiness does not wait for the broker: devices come back by themselves.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/server.h"

#include "core/base/fs.h"
#include "core/base/log.h"
#include "core/base/notify.h"
#include "fleet/fleet.h"
#include "server/broker.h"
#include "server/denials.h"
#include "server/link.h"
#include "server/scheduler.h"
#include "server/sequencer.h"
#include "server/traffic.h"
#include "server/usecase.h"
#include "server/webhooks.h"
#include "server/witness.h"
#include "server/workspace_internal.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WRITER_QUEUE_MAX 4096
#define WRITER_GROUP_MAX 256
#define CALLS_WAITING_MAX 1024
#define ANSWERS_OUT_MS 500
#define ARENAS_MAX 2 /* of malloc: a dozen mostly idle threads need no heap each */

int64_t td_server_monotonic_ms(const td_server *server)
{
    return server->clock->monotonic_ms(server->clock);
}

td_link *td_server_link(td_server *server)
{
    return atomic_load(&server->link_slot);
}

td_code td_server_write(td_server *server, td_write_fn fn, void *context, td_err *err)
{
    return td_writer_call(server->writer, fn, context, err);
}

/* On the writer's thread after each COMMIT. */
static void on_commit(void *context)
{
    td_server *server = context;
    atomic_fetch_add(&server->commits, 1);
    td_sequencer_wake(server->sequencer);
    td_webhooks_wake(server->webhooks);
    td_witnesses_wake(server->witnesses);
    if (server->pool) {
        td_pool_wake(server->pool);
    }
}

/* ---- files under run/ ---- */

static const char *const run_files[] = {"run/http.port",   "run/http.url", "run/http.ca",    "run/device.port",
                                        "run/mqtt.port",   "run/pid",      "run/admin.sock", NULL};

static void remove_run_files(const td_server *server)
{
    for (size_t i = 0; run_files[i]; i++) {
        char path[4096];
        td_err ignored;
        if (td_workspace_file(server->path, run_files[i], path, &ignored) == TD_OK) {
            (void)unlink(path);
        }
    }
}

/* Not durable on purpose: they say what runs now. */
static td_code write_run_text(const td_server *server, const char *name, const char *text, td_err *err)
{
    char path[4096], temporary[4096 + 8];
    TD_TRY(td_workspace_file(server->path, name, path, err));
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    FILE *file = fopen(temporary, "we");
    if (!file) {
        return td_fail_errno(err, errno, "%s", temporary);
    }
    int written = fprintf(file, "%s\n", text);
    if (fclose(file) != 0 || written < 0 || rename(temporary, path) != 0) {
        return td_fail_errno(err, errno, "%s", path);
    }
    return TD_OK;
}

static td_code write_run_file(const td_server *server, const char *name, long number, td_err *err)
{
    char text[24];
    snprintf(text, sizeof text, "%ld", number);
    return write_run_text(server, name, text, err);
}

/* ---- start ---- */

static td_log_level log_level(const td_config *config)
{
    const char *level = td_config_text(config, "log.level");
    return strcmp(level, "debug") == 0   ? TD_LOG_DEBUG
           : strcmp(level, "warn") == 0  ? TD_LOG_WARN
           : strcmp(level, "error") == 0 ? TD_LOG_ERROR
                                         : TD_LOG_INFO;
}

static td_code open_records(td_server *server, const char *path, td_err *err)
{
    char folder[4096];
    TD_TRY(td_workspace_open(path, server->clock, &server->workspace, err));
    snprintf(server->path, sizeof server->path, "%s", td_workspace_path(server->workspace));
    TD_TRY(td_server_keys_load(server->path, server->profile, &server->keys, err));
    TD_TRY(td_auto_approve_check(server, err));
    TD_TRY(td_workspace_file(server->path, "content", folder, err));
    TD_TRY(td_content_open(folder, &server->content, err));
    td_partial_limits limits = {
        .object_bytes_max = (uint64_t)td_config_int(server->config, "http.upload_bytes_max"),
        .bytes_max = (uint64_t)td_config_int(server->config, "http.uploads_unfinished_bytes_max"),
        .keep_ms = td_config_int(server->config, "http.upload_keep")};
    TD_TRY(td_partials_open(server->content, server->clock, &limits, &server->partials, err));
    TD_TRY(td_denials_new(&server->denials, err));
    TD_TRY(td_rate_new(td_config_int(server->config, "http.rate_per_address"), &server->address_rate, err));
    TD_TRY(td_rate_new(td_config_int(server->config, "http.rate_per_token"), &server->token_rate, err));
    TD_TRY(td_writer_start(td_workspace_take_db(server->workspace), WRITER_QUEUE_MAX, WRITER_GROUP_MAX, &server->writer,
                           err));
    return TD_OK;
}

static td_code prepare_broker(td_server *server, td_err *err)
{
    if (*td_config_text(server->config, "mqtt.url")) {
        return TD_OK;
    }
    td_db *db = NULL;
    TD_TRY(td_workspace_reader(server->workspace, &db, err));
    TD_CLEANUP(td_json_done) json_t *revoked = NULL;
    td_code code = td_device_revoked_json(db, &revoked, err);
    td_db_close(db);
    TD_TRY(code);
    TD_TRY(td_broker_new(server, revoked, &server->broker, err));
    return write_run_file(server, "run/mqtt.port", td_broker_port(server->broker), err);
}

static const char *scheme(const td_server *server)
{
    return server->tls ? "https" : "http";
}

/* How this machine's own client reaches it: a given certificate is for a name, the others are for loopback as well. */
static td_code write_url(const td_server *server, td_err *err)
{
    const char *host = td_config_text(server->config, "http.host");
    const char *names = td_config_text(server->config, "http.hosts");
    bool files = server->tls && strcmp(td_config_text(server->config, "http.tls"), "files") == 0;
    int length = (int)strcspn(names, ",");
    char url[512];
    if (files && length > 0) {
        snprintf(url, sizeof url, "https://%.*s:%d", length, names, td_listener_port(server->api));
    } else {
        bool any = strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
        host = any ? "127.0.0.1" : host;
        bool six = strchr(host, ':') != NULL;
        snprintf(url, sizeof url, "%s://%s%s%s:%d", scheme(server), six ? "[" : "", host, six ? "]" : "",
                 td_listener_port(server->api));
    }
    return write_run_text(server, "run/http.url", url, err);
}

static td_code start_api(td_server *server, td_err *err)
{
    TD_TRY(td_tls_new(server, &server->tls, err));
    const char *host = td_config_text(server->config, "http.host");
    if (!server->tls && !td_host_is_loopback(host)) {
        td_log_warn("server", "the API speaks plain HTTP on %s (http.tls: off): let only a TLS proxy reach it", host);
    }
    td_listener_options options = {.kind = TD_LISTENER_API,
                                   .host = host,
                                   .port = (int)td_config_int(server->config, "http.port"),
                                   .tls = server->tls != NULL};
    TD_TRY(td_listener_start(server, &options, &server->api, err));
    atomic_store(&server->api_port, td_listener_port(server->api));
    TD_TRY(write_url(server, err));
    if (server->tls && strcmp(td_config_text(server->config, "http.tls"), "files") != 0) {
        TD_TRY(write_run_text(server, "run/http.ca", td_str_text(&server->keys.ca_pem), err));
    }
    return write_run_file(server, "run/http.port", td_listener_port(server->api), err);
}

/* The API first: it waits for nobody. */
static td_code start_listeners(td_server *server, td_err *err)
{
    TD_TRY(start_api(server, err));
    td_listener_options options = (td_listener_options){.kind = TD_LISTENER_DEVICE,
                                    .host = td_config_text(server->config, "device.host"),
                                    .port = (int)td_config_int(server->config, "device.port"),
                                    .certificate_pem = td_str_text(&server->keys.server_pem),
                                    .key_pem = td_str_text(&server->keys.server_key_pem)};
    TD_TRY(td_listener_start(server, &options, &server->device, err));
    atomic_store(&server->device_port, td_listener_port(server->device));
    TD_TRY(write_run_file(server, "run/device.port", td_listener_port(server->device), err));
    char admin[4096];
    TD_TRY(td_workspace_file(server->path, "run/admin.sock", admin, err));
    options = (td_listener_options){.kind = TD_LISTENER_ADMIN, .host = admin};
    return td_listener_start(server, &options, &server->admin, err);
}

static td_code write_life_record(td_db *db, void *context, td_err *err)
{
    td_audit_entry entry = {
        .actor = &td_actor_system, .action = context, .object_type = "server", .object_id = TD_VERSION};
    return td_audit_append(db, &entry, NULL, err);
}

/* A start without a stop before it was a crash: the log shows it. */
static void record_life(td_server *server, const char *action)
{
    td_err err = {0};
    if (td_server_write(server, write_life_record, (void *)(uintptr_t)action, &err) != TD_OK) {
        td_log_err(TD_LOG_ERROR, "server", action, &err);
    }
}

static td_code start_traffic(td_server *server, td_err *err)
{
    const char *log = td_config_text(server->config, "log.access");
    td_access_log which = strcmp(log, "all") == 0      ? TD_ACCESS_LOG_ALL
                          : strcmp(log, "errors") == 0 ? TD_ACCESS_LOG_ERRORS
                                                       : TD_ACCESS_LOG_OFF;
    return td_traffic_new(&td_server_router, which, td_config_int(server->config, "log.access_per_second"),
                          &server->traffic, err);
}

/* Reads are answered; nobody writes, and devices keep what they have to say. */
static void forbid_writes(td_server *server)
{
    td_err why = {0};
    (void)td_fail(&why, TD_DENIED, "%s", server->read_only); /* handlers read CONFLICT as "it exists already" */
    td_writer_forbid(server->writer, &why);
    td_log_error("server", "%s", server->read_only);
}

static td_code start_writes(td_server *server, td_err *err)
{
    TD_TRY(td_webhooks_start(server, &server->webhooks, err));
    TD_TRY(td_witnesses_new(server, &server->witnesses, err));
    td_writer_on_commit(server->writer, on_commit, server); /* nobody writes yet */
    TD_TRY(td_sequencer_start(server->sequencer, err));
    TD_TRY(td_witnesses_start(server->witnesses, err));
    return prepare_broker(server, err);
}

static td_code start_fleet(td_server *server, td_err *err)
{
    if (server->broker) {
        TD_TRY(td_broker_start(server->broker, err));
    }
    td_link *link = NULL;
    TD_TRY(td_link_start(server, server->broker ? td_broker_port(server->broker) : 0, &link, err));
    atomic_store(&server->link_slot, link);
    return td_scheduler_start(server->scheduler, err);
}

static td_code start(td_server *server, const td_server_options *options, td_err *err)
{
    TD_TRY(td_router_check(&td_server_router, err));
    TD_TRY(start_traffic(server, err));
    TD_TRY(td_crypto_setup(err));
    TD_TRY(open_records(server, options->workspace, err));
    remove_run_files(server);
    TD_TRY(write_run_file(server, "run/pid", (long)getpid(), err));
    TD_TRY(td_sequencer_new(server, &server->sequencer, err));
    TD_TRY(td_scheduler_new(server, &server->scheduler, err));
    TD_TRY(td_pool_start(server, (size_t)td_config_int(server->config, "http.workers"), CALLS_WAITING_MAX,
                         &server->pool, err));
    bool writes = server->read_only[0] == 0;
    if (writes) {
        TD_TRY(start_writes(server, err));
    } else {
        forbid_writes(server);
    }
    TD_TRY(start_listeners(server, err));
    if (writes) {
        record_life(server, "start.server");
        server->recorded = true;
    }
    if (!options->quiet) {
        printf("ready %s://%s:%d\n", scheme(server), td_listener_host(server->api), td_listener_port(server->api));
        (void)fflush(stdout);
    }
    td_notify(writes ? "READY=1\nSTATUS=running" : "READY=1\nSTATUS=read-only");
    return writes ? start_fleet(server, err) : TD_OK;
}

/* ---- stop ---- */

/* Answers that are ready get a moment to go out. */
static void let_answers_out(const td_server *server)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    for (int i = 0; i < ANSWERS_OUT_MS / 2 && atomic_load(&server->calls) > 0; i++) {
        (void)nanosleep(&pause, NULL);
    }
}

static void stop(td_server *server)
{
    td_notify("STOPPING=1");
    atomic_store(&server->stopping, true);
    td_listener_quiesce(server->api);
    td_listener_quiesce(server->device);
    td_listener_quiesce(server->admin);
    td_scheduler_stop(server->scheduler);
    td_pool_stop(server->pool);
    let_answers_out(server);
    td_listener_stop(&server->api);
    td_tls_free(&server->tls);
    td_listener_stop(&server->device);
    td_listener_stop(&server->admin);
    td_link *link = atomic_exchange(&server->link_slot, NULL);
    td_link_stop(&link);
    td_scheduler_free(&server->scheduler); /* workers and the link kick it: after them */
    td_broker_stop(&server->broker);
    if (server->denials && server->writer && !server->read_only[0]) {
        td_denials_flush(server->denials, server, td_now_ms(server->clock), true);
    }
    if (server->recorded) {
        record_life(server, "stop.server");
    }
    td_sequencer_stop(server->sequencer);
    td_witnesses_stop(server->witnesses);
    td_webhooks_stop(server->webhooks);
    td_writer_stop(server->writer);
    td_sequencer_free(&server->sequencer); /* the writer's hook wakes them: after the writer */
    td_webhooks_free(&server->webhooks);
    td_witnesses_free(&server->witnesses);
    td_pool_free(&server->pool);
    if (server->path[0]) {
        remove_run_files(server);
    }
    td_partials_close(&server->partials);
    td_content_close(server->content);
    td_denials_free(&server->denials);
    td_rate_free(&server->address_rate);
    td_rate_free(&server->token_rate);
    td_traffic_free(&server->traffic);
    td_str_done(&server->totals);
    pthread_mutex_destroy(&server->totals_lock);
    td_server_keys_done(&server->keys);
    td_workspace_close(&server->workspace);
}

/* ---- run ---- */

static void reload(td_server *server, const td_server_options *options)
{
    td_err err = {0};
    char file[4096];
    TD_CLEANUP(td_config_free) td_config *fresh = NULL;
    td_code code = td_workspace_file(server->path, TD_FILE_CONFIG, file, &err);
    code = code == TD_OK ? td_config_read(file, options->overrides, &fresh, &err) : code;
    if (code != TD_OK) {
        td_log_err(TD_LOG_ERROR, "server", "the configuration was not read again", &err);
        return;
    }
    bool json = td_config_int(server->config, "log.json") != 0;
    td_log_setup(log_level(fresh), json);
    if (td_tls_reload(server->tls, &err) != TD_OK) {
        td_log_err(TD_LOG_ERROR, "server", "the certificate was not read again; the old one stays in use", &err);
    }
    TD_CLEANUP(td_str_done) td_str changed = {0};
    td_config_changed(server->config, fresh, &changed);
    td_log_info("server", "the configuration was read again%s%s", changed.size ? "; these need a restart: " : "",
                td_str_text(&changed));
}

static void wait_signals(td_server *server, const td_server_options *options, const sigset_t *signals)
{
    for (;;) {
        int number = 0;
        if (sigwait(signals, &number) != 0 || number != SIGHUP) {
            td_log_info("server", "stopping");
            return;
        }
        reload(server, options);
    }
}

static td_code read_config(td_server *server, const td_server_options *options, td_err *err)
{
    char file[4096];
    TD_TRY(td_workspace_file(options->workspace, TD_FILE_CONFIG, file, err));
    TD_TRY(td_config_read(file, options->overrides, &server->config, err));
    snprintf(server->profile, sizeof server->profile, "%s", td_config_text(server->config, "profile"));
    td_log_setup(log_level(server->config), td_config_int(server->config, "log.json") != 0);
    return TD_OK;
}

td_code td_server_run(const td_server_options *options, td_err *err)
{
    (void)mallopt(M_ARENA_MAX, ARENAS_MAX); /* before any thread */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before any thread: they all inherit it */
    (void)signal(SIGPIPE, SIG_IGN);
    td_server *server = calloc(1, sizeof *server);
    if (!server) {
        return td_fail(err, TD_NOMEM, "no memory for the server");
    }
    server->clock = &td_clock_system;
    pthread_mutex_init(&server->totals_lock, NULL);
    server->started_ms = td_now_ms(server->clock);
    td_code code = read_config(server, options, err);
    code = code == TD_OK ? start(server, options, err) : code;
    if (code == TD_OK) {
        td_log_info("server", "serving %s on %s://%s:%d (%s)", server->path, scheme(server),
                    td_listener_host(server->api), td_listener_port(server->api), td_profile_worth(server->profile));
        wait_signals(server, options, &signals);
    }
    stop(server);
    if (code == TD_OK && server->failed.code != TD_OK) {
        *err = server->failed;
        code = err->code;
    }
    td_config_free(&server->config);
    free(server);
    return code;
}
