/*
 * test_pickle.c: verdicts on honest pickles and on the published ways round scanners, and that neither is ever missed.
 *
 * The first part of a vector's name is the verdict that it must get (tests/vectors/registry/make_pickles.py).
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

static td_str load(const char *name)
{
    char path[512];
    td_str bytes = {0};
    td_err err = {0};
    snprintf(path, sizeof path, "%s/tests/vectors/registry/pickle/%s", getenv("TD_SOURCE_DIR"), name);
    if (td_file_read(path, 1 << 20, &bytes, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
    return bytes;
}

/* Looks at a copy of exactly the file's size, so that the sanitizer sees a read past the end. */
static td_inspection look(const void *data, size_t size, const char *name)
{
    td_inspection found = {0};
    td_inspect_options options = {.name = name};
    td_err err = {0};
    void *exact = malloc(size > 0 ? size : 1);
    assert_non_null(exact);
    memcpy(exact, data, size);
    td_code code = td_inspect(exact, size, &options, &found, &err);
    free(exact);
    if (code != TD_OK) {
        fail_msg("%s: %s", name, err.text);
    }
    return found;
}

static td_inspection look_at_vector(const char *name)
{
    TD_CLEANUP(td_str_done) td_str bytes = load(name);
    return look(bytes.data, bytes.size, name);
}

static bool names_global(const td_inspection *found, const char *module, const char *name)
{
    size_t index;
    json_t *global;
    json_array_foreach (json_object_get(found->facts, "globals"), index, global) {
        if (strcmp(td_json_text(global, "module", ""), module) == 0 &&
            strcmp(td_json_text(global, "name", ""), name) == 0) {
            return true;
        }
    }
    return false;
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

static void pickle__every_vector_gets_its_verdict(void **state)
{
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s/tests/vectors/registry/pickle", getenv("TD_SOURCE_DIR"));
    DIR *folder = opendir(path);
    assert_non_null(folder);
    int count = 0, wrong = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        TD_CLEANUP(td_inspection_done) td_inspection found = look_at_vector(entry->d_name);
        const char *verdict = td_verdict_name(found.verdict);
        bool good = strncmp(entry->d_name, verdict, strlen(verdict)) == 0;
        bool quarantined = td_json_bool(found.facts, "quarantined", false);
        if (!good || quarantined != (found.verdict != TD_VERDICT_NONE)) {
            TD_CLEANUP(td_str_done) td_str text = {0};
            (void)!td_json_canonical(found.facts != NULL ? found.facts : json_null(), &text, NULL);
            print_error("%s: %s (%s) %s\n", entry->d_name, verdict, found.format, td_str_text(&text));
            wrong++;
        }
        count++;
    }
    closedir(folder);
    assert_int_equal(wrong, 0);
    assert_true(count >= 75);
}

static void pickle__globals_are_named(void **state)
{
    (void)state;
    static const char *const memo[] = {"dangerous_memo_binput.pkl", "dangerous_memo_long.pkl", "dangerous_memo_put.pkl",
                                       "dangerous_memoize.pkl"};
    for (size_t i = 0; i < TD_COUNT_OF(memo); i++) {
        TD_CLEANUP(td_inspection_done) td_inspection found = look_at_vector(memo[i]);
        assert_true(names_global(&found, "os", "system"));
    }
    TD_CLEANUP(td_inspection_done) td_inspection hidden = look_at_vector("dangerous_computed_name.pkl");
    assert_true(has_risk(&hidden, "hidden_global"));
    TD_CLEANUP(td_inspection_done) td_inspection extension = look_at_vector("dangerous_extension.pkl");
    assert_true(has_risk(&extension, "extension_code"));
    TD_CLEANUP(td_inspection_done) td_inspection changed = look_at_vector("dangerous_build_function.pkl");
    assert_true(has_risk(&changed, "changes_global"));
    TD_CLEANUP(td_inspection_done) td_inspection tree = look_at_vector("suspicious_sklearn.pkl");
    assert_true(names_global(&tree, "sklearn.tree._classes", "DecisionTreeClassifier"));
}

static void pickle__formats_are_told(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"innocuous.joblib", "joblib"},   {"innocuous_torch.pt", "pytorch"},   {"innocuous_plain.pkl", "pickle"},
        {"innocuous_objects.npy", "npy"}, {"none_numbers.npz", "npz"},         {"none_keras.keras", "keras"},
        {"dangerous_lambda.h5", "hdf5"},  {"dangerous_renamed.bin", "pickle"}, {"innocuous_gzip.pkl.gz", "gzip"},
    };
    for (size_t i = 0; i < TD_COUNT_OF(pairs); i++) {
        TD_CLEANUP(td_inspection_done) td_inspection found = look_at_vector(pairs[i][0]);
        assert_string_equal(found.format, pairs[i][1]);
    }
}

