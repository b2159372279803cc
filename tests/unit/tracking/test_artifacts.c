/*
 * test_artifacts.c: paths are keys in a table: no spelling leaves its root, and a source means its files only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/tracking/tracking_fixture.h"

static void artifact__hostile_paths_are_refused(void **state)
{
    trial *t = *state;
    td_err err = {0};
    static const char *const bad[] = {
        "../x",      "a/../../x", "a/..",  "./a",        "a//b",       "/a",       "a/",       "a\\..\\x",
        "%2e%2e/x",  "a%2fb",     "a#b",   "a?b",        "a\nb",       "a\x7f",    "C:x",      "a:b",
        "\xff\xfe",  "..",        ".",     "a/./b",      "a/b/../../c", "\xc0\xae\xc0\xae/x",
    };
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        td_code code = put_artifact(t, t->run, bad[i], "x", &err);
        if (code != TD_INVALID) {
            fail_msg("\"%s\" gave %s", bad[i], td_code_lookup(code)->name);
        }
    }
    char deep[2 * (TD_ARTIFACT_PARTS_MAX + 1) + 1];
    for (size_t i = 0; i < sizeof deep - 1; i++) {
        deep[i] = i % 2 == 0 ? 'a' : '/';
    }
    deep[sizeof deep - 2] = '\0';
    refused(put_artifact(t, t->run, deep, "x", &err), &err, TD_INVALID, "32 parts");
    char longest[TD_ARTIFACT_PATH_MAX + 2];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    refused(td_artifact_path_check(longest, &err), &err, TD_INVALID, "1024");
}

static void artifact__lies_only_below_roots_of_the_project(void **state)
{
    trial *t = *state;
    td_err err = {0};
    uint8_t digest[TD_DIGEST_SIZE] = {1};
    char path[256];
    static const char *const nowhere[] = {"x", "0", "0/x/artifacts/y", "0/artifacts/y", "0/models/m-x/artifacts/y",
                                          "0/0123456789abcdef0123456789abcdef/artifacts/x"};
    for (size_t i = 0; i < TD_COUNT_OF(nowhere); i++) {
        refused(td_artifact_put(t->db, t->ana, P, nowhere[i], digest, 1, &err), &err, TD_NOT_FOUND, "no run");
    }
    snprintf(path, sizeof path, "1/%s/artifacts/x", t->run); /* another experiment's */
    refused(td_artifact_put(t->db, t->ana, P, path, digest, 1, &err), &err, TD_NOT_FOUND, "no run");
    snprintf(path, sizeof path, "0/%s/artifacts/x", t->run);
    refused(td_artifact_put(t->db, t->ben, P, path, digest, 1, &err), &err, TD_DENIED, "");
    refused(td_artifact_put(t->db, t->ana, "nobody", path, digest, 1, &err), &err, TD_NOT_FOUND, "");
}

static void artifact__folders_are_implied_and_listed_level_by_level(void **state)
{
    trial *t = *state;
    td_err err = {0};
    char root[128], folder[160];
    static const char *const names[] = {"model/MLmodel", "model/data/a.bin", "model/data/b.bin", "model0.txt",
                                        "model-x",       "zoo\xc3\xb6.txt"};
    for (size_t i = 0; i < TD_COUNT_OF(names); i++) {
        must(put_artifact(t, t->run, names[i], names[i], &err), &err);
    }
    snprintf(root, sizeof root, "0/%s/artifacts", t->run);
    TD_CLEANUP(td_json_done) json_t *list = NULL;
    must(td_artifact_list_json(t->db, P, root, &list, &err), &err);
    assert_int_equal(json_array_size(list), 4);
    assert_at(list, "0/path", "model-x");
    assert_at(list, "1", "{\"path\":\"model\",\"is_dir\":true}");
    assert_at(list, "2/path", "model0.txt");
    assert_at(list, "2/file_size", "10");
    snprintf(folder, sizeof folder, "%s/model", root);
    TD_CLEANUP(td_json_done) json_t *inner = NULL;
    must(td_artifact_list_json(t->db, P, folder, &inner, &err), &err);
    assert_at(inner, "0/path", "MLmodel");
    assert_at(inner, "1/is_dir", "true");
    refused(put_artifact(t, t->run, "model", "x", &err), &err, TD_CONFLICT, "is a folder");
    refused(put_artifact(t, t->run, "model/MLmodel/x", "x", &err), &err, TD_CONFLICT, "is a file");
    must(td_artifact_delete(t->db, t->ana, P, folder, &err), &err);
    TD_CLEANUP(td_json_done) json_t *rest = NULL;
    must(td_artifact_list_json(t->db, P, root, &rest, &err), &err);
    assert_int_equal(json_array_size(rest), 3);
    refused(TRY_WRITE(t->f, td_artifact_delete(t->db, t->ana, P, folder, &err)), &err, TD_NOT_FOUND, "no artifact");
}

