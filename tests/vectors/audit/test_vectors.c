/*
 * test_vectors.c: RFC 6962 inclusion and consistency proofs, most of them wrong on purpose, and the tree's golden
 * values.
 *
 * A file is one JSON object a line; tests/vectors/README.md names the source. Hashes that are not of 32 bytes (some
 * cases have such) stand for some hash: they are replaced by their own digest, so that equal ones stay equal.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/merkle.h"
#include "core/base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef bool (*judge_fn)(const json_t *item);

static bool whole(const char *hex)
{
    return strlen(hex) == 2 * TD_DIGEST_SIZE;
}

static void unhex(const char *text, uint8_t out[TD_DIGEST_SIZE])
{
    if (whole(text)) {
        assert_int_equal(td_hex_decode(text, 2 * TD_DIGEST_SIZE, out, TD_DIGEST_SIZE, NULL), TD_OK);
    } else {
        td_sha256_of(text, strlen(text), out);
    }
}

static td_log_proof read_proof(const json_t *item)
{
    td_log_proof proof = {.count = 0};
    const json_t *hashes = json_object_get(item, "proof");
    for (size_t i = 0; i < json_array_size(hashes); i++) {
        unhex(json_string_value(json_array_get(hashes, i)), proof.hashes[proof.count++]);
    }
    return proof;
}

static bool accepts_inclusion(const json_t *item)
{
    td_log_proof proof = read_proof(item);
    td_log_root root = {.size = td_json_int(item, "treeSize", -1)};
    uint8_t leaf[TD_DIGEST_SIZE];
    if (!whole(td_json_text(item, "root", "")) || !whole(td_json_text(item, "leafHash", ""))) {
        return false;
    }
    unhex(td_json_text(item, "root", ""), root.hash);
    unhex(td_json_text(item, "leafHash", ""), leaf);
    return td_merkle_verify_inclusion(leaf, td_json_int(item, "leafIdx", -1), &root, &proof);
}

static bool accepts_consistency(const json_t *item)
{
    td_log_proof proof = read_proof(item);
    td_log_root first = {.size = td_json_int(item, "size1", -1)};
    td_log_root second = {.size = td_json_int(item, "size2", -1)};
    unhex(td_json_text(item, "root1", ""), first.hash);
    unhex(td_json_text(item, "root2", ""), second.hash);
    return td_merkle_verify_consistency(&first, &second, &proof);
}

static void run_file(const char *name, const char *what, judge_fn accepts, int want_good, int want_bad)
{
    char path[4096];
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_str_done) td_str text = {0};
    const char *root = getenv("TD_SOURCE_DIR");
    snprintf(path, sizeof path, "%s/tests/vectors/audit/%s", root != NULL ? root : ".", name);
    assert_int_equal(td_file_read(path, (size_t)1 << 20, &text, &err), TD_OK);
    int good = 0, bad = 0, wrong = 0;
    for (const char *line = td_str_text(&text); *line != '\0';) {
        const char *end = strchr(line, '\n');
        TD_CLEANUP(td_json_done) json_t *item = NULL;
        assert_non_null(end);
        assert_int_equal(td_json_parse(line, (size_t)(end - line), name, &item, &err), TD_OK);
        bool expected = !td_json_bool(item, "wantErr", true);
        good += expected ? 1 : 0;
        bad += expected ? 0 : 1;
        if (accepts(item) != expected) {
            wrong++;
            print_error("%s should be %s\n", td_json_text(item, "case", "?"), expected ? "accepted" : "refused");
        }
        line = end + 1;
    }
    printf("%s: %d of %d\n", what, good + bad - wrong, want_good + want_bad);
    assert_int_equal(wrong, 0);
    assert_int_equal(good, want_good);
    assert_int_equal(bad, want_bad);
}

static void inclusion__cases_agree(void **state)
{
    (void)state;
    run_file("merkle_inclusion.jsonl", "merkle inclusion", accepts_inclusion, 6, 92);
}

static void consistency__cases_agree(void **state)
{
    (void)state;
    run_file("merkle_consistency.jsonl", "merkle consistency", accepts_consistency, 6, 92);
}

static void assert_hash(const uint8_t *hash, const char *hex)
{
    char text[TD_DIGEST_TEXT];
    td_hex_encode(hash, TD_DIGEST_SIZE, text);
    assert_string_equal(text, hex);
}

/* From transparency-dev/merkle: rfc6962_test.go and testonly/constants.go. */
static void tree__golden_values(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        size_t size;
    } inputs[] = {{"", 0},
                  {"\x00", 1},
                  {"\x10", 1},
                  {"\x20\x21", 2},
                  {"\x30\x31", 2},
                  {"\x40\x41\x42\x43", 4},
                  {"\x50\x51\x52\x53\x54\x55\x56\x57", 8},
                  {"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f", 16}};
    static const char *const roots[] = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                                        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                                        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                                        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                                        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                                        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                                        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                                        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                                        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
    td_merkle_range range = {.size = 0};
    uint8_t hash[TD_DIGEST_SIZE];
    for (size_t i = 0; i <= TD_COUNT_OF(inputs); i++) {
        td_merkle_root(&range, hash);
        assert_hash(hash, roots[i]);
        if (i < TD_COUNT_OF(inputs)) {
            td_merkle_leaf(inputs[i].data, inputs[i].size, hash);
            assert_int_equal(td_merkle_append(&range, hash, NULL, NULL, NULL), TD_OK);
        }
    }
    td_merkle_leaf("L123456", 7, hash);
    assert_hash(hash, "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inclusion__cases_agree),
        cmocka_unit_test(consistency__cases_agree),
        cmocka_unit_test(tree__golden_values),
    };
    return cmocka_run_group_tests_name("merkle vectors", tests, NULL, NULL);
}
