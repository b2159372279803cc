/*
 * denials.c: a small table of who was refused what; the first attempt is recorded at once, its repeats together.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/denials.h"

#include "core/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct denial {
    char source[64];
    char what[96];
    char name[TD_USER_NAME_MAX + 1]; /* "" when nobody was authenticated */
    char role[24];
    td_actor_kind kind;
    int64_t user_id;
    int64_t count;       /* since the last record */
    int64_t recorded_ms; /* 0: never */
} denial;

struct td_denials {
    pthread_mutex_t lock;
    denial rows[TD_DENIALS_MAX];
    size_t count;
};

td_code td_denials_new(td_denials **out, td_err *err)
{
    td_denials *denials = calloc(1, sizeof *denials);
    if (!denials) {
        return td_fail(err, TD_NOMEM, "no memory for the table of refusals");
    }
    pthread_mutex_init(&denials->lock, NULL);
    *out = denials;
    return TD_OK;
}

void td_denials_free(td_denials **denials)
{
    if (*denials) {
        pthread_mutex_destroy(&(*denials)->lock);
        free(*denials);
        *denials = NULL;
    }
}

static denial *find_row(td_denials *denials, const char *name, const char *source, const char *what)
{
    for (size_t i = 0; i < denials->count; i++) {
        denial *row = &denials->rows[i];
        if (strcmp(row->name, name) == 0 && strcmp(row->source, source) == 0 && strcmp(row->what, what) == 0) {
            return row;
        }
    }
    return NULL;
}

void td_denials_note(td_denials *denials, const td_actor *actor, const char *source, const char *what)
{
    char source_cut[64], what_cut[96];
    snprintf(source_cut, sizeof source_cut, "%s", source);
    snprintf(what_cut, sizeof what_cut, "%s", what);
    const char *name = actor && actor->name ? actor->name : "";
    pthread_mutex_lock(&denials->lock);
    denial *row = find_row(denials, name, source_cut, what_cut);
    if (!row && denials->count + 1 >= TD_DENIALS_MAX) { /* the last row gathers the rest */
        actor = NULL;
        name = "";
        snprintf(source_cut, sizeof source_cut, "other");
        snprintf(what_cut, sizeof what_cut, "other");
        row = find_row(denials, name, source_cut, what_cut);
    }
    if (!row) {
        row = &denials->rows[denials->count++];
        *row = (denial){.kind = actor ? actor->kind : TD_ACTOR_USER, .user_id = actor ? actor->user_id : 0};
        snprintf(row->source, sizeof row->source, "%s", source_cut);
        snprintf(row->what, sizeof row->what, "%s", what_cut);
        snprintf(row->name, sizeof row->name, "%s", name);
        snprintf(row->role, sizeof row->role, "%s", actor && actor->role ? actor->role : "");
    }
    row->count++;
    pthread_mutex_unlock(&denials->lock);
}

static td_code write_rows(td_db *db, void *context, td_err *err)
{
    const td_denials *due = context;
    for (size_t i = 0; i < due->count; i++) {
        const denial *row = &due->rows[i];
        td_actor actor = {row->kind, row->user_id, row->name, "token", row->role, ""};
        TD_TRY(td_access_denied(db, row->name[0] ? &actor : NULL, row->source, row->what, row->count, err));
    }
    return TD_OK;
}

/* Moves what is due into `due`; forgets rows that were quiet for a minute. */
static void take_due(td_denials *denials, td_denials *due, int64_t now_ms, bool all)
{
    pthread_mutex_lock(&denials->lock);
    size_t kept = 0;
    for (size_t i = 0; i < denials->count; i++) {
        denial *row = &denials->rows[i];
        bool old = now_ms - row->recorded_ms >= TD_DENIALS_EVERY_MS;
        bool record = row->count > 0 && (all || old);
        if (record) {
            due->rows[due->count++] = *row;
            row->count = 0;
            row->recorded_ms = now_ms;
        }
        if (record || !old) {
            denials->rows[kept++] = *row;
        }
    }
    denials->count = kept;
    pthread_mutex_unlock(&denials->lock);
}

void td_denials_flush(td_denials *denials, td_server *server, int64_t now_ms, bool all)
{
    td_denials *due = calloc(1, sizeof *due);
    if (!due) {
        return;
    }
    take_due(denials, due, now_ms, all);
    td_err err = {0};
    if (due->count && td_server_write(server, write_rows, due, &err) != TD_OK) {
        td_log_err(TD_LOG_ERROR, "server", "refused attempts could not be recorded", &err);
    }
    free(due);
}
