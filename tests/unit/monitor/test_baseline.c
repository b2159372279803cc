/*
 * test_baseline.c: reference data becomes a baseline, or an error that names the place and the way on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/baseline.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

typedef struct text_source {
    const char *text;
    size_t at, step; /* step: bytes a read */
} text_source;

static long read_text(void *context, void *out, size_t room)
{
    text_source *source = context;
    size_t left = strlen(source->text) - source->at;
    size_t size = left < room ? left : room;
    size = source->step > 0 && size > source->step ? source->step : size;
    memcpy(out, source->text + source->at, size);
    source->at += size;
    return (long)size;
}

static int rewind_text(void *context)
{
    ((text_source *)context)->at = 0;
    return 0;
}

static td_code build(const char *csv, const char *spec, size_t step, td_baseline *out, td_err *err)
{
    text_source text = {csv, 0, step};
    td_csv_source source = {read_text, rewind_text, &text, "reference.csv"};
    json_t *columns = json_loads(spec, 0, NULL);
    assert_non_null(columns);
    td_code code = td_baseline_build(&source, columns, out, err);
    json_decref(columns);
    return code;
}

static void refused(const char *csv, const char *spec, td_code expected, const char *message)
{
    td_baseline out = {0};
    td_err err = {0};
    td_code code = build(csv, spec, 0, &out, &err);
    if (code != expected || strstr(err.text, message) == NULL) {
        fail_msg("code %d, \"%s\"; expected %d with \"%s\"", code, err.text, expected, message);
    }
    assert_null(out.summary);
}

