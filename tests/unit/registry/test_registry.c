/*
 * test_registry.c: models, versions, edits and aliases: what is kept, what is refused and with which words.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/registry/fixture.h"

static void model__create_list_show(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_json_done) json_t *tags = json_pack("{s:s}", "site", "oslo");
    td_model_options options = {.name = "pump", .description = "bearing faults", .tags = tags};
    must(td_model_create(f->db, &f->ana.actor, "default", &options, &err), &err);
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    must(td_model_json(f->db, "default", "pump", &json, &err), &err);
    assert_string_equal(td_json_text(json, "description", ""), "bearing faults");
    assert_string_equal(td_json_text(json, "owner", ""), "ana");
    assert_string_equal(td_json_text(json, "created_at", ""), "2026-01-01T00:00:00.000Z");
    assert_string_equal(td_json_text(json_object_get(json, "tags"), "site", ""), "oslo");
    assert_true(json_is_null(json_object_get(json, "latest_version")));
    assert_int_equal(count_records(f, "create.model"), 1);
}

static void model__twice_is_a_conflict(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_model_options options = {.name = "pump"};
    must(td_model_create(f->db, &f->ana.actor, "default", &options, &err), &err);
    refused(TRY_WRITE(f, td_model_create(f->db, &f->ana.actor, "default", &options, &err)), &err, TD_CONFLICT,
            "\"pump\"");
}

static void model__names_outside_the_grammar_are_refused(void **state)
{
    fixture *f = *state;
    char longest[131];
    memset(longest, 'a', sizeof longest);
    longest[129] = '\0';
    const char *const bad[] = {"", ".hidden", "-x", "a b", "a/b", "../x", "a@b", "caf\xc3\xa9", "a\nb", longest};
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        td_err err = {0};
        td_model_options options = {.name = bad[i]};
        refused(TRY_WRITE(f, td_model_create(f->db, &f->ana.actor, "default", &options, &err)), &err, TD_INVALID,
                "is no model name");
    }
    longest[128] = '\0';
    assert_int_equal(td_model_name_check(longest, NULL), TD_OK);
}

static void model__unknown_one_names_the_nearest(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    (void)make_version(f, "pump-anomaly", "x");
    refused(td_model_json(f->db, "default", "pump-anomly", &json, &err), &err, TD_NOT_FOUND,
            "did you mean \"pump-anomaly\"");
}

static void model__list_pages_by_name(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    for (int i = 0; i < 5; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", i);
        td_model_options options = {.name = name};
        must(td_model_create(f->db, &f->ana.actor, "default", &options, &err), &err);
    }
    TD_CLEANUP(td_json_done) json_t *first = NULL;
    TD_CLEANUP(td_json_done) json_t *second = NULL;
    td_page page = {.limit = 3};
    must(td_model_list_json(f->db, "default", &page, &first, &err), &err);
    assert_int_equal(json_array_size(json_object_get(first, "models")), 3);
    page.cursor = td_json_text(first, "next_cursor", NULL);
    assert_non_null(page.cursor);
    must(td_model_list_json(f->db, "default", &page, &second, &err), &err);
    const json_t *fourth = json_array_get(json_object_get(second, "models"), 0);
    assert_string_equal(td_json_text(fourth, "name", ""), "m3");
    assert_int_equal(json_array_size(json_object_get(second, "models")), 2);
    assert_null(json_object_get(second, "next_cursor"));
    page.limit = TD_LIST_LIMIT_MAX + 1;
    refused(td_model_list_json(f->db, "default", &page, &second, &err), &err, TD_INVALID, "limit");
}

static void model__update_changes_and_removes_tags(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_json_done) json_t *tags = json_pack("{s:s, s:s}", "a", "1", "b", "2");
    TD_CLEANUP(td_json_done) json_t *change = json_pack("{s:n, s:s}", "a", "b", "3");
    td_model_options options = {.name = "pump", .tags = tags};
    must(td_model_create(f->db, &f->ana.actor, "default", &options, &err), &err);
    options = (td_model_options){.name = "pump", .description = "new", .tags = change};
    must(td_model_update(f->db, &f->ana.actor, "default", &options, &err), &err);
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    must(td_model_json(f->db, "default", "pump", &json, &err), &err);
    assert_null(json_object_get(json_object_get(json, "tags"), "a"));
    assert_string_equal(td_json_text(json_object_get(json, "tags"), "b", ""), "3");
    assert_string_equal(td_json_text(json, "description", ""), "new");
}

/* ---- versions ---- */

