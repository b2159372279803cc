/*
 * test_manifest.c: manifests are deterministic, strict and readable by nanopb, which is what devices use.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/registry/fixture.h"

#include "firmware/wire/tidemark.pb.h"

#include <pb_decode.h>

static td_manifest_file stored(fixture *f, const char *name, td_file_role role, const void *data, size_t size)
{
    td_version_file file = put_file(f, name, role, data, size);
    td_manifest_file out = {.name = name, .size = size, .role = role};
    memcpy(out.digest, file.digest, sizeof out.digest);
    return out;
}

static td_manifest head(td_manifest_file *files, size_t count)
{
    return (td_manifest){.project = "default",
                         .model = "pump",
                         .version = 3,
                         .security_counter = 2,
                         .format = "onnx",
                         .hardware = "",
                         .created_ms = 1767225600000,
                         .files = files,
                         .file_count = count};
}

static void piece__sizes_at_the_edges(void **state)
{
    (void)state;
    const uint64_t mib = 1024 * 1024;
    assert_int_equal(td_piece_size(0), 4096);
    assert_int_equal(td_piece_size(mib), 4096);
    assert_int_equal(td_piece_size(mib + 1), 65536);
    assert_int_equal(td_piece_size(64 * mib), 65536);
    assert_int_equal(td_piece_size(64 * mib + 1), mib);
}

static void manifest__order_of_input_does_not_matter(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str a = {0};
    TD_CLEANUP(td_str_done) td_str b = {0};
    td_manifest_file files[] = {stored(f, "model/b", TD_FILE_MODEL, "b", 1),
                                stored(f, "meta/card.md", TD_FILE_META, "c", 1),
                                stored(f, "model/a", TD_FILE_MODEL, "a", 1)};
    td_manifest m = head(files, 3);
    must(td_manifest_build(&m, f->content, &a, &err), &err);
    td_manifest_file first = files[0];
    files[0] = files[2];
    files[2] = first;
    must(td_manifest_build(&m, f->content, &b, &err), &err);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
}

static void manifest__reads_back_what_was_written(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_manifest out;
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    td_manifest_file files[] = {stored(f, "model/net.onnx", TD_FILE_MODEL, "net", 3),
                                stored(f, "baseline.pb", TD_FILE_BASELINE, "base", 4)};
    td_manifest m = head(files, 2);
    m.has_edges = true;
    memset(m.edges_digest, 7, sizeof m.edges_digest);
    m.hardware = "rpi4";
    m.runtimes[0] = "onnxruntime";
    m.runtime_count = 1;
    m.ram_bytes = 512;
    must(td_manifest_build(&m, f->content, &bytes, &err), &err);
    must(td_manifest_read(bytes.data, bytes.size, &f->arena, &out, &err), &err);
    assert_string_equal(out.model, "pump");
    assert_int_equal(out.version, 3);
    assert_string_equal(out.hardware, "rpi4");
    assert_string_equal(out.runtimes[0], "onnxruntime");
    assert_int_equal(out.file_count, 2);
    assert_string_equal(out.files[0].name, "baseline.pb");
    assert_int_equal(out.files[0].role, TD_FILE_BASELINE);
    assert_int_equal(td_manifest_device_bytes(&out), 7);
}

/* A file of many pieces: the table is content, and each digest in it is that of its piece. */
static void manifest__piece_table_is_content(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_manifest out;
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    TD_CLEANUP(td_str_done) td_str table = {0};
    uint8_t *data = calloc(3, 4096);
    uint8_t digest[TD_DIGEST_SIZE];
    data[4096] = 1;
    td_manifest_file file = stored(f, "model/net.onnx", TD_FILE_MODEL, data, 2 * 4096 + 5);
    td_manifest m = head(&file, 1);
    must(td_manifest_build(&m, f->content, &bytes, &err), &err);
    must(td_manifest_read(bytes.data, bytes.size, &f->arena, &out, &err), &err);
    assert_int_equal(out.files[0].piece_size, 4096);
    assert_true(out.files[0].has_pieces);
    must(td_content_read(f->content, out.files[0].piece_table_digest, 1000, &table, &err), &err);
    assert_int_equal(table.size, 3 * TD_DIGEST_SIZE);
    for (size_t i = 0; i < 3; i++) {
        td_sha256_of(data + i * 4096, i < 2 ? 4096 : 5, digest);
        assert_memory_equal(table.data + i * TD_DIGEST_SIZE, digest, sizeof digest);
    }
    free(data);
}

static bool count_file(pb_istream_t *stream, const pb_field_t *field, void **arg)
{
    (void)field;
    tidemark_ManifestFile file = tidemark_ManifestFile_init_zero;
    if (!pb_decode(stream, tidemark_ManifestFile_fields, &file)) {
        return false;
    }
    **(size_t **)arg += (size_t)file.size;
    return true;
}

