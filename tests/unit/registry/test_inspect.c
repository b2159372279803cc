/*
 * test_inspect.c: what is read out of TFLite, GGUF, safetensors and MLmodel files that their own libraries made; broken
 * ones are refused by place; and no count makes us allocate more than the file is large.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/inspect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above */
#include <cmocka.h>

#include "core/base/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

static td_str load(const char *name)
{
    char path[512];
    td_str bytes = {0};
    td_err err = {0};
    snprintf(path, sizeof path, "%s/tests/vectors/registry/%s", getenv("TD_SOURCE_DIR"), name);
    if (td_file_read(path, 1 << 20, &bytes, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
    return bytes;
}

static const char *base_name(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash != NULL ? slash + 1 : name;
}

/* Out of memory of exactly the file's size, so that the sanitizer sees a read past the end. */
static td_code look(const void *data, size_t size, const char *name, td_inspection *out, td_err *err)
{
    void *exact = malloc(size > 0 ? size : 1);
    td_inspect_options options = {.name = name};
    assert_non_null(exact);
    memcpy(exact, data, size);
    td_code code = td_inspect(exact, size, &options, out, err);
    free(exact);
    return code;
}

static td_inspection must_read(const char *name)
{
    TD_CLEANUP(td_str_done) td_str bytes = load(name);
    td_inspection found = {0};
    td_err err = {0};
    if (look(bytes.data, bytes.size, base_name(name), &found, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
    return found;
}

static void assert_at(const json_t *facts, const char *key, const char *expected)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    const json_t *value = json_object_get(facts, key);
    TD_CLEANUP(td_json_done) json_t *wrapped = json_pack("[O]", value != NULL ? value : json_null());
    assert_int_equal(td_json_canonical(wrapped, &text, NULL), TD_OK);
    char wanted[1024];
    snprintf(wanted, sizeof wanted, "[%s]", expected);
    if (strcmp(td_str_text(&text), wanted) != 0) {
        fail_msg("%s is %s, not %s", key, td_str_text(&text), wanted);
    }
}

static const json_t *details(const td_inspection *found)
{
    return json_object_get(found->facts, "details");
}

static bool has_risk(const td_inspection *found, const char *code)
{
    size_t index;
    json_t *risk;
    json_array_foreach (json_object_get(found->facts, "risks"), index, risk) {
        if (strcmp(td_json_text(risk, "code", ""), code) == 0) {
            return true;
        }
    }
    return false;
}

static void tflite__dense_is_described(void **state)
{
    (void)state;
    TD_CLEANUP(td_inspection_done) td_inspection found = must_read("tflite/dense.tflite");
    assert_string_equal(found.format, "tflite");
    assert_int_equal(found.verdict, TD_VERDICT_NONE);
    assert_at(found.facts, "inputs", "[{\"name\":\"x\",\"shape\":[null,4],\"type\":\"float32\"}]");
    assert_at(found.facts, "outputs", "[{\"name\":\"y\",\"shape\":[null,3],\"type\":\"float32\"}]");
    assert_at(found.facts, "operators",
              "[{\"count\":1,\"custom\":false,\"domain\":\"tflite\",\"name\":\"FULLY_CONNECTED\",\"version\":4},"
              "{\"count\":1,\"custom\":false,\"domain\":\"tflite\",\"name\":\"RELU\",\"version\":1}]");
    assert_at(found.facts, "parameters", "15");
    assert_at(found.facts, "parameter_bytes", "60");
    assert_at(found.facts, "tensors", "5");
    assert_at(found.facts, "quantized", "false");
    assert_at(found.facts, "name", "\"dense\"");
    assert_at(found.facts, "format_version", "\"3\"");
    assert_at(details(&found), "arena_bytes_min", "28"); /* x and h: 16 + 12 bytes at once */
    assert_at(details(&found), "min_runtime_version", "\"1.14.0\"");
    assert_at(details(&found), "signatures",
              "[{\"inputs\":[\"x\"],\"key\":\"serving_default\",\"outputs\":[\"y\"],\"subgraph\":0}]");
    assert_string_equal(td_json_text(json_object_get(found.facts, "metadata"), "license", ""), "Apache-2.0");
}

static void tflite__quantisation_and_custom_operators_are_told(void **state)
{
    (void)state;
    TD_CLEANUP(td_inspection_done) td_inspection whole = must_read("tflite/dense_int8.tflite");
    assert_at(whole.facts, "quantization", "\"int8\"");
    assert_at(whole.facts, "quantized", "true");
    TD_CLEANUP(td_inspection_done) td_inspection weights = must_read("tflite/dense_weights_int8.tflite");
    assert_at(weights.facts, "quantization", "\"int8 weights\"");
    TD_CLEANUP(td_inspection_done) td_inspection custom = must_read("tflite/custom.tflite");
    assert_at(custom.facts, "custom_operators", "true");
    assert_true(has_risk(&custom, "custom_operators"));
    TD_CLEANUP(td_inspection_done) td_inspection flex = must_read("tflite/flex_file_access.tflite");
    assert_true(has_risk(&flex, "flex_operators") && has_risk(&flex, "file_access"));
}

static void gguf__tiny_is_described(void **state)
{
    (void)state;
    static const char *const files[] = {"gguf/tiny.gguf", "gguf/big_endian.gguf", "gguf/version2.gguf"};
    for (size_t i = 0; i < TD_COUNT_OF(files); i++) {
        TD_CLEANUP(td_inspection_done) td_inspection found = must_read(files[i]);
        assert_string_equal(found.format, "gguf");
        assert_at(found.facts, "format_version", i == 2 ? "\"2\"" : "\"3\"");
        assert_at(found.facts, "name", "\"tiny\"");
        assert_at(found.facts, "producer", "\"tidemark tests\"");
        assert_at(found.facts, "quantization", "\"Q8_0\"");
        assert_at(found.facts, "quantized", "true");
        assert_at(found.facts, "tensors", "2");
        assert_at(found.facts, "parameters", "160"); /* 3 × 32 and 2 × 32 */
        assert_at(found.facts, "parameter_bytes", "452");
        assert_at(found.facts, "types", "{\"F32\":1,\"Q8_0\":1}");
        assert_at(details(&found), "architecture", "\"llama\"");
        assert_at(details(&found), "context_length", "2048");
        assert_at(details(&found), "license", "\"apache-2.0\"");
        assert_at(details(&found), "byte_order", i == 1 ? "\"big\"" : "\"little\"");
        assert_string_equal(td_json_text(json_object_get(details(&found), "base_models"), "0.name", ""), "Tiny Base");
        assert_false(has_risk(&found, "template_code"));
    }
    TD_CLEANUP(td_inspection_done) td_inspection code = must_read("gguf/template_code.gguf");
    assert_true(has_risk(&code, "template_code"));
}

static void safetensors__small_is_described(void **state)
{
    (void)state;
    TD_CLEANUP(td_inspection_done) td_inspection found = must_read("safetensors/small.safetensors");
    assert_string_equal(found.format, "safetensors");
    assert_at(found.facts, "tensors", "3");
    assert_at(found.facts, "parameters", "11");
    assert_at(found.facts, "parameter_bytes", "40");
    assert_at(found.facts, "types", "{\"F16\":1,\"F32\":1,\"F64\":1}");
    assert_at(found.facts, "producer", "\"np\"");
    assert_at(details(&found), "license", "\"apache-2.0\"");
}

static void mlmodel__signature_and_flavours_are_read(void **state)
{
    (void)state;
    TD_CLEANUP(td_inspection_done) td_inspection found = must_read("mlmodel/MLmodel");
    assert_string_equal(found.format, "mlmodel");
    assert_at(found.facts, "inputs",
              "[{\"name\":\"speed\",\"shape\":null,\"type\":\"double\"},"
              "{\"name\":\"load\",\"shape\":null,\"type\":\"long\"}]");
    assert_at(found.facts, "outputs", "[{\"name\":\"\",\"shape\":[null],\"type\":\"int64\"}]");
    assert_at(found.facts, "params", "[{\"name\":\"threshold\",\"shape\":null,\"type\":\"double\"}]");
    assert_at(found.facts, "producer_version", "\"3.6.0\"");
    assert_at(details(&found), "run_id", "\"4bf92f3577b34da6a3ce929d0e0e4736\"");
    const json_t *sklearn = json_object_get(json_object_get(details(&found), "flavors"), "sklearn");
    assert_string_equal(td_json_text(sklearn, "serialization_format", ""), "cloudpickle");
    assert_true(has_risk(&found, "pickle"));
}

/* Every vector whose name says "bad" is refused, and the message names the file. */
static void inspect__hostile_files_are_refused(void **state)
{
    (void)state;
    static const char *const folders[] = {"tflite", "gguf", "safetensors"};
    int count = 0;
    for (size_t f = 0; f < TD_COUNT_OF(folders); f++) {
        char path[512];
        snprintf(path, sizeof path, "%s/tests/vectors/registry/%s", getenv("TD_SOURCE_DIR"), folders[f]);
        DIR *folder = opendir(path);
        assert_non_null(folder);
        for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
            if (strstr(entry->d_name, "_bad.") == NULL) {
                continue;
            }
            char name[512];
            td_err err = {0};
            TD_CLEANUP(td_inspection_done) td_inspection found = {0};
            snprintf(name, sizeof name, "%s/%s", folders[f], entry->d_name);
            TD_CLEANUP(td_str_done) td_str bytes = load(name);
            td_code code = look(bytes.data, bytes.size, entry->d_name, &found, &err);
            if (code != TD_CORRUPT || strstr(err.text, entry->d_name) == NULL) {
                fail_msg("%s: code %d, \"%s\"", entry->d_name, (int)code, err.text);
            }
            count++;
        }
        closedir(folder);
    }
    assert_true(count >= 18);
    TD_CLEANUP(td_str_done) td_str aliases = load("mlmodel/aliases_bad");
    TD_CLEANUP(td_inspection_done) td_inspection found = {0};
    assert_int_equal(look(aliases.data, aliases.size, "MLmodel", &found, NULL), TD_CORRUPT);
}

static void inspect__cut_and_changed_files_are_survived(void **state)
{
    (void)state;
    static const char *const files[] = {"tflite/dense_int8.tflite", "gguf/tiny.gguf", "gguf/big_endian.gguf",
                                        "safetensors/small.safetensors", "mlmodel/MLmodel"};
    for (size_t f = 0; f < TD_COUNT_OF(files); f++) {
        TD_CLEANUP(td_str_done) td_str bytes = load(files[f]);
        for (size_t i = 0; i < 2 * bytes.size; i++) {
            TD_CLEANUP(td_inspection_done) td_inspection found = {0};
            td_err err = {0};
            bool cut = i >= bytes.size;
            size_t at = cut ? i - bytes.size : i;
            bytes.data[at] ^= (char)(cut ? 0 : 0xff);
            td_code code = look(bytes.data, cut ? at : bytes.size, base_name(files[f]), &found, &err);
            bytes.data[at] ^= (char)(cut ? 0 : 0xff);
            assert_true(code == TD_OK || code == TD_CORRUPT || code == TD_LIMIT);
        }
    }
}

static void inspect__names_that_promise_too_much_are_told(void **state)
{
    (void)state;
    static const char *const names[] = {"m.onnx", "m.tflite", "m.gguf", "m.safetensors", "m.npz", "m.pt"};
    for (size_t i = 0; i < TD_COUNT_OF(names); i++) {
        TD_CLEANUP(td_inspection_done) td_inspection found = {0};
        td_err err = {0};
        assert_int_equal(look("just some text", 14, names[i], &found, &err), TD_OK);
        assert_string_equal(found.format, "opaque");
        assert_non_null(found.promised);
    }
    TD_CLEANUP(td_inspection_done) td_inspection plain = {0};
    assert_int_equal(look("just some text", 14, "m.bin", &plain, NULL), TD_OK);
    assert_null(plain.promised);
}

/* A model is known by its content, whatever it is called. */
static void inspect__content_decides(void **state)
{
    (void)state;
    static const char *const files[][2] = {{"tflite/dense.tflite", "tflite"},
                                           {"gguf/tiny.gguf", "gguf"},
                                           {"safetensors/small.safetensors", "safetensors"},
                                           {"onnx/mlp.onnx", "onnx"}};
    for (size_t i = 0; i < TD_COUNT_OF(files); i++) {
        TD_CLEANUP(td_str_done) td_str bytes = load(files[i][0]);
        TD_CLEANUP(td_inspection_done) td_inspection found = {0};
        assert_int_equal(look(bytes.data, bytes.size, "weights.bin", &found, NULL), TD_OK);
        assert_string_equal(found.format, files[i][1]);
    }
}

static void inspect__reads_an_open_file(void **state)
{
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s/tests/vectors/registry/gguf/tiny.gguf", getenv("TD_SOURCE_DIR"));
    TD_CLEANUP(td_close_fd) int fd = open(path, O_RDONLY);
    TD_CLEANUP(td_inspection_done) td_inspection found = {0};
    TD_CLEANUP(td_inspection_done) td_inspection empty = {0};
    td_inspect_options options = {.name = "tiny.gguf"};
    assert_int_equal(td_inspect_fd(fd, (uint64_t)lseek(fd, 0, SEEK_END), &options, &found, NULL), TD_OK);
    assert_string_equal(found.format, "gguf");
    assert_int_equal(td_inspect_fd(fd, 0, &options, &empty, NULL), TD_OK);
    assert_string_equal(empty.format, "opaque");
}

/* ---- memory ---- */

/* Counts what jansson and everything else asks for, by the hooks of the sanitizer or, without one, of the C library. */
static size_t asked;

#if defined(__SANITIZE_ADDRESS__)
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));

