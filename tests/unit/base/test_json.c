/*
 * test_json.c: what is refused in JSON and YAML, canonical form, and messages of the validator.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static td_code parse(const char *text, json_t **out, td_err *err)
{
    return td_json_parse(text, strlen(text), "body", out, err);
}

static void json__refuses_what_is_ambiguous(void **state)
{
    (void)state;
    static const char *const bad[] = {"{\"a\":1,\"a\":2}", "{} x",        "",        "[1,]",
                                      "\"\\u0000\"",       "{\"a\":NaN}", "\"\xff\""};
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        json_t *json = NULL;
        td_err err;
        assert_int_equal(parse(bad[i], &json, &err), TD_INVALID);
        assert_null(json);
    }
    char deep[128];
    memset(deep, '[', 64);
    memset(deep + 64, ']', 64);
    json_t *json = NULL;
    td_err err;
    assert_int_equal(td_json_parse(deep, sizeof deep, "body", &json, &err), TD_INVALID);
}

static void json__canonical_form_is_rfc8785(void **state)
{
    (void)state;
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_CLEANUP(td_str_done) td_str out = {0};
    assert_int_equal(parse("{\"\\u20ac\":\"\\u20ac$\\u000f\\nA'\\u0042\\u0022\\\\\",\"\\r\":[true,null,-1],\"1\":\"\","
                           "\"\xF0\x9F\x98\x80\":1,"
                           "\"\xEF\xAC\xB3\":2}",
                           &json, NULL),
                     TD_OK);
    assert_int_equal(td_json_canonical(json, &out, NULL), TD_OK);
    /* RFC 8785 §3.2.3: U+1F600 (surrogates) sorts before U+FB33. */
    assert_string_equal(td_str_text(&out),
                        "{\"\\r\":[true,null,-1],\"1\":\"\",\"€\":\"€$\\u000f\\nA'B\\\"\\\\\",\"\xF0\x9F\x98\x80\":1,"
                        "\"\xEF\xAC\xB3\":2}");
}

static void json__whole_numbers_to_the_last_digit(void **state)
{
    (void)state;
    TD_CLEANUP(td_json_done) json_t *json =
        json_pack("[I, I, I, I, I]", (json_int_t)INT64_MIN, (json_int_t)INT64_MAX, (json_int_t)0, (json_int_t)-10,
                  (json_int_t)9);
    TD_CLEANUP(td_str_done) td_str out = {0};
    assert_int_equal(td_json_canonical(json, &out, NULL), TD_OK);
    assert_string_equal(td_str_text(&out), "[-9223372036854775808,9223372036854775807,0,-10,9]");
}

static void json__canonical_refuses_reals(void **state)
{
    (void)state;
    TD_CLEANUP(td_json_done) json_t *json = json_pack("{s:f}", "x", 0.5);
    TD_CLEANUP(td_str_done) td_str out = {0};
    assert_int_equal(td_json_canonical(json, &out, NULL), TD_INVALID);
}

/* Few members and many go different ways; what was written says the same. */
static void json__written_objects_are_sorted_and_read_back(void **state)
{
    (void)state;
    for (int count = 0; count <= 100; count += 20) {
        TD_CLEANUP(td_json_done) json_t *json = json_object(), *again = NULL;
        TD_CLEANUP(td_str_done) td_str out = {0};
        for (int i = count; i > 0; i--) {
            char key[16];
            snprintf(key, sizeof key, "k%03d\x7f\"", i);
            assert_int_equal(json_object_set_new(json, key, json_pack("[f, i, s]", i / 3.0, i, "\t\x1f/\\")), 0);
        }
        assert_int_equal(td_json_write(json, &out, NULL), TD_OK);
        assert_int_equal(parse(td_str_text(&out), &again, NULL), TD_OK);
        assert_true(json_equal(json, again));
        const char *first = strstr(td_str_text(&out), "k001"), *last = strstr(td_str_text(&out), "k020");
        assert_true(count == 0 || first < last);
    }
}

static void json__writes_no_tree_without_end(void **state)
{
    (void)state;
    TD_CLEANUP(td_str_done) td_str out = {0};
    TD_CLEANUP(td_json_done) json_t *deep = json_array();
    for (int i = 0; i < 2 * TD_JSON_DEPTH_MAX; i++) {
        deep = json_pack("[o]", deep);
    }
    assert_int_equal(td_json_write(deep, &out, NULL), TD_OK);
    deep = json_pack("[o]", deep);
    assert_int_equal(td_json_write(deep, &out, NULL), TD_INVALID);
    assert_int_equal(td_json_write(NULL, &out, NULL), TD_NOMEM);
}

