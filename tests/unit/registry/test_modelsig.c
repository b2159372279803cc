/*
 * test_modelsig.c: model.sig as the OpenSSF specification wants it, against its own vectors and every way to be wrong.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/registry/fixture.h"

typedef struct signed_model {
    td_key *key;
    td_str text, pem;
    td_modelsig_file files[3];
} signed_model;

static void model_done(signed_model *m)
{
    td_key_free(&m->key);
    td_str_done(&m->text);
    td_str_done(&m->pem);
}

static signed_model sign(void)
{
    td_err err = {0};
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    signed_model m = {.files = {{.name = "b.bin"}, {.name = "a/x.onnx"}, {.name = "a-b"}}};
    must(td_crypto_setup(&err), &err);
    must(td_key_generate(TD_KEY_P256, &m.key, &err), &err);
    (void)td_key_public(m.key, public_key);
    must(td_public_pem(TD_KEY_P256, public_key, &m.pem, &err), &err);
    for (size_t i = 0; i < 3; i++) {
        td_sha256_of(m.files[i].name, strlen(m.files[i].name), m.files[i].digest);
    }
    must(td_modelsig_make(&(td_modelsig_how){.name = "model"}, m.files, 3, m.key, &m.text, &err), &err);
    return m;
}

static td_code verify(const signed_model *m, size_t count, td_err *err)
{
    return td_modelsig_verify(m->text.data, m->text.size, td_str_text(&m->pem), m->files, count, err);
}

static td_code read_vector(const char *name, td_arena *arena, td_modelsig *out, td_err *err)
{
    char path[512];
    TD_CLEANUP(td_str_done) td_str text = {0};
    snprintf(path, sizeof path, "%s/tests/vectors/registry/model-signing/test-vectors/v1.0/%s", getenv("TD_SOURCE_DIR"),
             name);
    must(td_file_read(path, 1 << 20, &text, err), err);
    return td_modelsig_read(td_str_text(&text), text.size, arena, out, err);
}

static void modelsig__made_and_verified(void **state)
{
    (void)state;
    td_err err = {0};
    TD_CLEANUP(model_done) signed_model m = sign();
    must(verify(&m, 3, &err), &err);
    td_modelsig_file first = m.files[0]; /* any order */
    m.files[0] = m.files[2];
    m.files[2] = first;
    must(verify(&m, 3, &err), &err);
}

/* The form that strict readers of the format demand: exactly these keys, sorted files, a hint over the PEM text. */
static void modelsig__form_is_exactly_the_specified_one(void **state)
{
    (void)state;
    td_err err = {0};
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_CLEANUP(td_json_done) json_t *statement = NULL;
    TD_CLEANUP(model_done) signed_model m = sign();
    td_modelsig sig;
    must(td_json_parse(m.text.data, m.text.size, "model.sig", &json, &err), &err);
    assert_int_equal(json_object_size(json), 3);
    const json_t *material = json_object_get(json, "verificationMaterial");
    assert_int_equal(json_object_size(material), 2);
    assert_int_equal(json_array_size(json_object_get(material, "tlogEntries")), 0);
    must(td_modelsig_read(m.text.data, m.text.size, &arena, &sig, &err), &err);
    assert_string_equal(sig.files[0].name, "a-b"); /* code points: '-' before '/' */
    assert_string_equal(sig.files[1].name, "a/x.onnx");
    uint8_t digest[TD_DIGEST_SIZE];
    char hint[TD_DIGEST_TEXT];
    td_sha256_of(m.pem.data, m.pem.size, digest);
    td_hex_encode(digest, sizeof digest, hint);
    assert_string_equal(sig.hint, hint);
    must(td_json_parse((const char *)sig.payload, sig.payload_size, "payload", &statement, &err), &err);
    assert_int_equal(json_object_size(statement), 4);
    const json_t *serialization = json_object_get(json_object_get(statement, "predicate"), "serialization");
    assert_string_equal(td_json_text(serialization, "method", ""), "files");
    assert_false(td_json_bool(serialization, "allow_symlinks", true));
    assert_true(json_is_array(json_object_get(serialization, "ignore_paths")));
}

