/*
 * definition_store.c: pipelines and gates as numbered revisions: a run pins one, so nothing can change under it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/db/list_json.h"
#include "monitor/alerts.h"
#include "monitor/run.h"

#include <string.h>

void td_revision_done(td_revision *revision)
{
    json_decref(revision->spec);
    revision->spec = NULL;
}

static td_code revision_take(td_stmt *stmt, td_revision *out, td_err *err)
{
    size_t size = 0;
    const void *digest = td_column_blob(stmt, "digest", &size);
    td_revision made = {.number = td_column_int(stmt, "revision"), .set_ms = td_column_int(stmt, "set_ms")};
    memcpy(made.digest, digest, size < TD_DIGEST_SIZE ? size : TD_DIGEST_SIZE);
    const char *text = td_column_text(stmt, "spec");
    td_code code = td_json_parse(text, strlen(text), "stored spec", &made.spec, err);
    td_reset(stmt);
    if (code == TD_OK) {
        *out = made;
    }
    return code;
}

td_code td_pipeline_read(td_db *db, const char *project, const char *name, int64_t number, td_revision *out,
                         td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT revision, digest, spec, set_ms FROM pipeline WHERE project = :project AND name = :name AND "
        "(:number = 0 OR revision = :number) ORDER BY revision DESC LIMIT 1",
        &stmt, err));
    td_bind_text(stmt, ":project", project);
    td_bind_text(stmt, ":name", name);
    td_bind_int(stmt, ":number", number);
    TD_TRY(td_step_one(stmt, err, "no pipeline \"%s\"; define it with `tidemark pipeline set %s -f pipeline.yaml`",
                       name, name));
    return revision_take(stmt, out, err);
}

td_code td_gate_read(td_db *db, const char *project, const char *name, int64_t number, td_revision *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(
        td_db_prepare(db,
                      "SELECT revision, digest, spec, set_ms FROM gate WHERE project = :project AND name = :name AND "
                      "(:number = 0 OR revision = :number) ORDER BY revision DESC LIMIT 1",
                      &stmt, err));
    td_bind_text(stmt, ":project", project);
    td_bind_text(stmt, ":name", name);
    td_bind_int(stmt, ":number", number);
    TD_TRY(td_step_one(stmt, err, "no gate \"%s\"; define it with `tidemark gate set %s -f gate.yaml`", name, name));
    return revision_take(stmt, out, err);
}

/* ---- Writing --------------------------------------------------------------------------------- */

typedef struct definition {
    const char *project, *name, *action, *object_type;
    int64_t revision;
    td_str text;
    uint8_t digest[TD_DIGEST_SIZE];
    bool same; /* as the newest revision */
} definition;

static void definition_done(definition *d)
{
    td_str_done(&d->text);
}

static td_code next_revision(td_db *db, definition *d,
                             td_code (*read)(td_db *, const char *, const char *, int64_t, td_revision *, td_err *),
                             td_err *err)
{
    TD_CLEANUP(td_revision_done) td_revision newest = {0};
    td_code code = read(db, d->project, d->name, 0, &newest, err);
    if (code != TD_OK && code != TD_NOT_FOUND) {
        return code;
    }
    d->revision = newest.number + 1;
    d->same = code == TD_OK && memcmp(newest.digest, d->digest, TD_DIGEST_SIZE) == 0;
    return TD_OK;
}

static void bind_definition(td_stmt *stmt, td_db *db, const td_actor *actor, const definition *d)
{
    td_bind_text(stmt, ":project", d->project);
    td_bind_text(stmt, ":name", d->name);
    td_bind_int(stmt, ":revision", d->revision);
    td_bind_blob(stmt, ":digest", d->digest, TD_DIGEST_SIZE);
    td_bind_text(stmt, ":spec", td_str_text(&d->text));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_text(stmt, ":by", actor->name);
}

static td_code audit(td_db *db, const td_actor *actor, const definition *d, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *after = json_pack("{s:I}", "revision", (json_int_t)d->revision);
    td_audit_entry entry = {.actor = actor,
                            .action = d->action,
                            .object_type = d->object_type,
                            .object_id = d->name,
                            .digest = d->digest,
                            .project = d->project,
                            .after = after};
    return td_audit_append(db, &entry, NULL, err);
}

static td_code check_name(const char *name, td_err *err)
{
    size_t length = strlen(name);
    if (length == 0 || length > 128 ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != length) {
        return td_fail(err, TD_INVALID, "name \"%.60s\": expected 1 to 128 of letters, digits, '.', '_', '-'", name);
    }
    return TD_OK;
}

static td_code define(definition *d, const json_t *spec, td_err *err)
{
    TD_TRY(check_name(d->name, err));
    TD_TRY(td_json_write(spec, &d->text, err));
    td_sha256_of(d->text.data, d->text.size, d->digest);
    return TD_OK;
}

td_code td_pipeline_set(td_db *db, const td_actor *actor, const char *project, const char *pipeline, const json_t *spec,
                        td_err *err)
{
    TD_CLEANUP(definition_done)
    definition d = {.project = project, .name = pipeline, .action = "configure.pipeline", .object_type = "pipeline"};
    TD_TRY(td_pipeline_check(spec, "pipeline", NULL, err));
    TD_TRY(define(&d, spec, err));
    TD_TRY(next_revision(db, &d, td_pipeline_read, err));
    if (d.same) {
        return TD_OK;
    }
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "INSERT INTO pipeline (project, name, revision, digest, spec, set_ms, set_by) VALUES (:project, :name, "
        ":revision, :digest, :spec, :now, :by)",
        &stmt, err));
    bind_definition(stmt, db, actor, &d);
    TD_TRY(td_run(stmt, err));
    return audit(db, actor, &d, err);
}

