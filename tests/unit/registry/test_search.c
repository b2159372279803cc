/*
 * test_search.c: what a filter over models and versions finds, that it never leaves its project, and how it is found.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/project.h"
#include "registry/mlflow.h"
#include "registry/search.h"
#include "tests/unit/registry/fixture.h"

static void edit(fixture *f, const char *project, const char *reference, const char *text)
{
    td_err err = {0};
    TD_CLEANUP(td_json_done) json_t *json = json_loads(text, 0, NULL);
    td_version_edit change = {.description = td_json_text(json, "description", NULL),
                              .tags = json_object_get(json, "tags"),
                              .metrics = json_object_get(json, "metrics"),
                              .params = json_object_get(json, "params")};
    assert_non_null(json);
    must(td_version_update(f->db, &f->ana.actor, project, reference, &change, &err), &err);
}

/* pump/1 and pump/2 in oslo, valve/1 in rome; a project beside it whose pump/1 looks like all of them. */
static void populate(fixture *f)
{
    td_err err = {0};
    (void)make_version(f, "pump", "one");
    fixture_now_ms += 86400000;
    (void)make_version(f, "pump", "two");
    (void)make_version(f, "valve", "three");
    edit(f, "default", "pump/1",
         "{\"tags\":{\"site\":\"oslo\",\"line\":\"a\"},\"metrics\":{\"auc\":0.5},\"params\":{\"depth\":\"3\"}}");
    edit(f, "default", "pump/2",
         "{\"description\":\"Better\",\"tags\":{\"site\":\"oslo\",\"line\":\"b\"},\"metrics\":{\"auc\":0.9}}");
    edit(f, "default", "valve/1", "{\"tags\":{\"site\":\"rome\",\"line\":\"a\",\"mlflow.prompt.is_prompt\":\"true\"}}");
    must(td_alias_set(f->db, &f->ana.actor, "default", "pump", "best", 2, NULL, &err), &err);
    TD_CLEANUP(td_json_done) json_t *tags = json_pack("{s:s}", "team", "vibration");
    td_model_options options = {.name = "valve", .description = "shuts", .tags = tags};
    must(td_model_update(f->db, &f->ana.actor, "default", &options, &err), &err);
}

static void neighbour(fixture *f)
{
    td_err err = {0};
    
    must(td_project_create(f->db, &td_actor_system, "other", "", &err), &err);
    td_version_file file = put_file(f, "model.onnx", TD_FILE_MODEL, "beside", 6);
    TD_CLEANUP(td_json_done) json_t *tags = json_pack("{s:s, s:s}", "site", "oslo", "line", "a");
    TD_CLEANUP(td_json_done) json_t *metrics = json_pack("{s:f}", "auc", 0.9);
    td_version_options options = {.model = "pump", .create_model = true, .files = &file, .file_count = 1,
                                  .format = "opaque", .tags = tags, .metrics = metrics};
    int64_t number;
    must(td_version_create(f->db, &td_actor_system, "other", &options, &number, &err), &err);
}

static void labels_of(const json_t *list, const char *key, char *out, size_t room)
{
    size_t index, used = 0;
    json_t *one;
    out[0] = '\0';
    json_array_foreach ((json_t *)list, index, one) {
        used += (size_t)snprintf(out + used, room - used, "%s%s", index > 0 ? " " : "", td_json_text(one, key, "?"));
    }
}

static void finds(fixture *f, const char *model, const char *filter, const char *order, const char *labels)
{
    td_err err = {0};
    char got[512];
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    td_page page = {.filter = filter, .order = order};
    must(td_version_list_json(f->db, "default", model, &page, &answer, &err), &err);
    labels_of(json_object_get(answer, "versions"), "label", got, sizeof got);
    if (strcmp(got, labels) != 0) {
        fail_msg("%s by %s finds \"%s\", not \"%s\"", filter, order, got, labels);
    }
}