static void modelsig__root_is_over_raw_digests_in_order(void **state)
{
    (void)state;
    td_err err = {0};
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(model_done) signed_model m = sign();
    td_modelsig sig;
    uint8_t digests[3 * TD_DIGEST_SIZE];
    uint8_t root[TD_DIGEST_SIZE];
    memcpy(digests, m.files[2].digest, TD_DIGEST_SIZE);
    memcpy(digests + 32, m.files[1].digest, TD_DIGEST_SIZE);
    memcpy(digests + 64, m.files[0].digest, TD_DIGEST_SIZE);
    td_sha256_of(digests, sizeof digests, root);
    must(td_modelsig_read(m.text.data, m.text.size, &arena, &sig, &err), &err);
    assert_memory_equal(sig.root, root, sizeof root);
}

static void modelsig__changed_missing_and_extra_files_are_named(void **state)
{
    (void)state;
    td_err err = {0};
    TD_CLEANUP(model_done) signed_model m = sign();
    refused(verify(&m, 2, &err), &err, TD_CORRUPT, "\"a-b\", which is not there");
    td_modelsig_file more[4];
    memcpy(more, m.files, sizeof m.files);
    more[3] = (td_modelsig_file){.name = "late.txt"};
    refused(td_modelsig_verify(m.text.data, m.text.size, td_str_text(&m.pem), more, 4, &err), &err, TD_CORRUPT,
            "\"late.txt\" is not covered");
    more[3].name = ".git/config"; /* always ignored at the root */
    must(td_modelsig_verify(m.text.data, m.text.size, td_str_text(&m.pem), more, 4, &err), &err);
    m.files[1].digest[0] ^= 1;
    refused(verify(&m, 3, &err), &err, TD_CORRUPT, "a/x.onnx");
}

/* A signature over one file with one ignored path, read again; lives in the arena. */
static td_modelsig signed_with(const char *file, const char *ignored, td_arena *arena)
{
    td_err err = {0};
    TD_CLEANUP(model_done) signed_model m = sign();
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_modelsig_file files[] = {{.name = file}};
    td_modelsig sig;
    const td_modelsig_how how = {.name = "model", .ignored = &ignored, .ignored_count = 1};
    must(td_modelsig_make(&how, files, 1, m.key, &text, &err), &err);
    must(td_modelsig_read(text.data, text.size, arena, &sig, &err), &err);
    return sig;
}

static void modelsig__ignored_paths_in_any_spelling(void **state)
{
    static const char *const spellings[] = {"notes", "notes/", "./notes", "././notes//"};
    (void)state;
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    for (size_t i = 0; i < TD_COUNT_OF(spellings); i++) {
        td_modelsig sig = signed_with("a", spellings[i], &arena);
        assert_true(td_modelsig_ignores(&sig, "notes"));
        assert_true(td_modelsig_ignores(&sig, "notes/x/y"));
        assert_false(td_modelsig_ignores(&sig, "notesx"));
        assert_false(td_modelsig_ignores(&sig, "a/notes"));
    }
    static const char *const all[] = {".", "./", "", "/", "..", "../"}; /* none of them hides the whole folder */
    for (size_t i = 0; i < TD_COUNT_OF(all); i++) {
        td_modelsig sig = signed_with("a", all[i], &arena);
        assert_false(td_modelsig_ignores(&sig, "a"));
        assert_false(td_modelsig_ignores(&sig, "b/c"));
    }
}

static void modelsig__what_git_keeps_counts_where_it_is_signed(void **state)
{
    (void)state;
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_modelsig sig = signed_with("a", "b", &arena);
    assert_true(td_modelsig_ignores(&sig, ".git/config"));
    sig = signed_with(".gitattributes", "b", &arena);
    assert_false(td_modelsig_ignores(&sig, ".git/config"));
    assert_false(td_modelsig_ignores(&sig, ".gitattributes"));
    sig = signed_with(".gitattributesx", "b", &arena);
    assert_true(td_modelsig_ignores(&sig, ".gitattributes"));
}

