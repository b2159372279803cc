/*
 * test_statement.c: statements about a version: whom they are accepted from is another matter, this is what they say.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/registry/fixture.h"

#include "claims/statement.h"

static td_about about_of(fixture *f, const char *reference)
{
    td_err err = {0};
    td_about about;
    TD_CLEANUP(td_str_done) td_str manifest = {0};
    submit(f, reference, &manifest);
    must(td_about_read(manifest.data, manifest.size, &f->arena, &about, &err), &err);
    return about;
}

static td_code read_text(const char *text, td_statement *out, td_err *err)
{
    return td_statement_read(text, strlen(text), out, err);
}

static void statement__names_both_subjects(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_statement_done) td_statement statement = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_json_done) json_t *predicate = json_pack("{s:s, s:[]}", "result", "PASSED", "configuration");
    make_version(f, "pump", "weights");
    td_about about = about_of(f, "pump/1");
    must(td_statement_make(&about, TD_PREDICATE_TEST_RESULT, predicate, &text, &err), &err);
    must(td_statement_read(text.data, text.size, &statement, &err), &err);
    assert_int_equal(json_array_size(statement.subjects), 2);
    assert_string_equal(td_json_text(json_array_get(statement.subjects, 0), "name", ""), "pump/1");
    assert_string_equal(td_json_text(json_array_get(statement.subjects, 1), "name", ""), "pump/1/model");
    assert_string_equal(td_statement_covers(&statement, &about), "version");
    assert_string_equal(td_predicate_kind(statement.predicate_type), "test-result");
    /* the content id is the version's, the root is the one that model.sig signs */
    td_version version = find(f, "pump/1");
    assert_memory_equal(about.content_id, version.manifest_digest, TD_DIGEST_SIZE);
    TD_CLEANUP(td_str_done) td_str sig = {0};
    td_modelsig read;
    must(td_modelsig_of_manifest(&about.manifest, f->publisher, &sig, &err), &err);
    must(td_modelsig_read(sig.data, sig.size, &f->arena, &read, &err), &err);
    assert_memory_equal(about.model_root, read.root, TD_DIGEST_SIZE);
}

static td_code covers(const td_about *about, const uint8_t *digest, const char *algorithm, const char **out,
                      td_err *err)
{
    TD_CLEANUP(td_statement_done) td_statement statement = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    char hex[TD_DIGEST_TEXT];
    td_hex_encode(digest, TD_DIGEST_SIZE, hex);
    td_str_addf(&text,
                "{\"_type\":\"" TD_STATEMENT_TYPE "\",\"subject\":[{\"name\":\"a\",\"digest\":{\"%s\":\"%s\"}}],"
                "\"predicateType\":\"https://example.com/x\",\"predicate\":{}}",
                algorithm, hex);
    TD_TRY(td_statement_read(text.data, text.size, &statement, err));
    *out = td_statement_covers(&statement, about);
    return TD_OK;
}

static void statement__covers_version_model_or_file(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    const char *what = "";
    uint8_t file[TD_DIGEST_SIZE], other[TD_DIGEST_SIZE] = {7};
    make_version(f, "pump", "weights");
    td_about about = about_of(f, "pump/1");
    memcpy(file, about.manifest.files[about.manifest.file_count - 1].digest, sizeof file);
    for (size_t i = 0; i < about.manifest.file_count; i++) {
        if (about.manifest.files[i].role == TD_FILE_MODEL) {
            memcpy(file, about.manifest.files[i].digest, sizeof file);
        }
    }
    must(covers(&about, about.content_id, "sha256", &what, &err), &err);
    assert_string_equal(what, "version");
    must(covers(&about, about.model_root, "sha256", &what, &err), &err);
    assert_string_equal(what, "model");
    must(covers(&about, file, "sha256", &what, &err), &err);
    assert_true(strncmp(what, "model/", 6) == 0);
    must(covers(&about, other, "sha256", &what, &err), &err);
    assert_null(what);
    must(covers(&about, about.content_id, "sha512_256", &what, &err), &err); /* a digest of another kind is no match */
    assert_null(what);
}

#define HEAD "{\"_type\":\"" TD_STATEMENT_TYPE "\","
#define SUBJECT "\"subject\":[{\"digest\":{\"sha256\":\"00\"}}],"