static void version__keeps_everything_that_was_given(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    int64_t number;
    (void)make_version(f, "pump", "first");
    td_version_file files[] = {put_file(f, "net.onnx", TD_FILE_MODEL, "second", 6),
                               put_file(f, "reference", TD_FILE_BASELINE, "bins", 4),
                               put_file(f, "golden/in.pb", TD_FILE_GOLDEN, "in", 2)};
    uint8_t edges[TD_DIGEST_SIZE] = {7};
    TD_CLEANUP(td_json_done) json_t *metrics = json_pack("{s:f, s:i}", "accuracy", 0.94, "n", 100);
    TD_CLEANUP(td_json_done) json_t *params = json_pack("{s:s, s:f, s:b}", "optimizer", "sgd", "rate", 0.5, "bias", 1);
    TD_CLEANUP(td_json_done) json_t *tags = json_pack("{s:s}", "team", "oslo");
    TD_CLEANUP(td_json_done) json_t *facts = json_pack("{s:i}", "ir_version", 8);
    TD_CLEANUP(td_json_done) json_t *sources = json_pack("{s:[{s:s}]}", "datasets", "name", "vibration");
    td_version_options options = {.model = "pump",
                                  .files = files,
                                  .file_count = 3,
                                  .format = "onnx",
                                  .facts = facts,
                                  .edges_digest = edges,
                                  .metrics = metrics,
                                  .params = params,
                                  .tags = tags,
                                  .sources = sources,
                                  .description = "better",
                                  .parent = "pump/1",
                                  .cause = "al-17",
                                  .hardware = "rpi4",
                                  .runtimes = {"onnxruntime", "tract"},
                                  .ram_bytes = 1000};
    must(td_version_create(f->db, &f->ana.actor, "default", &options, &number, &err), &err);
    assert_int_equal(number, 2);
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    must(td_version_json(f->db, "default", "pump/2", &json, &err), &err);
    assert_string_equal(td_json_text(json, "label", ""), "pump/2");
    assert_string_equal(td_json_text(json, "state", ""), "draft");
    assert_string_equal(td_json_text(json, "parent", ""), "pump/1");
    assert_string_equal(td_json_text(json, "cause", ""), "al-17");
    assert_true(td_json_number(json_object_get(json, "metrics"), "accuracy", 0) == 0.94);
    assert_string_equal(td_json_text(json_object_get(json, "params"), "rate", ""), "0.5");
    assert_string_equal(td_json_text(json_object_get(json, "tags"), "team", ""), "oslo");
    assert_int_equal(td_json_int(json_object_get(json, "facts"), "ir_version", 0), 8);
    assert_int_equal(json_array_size(json_object_get(json_object_get(json, "requirement"), "runtimes")), 2);
    const json_t *listed = json_object_get(json, "files");
    assert_string_equal(td_json_text(json_array_get(listed, 0), "name", ""), "baseline.pb");
    assert_string_equal(td_json_text(json_array_get(listed, 1), "name", ""), "golden/in.pb");
    assert_string_equal(td_json_text(json_array_get(listed, 2), "name", ""), "model/net.onnx");
    assert_int_equal(count_records(f, "register.version"), 2);
}

static void version__numbers_are_never_used_again(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    int64_t number = 0;
    assert_int_equal(make_version(f, "pump", "a"), 1);
    td_version_file bad = put_file(f, "../net.onnx", TD_FILE_MODEL, "b", 1);
    td_version_options options = {.model = "pump", .files = &bad, .file_count = 1, .format = "onnx"};
    refused(TRY_WRITE(f, td_version_create(f->db, &f->ana.actor, "default", &options, &number, &err)), &err, TD_INVALID,
            "..");
    assert_int_equal(make_version(f, "pump", "c"), 2);
    assert_int_equal(make_version(f, "valve", "c"), 1); /* each model counts for itself */
}