/* An attack keeps its verdict however it is wrapped once more. */
static void pickle__wrapping_does_not_help(void **state)
{
    (void)state;
    TD_CLEANUP(td_str_done) td_str run = load("dangerous_protocol0.pkl");
    TD_CLEANUP(td_str_done) td_str padded = {0};
    static const char *const before[] = {"N0",
                                         "(1",
                                         "]0",
                                         "K\x01"
                                         "0",
                                         "\x80\x02",
                                         "\x80\x04\x95\xff\xff\xff\xff\0\0\0\0"};
    static const size_t sizes[] = {2, 2, 2, 3, 2, 11};
    for (size_t i = 0; i < TD_COUNT_OF(before); i++) {
        td_str_clear(&padded);
        td_str_append(&padded, before[i], sizes[i]);
        td_str_append(&padded, run.data, run.size);
        TD_CLEANUP(td_inspection_done) td_inspection found = look(padded.data, padded.size, "model.bin");
        assert_int_equal(found.verdict, TD_VERDICT_DANGEROUS);
    }
}

/* Python takes the last of equal keys, and NumPy takes more than one name for an array of objects. */
static void pickle__arrays_of_objects_do_not_hide(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'descr': '|O'}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), \"descr\": '|O'}",
        "{'descr': 'object', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '\\x4f', 'fortran_order': False, 'shape': (1,)}",
        "{'fortran_order': False, 'shape': (1,), 'descr': '|O'}",
    };
    TD_CLEANUP(td_str_done) td_str run = load("dangerous_protocol0.pkl");
    for (size_t i = 0; i < TD_COUNT_OF(headers); i++) {
        TD_CLEANUP(td_str_done) td_str file = {0};
        td_str_append(&file, "\x93NUMPY\x01\0", 8);
        td_str_add_char(&file, (char)strlen(headers[i]));
        td_str_add_char(&file, 0);
        td_str_add(&file, headers[i]);
        td_str_append(&file, run.data, run.size);
        TD_CLEANUP(td_inspection_done) td_inspection found = look(file.data, file.size, "weights.npy");
        assert_int_equal(found.verdict, TD_VERDICT_DANGEROUS);
    }
}

/* Texts and data of other kinds are left alone, whatever their first bytes happen to mean as opcodes. */
static void pickle__other_files_are_no_pickles(void **state)
{
    (void)state;
    static const char *const texts[] = {"",       ".",           "N.",         "1,2,3\n4,5,6\n",   "cat\nand\ndog\n",
                                        "import", "I am text\n", "((((((((",   "{\"a\": [1, 2]}",  "name,value\nx,1\n",
                                        "# c\n",  "x^2 = 4",     "\x80\x04zz", "\x78\x01 no zlib", "BZh no bzip2"};
    for (size_t i = 0; i < TD_COUNT_OF(texts); i++) {
        TD_CLEANUP(td_inspection_done) td_inspection found = look(texts[i], strlen(texts[i]), "notes.txt");
        if (found.verdict != TD_VERDICT_NONE || strcmp(found.format, "opaque") != 0) {
            fail_msg("\"%s\" is taken for %s", texts[i], found.format);
        }
    }
}

/* Cut anywhere, an attack that has already happened is still dangerous; before that, it is at least quarantined. */
static void pickle__cut_at_every_byte_is_quarantined(void **state)
{
    (void)state;
    TD_CLEANUP(td_str_done) td_str bytes = load("dangerous_stack_global.pkl");
    for (size_t size = 2; size < bytes.size; size++) {
        TD_CLEANUP(td_inspection_done) td_inspection found = look(bytes.data, size, "cut.pkl");
        assert_true(found.verdict >= TD_VERDICT_SUSPICIOUS);
        bool named = memmem(bytes.data, size, "system\x93", 7) != NULL;
        assert_true(!named || found.verdict == TD_VERDICT_DANGEROUS);
    }
}

static void pickle__every_changed_byte_is_survived(void **state)
{
    (void)state;
    static const char *const files[] = {"innocuous.joblib", "innocuous_torch.pt", "dangerous_array.npz"};
    for (size_t f = 0; f < TD_COUNT_OF(files); f++) {
        TD_CLEANUP(td_str_done) td_str bytes = load(files[f]);
        for (size_t i = 0; i < bytes.size; i++) {
            bytes.data[i] ^= (char)0x81;
            TD_CLEANUP(td_inspection_done) td_inspection found = look(bytes.data, bytes.size, files[f]);
            bytes.data[i] ^= (char)0x81;
            assert_true(found.verdict <= TD_VERDICT_DANGEROUS);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pickle__every_vector_gets_its_verdict),
        cmocka_unit_test(pickle__globals_are_named),
        cmocka_unit_test(pickle__formats_are_told),
        cmocka_unit_test(pickle__wrapping_does_not_help),
        cmocka_unit_test(pickle__arrays_of_objects_do_not_hide),
        cmocka_unit_test(pickle__other_files_are_no_pickles),
        cmocka_unit_test(pickle__cut_at_every_byte_is_quarantined),
        cmocka_unit_test(pickle__every_changed_byte_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