static void modelsig__another_key_is_refused(void **state)
{
    (void)state;
    td_err err = {0};
    TD_CLEANUP(model_done) signed_model m = sign();
    TD_CLEANUP(model_done) signed_model other = sign();
    refused(td_modelsig_verify(m.text.data, m.text.size, td_str_text(&other.pem), m.files, 3, &err), &err, TD_CORRUPT,
            "another key");
    /* The hint of the right key over the other key's signature. */
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_CLEANUP(td_json_done) json_t *wrong = NULL;
    TD_CLEANUP(td_str_done) td_str text = {0};
    must(td_json_parse(m.text.data, m.text.size, "a", &json, &err), &err);
    must(td_json_parse(other.text.data, other.text.size, "b", &wrong, &err), &err);
    json_object_set(json_object_get(wrong, "verificationMaterial"), "publicKey",
                    json_object_get(json_object_get(json, "verificationMaterial"), "publicKey"));
    must(td_json_write(wrong, &text, &err), &err);
    refused(td_modelsig_verify(text.data, text.size, td_str_text(&m.pem), m.files, 3, &err), &err, TD_CORRUPT,
            "signature does not verify");
}

/* Every byte of the file matters, or the file says the same: no changed file verifies with another meaning. */
static void modelsig__changed_bytes_do_not_verify(void **state)
{
    (void)state;
    size_t passed = 0;
    TD_CLEANUP(model_done) signed_model m = sign();
    for (size_t i = 0; i < m.text.size; i++) {
        td_err err = {0};
        m.text.data[i] = (char)(m.text.data[i] ^ 1);
        passed += verify(&m, 3, &err) == TD_OK;
        m.text.data[i] = (char)(m.text.data[i] ^ 1);
    }
    assert_int_equal(passed, 0);
}

/* Rewrites the statement inside; the signature is no matter, since the form is checked first. */
static td_code read_edited(const signed_model *m, const char *from, const char *to, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_CLEANUP(td_str_done) td_str payload = {0};
    TD_CLEANUP(td_str_done) td_str encoded = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_modelsig sig;
    must(td_modelsig_read(m->text.data, m->text.size, &arena, &sig, err), err);
    const char *start = (const char *)sig.payload;
    const char *found = memmem(start, sig.payload_size, from, strlen(from));
    assert_non_null(found);
    td_str_append(&payload, start, (size_t)(found - start));
    td_str_add(&payload, to);
    td_str_append(&payload, found + strlen(from), sig.payload_size - (size_t)(found - start) - strlen(from));
    td_base64_add(&encoded, payload.data, payload.size);
    must(td_json_parse(m->text.data, m->text.size, "model.sig", &json, err), err);
    json_object_set_new(json_object_get(json, "dsseEnvelope"), "payload", json_string(td_str_text(&encoded)));
    must(td_json_write(json, &text, err), err);
    return td_modelsig_read(text.data, text.size, &arena, &sig, err);
}

