/*
 * import_model.c: registered models, versions and aliases, from what was mirrored before.
 *
 * A version is registered by where its files lie here: nothing is sent twice. Its number is the next one of ours; where
 * that is another than theirs (they had deleted one), a note says so and the mark tells which is which.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/import.h"

#include <string.h>

typedef struct of_model {
    const char *name;
    json_t *numbers; /* theirs to ours: {"3": 2} */
} of_model;

/* ---- versions ---- */

/* runs:/RUN/PATH or models:/m-… of a version's source; NULL: it is neither a run's nor a logged model's. */
static const char *source_of(td_import *im, const json_t *version)
{
    const char *source = td_json_text(version, "source", ""), *run = td_json_text(version, "run_id", "");
    const char *model = td_json_text(version, "model_id", "");
    const char *at = *run != '\0' ? strstr(source, run) : NULL;
    if (strncmp(source, "models:/m-", 10) == 0 || strncmp(source, "runs:/", 6) == 0) {
        return source;
    }
    if (at != NULL && strncmp(at + strlen(run), "/artifacts/", 11) == 0) {
        return td_cli_text(im->cli, "runs:/%s/%s", run, at + strlen(run) + 11);
    }
    return *model != '\0' ? td_cli_text(im->cli, "models:/%s", model) : NULL;
}

static json_t *tags_of(td_import *im, const json_t *version, const char *mark)
{
    size_t i;
    const json_t *tag;
    const char *stage = td_json_text(version, "current_stage", "None");
    json_t *tags = json_pack("{s:s}", TD_IMPORT_MARK, mark);
    TD_CLEANUP(td_json_done) json_t *pairs = td_import__pairs(im, json_object_get(version, "tags"), 5000, mark);
    json_array_foreach (pairs, i, tag) {
        (void)json_object_set(tags, td_json_text(tag, "key", ""), json_object_get(tag, "value"));
    }
    if (*stage != '\0' && strcmp(stage, "None") != 0) {
        (void)json_object_set_new(tags, "mlflow.stage", json_string(stage));
    }
    return tags;
}

/* Our number of a version that was taken before; 0: it was not. */
static td_code find_version(td_import *im, const char *model, const char *mark, int64_t *number_out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    const char *path = td_cli_path(im->cli, "models", model, "versions", NULL);
    const char *filter = td_cli_filter(im->cli, NULL, "tags.`" TD_IMPORT_MARK "`", mark);
    td_code code = td_cli_call(im->cli, "GET", td_cli_query(im->cli, path, "filter", filter), NULL, &answer, err);
    *number_out = 0;
    if (code == TD_NOT_FOUND) {
        return TD_OK;
    }
    TD_TRY(code);
    *number_out = td_json_int(json_array_get(json_object_get(answer, "versions"), 0), "version", 0);
    return TD_OK;
}

static td_code register_version(td_import *im, const of_model *m, const json_t *version, const char *mark,
                                int64_t *number_out, td_err *err)
{
    const char *id;
    json_t *held;
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    const char *source = source_of(im, version), *description = td_json_text(version, "description", "");
    if (source == NULL) {
        return td_fail(err, TD_INVALID, "its files (%.80s) belong to no run and no logged model that was mirrored",
                       td_json_text(version, "source", ""));
    }
    json_object_foreach (im->lacking, id, held) {
        if (strstr(source, id) != NULL) {
            return td_fail(err, TD_NOT_FOUND, "it waits for files of %s that could not be taken", source);
        }
    }
    TD_CLEANUP(td_json_done)
    json_t *body = json_pack("{s:s, s:s*, s:o}", "source", source, "description",
                             *description != '\0' ? description : NULL, "tags", tags_of(im, version, mark));
    TD_TRY(td_cli_need(body, err));
    TD_TRY(td_cli_call(im->cli, "POST", td_cli_path(im->cli, "models", m->name, "versions", NULL), body, &answer, err));
    *number_out = td_json_int(answer, "version", 0);
    im->versions++;
    return TD_OK;
}

static td_code take_version(td_import *im, const of_model *m, const json_t *version, td_err *err)
{
    const char *theirs = td_json_text(version, "version", "");
    const char *mark = td_cli_text(im->cli, "%s models:/%s/%s", im->uri, m->name, theirs);
    int64_t number;
    TD_TRY(find_version(im, m->name, mark, &number, err));
    if (number != 0) {
        im->versions_unchanged++;
    } else {
        TD_TRY(register_version(im, m, version, mark, &number, err));
        if (strcmp(theirs, td_cli_text(im->cli, "%lld", (long long)number)) != 0) {
            td_import__note(im, "%s/%s of MLflow is %s/%lld here", m->name, theirs, m->name, (long long)number);
        }
    }
    return json_object_set_new(m->numbers, theirs, json_integer((json_int_t)number)) == 0
               ? TD_OK
               : td_fail(err, TD_NOMEM, "no memory for an import");
}

static td_code one_version(td_import *im, const json_t *item, void *context, td_err *err)
{
    const of_model *m = context;
    td_code code = take_version(im, m, item, err);
    return td_import__soften(im, code, td_cli_text(im->cli, "%s/%.20s", m->name, td_json_text(item, "version", "")),
                             err);
}

/* ---- aliases ---- */