static void search__finds_versions_by_what_is_known_of_them(void **state)
{
    fixture *f = *state;
    populate(f);
    neighbour(f);
    static const struct {
        const char *filter, *order, *labels;
    } cases[] = {
        {NULL, NULL, "pump/2 valve/1 pump/1"},
        {"tags.site = 'oslo'", NULL, "pump/2 pump/1"},
        {"tags.site = 'oslo' AND tags.line = 'a'", NULL, "pump/1"},
        {"tags.line = 'a'", "model", "pump/1 valve/1"},
        {"metrics.auc >= 0.9", NULL, "pump/2"},
        {"metrics.auc IS NULL", NULL, "valve/1"},
        {"", "metrics.auc", "pump/1 pump/2 valve/1"},
        {"params.depth = '3'", NULL, "pump/1"},
        {"model = 'pump'", NULL, "pump/2 pump/1"},
        {"name LIKE 'va%'", NULL, "valve/1"},
        {"version > 1", NULL, "pump/2"},
        {"state = 'Draft' AND model != 'pump'", NULL, "valve/1"},
        {"state = 'approved'", NULL, ""},
        {"stage = 'none' AND run_id = '' AND version = 2 AND updated_at > '2000-01-01'", NULL, "pump/2"},
        {"alias = 'best'", NULL, "pump/2"},
        {"alias != 'best'", "model, version", "pump/1 valve/1"},
        {"file = 'model/net.onnx' AND description ILIKE 'better'", NULL, "pump/2"},
        {"tags.`mlflow.prompt.is_prompt` != 'true'", NULL, "pump/2 pump/1"},
        {"quarantined = true", NULL, ""},
        {"submitted_at IS NULL AND parent IS NULL AND created_by = 'ana'", "created_at", "pump/1 pump/2 valve/1"},
    };
    for (size_t i = 0; i < TD_COUNT_OF(cases); i++) {
        finds(f, NULL, cases[i].filter, cases[i].order, cases[i].labels);
    }
    finds(f, "pump", NULL, NULL, "pump/2 pump/1");
    finds(f, "pump", "tags.line = 'a'", NULL, "pump/1");
}

static void search__times_bound_versions(void **state)
{
    fixture *f = *state;
    char filter[64], when[32];
    populate(f);
    td_format_time(fixture_now_ms, when);
    snprintf(filter, sizeof filter, "created_at < '%s'", when);
    finds(f, NULL, filter, NULL, "pump/1");
}

static void search__finds_models(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    populate(f);
    neighbour(f);
    static const char *const cases[][3] = {
        {NULL, NULL, "pump valve"},
        {"name LIKE 'p%'", NULL, "pump"},
        {"tags.team = 'vibration' AND owner = 'ana'", NULL, "valve"},
        {"alias = 'best'", NULL, "pump"},
        {"latest_version >= 2", NULL, "pump"},
        {NULL, "latest_version, name", "valve pump"},
        {"description = 'shuts'", "created_at DESC", "valve"},
    };
    for (size_t i = 0; i < TD_COUNT_OF(cases); i++) {
        char got[512];
        TD_CLEANUP(td_json_done) json_t *answer = NULL;
        td_page page = {.filter = cases[i][0], .order = cases[i][1]};
        must(td_model_list_json(f->db, "default", &page, &answer, &err), &err);
        labels_of(json_object_get(answer, "models"), "name", got, sizeof got);
        assert_string_equal(got, cases[i][2]);
    }
}

/* One page after the other gives what one page gives, and a cursor is good for its own project only. */
static void search__pages_and_projects_hold(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    char cursor[TD_CURSOR_LENGTH_MAX + 1] = "", got[512];
    populate(f);
    neighbour(f);
    static const char *const labels[] = {"pump/2", "valve/1", "pump/1"};
    for (size_t i = 0; i < TD_COUNT_OF(labels); i++) {
        TD_CLEANUP(td_json_done) json_t *answer = NULL;
        td_page page = {.limit = 1, .cursor = cursor};
        must(td_version_list_json(f->db, "default", NULL, &page, &answer, &err), &err);
        labels_of(json_object_get(answer, "versions"), "label", got, sizeof got);
        assert_string_equal(got, labels[i]);
        snprintf(cursor, sizeof cursor, "%s", td_json_text(answer, "next_cursor", ""));
        json_t *elsewhere = NULL;
        if (cursor[0] != '\0') {
            page.cursor = cursor;
            refused(td_version_list_json(f->db, "other", NULL, &page, &elsewhere, &err), &err, TD_INVALID, "cursor");
        }
    }
    assert_string_equal(cursor, "");
    json_t *none = NULL;
    refused(td_version_list_json(f->db, "nowhere", NULL, &(td_page){0}, &none, &err), &err, TD_NOT_FOUND, "nowhere");
}