static void statement__malformed_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"nonsense", "not JSON"},
        {"{}", "no in-toto statement v1"},
        {"{\"_type\":\"https://in-toto.io/Statement/v0.1\"}", "no in-toto statement v1"},
        {HEAD "\"subject\":[]}", "no subject"},
        {HEAD "\"subject\":[{\"name\":\"a\"}]}", "subject 1 of the statement has no digest"},
        {HEAD "\"subject\":[{\"digest\":{\"sha256\":1}}]}", "digest of subject 1 is no text"},
        {HEAD SUBJECT "\"predicateType\":\"x\",\"predicate\":{}}", "no URI"},
        {HEAD SUBJECT "\"predicateType\":\"a:b\"}", "no predicate"},
        {HEAD SUBJECT "\"predicateType\":\"a:b\",\"predicate\":[]}", "no predicate"},
        {HEAD SUBJECT "\"predicateType\":\"" TD_PREDICATE_PROVENANCE "\",\"predicate\":{\"buildDefinition\":{}}}",
         "needs buildDefinition/buildType"},
        {HEAD SUBJECT "\"predicateType\":\"" TD_PREDICATE_TEST_RESULT
                      "\",\"predicate\":{\"result\":\"GOOD\",\"configuration\":[]}}",
         "PASSED, WARNED or FAILED"},
        {HEAD SUBJECT "\"predicateType\":\"" TD_PREDICATE_BOM
                      "\",\"predicate\":{\"bomFormat\":\"SPDX\",\"specVersion\":\"3\"}}",
         "CycloneDX"},
        {HEAD SUBJECT "\"predicateType\":\"" TD_PREDICATE_APPROVAL
                      "\",\"predicate\":{\"approver\":{\"name\":\"ben\"},\"meaning\":\"\"}}",
         "needs meaning"},
    };
    for (size_t i = 0; i < TD_COUNT_OF(cases); i++) {
        td_err err = {0};
        td_statement statement = {0};
        if (read_text(cases[i].text, &statement, &err) != TD_CORRUPT || !strstr(err.text, cases[i].message)) {
            fail_msg("%s: %s", cases[i].text, err.text);
        }
    }
}

static void statement__subjects_are_bounded(void **state)
{
    (void)state;
    td_err err = {0};
    td_statement statement = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_str_add(&text, HEAD "\"subject\":[");
    for (int i = 0; i <= TD_STATEMENT_SUBJECTS_MAX; i++) {
        td_str_addf(&text, "%s{\"digest\":{\"sha256\":\"%d\"}}", i > 0 ? "," : "", i);
    }
    td_str_add(&text, "],\"predicateType\":\"a:b\",\"predicate\":{}}");
    assert_int_equal(td_statement_read(text.data, text.size, &statement, &err), TD_LIMIT);
}

static void approval__said_and_read(void **state)
{
    (void)state;
    td_err err = {0};
    td_approval_said said = {"ben", "approved", "looked at it", "pump/3", "default", 1772359200123}, got;
    TD_CLEANUP(td_json_done) json_t *predicate = NULL;
    must(td_approval_predicate(&said, &predicate, &err), &err);
    assert_string_equal(td_json_text(predicate, "time", ""), "2026-03-01T10:00:00.123Z");
    must(td_approval_said_read(predicate, &got, &err), &err);
    assert_string_equal(got.approver, "ben");
    assert_string_equal(got.meaning, "approved");
    assert_true(got.time_ms == said.time_ms);
    json_object_set_new(predicate, "time", json_string("yesterday"));
    assert_int_equal(td_approval_said_read(predicate, &got, &err), TD_CORRUPT);
    assert_non_null(strstr(err.text, "yesterday"));
}

static void meaning__names_stand_for_sentences(void **state)
{
    (void)state;
    td_err err = {0};
    const char *meaning = NULL;
    char long_text[TD_MEANING_MAX + 2];
    must(td_meaning_parse("approval", &meaning, &err), &err);
    assert_string_equal(meaning, "approved for release to devices");
    must(td_meaning_parse("signed as head of QA", &meaning, &err), &err);
    assert_string_equal(meaning, "signed as head of QA");
    assert_int_equal(td_meaning_parse(" ", &meaning, &err), TD_INVALID);
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    assert_int_equal(td_meaning_parse(long_text, &meaning, &err), TD_INVALID);
}

static void kind__names_and_types(void **state)
{
    (void)state;
    td_err err = {0};
    const char *type = NULL;
    must(td_predicate_type("provenance", &type, &err), &err);
    assert_string_equal(type, TD_PREDICATE_PROVENANCE);
    must(td_predicate_type("https://example.com/x", &type, &err), &err);
    assert_string_equal(td_predicate_kind(type), "other");
    assert_int_equal(td_predicate_type("provenence", &type, &err), TD_INVALID);
    assert_non_null(strstr(err.text, "did you mean provenance?"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(statement__names_both_subjects),
        CASE(statement__covers_version_model_or_file),
        cmocka_unit_test(statement__malformed_is_named),
        cmocka_unit_test(statement__subjects_are_bounded),
        cmocka_unit_test(approval__said_and_read),
        cmocka_unit_test(meaning__names_stand_for_sentences),
        cmocka_unit_test(kind__names_and_types),
    };
    return cmocka_run_group_tests_name("statement", tests, NULL, NULL);
}
