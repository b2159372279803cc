/*
 * witness.c: the thread of witnesses: woken by commits, paced by audit.witness_interval and each witness's backoff.
 *
 * What a witness cosigned last is read from the database at the start, so that it is asked from there.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/witness.h"

#include "core/base/fs.h"
#include "core/base/log.h"
#include "server/witness_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- the policy ---- */

typedef struct installing {
    const td_policy *policy;
    const char *text;
} installing;

static td_code install(td_db *db, void *context, td_err *err)
{
    const installing *job = context;
    return td_log_policy_install(db, job->policy, job->text, err);
}

static td_code policy_path(const td_server *server, char out[4096], td_err *err)
{
    const char *file = td_config_text(server->config, "audit.policy_file");
    if (file[0] == '/') {
        snprintf(out, 4096, "%s", file);
        return TD_OK;
    }
    return td_workspace_file(server->path, file, out, err);
}

static td_code check_log(const td_server *server, const td_policy *policy, const char *path, td_err *err)
{
    return td_policy_accepts_log(policy, server->keys.log_public)
               ? TD_OK
               : td_fail(err, TD_INVALID, "audit.policy_file: %s lists other logs, not this one (keys/log.vkey)", path);
}

/* *out NULL: none is configured. */
static td_code read_policy(td_server *server, td_policy **out, td_err *err)
{
    char path[4096];
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_policy_free) td_policy *policy = NULL;
    if (*td_config_text(server->config, "audit.policy_file") != '\0') {
        TD_TRY(policy_path(server, path, err));
        if (td_file_read(path, TD_POLICY_SIZE_MAX, &text, err) != TD_OK) {
            return td_wrap(err, "audit.policy_file");
        }
        TD_TRY(td_policy_parse(td_str_text(&text), text.size, path, &policy, err));
        TD_TRY(check_log(server, policy, path, err));
    }
    installing job = {policy, td_str_text(&text)};
    TD_TRY(td_server_write(server, install, &job, err));
    *out = policy;
    policy = NULL;
    return TD_OK;
}

static td_code make_peer(td_witnesses *witnesses, size_t index, td_err *err)
{
    td_witness_peer *peer = &witnesses->peers[index];
    const char *url = td_policy_witness_url(witnesses->policy, index);
    size_t length = strlen(url);
    *peer = (td_witness_peer){.owner = witnesses, .index = index};
    snprintf(peer->url, sizeof peer->url, "%s%sadd-checkpoint", url, length > 0 && url[length - 1] == '/' ? "" : "/");
    peer->state = length > 0 ? TD_WITNESS_NEW : TD_WITNESS_UNASKED;
    TD_TRY(td_witness_newest(witnesses->db, witnesses->policy, index, &peer->size, &peer->time_s, err));
    peer->old_size = peer->size;
    witnesses->count = index + 1;
    return TD_OK;
}

static td_code open_parts(td_witnesses *witnesses, td_err *err)
{
    TD_TRY(td_log_vkey(witnesses->server->keys.log_public, &witnesses->vkey, err));
    TD_TRY(td_workspace_reader(witnesses->server->workspace, &witnesses->db, err));
    TD_TRY(td_http_batch_new(&witnesses->batch, err));
    for (size_t i = 0; i < td_policy_witnesses(witnesses->policy); i++) {
        TD_TRY(make_peer(witnesses, i, err));
    }
    return TD_OK;
}