static void modelsig__edited_statements_are_refused(void **state)
{
    (void)state;
    char root[80];
    char hex[TD_DIGEST_TEXT];
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(model_done) signed_model m = sign();
    td_modelsig sig;
    td_err err = {0};
    must(td_modelsig_read(m.text.data, m.text.size, &arena, &sig, &err), &err);
    td_hex_encode(sig.root, sizeof sig.root, hex);
    snprintf(root, sizeof root, "%c%s", hex[0] == '0' ? '1' : '0', hex + 1);
    const struct {
        const char *from, *to;
        td_code code;
        const char *part;
    } cases[] = {
        {hex, root, TD_CORRUPT, "does not follow from the listed files"},
        {"\"a/x.onnx\"", "\"../x.onnx\"", TD_CORRUPT, "no relative file name"},
        {"\"a/x.onnx\"", "\"/x.onnx\"", TD_CORRUPT, "no relative file name"},
        {"\"a/x.onnx\"", "\"a//x\"", TD_CORRUPT, "no relative file name"},
        {"\"method\":\"files\"", "\"method\":\"shards\"", TD_INVALID, "shards"},
        {"\"hash_type\":\"sha256\"", "\"hash_type\":\"blake2b\"", TD_INVALID, "by the hash \"blake2b\""},
        {"\"allow_symlinks\":false", "\"allow_symlinks\":7", TD_CORRUPT, "allow_symlinks"},
        {"signature/v1.0", "signature/v9.0", TD_CORRUPT, "predicate"},
        {"Statement/v1", "Statement/v2", TD_CORRUPT, "in-toto"},
    };
    for (size_t i = 0; i < TD_COUNT_OF(cases); i++) {
        refused(read_edited(&m, cases[i].from, cases[i].to, &err), &err, cases[i].code, cases[i].part);
    }
}

static void modelsig__specification_vectors(void **state)
{
    (void)state;
    td_err err = {0};
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_modelsig sig;
    must(read_vector("valid/key.bundle.json", &arena, &sig, &err), &err); /* its root digest follows from its files */
    assert_string_equal(sig.name, "model");
    assert_int_equal(sig.file_count, 2);
    assert_string_equal(sig.files[0].name, "signme-1");
    assert_int_equal(sig.ignored_count, 5);
    const struct {
        const char *name;
        td_code code;
        const char *part;
    } others[] = {
        {"valid/certificate.bundle.json", TD_INVALID, "certificate"},
        {"valid/sigstore.bundle.json", TD_INVALID, "certificate"},
        {"invalid/empty.bundle.json", TD_CORRUPT, "empty"},
        {"invalid/missing-envelope.bundle.json", TD_CORRUPT, "dsseEnvelope"},
        {"invalid/missing-tlog-entries.bundle.json", TD_INVALID, "certificate"},
        {"invalid/missing-verification-material.bundle.json", TD_CORRUPT, "verificationMaterial"},
        {"invalid-payload/wrong-predicate.bundle.json", TD_CORRUPT, "predicate"},
    };
    for (size_t i = 0; i < TD_COUNT_OF(others); i++) {
        refused(read_vector(others[i].name, &arena, &sig, &err), &err, others[i].code, others[i].part);
    }
}

static void modelsig__bad_input_is_refused(void **state)
{
    (void)state;
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(model_done) signed_model m = sign();
    td_modelsig_file twice[] = {m.files[0], m.files[0]};
    const td_modelsig_how how = {.name = "model"};
    td_modelsig_file colon = {.name = "a:0:10"};
    refused(td_modelsig_make(&how, twice, 2, m.key, &text, &err), &err, TD_INVALID, "given twice");
    refused(td_modelsig_make(&how, &colon, 1, m.key, &text, &err), &err, TD_INVALID, "\":\"");
    refused(td_modelsig_make(&how, m.files, 0, m.key, &text, &err), &err, TD_INVALID, "1 to");
    assert_int_equal(text.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modelsig__made_and_verified),
        cmocka_unit_test(modelsig__form_is_exactly_the_specified_one),
        cmocka_unit_test(modelsig__root_is_over_raw_digests_in_order),
        cmocka_unit_test(modelsig__changed_missing_and_extra_files_are_named),
        cmocka_unit_test(modelsig__ignored_paths_in_any_spelling),
        cmocka_unit_test(modelsig__what_git_keeps_counts_where_it_is_signed),
        cmocka_unit_test(modelsig__another_key_is_refused),
        cmocka_unit_test(modelsig__changed_bytes_do_not_verify),
        cmocka_unit_test(modelsig__edited_statements_are_refused),
        cmocka_unit_test(modelsig__specification_vectors),
        cmocka_unit_test(modelsig__bad_input_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