static void yaml__scalars_become_what_they_look_like(void **state)
{
    (void)state;
    static const char text[] = "a: 1\nb: 1.5\nc: \"1\"\nd: true\ne:\nf: 007\ng: [x, {h: y}]\ni: 1e3\n";
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_CLEANUP(td_yaml_lines_done) td_yaml_lines *lines = NULL;
    TD_CLEANUP(td_str_done) td_str out = {0};
    assert_int_equal(td_yaml_parse(text, strlen(text), "t.yaml", &json, &lines, NULL), TD_OK);
    assert_int_equal(td_json_write(json, &out, NULL), TD_OK);
    assert_string_equal(
        td_str_text(&out),
        "{\"a\":1,\"b\":1.5,\"c\":\"1\",\"d\":true,\"e\":null,\"f\":\"007\",\"g\":[\"x\",{\"h\":\"y\"}],\"i\":1000.0}");
    assert_int_equal(td_yaml_line(lines, json_object_get(json, "g")), 7);
}

static void yaml__refuses_anchors_aliases_duplicates(void **state)
{
    (void)state;
    static const char *const bad[] = {"a: &x 1\nb: *x\n", "a: 1\na: 2\n", "a: !!int 1\n", "- 1\n---\n- 2\n",
                                      "a: [1\n",          "? [a]\n: 1\n", "<<: *x\n"};
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        json_t *json = NULL;
        td_err err = {0};
        assert_int_equal(td_yaml_parse(bad[i], strlen(bad[i]), "t.yaml", &json, NULL, &err), TD_INVALID);
        assert_non_null(strstr(err.text, "t.yaml:"));
    }
}

static void yaml__written_text_reads_back(void **state)
{
    (void)state;
    TD_CLEANUP(td_json_done)
    json_t *json = json_pack("{s:[{s:s,s:s},i],s:{s:b},s:s,s:[],s:[f,f,f]}", "list", "name", "x: y", "n", "007", 3,
                             "map", "on", 1, "empty", "", "none", "reals", 0.1, 1e300, 1.0 / 3);
    TD_CLEANUP(td_json_done) json_t *again = NULL;
    TD_CLEANUP(td_str_done) td_str out = {0};
    assert_int_equal(td_yaml_write(json, &out, NULL), TD_OK);
    assert_int_equal(td_yaml_parse(td_str_text(&out), out.size, "t", &again, NULL, NULL), TD_OK);
    assert_true(json_equal(json, again));
    assert_non_null(strstr(td_str_text(&out), "- 0.1\n"));
}

static const char *const kinds[] = {"onnx", "opaque", NULL};
static const td_json_field item_fields[] = {{.name = "uri", .type = TD_JSON_STRING, .required = true}, {0}};
static const td_json_field spec_fields[] = {
    {.name = "name", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = 8},
    {.name = "version", .type = TD_JSON_INTEGER, .minimum = 1, .maximum = 9},
    {.name = "kind", .type = TD_JSON_STRING, .choices = kinds},
    {.name = "every", .type = TD_JSON_DURATION},
    {.name = "datasets", .type = TD_JSON_ARRAY, .item_type = TD_JSON_OBJECT, .fields = item_fields},
    {0},
};

static void check(const char *text, const char *expected)
{
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_CLEANUP(td_yaml_lines_done) td_yaml_lines *lines = NULL;
    td_err err = {0};
    assert_int_equal(td_yaml_parse(text, strlen(text), "model.yaml", &json, &lines, &err), TD_OK);
    td_code code = td_json_check(json, spec_fields, "model.yaml", lines, &err);
    assert_string_equal(code == TD_OK ? "" : err.text, expected);
}

static void check__names_line_path_and_way_on(void **state)
{
    (void)state;
    check("name: pump\nversion: 2\nkind: onnx\nevery: 5m\ndatasets:\n  - uri: s3://x\n", "");
    check("name: pump\n\nvesion: 2\n", "model.yaml:3: unknown key \"vesion\"; did you mean \"version\"?");
    check("version: 2\n", "model.yaml:1: name: is missing");
    check("name: pump\nkind: onx\n", "model.yaml:2: kind: \"onx\" is not one of onnx, opaque");
    check("name: pump\nversion: 12\n", "model.yaml:2: version: 12 is outside 1 … 9");
    check("name: pump\ndatasets:\n  - url: x\n",
          "model.yaml:3: datasets[0]: unknown key \"url\"; did you mean \"uri\"?");
    check("name: pump\nevery: soon\n", "model.yaml:2: every: expected a duration such as 90s, 15m, 24h or 7d");
    check("- a\n", "model.yaml:1: expected keys and values");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json__refuses_what_is_ambiguous),
        cmocka_unit_test(json__canonical_form_is_rfc8785),
        cmocka_unit_test(json__whole_numbers_to_the_last_digit),
        cmocka_unit_test(json__canonical_refuses_reals),
        cmocka_unit_test(json__written_objects_are_sorted_and_read_back),
        cmocka_unit_test(json__writes_no_tree_without_end),
        cmocka_unit_test(yaml__scalars_become_what_they_look_like),
        cmocka_unit_test(yaml__refuses_anchors_aliases_duplicates),
        cmocka_unit_test(yaml__written_text_reads_back),
        cmocka_unit_test(check__names_line_path_and_way_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
