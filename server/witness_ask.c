/*
 * witness_ask.c: one round of questions, and what each answer means (C2SP tlog-witness).
 *
 *   200  cosignature lines; ours among them is verified before it counts
 *   409  what it has seen last; asked again from there. More than we have, or the same size and still no: it has seen
 *        another tree
 *   422  our proof does not lead from its tree to ours: another tree
 *   403, 404  it does not know the log's key, or the log: people must tell it
 *   else nothing; later
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/witness_internal.h"

#include "core/base/log.h"

#include <stdio.h>
#include <string.h>

#define ROUND_TRIES 2

static const char *name_of(const td_witness_peer *peer)
{
    return td_policy_witness_name(peer->owner->policy, peer->index);
}

static int64_t interval_ms(const td_witnesses *witnesses)
{
    return td_config_int(witnesses->server->config, "audit.witness_interval");
}

static void set_state(td_witness_peer *peer, td_witness_state state, const char *error)
{
    td_witnesses *witnesses = peer->owner;
    pthread_mutex_lock(&witnesses->lock);
    peer->state = state;
    snprintf(peer->error, sizeof peer->error, "%s", error);
    pthread_mutex_unlock(&witnesses->lock);
}

/* Twice as long each time; the states that people must mend at the longest at once. */
static void put_off(td_witness_peer *peer, td_witness_state state)
{
    int64_t wait = interval_ms(peer->owner);
    for (int i = 0; i < peer->failures && wait < TD_WITNESS_BACKOFF_MAX_MS; i++) {
        wait *= 2;
    }
    wait = wait > TD_WITNESS_BACKOFF_MAX_MS || state == TD_WITNESS_CONTRADICTS ? TD_WITNESS_BACKOFF_MAX_MS : wait;
    peer->failures++;
    peer->next_ms = td_server_monotonic_ms(peer->owner->server) + wait;
}

static void fail_peer(td_witness_peer *peer, td_witness_state state, const char *error)
{
    bool news = peer->state != state;
    set_state(peer, state, error);
    put_off(peer, state);
    if (news) {
        td_log_warn("audit", "witness %s: %s", name_of(peer), error);
    }
}

typedef struct contradiction {
    const char *name, *what;
} contradiction;

static td_code record_contradiction(td_db *db, void *context, td_err *err)
{
    const contradiction *job = context;
    return td_log_contradiction(db, "witness", job->name, job->what, err);
}

/* On record once, until it says something else. */
static void contradict(td_witness_peer *peer, const char *what)
{
    contradiction job = {name_of(peer), what};
    td_err err = {0};
    bool news = peer->state != TD_WITNESS_CONTRADICTS || strcmp(peer->error, what) != 0;
    fail_peer(peer, TD_WITNESS_CONTRADICTS, what);
    if (!news) {
        return;
    }
    td_log_error("audit", "witness %s contradicts the log: %s; see docs/audit.md, \"When a witness contradicts\"",
                 job.name, what);
    if (td_server_write(peer->owner->server, record_contradiction, &job, &err) != TD_OK) {
        td_log_err(TD_LOG_ERROR, "audit", "the contradiction is not on record", &err);
    }
}

typedef struct storing {
    td_cosignature cosignature;
    bool published;
} storing;

static td_code store(td_db *db, void *context, td_err *err)
{
    storing *job = context;
    return td_witness_store(db, &job->cosignature, &job->published, err);
}

static td_code take_cosignature(td_witness_peer *peer, const td_http_job *answer, td_err *err)
{
    td_witnesses *witnesses = peer->owner;
    storing job = {.cosignature = {.policy = witnesses->policy,
                                   .vkey = td_str_text(&witnesses->vkey),
                                   .witness = peer->index,
                                   .size = witnesses->root.size}};
    TD_TRY(td_witness_take(&job.cosignature, td_str_text(&witnesses->note), td_str_text(&answer->answer),
                           answer->answer.size, err));
    TD_TRY(td_server_write(witnesses->server, store, &job, err));
    pthread_mutex_lock(&witnesses->lock);
    peer->size = witnesses->root.size;
    peer->time_s = job.cosignature.time_s;
    pthread_mutex_unlock(&witnesses->lock);
    peer->old_size = witnesses->root.size;
    peer->failures = 0;
    set_state(peer, TD_WITNESS_GOOD, "");
    return TD_OK;
}

static void on_cosignature(td_witness_peer *peer, const td_http_job *answer)
{
    td_err err = {0};
    if (take_cosignature(peer, answer, &err) != TD_OK) {
        fail_peer(peer, TD_WITNESS_FAILING, err.text);
    }
}