td_code td_witnesses_new(td_server *server, td_witnesses **out, td_err *err)
{
    TD_CLEANUP(td_policy_free) td_policy *policy = NULL;
    TD_TRY(read_policy(server, &policy, err));
    *out = NULL;
    if (policy == NULL || td_policy_witnesses(policy) == 0) {
        return TD_OK;
    }
    TD_CLEANUP(td_witnesses_free) td_witnesses *witnesses = calloc(1, sizeof *witnesses);
    if (witnesses == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for the witnesses");
    }
    witnesses->server = server;
    witnesses->policy = policy;
    policy = NULL;
    pthread_mutex_init(&witnesses->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&witnesses->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    TD_TRY(open_parts(witnesses, err));
    *out = witnesses;
    witnesses = NULL;
    return TD_OK;
}

/* ---- the thread ---- */

static struct timespec moment(int64_t monotonic_ms)
{
    return (struct timespec){.tv_sec = monotonic_ms / 1000, .tv_nsec = (long)(monotonic_ms % 1000) * 1000000};
}

/* Rests for the interval, then until there is news or a witness is due. True: stop. */
static bool rest(td_witnesses *witnesses, int64_t next_ms)
{
    td_server *server = witnesses->server;
    struct timespec gap =
        moment(td_server_monotonic_ms(server) + td_config_int(server->config, "audit.witness_interval"));
    struct timespec due = moment(next_ms == INT64_MAX ? 0 : next_ms);
    int waited = 0;
    pthread_mutex_lock(&witnesses->lock);
    while (!witnesses->stopping && pthread_cond_timedwait(&witnesses->changed, &witnesses->lock, &gap) == 0) {
    }
    while (!witnesses->stopping && !witnesses->work && waited == 0) {
        waited = next_ms == INT64_MAX ? pthread_cond_wait(&witnesses->changed, &witnesses->lock)
                                      : pthread_cond_timedwait(&witnesses->changed, &witnesses->lock, &due);
    }
    witnesses->work = false;
    bool stop = witnesses->stopping;
    pthread_mutex_unlock(&witnesses->lock);
    return stop;
}

static void *witnesses_main(void *argument)
{
    td_witnesses *witnesses = argument;
    int64_t next_ms = 0;
    do {
        td_err err = {0};
        if (td_witness__round(witnesses, &next_ms, &err) != TD_OK) {
            td_log_err(TD_LOG_WARN, "audit", "asking the witnesses", &err);
        }
        td_db_shrink(witnesses->db);
    } while (!rest(witnesses, next_ms));
    return NULL;
}

td_code td_witnesses_start(td_witnesses *witnesses, td_err *err)
{
    if (witnesses == NULL) {
        return TD_OK;
    }
    int failed = pthread_create(&witnesses->thread, NULL, witnesses_main, witnesses);
    witnesses->started = failed == 0;
    return failed ? td_fail_errno(err, failed, "starting the thread of witnesses") : TD_OK;
}

void td_witnesses_wake(td_witnesses *witnesses)
{
    if (witnesses != NULL) {
        pthread_mutex_lock(&witnesses->lock);
        witnesses->work = true;
        pthread_cond_signal(&witnesses->changed);
        pthread_mutex_unlock(&witnesses->lock);
    }
}

void td_witnesses_stop(td_witnesses *witnesses)
{
    if (witnesses != NULL && witnesses->started) {
        pthread_mutex_lock(&witnesses->lock);
        witnesses->stopping = true;
        pthread_cond_signal(&witnesses->changed);
        pthread_mutex_unlock(&witnesses->lock);
        td_http_batch_stop(witnesses->batch);
        pthread_join(witnesses->thread, NULL);
        witnesses->started = false;
    }
}

void td_witnesses_free(td_witnesses **slot)
{
    td_witnesses *witnesses = *slot;
    if (witnesses == NULL) {
        return;
    }
    td_witnesses_stop(witnesses);
    td_http_batch_free(&witnesses->batch);
    for (size_t i = 0; i < witnesses->count; i++) {
        td_str_done(&witnesses->peers[i].body);
    }
    td_db_close(witnesses->db);
    td_policy_free(&witnesses->policy);
    td_str_done(&witnesses->vkey);
    td_str_done(&witnesses->note);
    pthread_cond_destroy(&witnesses->changed);
    pthread_mutex_destroy(&witnesses->lock);
    free(witnesses);
    *slot = NULL;
}

/* ---- status ---- */

static json_t *peer_json(const td_witness_peer *peer)
{
    static const char *const states[] = {"waiting", "ok", "failing", "refusing", "contradicts", "unasked"};
    char time[32];
    const char *url = td_policy_witness_url(peer->owner->policy, peer->index);
    json_t *json = json_pack("{s:s, s:s, s:I}", "name", td_policy_witness_name(peer->owner->policy, peer->index),
                             "state", states[peer->state], "size", (json_int_t)peer->size);
    if (json != NULL && *url != '\0') {
        (void)json_object_set_new(json, "url", json_string(url));
    }
    if (json != NULL && peer->time_s > 0 && peer->time_s < INT64_MAX / 1000) {
        td_format_time(peer->time_s * 1000, time);
        (void)json_object_set_new(json, "time", json_string(time));
    }
    if (json != NULL && peer->error[0] != '\0') {
        (void)json_object_set_new(json, "error", json_string(peer->error));
    }
    return json;
}

static json_t *peers_json(td_witnesses *witnesses)
{
    json_t *list = json_array();
    if (witnesses != NULL) {
        pthread_mutex_lock(&witnesses->lock);
        for (size_t i = 0; i < witnesses->count; i++) {
            (void)json_array_append_new(list, peer_json(&witnesses->peers[i]));
        }
        pthread_mutex_unlock(&witnesses->lock);
    }
    return list;
}

td_code td_witnesses_json(td_witnesses *witnesses, td_db *db, json_t **out, td_err *err)
{
    td_log_root root = {.size = 0};
    int64_t published = 0, at_ms = 0;
    td_code code = td_log_signed_read(db, &root, NULL, err);
    if (code != TD_OK && code != TD_NOT_FOUND) {
        return code;
    }
    TD_TRY(td_log_published_read(db, &published, &at_ms, err));
    json_t *json = json_pack("{s:s, s:I, s:I, s:o}", "quorum",
                             witnesses != NULL ? td_policy_quorum(witnesses->policy) : "none", "signed_size",
                             (json_int_t)root.size, "published_size", (json_int_t)published, "witnesses",
                             peers_json(witnesses));
    if (json == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for the witnesses");
    }
    if (published > 0) {
        char time[32];
        td_format_time(at_ms, time);
        (void)json_object_set_new(json, "published_at", json_string(time));
    }
    *out = json;
    return TD_OK;
}

/* "2 of 3 ok (quorum both); customer contradicts: it has seen another tree of 17 records" */
static void describe(td_witnesses *witnesses, td_str *out)
{
    size_t good = 0;
    pthread_mutex_lock(&witnesses->lock);
    for (size_t i = 0; i < witnesses->count; i++) {
        good += witnesses->peers[i].state == TD_WITNESS_GOOD;
    }
    td_str_addf(out, "%zu of %zu ok (quorum %s)", good, witnesses->count, td_policy_quorum(witnesses->policy));
    for (size_t i = 0; i < witnesses->count; i++) {
        const td_witness_peer *peer = &witnesses->peers[i];
        if (peer->error[0] != '\0') {
            td_str_addf(out, "; %s%s: %s", td_policy_witness_name(witnesses->policy, i),
                        peer->state == TD_WITNESS_CONTRADICTS ? " CONTRADICTS THE LOG" : "", peer->error);
        }
    }
    pthread_mutex_unlock(&witnesses->lock);
}

td_code td_witnesses_add_status(td_witnesses *witnesses, td_db *db, json_t *log, td_err *err)
{
    int64_t published = 0, at_ms = 0;
    TD_TRY(td_log_published_read(db, &published, &at_ms, err));
    (void)json_object_set_new(log, "published_size", json_integer(published));
    if (witnesses != NULL) {
        TD_CLEANUP(td_str_done) td_str words = {0};
        describe(witnesses, &words);
        TD_TRY(td_str_check(&words, err));
        (void)json_object_set_new(log, "witnesses", json_string(td_str_text(&words)));
    }
    return TD_OK;
}