/* Whatever the tables name can be asked for and ordered by: each piece of SQL is prepared against the schema. */
static void asks(fixture *f, const td_filter_table *table, const char *from, const char *left, td_filter_type type)
{
    td_err err = {0};
    char filter[300];
    static const char *const values[] = {"= 'x'", "= 1", "= 0.5", ">= '2026-01-01'", "= true"};
    snprintf(filter, sizeof filter, "%s %s", left, values[type]);
    td_list_query query = {.table = table, .columns = "1 AS one", .from = from};
    td_list *list = NULL;
    td_code code = td_list_open(f->db, &query, "", &(td_page){.filter = filter, .order = left}, &list, &err);
    if (code == TD_INVALID && strstr(err.text, "something to order by") != NULL) {
        code = td_list_open(f->db, &query, "", &(td_page){.filter = filter}, &list, &err);
    }
    bool state = code == TD_INVALID && strstr(err.text, "draft") != NULL;
    if (state || (code == TD_INVALID && strstr(err.text, "Staging") != NULL)) { /* 'x' is no state and no stage */
        snprintf(filter, sizeof filter, "%s = '%s'", left, state ? "draft" : "Staging");
        code = td_list_open(f->db, &query, "", &(td_page){.filter = filter, .order = left}, &list, &err);
    }
    must(code, &err);
    td_list_close(&list);
}

static void search__everything_that_is_named_can_be_asked(void **state)
{
    fixture *f = *state;
    static const struct {
        const td_filter_table *table;
        const char *from;
    } lists[] = {{&td_model_table, "model m"},
                 {&td_version_table, "version v JOIN model m ON m.model_id = v.model_id"},
                 {&td_model_version_table, "version v JOIN model m ON m.model_id = v.model_id"}};
    for (size_t i = 0; i < TD_COUNT_OF(lists); i++) {
        for (const td_filter_field *field = lists[i].table->fields; field->name != NULL; field++) {
            asks(f, lists[i].table, lists[i].from, field->name, field->type);
        }
        for (const td_filter_family *family = lists[i].table->families; family->names != NULL; family++) {
            char left[64];
            snprintf(left, sizeof left, "%s.k", family->names[0]);
            asks(f, lists[i].table, lists[i].from, left, family->type);
        }
    }
}

/* One model a page until there is no token: the text is JSON, and each model comes once. */
static void search__mlflow_pages_are_whole_and_go_on(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    char cursor[TD_CURSOR_LENGTH_MAX] = "", got[256] = "";
    populate(f);
    for (int page = 0; page == 0 || cursor[0] != '\0'; page++) {
        TD_CLEANUP(td_str_done) td_str text = {0};
        TD_CLEANUP(td_json_done) json_t *json = NULL;
        td_page asked = {.limit = 1, .order = "name DESC", .cursor = cursor[0] != '\0' ? cursor : NULL};
        must(td_mlflow_models_text(f->db, "default", &asked, &text, &err), &err);
        must(td_json_parse(td_str_text(&text), text.size, "page", &json, &err), &err);
        const json_t *models = json_object_get(json, "registered_models");
        assert_int_equal(json_array_size(models), 1);
        const char *name = td_json_text(json_array_get(models, 0), "name", "?");
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s ", name);
        snprintf(cursor, sizeof cursor, "%s", td_json_text(json, "next_page_token", ""));
        assert_in_range(page, 0, 1);
    }
    assert_string_equal(got, "valve pump ");
    TD_CLEANUP(td_str_done) td_str none = {0};
    must(td_mlflow_versions_text(f->db, "default", &(td_page){.filter = "name = 'nothing'"}, &none, &err), &err);
    assert_string_equal(td_str_text(&none), "{\"model_versions\":[]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(search__finds_versions_by_what_is_known_of_them),
        CASE(search__times_bound_versions),
        CASE(search__finds_models),
        CASE(search__mlflow_pages_are_whole_and_go_on),
        CASE(search__pages_and_projects_hold),
        CASE(search__everything_that_is_named_can_be_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