td_code td_gate_set(td_db *db, const td_actor *actor, const char *project, const char *gate, const json_t *spec,
                    td_err *err)
{
    TD_CLEANUP(definition_done)
    definition d = {.project = project, .name = gate, .action = "configure.gate", .object_type = "gate"};
    TD_TRY(td_gate_check(spec, "gate", NULL, err));
    TD_TRY(define(&d, spec, err));
    TD_TRY(next_revision(db, &d, td_gate_read, err));
    if (d.same) {
        return TD_OK;
    }
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "INSERT INTO gate (project, name, revision, digest, spec, set_ms, set_by) VALUES (:project, :name, "
        ":revision, :digest, :spec, :now, :by)",
        &stmt, err));
    bind_definition(stmt, db, actor, &d);
    TD_TRY(td_run(stmt, err));
    return audit(db, actor, &d, err);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *revision_json(const char *kind, const char *name, const td_revision *revision)
{
    char digest[7 + TD_DIGEST_TEXT] = "sha256:";
    td_hex_encode(revision->digest, TD_DIGEST_SIZE, digest + 7);
    json_t *json = json_object();
    json_object_set_new(json, kind, json_string(name));
    json_object_set_new(json, "revision", json_integer(revision->number));
    json_object_set_new(json, "digest", json_string(digest));
    json_object_set_new(json, "set_at", td_time_json(revision->set_ms));
    json_object_set(json, "spec", revision->spec);
    return json;
}

td_code td_pipeline_json(td_db *db, const char *project, const char *pipeline, json_t **out, td_err *err)
{
    TD_CLEANUP(td_revision_done) td_revision revision = {0};
    TD_TRY(td_pipeline_read(db, project, pipeline, 0, &revision, err));
    *out = revision_json("pipeline", pipeline, &revision);
    return TD_OK;
}

td_code td_gate_json(td_db *db, const char *project, const char *gate, json_t **out, td_err *err)
{
    TD_CLEANUP(td_revision_done) td_revision revision = {0};
    TD_TRY(td_gate_read(db, project, gate, 0, &revision, err));
    *out = revision_json("gate", gate, &revision);
    return TD_OK;
}

static const td_filter_field pipeline_fields[] = {
    {.name = "pipeline", .type = TD_FILTER_TEXT, .sql = "p.name"},
    {.name = "name", .type = TD_FILTER_TEXT, .sql = "p.name"},
    {.name = "revision", .type = TD_FILTER_INTEGER, .sql = "p.revision"},
    {.name = "set_at", .type = TD_FILTER_TIME, .sql = "p.set_ms"},
    {.name = "set_by", .type = TD_FILTER_TEXT, .sql = "p.set_by"},
    {.name = NULL},
};
static const td_filter_table pipeline_table = {
    .fields = pipeline_fields, .prefix = "pipeline", .order = "pipeline", .tie = "pipeline"};

static const td_filter_field gate_fields[] = {
    {.name = "gate", .type = TD_FILTER_TEXT, .sql = "g.name"},
    {.name = "name", .type = TD_FILTER_TEXT, .sql = "g.name"},
    {.name = "revision", .type = TD_FILTER_INTEGER, .sql = "g.revision"},
    {.name = "set_at", .type = TD_FILTER_TIME, .sql = "g.set_ms"},
    {.name = "set_by", .type = TD_FILTER_TEXT, .sql = "g.set_by"},
    {.name = NULL},
};
static const td_filter_table gate_table = {.fields = gate_fields, .prefix = "gate", .order = "gate", .tie = "gate"};

/* context: what the thing is called. */
static td_code definition_row(td_stmt *stmt, void *context, json_t **out, td_err *err)
{
    char digest[7 + TD_DIGEST_TEXT] = "sha256:";
    size_t size = 0;
    const void *bytes = td_column_blob(stmt, "digest", &size);
    (void)err;
    td_hex_encode(bytes, size, digest + 7);
    *out = json_pack("{s:s,s:I,s:s,s:o}", (const char *)context, td_column_text(stmt, "name"), "revision",
                     (json_int_t)td_column_int(stmt, "revision"), "digest", digest, "set_at",
                     td_time_json(td_column_int(stmt, "set_ms")));
    return TD_OK;
}

td_code td_pipeline_list_json(td_db *db, const char *project, const td_page *page, json_t **out, td_err *err)
{
    static const td_list_query query = {
        .name = "pipelines",
        .table = &pipeline_table,
        .columns = "p.name, p.revision, p.digest, p.set_ms",
        .from = "pipeline p",
        .where = "p.project = :project AND p.revision = (SELECT max(q.revision) FROM pipeline q "
                 "WHERE q.project = p.project AND q.name = p.name)"};
    TD_CLEANUP(td_list_close) td_list *list = NULL;
    TD_TRY(td_list_open(db, &query, project, page, &list, err));
    td_bind_text(td_list_stmt(list), ":project", project);
    char kind[] = "pipeline";
    return td_list_json(list, definition_row, kind, out, err);
}

td_code td_gate_list_json(td_db *db, const char *project, const td_page *page, json_t **out, td_err *err)
{
    static const td_list_query query = {.name = "gates",
                                        .table = &gate_table,
                                        .columns = "g.name, g.revision, g.digest, g.set_ms",
                                        .from = "gate g",
                                        .where =
                                            "g.project = :project AND g.revision = (SELECT max(q.revision) FROM gate q "
                                            "WHERE q.project = g.project AND q.name = g.name)"};
    TD_CLEANUP(td_list_close) td_list *list = NULL;
    TD_TRY(td_list_open(db, &query, project, page, &list, err));
    td_bind_text(td_list_stmt(list), ":project", project);
    char kind[] = "gate";
    return td_list_json(list, definition_row, kind, out, err);
}