static void version__bad_input_is_refused(void **state)
{
    fixture *f = *state;
    td_version_file model = put_file(f, "net.onnx", TD_FILE_MODEL, "m", 1);
    td_version_file twice[] = {model, model};
    td_version_file golden = put_file(f, "x", TD_FILE_GOLDEN, "g", 1);
    uint8_t edges[TD_DIGEST_SIZE] = {0};
    TD_CLEANUP(td_json_done) json_t *text_metric = json_pack("{s:s}", "accuracy", "high");
    TD_CLEANUP(td_json_done) json_t *bad_key = json_pack("{s:s}", " a", "x");
    (void)make_version(f, "pump", "a");
    struct {
        td_version_options options;
        td_code code;
        const char *part;
    } cases[] = {
        {{.model = "pmp", .files = &model, .file_count = 1, .format = "onnx"}, TD_NOT_FOUND, "did you mean \"pump\""},
        {{.model = "pump", .files = &model, .file_count = 0, .format = "onnx"}, TD_INVALID, "1 to"},
        {{.model = "pump", .files = twice, .file_count = 2, .format = "onnx"}, TD_INVALID, "given twice"},
        {{.model = "pump", .files = &golden, .file_count = 1, .format = "onnx"}, TD_INVALID, "at least one model file"},
        {{.model = "pump", .files = &model, .file_count = 1, .format = "onnx", .edges_digest = edges},
         TD_INVALID,
         "baseline"},
        {{.model = "pump", .files = &model, .file_count = 1, .format = "onnx", .metrics = text_metric},
         TD_INVALID,
         "accuracy"},
        {{.model = "pump", .files = &model, .file_count = 1, .format = "onnx", .tags = bad_key}, TD_INVALID, "\" a\""},
        {{.model = "pump", .files = &model, .file_count = 1, .format = "onnx", .parent = "pump/9"},
         TD_NOT_FOUND,
         "parent"},
        {{.model = "pump", .files = &model, .file_count = 1, .format = "a very long format"}, TD_INVALID, "format"},
        {{.model = "no model", .files = &model, .file_count = 1, .format = "onnx", .create_model = true},
         TD_INVALID,
         "is no model name"},
    };
    int64_t before = count_records(f, "register.version");
    for (size_t i = 0; i < TD_COUNT_OF(cases); i++) {
        td_err err = {0};
        int64_t number = -1;
        refused(TRY_WRITE(f, td_version_create(f->db, &f->ana.actor, "default", &cases[i].options, &number, &err)),
                &err, cases[i].code, cases[i].part);
        assert_int_equal(number, -1);
    }
    assert_int_equal(count_records(f, "register.version"), before);
}

static void version__registering_needs_the_role(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    int64_t number;
    td_version_file model = put_file(f, "net.onnx", TD_FILE_MODEL, "m", 1);
    td_version_options options = {
        .model = "pump", .create_model = true, .files = &model, .file_count = 1, .format = "onnx"};
    assert_int_equal(TRY_WRITE(f, td_version_create(f->db, &f->ben.actor, "default", &options, &number, &err)),
                     TD_DENIED);
    assert_int_equal(TRY_WRITE(f, td_version_create(f->db, &f->robo.actor, "default", &options, &number, &err)), TD_OK);
}

static void version__references_in_every_form(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    (void)make_version(f, "pump", "a");
    (void)make_version(f, "pump", "b");
    must(td_alias_set(f->db, &f->ana.actor, "default", "pump", "newest", 2, NULL, &err), &err);
    const char *const good[] = {"pump/2", "pump@newest", "models:/pump/2", "models:/pump@newest", "azureml:pump:2",
                                "azureml:pump@newest"};
    for (size_t i = 0; i < TD_COUNT_OF(good); i++) {
        assert_int_equal(find(f, good[i]).number, 2);
    }
    const char *const bad[] = {"pump", "pump/", "pump/0", "pump/-1",          "pump/2x",  "pump/ 2",
                               "/2",   "pump@", "@x",     "pump/99999999999", "pump/2/3", "models:/"};
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        td_version version;
        assert_int_equal(td_version_find(f->db, "default", bad[i], &f->arena, &version, &err), TD_INVALID);
    }
    td_version version;
    refused(td_version_find(f->db, "default", "pump/7", &f->arena, &version, &err), &err, TD_NOT_FOUND,
            "newest is pump/2");
    refused(td_version_find(f->db, "default", "pump@newst", &f->arena, &version, &err), &err, TD_NOT_FOUND,
            "pump@newest?");
    refused(td_version_find(f->db, "other", "pump/1", &f->arena, &version, &err), &err, TD_NOT_FOUND, "other");
}