static void artifact__every_name_is_listed_once_whatever_it_sorts_by(void **state)
{
    trial *t = *state;
    td_err err = {0};
    char name[32], root[128];
    for (int c = ' '; c < 127; c++) {
        if (strchr("\\%#?*:\"<>|/.", c) == NULL) {
            snprintf(name, sizeof name, "a%cb", c);
            must(put_artifact(t, t->run, name, "x", &err), &err);
            snprintf(name, sizeof name, "d%c/x", c);
            must(put_artifact(t, t->run, name, "x", &err), &err);
        }
    }
    snprintf(root, sizeof root, "0/%s/artifacts", t->run);
    TD_CLEANUP(td_json_done) json_t *list = NULL;
    must(td_artifact_list_json(t->db, P, root, &list, &err), &err);
    assert_int_equal(json_array_size(list), 2 * (127 - ' ' - 12));
}

static void artifact__an_ended_runs_files_change_only_with_a_record(void **state)
{
    trial *t = *state;
    td_err err = {0};
    must(put_artifact(t, t->run, "a", "one", &err), &err);
    assert_int_equal(records(t, "update.experiment_run"), 0);
    must(td_trial_update(t->db, t->ana, P, t->run, &(td_trial_change){.status = "FINISHED"}, &err), &err);
    must(put_artifact(t, t->run, "a", "two", &err), &err);
    assert_int_equal(records(t, "update.experiment_run"), 1);
}

/* ---- resolving ---- */

static td_code resolve(trial *t, const char *uri, td_artifact_tree *out, td_err *err)
{
    return td_artifact_resolve(t->db, P, uri, &t->arena, out, err);
}

