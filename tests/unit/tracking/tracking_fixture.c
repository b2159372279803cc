/*
 * tracking_fixture.c: see tracking_fixture.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/tracking/tracking_fixture.h"

int trial_setup(void **state)
{
    void *inner = NULL;
    td_err err = {0};
    assert_int_equal(fixture_setup(&inner), 0);
    trial *t = calloc(1, sizeof *t);
    t->f = inner;
    t->db = t->f->db;
    t->ana = &t->f->ana.actor;
    t->ben = &t->f->ben.actor;
    const td_migration *const lists[] = {td_audit_migrations,   td_access_migrations,   td_registry_migrations,
                                         td_lineage_migrations, td_tracking_migrations, NULL};
    must(td_txn_commit(&t->f->txn, &err), &err);
    must(td_db_migrate(t->db, lists, &err), &err);
    must(td_txn_begin(t->db, &t->f->txn, &err), &err);
    start_run(t, "0", t->run);
    *state = t;
    return 0;
}

int trial_teardown(void **state)
{
    trial *t = *state;
    void *inner = t->f;
    td_arena_done(&t->arena);
    free(t);
    return fixture_teardown(&inner);
}

json_t *parse(const char *text)
{
    char copy[4096];
    json_error_t error;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *c = copy; *c != '\0'; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    json_t *json = json_loads(copy, JSON_DECODE_ANY, &error);
    if (json == NULL) {
        fail_msg("%s: %s", error.text, copy);
    }
    return json;
}

const char *at(const json_t *json, const char *path)
{
    static char out[1024];
    char copy[256], *save = NULL;
    snprintf(copy, sizeof copy, "%s", path);
    for (char *part = strtok_r(copy, "/", &save); part != NULL; part = strtok_r(NULL, "/", &save)) {
        json = json_is_array(json) ? json_array_get(json, (size_t)strtol(part, NULL, 10)) : json_object_get(json, part);
    }
    if (json_is_string(json)) {
        snprintf(out, sizeof out, "%s", json_string_value(json));
    } else {
        char *text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
        snprintf(out, sizeof out, "%s", text != NULL ? text : "(absent)");
        free(text);
    }
    return out;
}

char *start_run(trial *t, const char *experiment, char uuid[TD_TRIAL_UUID_SIZE])
{
    td_err err = {0};
    td_trial_options options = {.experiment = experiment, .name = "first try", .user = "ana"};
    must(td_trial_start(t->db, t->ana, P, &options, uuid, &err), &err);
    return uuid;
}

static json_t *maybe(const char *text)
{
    return text != NULL ? parse(text) : NULL;
}

td_code log_batch(trial *t, const char *uuid, const char *metrics, const char *params, const char *tags, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *m = maybe(metrics);
    TD_CLEANUP(td_json_done) json_t *p = maybe(params);
    TD_CLEANUP(td_json_done) json_t *g = maybe(tags);
    td_trial_batch batch = {.metrics = m, .params = p, .tags = g};
    return TRY_WRITE(t->f, td_trial_log(t->db, t->ana, P, uuid, &batch, err));
}

td_code put_artifact(trial *t, const char *uuid, const char *name, const char *text, td_err *err)
{
    char path[2048];
    uint8_t digest[TD_DIGEST_SIZE];
    must(td_content_put_bytes(t->f->content, text, strlen(text), digest, err), err);
    snprintf(path, sizeof path, strncmp(uuid, "m-", 2) == 0 ? "0/models/%s/artifacts/%s" : "0/%s/artifacts/%s", uuid,
             name);
    return TRY_WRITE(t->f, td_artifact_put(t->db, t->ana, P, path, digest, strlen(text), err));
}

int64_t records(trial *t, const char *action)
{
    td_err err = {0};
    TD_CLEANUP(td_stmt_free) td_stmt *stmt = NULL;
    must(td_db_prepare_text(t->db, "SELECT count(*) AS n FROM audit_record WHERE action = :action", &stmt, &err), &err);
    td_bind_text(stmt, ":action", action);
    must(td_step_one(stmt, &err, "no count"), &err);
    return td_column_int(stmt, "n");
}