static void on_other_size(td_witness_peer *peer, const td_http_job *answer)
{
    char what[160];
    int64_t size = 0;
    const td_log_root *root = &peer->owner->root;
    if (strncmp(answer->type, "text/x.tlog.size", 16) != 0 ||
        td_witness_size(td_str_text(&answer->answer), answer->answer.size, &size, NULL) != TD_OK) {
        fail_peer(peer, TD_WITNESS_FAILING, "it answers 409 without the size that it has (text/x.tlog.size)");
    } else if (size > root->size) {
        snprintf(what, sizeof what, "it has cosigned a tree of %lld records, and this log has %lld", (long long)size,
                 (long long)root->size);
        contradict(peer, what);
    } else if (size == root->size && peer->old_size == size) {
        snprintf(what, sizeof what, "it has seen another tree of %lld records", (long long)size);
        contradict(peer, what);
    } else if (size == peer->old_size) {
        fail_peer(peer, TD_WITNESS_FAILING, "it answers 409 with the very size that it was asked from");
    } else {
        peer->old_size = size;
        peer->again = true;
    }
}

static void on_status(td_witness_peer *peer, const td_http_job *answer)
{
    char what[160];
    switch (answer->status) {
    case 200:
        on_cosignature(peer, answer);
        return;
    case 409:
        on_other_size(peer, answer);
        return;
    case 422:
        snprintf(what, sizeof what, "its tree of %lld records does not lead to this log's %lld",
                 (long long)peer->old_size, (long long)peer->owner->root.size);
        contradict(peer, what);
        return;
    case 403:
        fail_peer(peer, TD_WITNESS_REFUSING, "it does not trust this log's key (403): give it keys/log.vkey");
        return;
    case 404:
        fail_peer(peer, TD_WITNESS_REFUSING, "it does not know this log (404): give it keys/log.vkey, or mend its url");
        return;
    default:
        snprintf(what, sizeof what, "it answers %ld", answer->status);
        fail_peer(peer, TD_WITNESS_FAILING, what);
    }
}

static void on_answer(void *context, td_http_job *job)
{
    td_witness_peer *peer = job->context;
    (void)context;
    peer->again = false;
    if (job->code != TD_OK) {
        fail_peer(peer, TD_WITNESS_FAILING, job->error);
    } else {
        peer->next_ms = td_server_monotonic_ms(peer->owner->server) + interval_ms(peer->owner);
        on_status(peer, job);
    }
    td_str_done(&job->answer);
}

/* Ready to be asked; a contradiction is found by asking, one that we can see here already needs no question. */
static bool prepare(td_witness_peer *peer, td_http_job *job, td_err *err)
{
    td_witnesses *witnesses = peer->owner;
    td_str_clear(&peer->body);
    if (td_witness_request(witnesses->db, peer->old_size, witnesses->root.size, td_str_text(&witnesses->note),
                           &peer->body, err) != TD_OK) {
        contradict(peer, err->text);
        return false;
    }
    *job = (td_http_job){.url = peer->url,
                         .content_type = "text/plain; charset=utf-8",
                         .body = peer->body.data,
                         .body_size = peer->body.size,
                         .answer_max = TD_WITNESS_BODY_MAX,
                         .context = peer};
    return true;
}

static td_code ask(td_witnesses *witnesses, bool again, td_err *err)
{
    td_http_job jobs[TD_POLICY_WITNESSES_MAX];
    size_t count = 0;
    int64_t now = td_server_monotonic_ms(witnesses->server);
    for (size_t i = 0; i < witnesses->count; i++) {
        td_witness_peer *peer = &witnesses->peers[i];
        bool due = again ? peer->again : now >= peer->next_ms && peer->size < witnesses->root.size;
        if (due && peer->state != TD_WITNESS_UNASKED && prepare(peer, &jobs[count], err)) {
            count++;
        }
    }
    return count == 0 ? TD_OK
                      : td_http_batch_run(witnesses->batch, jobs, count,
                                          (int)td_config_int(witnesses->server->config, "audit.witness_timeout"),
                                          on_answer, witnesses, err);
}

/* Those that told another size in every try are put off like others that fail. */
static int64_t next_due(td_witnesses *witnesses)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < witnesses->count; i++) {
        td_witness_peer *peer = &witnesses->peers[i];
        if (peer->again) {
            peer->again = false;
            fail_peer(peer, TD_WITNESS_FAILING, "it answers 409 each time, with another size");
        }
        if (peer->state != TD_WITNESS_UNASKED && peer->size < witnesses->root.size && peer->next_ms < next) {
            next = peer->next_ms;
        }
    }
    return next;
}

td_code td_witness__round(td_witnesses *witnesses, int64_t *next_ms_out, td_err *err)
{
    *next_ms_out = INT64_MAX;
    td_str_clear(&witnesses->note);
    td_code code = td_log_signed_read(witnesses->db, &witnesses->root, &witnesses->note, err);
    if (code != TD_OK) {
        return code == TD_NOT_FOUND ? TD_OK : code;
    }
    for (int i = 0; i < ROUND_TRIES; i++) {
        TD_TRY(ask(witnesses, i > 0, err));
    }
    *next_ms_out = next_due(witnesses);
    return TD_OK;
}