static void made(const char *csv, const char *spec, td_baseline *out)
{
    td_err err = {0};
    if (build(csv, spec, 0, out, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
}

static const json_t *feature(const td_baseline *b, size_t index)
{
    return json_array_get(json_object_get(b->summary, "features"), index);
}

static int64_t count_at(const json_t *stream, size_t bin)
{
    return json_integer_value(json_array_get(json_object_get(stream, "counts"), bin));
}

static bool warned(const td_baseline *b, const char *part)
{
    const json_t *warnings = json_object_get(b->summary, "warnings");
    for (size_t i = 0; i < json_array_size(warnings); i++) {
        if (strstr(json_string_value(json_array_get(warnings, i)), part) != NULL) {
            return true;
        }
    }
    return false;
}

/* 10,000 rows of x = 0 … 9999: exact quantiles, known shares. */
static char *uniform_csv(void)
{
    td_str text = {0};
    td_str_add(&text, "x\n");
    for (int i = 0; i < 10000; i++) {
        td_str_addf(&text, "%d\n", (i * 7919) % 10000);
    }
    return td_str_take(&text);
}

static void numeric__gets_the_designs_quantiles(void **state)
{
    (void)state;
    TD_CLEANUP(td_free_text) char *csv = uniform_csv();
    td_baseline b = {0};
    made(csv, "{}", &b);
    static const int64_t expected[] = {10,   90,   150,  750,  1000, 1000, 1000, 1000,
                                       1000, 1000, 1000, 1000, 750,  150,  90,   10};
    assert_int_equal(json_array_size(json_object_get(feature(&b, 0), "edges")), 15);
    for (size_t i = 0; i < 16; i++) {
        assert_int_equal(count_at(feature(&b, 0), i), expected[i]);
    }
    assert_true(fabs(td_json_number(feature(&b, 0), "mean", 0) - 4999.5) < 1e-6);
    assert_true(fabs(td_json_number(feature(&b, 0), "deviation", 0) - 2886.895679907) < 1e-6);
    td_baseline_done(&b);
}

static void bytes__are_the_same_however_the_file_is_read(void **state)
{
    (void)state;
    TD_CLEANUP(td_free_text) char *csv = uniform_csv();
    td_baseline whole = {0}, dribbled = {0};
    made(csv, "{}", &whole);
    td_err err = {0};
    assert_int_equal(build(csv, "{}", 3, &dribbled, &err), TD_OK);
    assert_int_equal(whole.bytes.size, dribbled.bytes.size);
    assert_memory_equal(whole.digest, dribbled.digest, sizeof whole.digest);
    td_baseline_done(&whole);
    td_baseline_done(&dribbled);
}

static const char pump_csv[] = "time,speed,bearing,prediction,score,label,plant\r\n"
                               "1,10.5,a,fault,0.9,fault,oslo\r\n"
                               "2,11,b,ok,0.1,ok,oslo\r\n"
                               "3,,\"a\",ok,0.2,fault,bergen\r\n"
                               "\r\n"
                               "4,12.5,\"b, new\",fault,0.5,ok,bergen\r\n"
                               "5,nan,a,ok,0.3,,\"bergen\"";
static const char pump_spec[] =
    "{\"categorical\":[\"bearing\"],\"ignore\":[\"time\"],\"prediction\":\"prediction\","
    "\"score\":\"score\",\"label\":\"label\",\"group\":\"plant\",\"positive_class\":\"fault\"}";

static void roles__are_all_counted(void **state)
{
    (void)state;
    td_baseline b = {0};
    made(pump_csv, pump_spec, &b);
    assert_int_equal(td_json_int(b.summary, "rows", 0), 5);
    assert_int_equal(json_array_size(json_object_get(b.summary, "features")), 2);
    assert_int_equal(td_json_int(feature(&b, 0), "missing", -1), 2);
    assert_int_equal(count_at(feature(&b, 1), 0), 3); /* a */
    assert_int_equal(count_at(feature(&b, 1), 2), 1); /* "b, new" */
    const json_t *prediction = json_object_get(b.summary, "prediction");
    assert_string_equal(json_string_value(json_array_get(json_object_get(prediction, "categories"), 0)), "fault");
    assert_int_equal(count_at(prediction, 0), 2);
    const json_t *bergen = json_array_get(json_object_get(b.summary, "groups"), 0);
    assert_string_equal(td_json_text(bergen, "group", ""), "bergen");
    assert_int_equal(td_json_int(bergen, "n", 0), 3);
    assert_int_equal(td_json_int(bergen, "positive", 0), 1);
    assert_int_equal(td_json_int(bergen, "false_positive", 0), 1);
    assert_int_equal(td_json_int(bergen, "false_negative", 0), 1);
    assert_true(fabs(td_json_number(b.summary, "accuracy", 0) - 0.5) < 1e-12);
    bool threshold = false;
    const json_t *edges = json_object_get(json_object_get(b.summary, "score"), "edges");
    for (size_t i = 0; i < json_array_size(edges); i++) {
        threshold |= json_number_value(json_array_get(edges, i)) == 0.5;
    }
    assert_true(threshold);
    td_baseline_done(&b);
}

static void constant__is_an_atom_with_a_warning(void **state)
{
    (void)state;
    td_baseline b = {0};
    made("x,y\n7,1\n7,2\n7,1\n", "{}", &b);
    assert_true(warned(&b, "\"x\" is constant"));
    assert_int_equal(json_array_size(json_object_get(feature(&b, 0), "edges")), 2);
    assert_int_equal(count_at(feature(&b, 0), 0), 0);
    assert_int_equal(count_at(feature(&b, 0), 1), 3);
    assert_int_equal(count_at(feature(&b, 0), 2), 0);
    td_baseline_done(&b);
}

static void ties__become_bins_of_their_own(void **state)
{
    (void)state;
    td_str csv = {0};
    td_str_add(&csv, "x\n");
    for (int i = 0; i < 1000; i++) {
        td_str_addf(&csv, "%d\n", i < 600 ? 0 : i); /* 60 % zeros, then 600 … 999 */
    }
    td_baseline b = {0};
    made(td_str_text(&csv), "{}", &b);
    int64_t largest = 0;
    for (size_t i = 0; i < 16; i++) {
        largest = count_at(feature(&b, 0), i) > largest ? count_at(feature(&b, 0), i) : largest;
    }
    assert_int_equal(largest, 600);
    td_baseline_done(&b);
    td_str_done(&csv);
}

static void classes__sort_as_numbers_and_take_labels_in(void **state)
{
    (void)state;
    td_baseline b = {0};
    made("x,p,y\n1,10,10.0\n2,9,2\n3,9.0,9\n", "{\"prediction\":\"p\",\"label\":\"y\"}", &b);
    const json_t *classes = json_object_get(json_object_get(b.summary, "prediction"), "categories");
    assert_int_equal(json_array_size(classes), 3);
    assert_string_equal(json_string_value(json_array_get(classes, 0)), "2");
    assert_string_equal(json_string_value(json_array_get(classes, 2)), "10");
    assert_true(fabs(td_json_number(b.summary, "accuracy", 0) - 2.0 / 3) < 1e-12);
    td_baseline_done(&b);
}

static void edges_digest__depends_on_edges_and_not_on_counts(void **state)
{
    (void)state;
    td_baseline a = {0}, twice = {0}, other = {0};
    made("x\n1\n2\n3\n", "{}", &a);
    made("x\n1\n3\n2\n", "{}", &twice);
    made("x\n1\n2\n4\n", "{}", &other);
    assert_memory_equal(a.edges_digest, twice.edges_digest, 32);
    assert_memory_not_equal(a.edges_digest, other.edges_digest, 32);
    td_baseline_done(&a);
    td_baseline_done(&twice);
    td_baseline_done(&other);
}

static void bad_input__is_refused_with_place_and_way_on(void **state)
{
    (void)state;
    refused("", "{}", TD_INVALID, "reference.csv is empty");
    refused("a,b\n", "{}", TD_INVALID, "has a header but no rows");
    refused("speed,b\n1,2\n", "{\"features\":[\"sped\"]}", TD_INVALID,
            "no column \"sped\" (features); did you mean \"speed\"?");
    refused("speed,b\n1,2\n", "{\"prediction\":\"zzzzzz\"}", TD_INVALID, "no column \"zzzzzz\" (prediction)");
    refused("speed,b\n1,2\n\nfast,3\n", "{}", TD_INVALID,
            "reference.csv:4: column \"speed\": expected a number, found \"fast\"");
    refused("speed,b\n1,2\n3\n", "{}", TD_INVALID, "reference.csv:3: 1 fields, but the header has 2");
    refused("speed,b\n1,2\n3,4,5\n", "{}", TD_INVALID, "reference.csv:3: 3 fields");
    refused("a,a\n1,2\n", "{}", TD_INVALID, "columns 1 and 2 are both called \"a\"");
    refused("a,\n1,2\n", "{}", TD_INVALID, "the name of column 2 has 0 bytes");
    refused("a\n\"1\n2\n", "{}", TD_INVALID,
            "reference.csv:2: a quoted field that begins in this record is never closed");
    refused("a\n1\"2\n", "{}", TD_INVALID, "reference.csv:2: a quote inside field 1");
    refused("a\n\"1\"2\n", "{}", TD_INVALID, "text after the closing quote");
    refused("a\n1\n", "{\"fetures\":[]}", TD_INVALID, "fetures");
    refused("a\n1\n", "{\"label\":\"a\"}", TD_INVALID, "\"label\" needs \"prediction\"");
    refused("a,p\n1,x\n2,y\n", "{\"prediction\":\"p\",\"positive_class\":\"z\"}", TD_INVALID,
            "positive_class \"z\" is none of");
    refused("a,p\n1,x\n", "{\"prediction\":\"p\",\"prediction_type\":\"value\"}", TD_INVALID, "holds \"x\"");
    refused("a\n1\n", "{\"features\":[\"a\",\"a\"]}", TD_INVALID, "listed twice");
}

static void hostile_bytes__are_corrupt(void **state)
{
    (void)state;
    td_baseline b = {0};
    made(pump_csv, pump_spec, &b);
    json_t *json = NULL;
    td_err err;
    for (size_t cut = 0; cut < b.bytes.size; cut++) {
        if (td_baseline_json(b.bytes.data, cut, &json, &err) == TD_OK) {
            json_decref(json); /* a cut between two fields is a smaller message */
        }
    }
    assert_int_equal(td_baseline_json("\xff\xff\xff", 3, &json, &err), TD_CORRUPT);
    assert_int_equal(td_baseline_json("", 0, &json, &err), TD_CORRUPT);
    td_baseline_done(&b);
}

static void regression__has_numeric_predictions(void **state)
{
    (void)state;
    td_str csv = {0};
    td_str_add(&csv, "x,p\n");
    for (int i = 0; i < 100; i++) {
        td_str_addf(&csv, "%d,%g\n", i, i * 0.37);
    }
    td_baseline b = {0};
    made(td_str_text(&csv), "{\"prediction\":\"p\"}", &b);
    assert_string_equal(td_json_text(json_object_get(b.summary, "prediction"), "type", ""), "numeric");
    td_baseline_done(&b);
    td_str_done(&csv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numeric__gets_the_designs_quantiles),
        cmocka_unit_test(bytes__are_the_same_however_the_file_is_read),
        cmocka_unit_test(roles__are_all_counted),
        cmocka_unit_test(constant__is_an_atom_with_a_warning),
        cmocka_unit_test(ties__become_bins_of_their_own),
        cmocka_unit_test(classes__sort_as_numbers_and_take_labels_in),
        cmocka_unit_test(edges_digest__depends_on_edges_and_not_on_counts),
        cmocka_unit_test(bad_input__is_refused_with_place_and_way_on),
        cmocka_unit_test(hostile_bytes__are_corrupt),
        cmocka_unit_test(regression__has_numeric_predictions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