static void version__list_is_newest_first(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_json_done) json_t *first = NULL;
    TD_CLEANUP(td_json_done) json_t *second = NULL;
    for (int i = 0; i < 3; i++) {
        (void)make_version(f, "pump", "a");
    }
    td_page page = {.limit = 2};
    must(td_version_list_json(f->db, "default", "pump", &page, &first, &err), &err);
    assert_int_equal(td_json_int(json_array_get(json_object_get(first, "versions"), 0), "version", 0), 3);
    page.cursor = td_json_text(first, "next_cursor", NULL);
    must(td_version_list_json(f->db, "default", "pump", &page, &second, &err), &err);
    assert_int_equal(json_array_size(json_object_get(second, "versions")), 1);
    assert_int_equal(td_json_int(json_array_get(json_object_get(second, "versions"), 0), "version", 0), 1);
    page.cursor = "x";
    assert_int_equal(td_version_list_json(f->db, "default", "pump", &page, &second, &err), TD_INVALID);
}

static void version__draft_can_be_edited(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    (void)make_version(f, "pump", "a");
    TD_CLEANUP(td_json_done) json_t *metrics = json_pack("{s:f}", "auc", 0.5);
    td_version_edit edit = {.description = "told better", .metrics = metrics};
    must(td_version_update(f->db, &f->ana.actor, "default", "pump/1", &edit, &err), &err);
    must(td_version_set_tag(f->db, &f->ana.actor, "default", "pump/1", "k", "v", &err), &err);
    must(td_version_set_tag(f->db, &f->ana.actor, "default", "pump/1", "k", NULL, &err), &err);
    refused(TRY_WRITE(f, td_version_set_tag(f->db, &f->ana.actor, "default", "pump/1", "k", NULL, &err)), &err,
            TD_NOT_FOUND, "no tag \"k\"");
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    must(td_version_json(f->db, "default", "pump/1", &json, &err), &err);
    assert_string_equal(td_json_text(json, "description", ""), "told better");
    assert_int_equal(json_object_size(json_object_get(json, "tags")), 0);
    assert_int_equal(count_records(f, "update.version"), 3);
}

static void version__too_many_tags_hit_the_limit(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_json_done) json_t *tags = json_object();
    (void)make_version(f, "pump", "a");
    for (int i = 0; i < TD_ENTRIES_MAX; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        json_object_set_new(tags, key, json_string("v"));
    }
    td_version_edit edit = {.tags = tags};
    must(td_version_update(f->db, &f->ana.actor, "default", "pump/1", &edit, &err), &err);
    refused(TRY_WRITE(f, td_version_set_tag(f->db, &f->ana.actor, "default", "pump/1", "one-more", "v", &err)), &err,
            TD_LIMIT, "at most 256 tags");
}

static void version__change_after_submit_is_refused(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    (void)make_version(f, "pump", "a");
    submit(f, "pump/1", NULL);
    td_version_edit edit = {.description = "late"};
    refused(TRY_WRITE(f, td_version_set_tag(f->db, &f->ana.actor, "default", "pump/1", "k", "v", &err)), &err,
            TD_CONFLICT, "pump/1 is pending and can no longer be changed");
    assert_int_equal(TRY_WRITE(f, td_version_update(f->db, &f->ana.actor, "default", "pump/1", &edit, &err)),
                     TD_CONFLICT);
    assert_int_equal(count_records(f, "update.version"), 0);
}

/* The database refuses even where our own code would not ask. */
static void version__files_and_frozen_rows_cannot_be_changed_in_sql(void **state)
{
    fixture *f = *state;
    (void)make_version(f, "pump", "a");
    submit(f, "pump/1", NULL);
    const char *const attempts[] = {
        "UPDATE version_file SET digest = zeroblob(32)",
        "DELETE FROM version_file",
        "INSERT INTO version_file VALUES (1, 'model/other', 'model', 1, zeroblob(32))",
        "UPDATE version SET description = 'x'",
        "UPDATE version SET manifest = x'00'",
        "INSERT INTO version_tag VALUES (1, 'k', 'v')",
        "UPDATE keyset SET envelope = x'00'",
    };
    for (size_t i = 0; i < TD_COUNT_OF(attempts); i++) {
        td_err err = {0};
        if (TRY_WRITE(f, td_db_exec(f->db, attempts[i], &err)) == TD_OK) {
            fail_msg("was allowed: %s", attempts[i]);
        }
    }
}

/* ---- aliases ---- */