static void manifest__is_what_devices_decode(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    size_t bytes_listed = 0;
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    td_manifest_file files[] = {stored(f, "model/a", TD_FILE_MODEL, "abc", 3),
                                stored(f, "model/b", TD_FILE_MODEL, "de", 2)};
    td_manifest m = head(files, 2);
    must(td_manifest_build(&m, f->content, &bytes, &err), &err);
    tidemark_Manifest decoded = tidemark_Manifest_init_zero;
    decoded.files.funcs.decode = count_file;
    decoded.files.arg = &bytes_listed;
    pb_istream_t stream = pb_istream_from_buffer((const pb_byte_t *)bytes.data, bytes.size);
    assert_true(pb_decode(&stream, tidemark_Manifest_fields, &decoded));
    assert_string_equal(decoded.model, "pump");
    assert_int_equal(decoded.security_counter, 2);
    assert_int_equal(bytes_listed, 5);
}

static void manifest__bad_input_is_refused(void **state)
{
    fixture *f = *state;
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    td_manifest_file good = stored(f, "model/a", TD_FILE_MODEL, "abc", 3);
    td_manifest_file wrong_folder = good;
    wrong_folder.name = "golden/a";
    td_manifest_file dots = good;
    dots.name = "model/../a";
    td_manifest_file lacking = good;
    lacking.digest[0] ^= 1;
    td_manifest_file longer = good;
    longer.size = 4;
    td_manifest_file twice[] = {good, good};
    struct {
        td_manifest_file *files;
        size_t count;
        td_code code;
        const char *part;
    } cases[] = {
        {&wrong_folder, 1, TD_INVALID, "must be named model/"},
        {&dots, 1, TD_INVALID, ".."},
        {&lacking, 1, TD_NOT_FOUND, "model/a"},
        {&longer, 1, TD_INVALID, "3 bytes in content, not 4"},
        {twice, 2, TD_INVALID, "listed twice"},
        {&good, 0, TD_LIMIT, "1 to 256"},
    };
    for (size_t i = 0; i < TD_COUNT_OF(cases); i++) {
        td_err err = {0};
        td_manifest m = head(cases[i].files, cases[i].count);
        refused(td_manifest_build(&m, f->content, &bytes, &err), &err, cases[i].code, cases[i].part);
        assert_int_equal(bytes.size, 0);
    }
}

/* Every cut and every changed byte: refused, or another well formed manifest; never a crash. */
static void manifest__garbled_bytes_are_survived(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_manifest out;
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    td_manifest_file files[] = {stored(f, "model/a", TD_FILE_MODEL, "abc", 3),
                                stored(f, "meta/b", TD_FILE_META, "de", 2)};
    td_manifest m = head(files, 2);
    must(td_manifest_build(&m, f->content, &bytes, &err), &err);
    for (size_t size = 0; size < bytes.size; size++) {
        TD_CLEANUP(td_arena_done) td_arena arena = {0};
        char *exact = malloc(size + 1);
        memcpy(exact, bytes.data, size);
        td_code code = td_manifest_read(exact, size, &arena, &out, &err);
        assert_true(code == TD_CORRUPT || (code == TD_OK && out.file_count == 1)); /* cut between two files */
        free(exact);
    }
    for (size_t i = 0; i < bytes.size; i++) {
        TD_CLEANUP(td_arena_done) td_arena arena = {0};
        bytes.data[i] = (char)(bytes.data[i] ^ 0x80);
        td_code code = td_manifest_read(bytes.data, bytes.size, &arena, &out, &err);
        bytes.data[i] = (char)(bytes.data[i] ^ 0x80);
        assert_true(code == TD_OK || code == TD_CORRUPT);
    }
}

/* The last two entries have the same length: exchanged, or one twice, the bytes decode but are no manifest. */
static void manifest__unsorted_or_doubled_files_are_refused(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_manifest out;
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    td_manifest_file files[] = {stored(f, "model/a", TD_FILE_MODEL, "abc", 3),
                                stored(f, "model/b", TD_FILE_MODEL, "def", 3)};
    td_manifest m = head(files, 2);
    must(td_manifest_build(&m, f->content, &bytes, &err), &err);
    char *second = memmem(bytes.data, bytes.size, "model/b", 7);
    char *first = memmem(bytes.data, bytes.size, "model/a", 7);
    assert_non_null(first);
    assert_non_null(second);
    first[6] = 'b';
    second[6] = 'a';
    refused(td_manifest_read(bytes.data, bytes.size, &f->arena, &out, &err), &err, TD_CORRUPT, "not sorted");
    second[6] = 'b';
    refused(td_manifest_read(bytes.data, bytes.size, &f->arena, &out, &err), &err, TD_CORRUPT, "listed twice");
}

