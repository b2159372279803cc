/*
 * test_spec.c: model.yaml and the flags' short forms: what is wrong is named with its line.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the first ones */
#include <cmocka.h>

static td_code check(const char *yaml, td_err *err)
{
    json_t *spec = NULL;
    td_yaml_lines *lines = NULL;
    *err = (td_err){0};
    td_code code = td_yaml_parse(yaml, strlen(yaml), "model.yaml", &spec, &lines, err);
    if (code == TD_OK) {
        code = td_spec_check(spec, "model.yaml", lines, err);
    }
    json_decref(spec);
    td_yaml_lines_done(&lines);
    return code;
}

static void refuse(const char *yaml, const char *first, const char *second)
{
    td_err err;
    if (check(yaml, &err) != TD_INVALID || strstr(err.text, first) == NULL || strstr(err.text, second) == NULL) {
        fail_msg("expected \"%s\" and \"%s\" in \"%s\"", first, second, err.text);
    }
}

static void spec__full_example_passes(void **state)
{
    (void)state;
    td_err err;
    const char *yaml = "name: pump-anomaly\n"
                       "path: model.onnx\n"
                       "description: Bearing faults\n"
                       "tags: {team: vibration}\n"
                       "baseline:\n"
                       "  path: reference.csv\n"
                       "  columns: {prediction: prediction, label: label, group: plant}\n"
                       "datasets:\n"
                       "  - name: vibration\n"
                       "    uri: s3://plant/vibration\n"
                       "    path: train.csv\n"
                       "code: {repository: https://example.com/pump.git, commit: 1f0e}\n"
                       "metrics: {accuracy: 0.97, rows: 4000}\n"
                       "params: {epochs: 40}\n"
                       "target: {runtimes: [onnx], ram_bytes: 65536}\n"
                       "strict: true\n";
    if (check(yaml, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
}

static void spec__unknown_key_is_named_with_line_and_nearest(void **state)
{
    (void)state;
    refuse("name: pump\npath: model.onnx\ndescripton: x\n", "model.yaml:3", "description");
    refuse("name: pump\nbaseline:\n  path: r.csv\n  colums: {}\n", "model.yaml:4", "columns");
    refuse("name: pump\ncode:\n  repository: x\n  comit: y\n", "model.yaml:4", "commit");
}

static void spec__wrong_types_are_named(void **state)
{
    (void)state;
    refuse("name: [a]\n", "model.yaml:1", "name");
    refuse("name: p\nmetrics:\n  accuracy: good\n", "model.yaml:3", "accuracy");
    refuse("name: p\ndatasets:\n  - uri: s3://x\n", "model.yaml:3", "name");
    refuse("- a\n- b\n", "mapping", "");
    refuse("name: p\nbaseline: {path: r.csv, columns: {predicton: x}}\n", "predicton", "prediction");
}

static void columns__follow_from_the_header(void **state)
{
    (void)state;
    json_t *columns = json_pack("{s:s}", "group", "plant");
    assert_int_equal(td_spec_guess_columns("rms,\"score\",labels,prediction,group\r\n", columns, NULL), TD_OK);
    assert_string_equal(td_json_text(columns, "prediction", ""), "prediction");
    assert_string_equal(td_json_text(columns, "score", ""), "score");
    assert_null(json_object_get(columns, "label")); /* "labels" is another word */
    assert_string_equal(td_json_text(columns, "group", ""), "plant");
    json_decref(columns);
}

static void dataset__forms(void **state)
{
    (void)state;
    char path[] = "/tmp/td-dataset-XXXXXX", text[200];
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "abc", 3), 3);
    (void)close(fd);
    json_t *dataset = NULL;
    (void)snprintf(text, sizeof text, "vibration=s3://plant@home/x@%s", path);
    assert_int_equal(td_spec_dataset(text, &dataset, NULL), TD_OK);
    assert_string_equal(td_json_text(dataset, "name", ""), "vibration");
    assert_string_equal(td_json_text(dataset, "uri", ""), "s3://plant@home/x");
    assert_string_equal(td_json_text(dataset, "digest", ""),
                        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    json_decref(dataset);
    (void)snprintf(text, sizeof text, "vibration@%s", path);
    assert_int_equal(td_spec_dataset(text, &dataset, NULL), TD_OK);
    assert_string_equal(td_json_text(dataset, "name", ""), "vibration");
    assert_null(json_object_get(dataset, "uri"));
    json_decref(dataset);
    (void)unlink(path);
    td_err err = {0};
    assert_int_equal(td_spec_dataset("vibration", &dataset, &err), TD_INVALID);
    assert_int_equal(td_spec_dataset("=x@y", &dataset, &err), TD_INVALID);
    assert_int_equal(td_spec_dataset("a=b@/not/there.csv", &dataset, &err), TD_NOT_FOUND);
    assert_non_null(strstr(err.text, "/not/there.csv"));
    assert_int_equal(td_spec_dataset("a=b@sha256:12", &dataset, &err), TD_INVALID);
}

static void code__form(void **state)
{
    (void)state;
    json_t *code = NULL;
    assert_int_equal(td_spec_code("git@example.com:pump.git@1f0e", &code, NULL), TD_OK);
    assert_string_equal(td_json_text(code, "repository", ""), "git@example.com:pump.git");
    assert_string_equal(td_json_text(code, "commit", ""), "1f0e");
    json_decref(code);
    assert_int_equal(td_spec_code("pump.git", &code, NULL), TD_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spec__full_example_passes),
        cmocka_unit_test(spec__unknown_key_is_named_with_line_and_nearest),
        cmocka_unit_test(spec__wrong_types_are_named),
        cmocka_unit_test(columns__follow_from_the_header),
        cmocka_unit_test(dataset__forms),
        cmocka_unit_test(code__form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