static void alias__moves_with_history(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    int64_t number;
    int64_t start = fixture_now_ms;
    (void)make_version(f, "pump", "a");
    (void)make_version(f, "pump", "b");
    must(td_alias_set(f->db, &f->ana.actor, "default", "pump", "beta", 1, "first", &err), &err);
    fixture_now_ms += 1000;
    must(td_alias_set(f->db, &f->ana.actor, "default", "pump", "beta", 2, "better", &err), &err);
    fixture_now_ms += 1000;
    must(td_alias_delete(f->db, &f->ana.actor, "default", "pump", "beta", "done", &err), &err);
    const struct {
        int64_t at_ms, number;
    } cases[] = {{start - 1, 0}, {start, 1}, {start + 999, 1}, {start + 1000, 2}, {start + 1999, 2}, {start + 2000, 0}};
    for (size_t i = 0; i < TD_COUNT_OF(cases); i++) {
        must(td_alias_at(f->db, "default", "pump", "beta", cases[i].at_ms, &number, &err), &err);
        assert_int_equal(number, cases[i].number);
    }
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    must(td_alias_json(f->db, "default", "pump", "beta", &json, &err), &err);
    assert_true(json_is_null(json_object_get(json, "version")));
    assert_int_equal(json_array_size(json_object_get(json, "history")), 3);
    assert_int_equal(count_records(f, "set.alias"), 2);
    assert_int_equal(count_records(f, "delete.alias"), 1);
}

static void alias__bad_moves_are_refused(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_actor *ana = &f->ana.actor;
    (void)make_version(f, "pump", "a");
    must(td_alias_set(f->db, ana, "default", "pump", "beta", 1, NULL, &err), &err);
    refused(TRY_WRITE(f, td_alias_set(f->db, ana, "default", "pump", "beta", 1, NULL, &err)), &err, TD_CONFLICT,
            "already");
    refused(TRY_WRITE(f, td_alias_set(f->db, &f->ben.actor, "default", "pump", "champion", 1, "why", &err)), &err,
            TD_CONFLICT, "may only name an approved version; pump/1 is draft");
    refused(TRY_WRITE(f, td_alias_set(f->db, ana, "default", "pump", "22", 1, NULL, &err)), &err, TD_INVALID,
            "is no alias");
    refused(TRY_WRITE(f, td_alias_set(f->db, ana, "default", "pump", "beta", 5, NULL, &err)), &err, TD_NOT_FOUND,
            "pump/5");
    refused(TRY_WRITE(f, td_alias_delete(f->db, ana, "default", "pump", "gamma", NULL, &err)), &err, TD_NOT_FOUND,
            "gamma");
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    refused(td_alias_json(f->db, "default", "pump", "never", &json, &err), &err, TD_NOT_FOUND, "never had");
}

static void alias__champion_names_what_was_approved(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    (void)make_approved(f, "pump", "a");
    td_actor *ana = &f->ana.actor, *ben = &f->ben.actor;
    refused(TRY_WRITE(f, td_alias_set(f->db, ana, "default", "pump", "champion", 1, "mine", &err)), &err, TD_DENIED,
            "approve");
    refused(TRY_WRITE(f, td_alias_set(f->db, ben, "default", "pump", "champion", 1, NULL, &err)), &err, TD_INVALID,
            "reason");
    must(td_alias_set(f->db, ben, "default", "pump", "champion", 1, "gate passed", &err), &err);
    refused(TRY_WRITE(f, td_alias_delete(f->db, ana, "default", "pump", "champion", "mine", &err)), &err, TD_DENIED,
            "approve");
    refused(TRY_WRITE(f, td_alias_delete(f->db, ben, "default", "pump", "champion", NULL, &err)), &err, TD_INVALID,
            "reason");
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    must(td_alias_list_json(f->db, "default", "pump", &json, &err), &err);
    assert_int_equal(td_json_int(json_object_get(json, "aliases"), "champion", 0), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(model__create_list_show),
        CASE(model__twice_is_a_conflict),
        CASE(model__names_outside_the_grammar_are_refused),
        CASE(model__unknown_one_names_the_nearest),
        CASE(model__list_pages_by_name),
        CASE(model__update_changes_and_removes_tags),
        CASE(version__keeps_everything_that_was_given),
        CASE(version__numbers_are_never_used_again),
        CASE(version__bad_input_is_refused),
        CASE(version__registering_needs_the_role),
        CASE(version__references_in_every_form),
        CASE(version__list_is_newest_first),
        CASE(version__draft_can_be_edited),
        CASE(version__too_many_tags_hit_the_limit),
        CASE(version__change_after_submit_is_refused),
        CASE(version__files_and_frozen_rows_cannot_be_changed_in_sql),
        CASE(alias__moves_with_history),
        CASE(alias__bad_moves_are_refused),
        CASE(alias__champion_names_what_was_approved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