static void manifest__text_is_a_function_of_the_bytes(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    TD_CLEANUP(td_str_done) td_str a = {0};
    TD_CLEANUP(td_str_done) td_str b = {0};
    td_manifest_file file = stored(f, "model/a", TD_FILE_MODEL, "abc", 3);
    td_manifest m = head(&file, 1);
    must(td_manifest_build(&m, f->content, &bytes, &err), &err);
    must(td_manifest_text(bytes.data, bytes.size, &a, &err), &err);
    must(td_manifest_text(bytes.data, bytes.size, &b, &err), &err);
    assert_string_equal(td_str_text(&a), td_str_text(&b));
    assert_non_null(strstr(td_str_text(&a), "\"created_at\": \"2026-01-01T00:00:00.000Z\""));
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    must(td_manifest_json(bytes.data, bytes.size, &json, &err), &err);
    assert_int_equal(td_json_int(json, "size", 0), bytes.size);
}

/* ---- signed messages ---- */

static void message__what_nanopb_writes_we_read(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_signed_message message;
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    TD_CLEANUP(td_str_done) td_str again = {0};
    must(td_signed_message_make("application/vnd.tidemark.directive.v1", "payload", 7, f->director, &bytes, &err),
         &err);
    must(td_signed_message_decode(bytes.data, bytes.size, &message, &err), &err);
    assert_int_equal(message.payload_size, 7);
    assert_memory_equal(message.payload, "payload", 7);
    assert_int_equal(message.signature_count, 1);
    tidemark_SignedMessage decoded = tidemark_SignedMessage_init_zero;
    pb_istream_t stream = pb_istream_from_buffer((const pb_byte_t *)bytes.data, bytes.size);
    assert_true(pb_decode(&stream, tidemark_SignedMessage_fields, &decoded));
    assert_string_equal(decoded.payload_type, "application/vnd.tidemark.directive.v1");
    must(td_signed_message_encode(&message, &again, &err), &err);
    assert_int_equal(again.size, bytes.size);
    assert_memory_equal(again.data, bytes.data, bytes.size);
}

static void message__signatures_count_once_a_key(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_signed_message message = {.payload_type = TD_MANIFEST_TYPE, .payload = (const uint8_t *)"x", .payload_size = 1};
    td_trust trust;
    uint32_t count;
    must(td_trust_current(f->db, &f->arena, &trust, &err), &err);
    must(td_signed_payload_sign(TD_MANIFEST_TYPE, "x", 1, f->ben.key, &message.signatures[0], &err), &err);
    message.signatures[1] = message.signatures[0]; /* the same again */
    must(td_signed_payload_sign(TD_MANIFEST_TYPE, "x", 1, f->director, &message.signatures[2], &err),
         &err); /* wrong role */
    must(td_signed_payload_sign(TD_MANIFEST_TYPE, "y", 1, f->carl.key, &message.signatures[3], &err),
         &err); /* other bytes */
    message.signature_count = 4;
    must(td_keyset_count(&trust.keyset, TD_SIGNER_APPROVER, &message, TD_MANIFEST_TYPE, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_int_equal(td_keyset_count(&trust.keyset, TD_SIGNER_APPROVER, &message, TD_KEYSET_TYPE, &count, &err),
                     TD_CORRUPT);
}

static void message__garbled_bytes_are_survived(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_signed_message message;
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    must(td_signed_message_make(TD_MANIFEST_TYPE, "payload", 7, f->director, &bytes, &err), &err);
    for (size_t size = 0; size < bytes.size; size++) {
        char *exact = malloc(size + 1);
        memcpy(exact, bytes.data, size);
        td_code code = td_signed_message_decode(exact, size, &message, &err);
        assert_true(code == TD_CORRUPT || (code == TD_OK && message.signature_count == 0));
        free(exact);
    }
    for (size_t i = 0; i < bytes.size; i++) {
        bytes.data[i] = (char)(bytes.data[i] ^ 0x41);
        td_code code = td_signed_message_decode(bytes.data, bytes.size, &message, &err);
        bytes.data[i] = (char)(bytes.data[i] ^ 0x41);
        assert_true(code == TD_OK || code == TD_CORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(piece__sizes_at_the_edges),     CASE(manifest__order_of_input_does_not_matter),
        CASE(manifest__reads_back_what_was_written),     CASE(manifest__piece_table_is_content),
        CASE(manifest__is_what_devices_decode),          CASE(manifest__bad_input_is_refused),
        CASE(manifest__garbled_bytes_are_survived),      CASE(manifest__unsorted_or_doubled_files_are_refused),
        CASE(manifest__text_is_a_function_of_the_bytes), CASE(message__what_nanopb_writes_we_read),
        CASE(message__signatures_count_once_a_key),      CASE(message__garbled_bytes_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