static void resolve__understands_each_spelling_of_what_is_here(void **state)
{
    trial *t = *state;
    td_err err = {0};
    char uri[256], model[TD_LOGGED_UUID_SIZE];
    td_artifact_tree tree, again;
    must(put_artifact(t, t->run, "model/MLmodel", "flavors", &err), &err);
    must(put_artifact(t, t->run, "model/data/w.bin", "weights", &err), &err);
    must(put_artifact(t, t->run, "other", "no", &err), &err);
    snprintf(uri, sizeof uri, "runs:/%s/model", t->run);
    must(resolve(t, uri, &tree, &err), &err);
    assert_int_equal(tree.file_count, 2);
    assert_string_equal(tree.files[0].path, "MLmodel");
    assert_string_equal(tree.files[1].path, "data/w.bin");
    assert_string_equal(tree.run_uuid, t->run);
    static const char *const spellings[] = {
        "mlflow-artifacts:/0/%s/artifacts/model",
        "mlflow-artifacts:///0/%s/artifacts/model",
        "runs:/%s/model/",
        "http://elsewhere:1/api/2.0/mlflow-artifacts/artifacts/0/%s/artifacts/m%%6fdel",
    };
    for (size_t i = 0; i < TD_COUNT_OF(spellings); i++) {
        TD_CLEANUP(td_str_done) td_str text = {0};
        for (const char *c = spellings[i]; *c != '\0'; c++) {
            if (c[0] == '%') {
                td_str_add(&text, c[1] == 's' ? t->run : "%");
                c++;
            } else {
                td_str_addf(&text, "%c", *c);
            }
        }
        must(resolve(t, td_str_text(&text), &again, &err), &err);
        assert_memory_equal(again.digest, tree.digest, sizeof tree.digest);
    }
    td_logged_options options = {.experiment = "0", .name = "net", .source_run = t->run};
    must(td_logged_create(t->db, t->ana, P, &options, model, &err), &err);
    must(put_artifact(t, model, "MLmodel", "flavors", &err), &err);
    snprintf(uri, sizeof uri, "models:/%s", model);
    must(resolve(t, uri, &tree, &err), &err);
    assert_string_equal(tree.logged_model_uuid, model);
    assert_string_equal(tree.run_uuid, t->run);
    snprintf(uri, sizeof uri, "runs:/%s/net", t->run); /* MLflow 3: what the run logged under that name */
    must(resolve(t, uri, &tree, &err), &err);
    assert_string_equal(tree.logged_model_uuid, model);
}

static void resolve__opens_nothing_that_is_not_here(void **state)
{
    trial *t = *state;
    td_err err = {0};
    td_artifact_tree tree;
    static const char *const bad[] = {
        "file:///etc", "/etc/passwd", "../x", "s3://bucket/x", "ftp://h/x", "mlflow-artifacts://host/0/x", "http://h/x",
        "runs:/", "runs:/x/y", "runs://host/x", "models:/m-x", "models:/pump/3", "mlflow-artifacts:/../x", "", "C:\\x",
        "mlflow-artifacts:/0/x/artifacts/..%2f..", "http://h/api/2.0/mlflow-artifacts/artifacts/%2e%2e/x",
        "http://h/api/2.0/mlflow-artifacts/artifacts/0%00/x", "dbfs:/x", "data:text/plain,x", "file:x#../..",
    };
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        td_code code = resolve(t, bad[i], &tree, &err);
        if (code != TD_INVALID) {
            fail_msg("\"%s\" gave %s", bad[i], td_code_lookup(code)->name);
        }
    }
    char uri[128];
    snprintf(uri, sizeof uri, "runs:/%s/none", t->run);
    refused(resolve(t, uri, &tree, &err), &err, TD_NOT_FOUND, "no artifacts");
}

static void resolve__what_became_a_version_is_recorded(void **state)
{
    trial *t = *state;
    td_err err = {0};
    char uri[128];
    td_artifact_tree tree;
    must(put_artifact(t, t->run, "m/a", "x", &err), &err);
    snprintf(uri, sizeof uri, "runs:/%s/m", t->run);
    must(resolve(t, uri, &tree, &err), &err);
    must(td_artifact_settle(t->db, t->ana, P, &tree, "pump/1", &err), &err);
    assert_int_equal(records(t, "settle.artifacts"), 1);
    TD_CLEANUP(td_json_done) json_t *graph = NULL;
    must(td_lineage_show_json(t->db, P, "pump/1", TD_LINEAGE_UP, 0, &graph, &err), &err);
    assert_at(graph, "nodes/1/kind", "run");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(artifact__hostile_paths_are_refused),
        TRIAL(artifact__lies_only_below_roots_of_the_project),
        TRIAL(artifact__folders_are_implied_and_listed_level_by_level),
        TRIAL(artifact__every_name_is_listed_once_whatever_it_sorts_by),
        TRIAL(artifact__an_ended_runs_files_change_only_with_a_record),
        TRIAL(resolve__understands_each_spelling_of_what_is_here),
        TRIAL(resolve__opens_nothing_that_is_not_here),
        TRIAL(resolve__what_became_a_version_is_recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