static td_code set_alias(td_import *im, const of_model *m, const char *alias, int64_t number, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *there = NULL;
    const char *path = td_cli_path(im->cli, "models", m->name, "aliases", alias, NULL);
    td_code code = td_cli_call(im->cli, "GET", path, NULL, &there, err);
    if (code != TD_OK && code != TD_NOT_FOUND) {
        return code;
    }
    if (code == TD_OK && td_json_int(there, "version", 0) == number) {
        return TD_OK;
    }
    TD_CLEANUP(td_json_done)
    json_t *body = json_pack("{s:I, s:s}", "version", (json_int_t)number, "reason",
                             td_cli_text(im->cli, "mirrored from %s", im->uri));
    TD_TRY(td_cli_need(body, err));
    TD_TRY(td_cli_call(im->cli, "PUT", path, body, NULL, err));
    im->aliases++;
    return TD_OK;
}

static td_code take_aliases(td_import *im, const of_model *m, td_err *err)
{
    size_t i;
    const json_t *alias;
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    const char *path = td_cli_query(&im->from, "/api/2.0/mlflow/registered-models/get", "name", m->name);
    TD_TRY(td_import__ask(im, path, NULL, &answer, err));
    json_array_foreach (json_object_get(json_object_get(answer, "registered_model"), "aliases"), i, alias) {
        const char *name = td_json_text(alias, "alias", "");
        const char *what = td_cli_text(im->cli, "%s@%.100s", m->name, name);
        const json_t *number = json_object_get(m->numbers, td_json_text(alias, "version", ""));
        td_code code = number != NULL ? set_alias(im, m, name, json_integer_value(number), err)
                                      : td_fail(err, TD_NOT_FOUND, "its version was not taken");
        if (code == TD_DENIED) { /* protected: an approver moves it */
            td_import__note(im, "%s: %s", what, err->text);
            continue;
        }
        TD_TRY(td_import__soften(im, code, what, err));
    }
    return TD_OK;
}

/* ---- models ---- */

static td_code make_model(td_import *im, const json_t *item, const char *name, td_err *err)
{
    size_t i;
    const json_t *tag;
    const char *description = td_json_text(item, "description", "");
    TD_CLEANUP(td_json_done) json_t *tags = json_object();
    TD_CLEANUP(td_json_done) json_t *pairs = td_import__pairs(im, json_object_get(item, "tags"), 5000, name);
    td_code code = td_cli_call(im->cli, "GET", td_cli_path(im->cli, "models", name, NULL), NULL, NULL, err);
    if (code != TD_NOT_FOUND) {
        return code;
    }
    json_array_foreach (pairs, i, tag) {
        (void)json_object_set(tags, td_json_text(tag, "key", ""), json_object_get(tag, "value"));
    }
    TD_CLEANUP(td_json_done)
    json_t *body = json_pack("{s:s, s:s*, s:O}", "name", name, "description", *description != '\0' ? description : NULL,
                             "tags", tags);
    TD_TRY(td_cli_need(body, err));
    TD_TRY(td_cli_call(im->cli, "POST", td_cli_path(im->cli, "models", NULL), body, NULL, err));
    im->models++;
    return TD_OK;
}

static td_code take_model(td_import *im, const json_t *item, const char *name, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *numbers = json_object();
    of_model m = {.name = name, .numbers = numbers};
    TD_TRY(td_cli_need(numbers, err));
    TD_TRY(make_model(im, item, name, err));
    const char *path = td_cli_query(&im->from, "/api/2.0/mlflow/model-versions/search", "filter",
                                    td_cli_text(im->cli, "name='%s'", name));
    path = td_cli_query(&im->from, path, "max_results", "200");
    path = td_cli_query(&im->from, path, "order_by", "version_number ASC");
    TD_TRY(td_import__each(im, path, NULL, "model_versions", one_version, &m, err));
    return take_aliases(im, &m, err);
}

/* The same list entry as in an earlier pass: its versions and aliases are not asked for again. */
static td_code take_changed(td_import *im, const json_t *item, const char *name, td_err *err)
{
    char as[TD_DIGEST_TEXT];
    const char *key = td_cli_text(im->cli, "models:/%s", name);
    TD_TRY(td_import__digest(item, as, err));
    const json_t *before = json_object_get(im->whole, key);
    bool changed = json_object_size(im->lacking) > 0; /* some of its versions may wait */
    if (!changed && strcmp(td_json_text(before, "as", ""), as) == 0) {
        im->versions_unchanged += td_json_int(before, "versions", 0);
        return TD_OK;
    }
    int64_t count = im->versions + im->versions_unchanged;
    td_import__progress(im, "model", name);
    TD_TRY(td_import__soften(im, take_model(im, item, name, err), td_cli_text(im->cli, "model %.128s", name), err));
    count = im->versions + im->versions_unchanged - count;
    json_t *now = json_pack("{s:s, s:I}", "as", as, "versions", (json_int_t)count);
    return json_object_set_new(im->whole, key, now) == 0 ? TD_OK : td_fail(err, TD_NOMEM, "no memory for an import");
}

static td_code one_model(td_import *im, const json_t *item, void *context, td_err *err)
{
    (void)context;
    const char *name = td_json_text(item, "name", "");
    if (strchr(name, '\'') != NULL) {
        td_import__note(im, "model %.100s: no name that a model can have here; left out", name);
        return TD_OK;
    }
    return take_changed(im, item, name, err);
}

td_code td_import__models(td_import *im, td_err *err)
{
    return td_import__each(im, "/api/2.0/mlflow/registered-models/search?max_results=100", NULL, "registered_models",
                           one_model, NULL, err);
}