static void on_malloc(const volatile void *at, size_t size)
{
    (void)at;
    asked += size;
}

static void on_free(const volatile void *at)
{
    (void)at;
}

/* A header full of the largest counts that its bytes can spell, behind every magic. */
static void inspect__hostile_counts_allocate_no_more_than_the_file(void **state)
{
    (void)state;
    static const char *const files[] = {
        "tflite/dense.tflite", "gguf/tiny.gguf",          "safetensors/small.safetensors", "onnx/mlp.onnx",
        "onnx/branches.onnx",  "pickle/innocuous.joblib", "pickle/innocuous_torch.pt"};
    static const uint8_t values[] = {0xff, 0x7f, 0x80};
    assert_true(__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) > 0);
    size_t most = 0;
    for (size_t f = 0; f < TD_COUNT_OF(files); f++) {
        TD_CLEANUP(td_str_done) td_str bytes = load(files[f]);
        for (size_t i = 0; i + 8 < bytes.size; i++) {
            char kept[8];
            TD_CLEANUP(td_inspection_done) td_inspection found = {0};
            td_inspect_options options = {.name = base_name(files[f])};
            memcpy(kept, bytes.data + i, sizeof kept);
            memset(bytes.data + i, values[i % TD_COUNT_OF(values)], 4 + i % 5);
            asked = 0;
            (void)!td_inspect(bytes.data, bytes.size, &options, &found, NULL);
            most = asked > most ? asked : most;
            memcpy(bytes.data + i, kept, sizeof kept);
            assert_true(asked <= bytes.size + TD_INSPECT_ROOM);
        }
    }
    assert_true(most > 0);
    assert_true(most < TD_INSPECT_ROOM / 2);
}
#else
static void inspect__hostile_counts_allocate_no_more_than_the_file(void **state)
{
    (void)state;
    (void)asked;
    skip();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tflite__dense_is_described),
        cmocka_unit_test(tflite__quantisation_and_custom_operators_are_told),
        cmocka_unit_test(gguf__tiny_is_described),
        cmocka_unit_test(safetensors__small_is_described),
        cmocka_unit_test(mlmodel__signature_and_flavours_are_read),
        cmocka_unit_test(inspect__hostile_files_are_refused),
        cmocka_unit_test(inspect__cut_and_changed_files_are_survived),
        cmocka_unit_test(inspect__names_that_promise_too_much_are_told),
        cmocka_unit_test(inspect__content_decides),
        cmocka_unit_test(inspect__reads_an_open_file),
        cmocka_unit_test(inspect__hostile_counts_allocate_no_more_than_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
