/*
 * test_tile.c: the log as tiles: the grammar of paths, and that the bytes are those of the tree.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/merkle.h"
#include "audit/tile.h"
#include "tests/unit/audit/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void tile__paths_that_name_one(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        td_tile tile;
    } good[] = {
        {"0/000", {false, 0, 0, 256}},
        {"0/001", {false, 0, 1, 256}},
        {"7/999", {false, 7, 999, 256}},
        {"0/x001/067", {false, 0, 1067, 256}},
        {"0/x001/x234/067", {false, 0, 1234067, 256}},
        {"0/x999/000", {false, 0, 999000, 256}},
        {"1/000.p/1", {false, 1, 0, 1}},
        {"2/x012/345.p/255", {false, 2, 12345, 255}},
        {"entries/000", {true, 0, 0, 256}},
        {"entries/x001/067.p/67", {true, 0, 1067, 67}},
        {"0/x001/x152/x921/x504/x606/x846/976", {false, 0, TD_MERKLE_SIZE_MAX, 256}},
    };
    for (size_t i = 0; i < TD_COUNT_OF(good); i++) {
        td_tile tile;
        td_err err = {0};
        assert_int_equal(td_tile_parse(good[i].path, &tile, &err), TD_OK);
        assert_int_equal(tile.entries, good[i].tile.entries);
        assert_int_equal(tile.level, good[i].tile.level);
        assert_int_equal(tile.position, good[i].tile.position);
        assert_int_equal(tile.width, good[i].tile.width);
    }
}

static void tile__paths_that_name_none(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",          "0",          "0/",          "/000",        "0/0",          "0/00",           "0/0000",
        "8/000",     "00/000",     "-1/000",      "x/000",       "0/x000/001",   "0/x001",         "0/x001/",
        "0/001/067", "0/x01/067",  "0/x001/x067", "0/X001/067",  "0/ 01",        "0/+01",          "0/0x1",
        "0/000.p",   "0/000.p/",   "0/000.p/0",   "0/000.p/256", "0/000.p/01",   "0/000.p/1/",     "0/000.p/999",
        "0/000.P/1", "0/000.p/1a", "0/000.p/-1",  "0/000/",      "0/000.q/1",    "0/000.p/1.p/1",  "entries",
        "entries/",  "entries/1",  "entries/x000/001", "Entries/000", "entries/0/000", "entries//000", "0//000",
        "0/x001//067", "0/\xef\xbc\x90\xef\xbc\x90\xef\xbc\x90",
        "0/x001/x152/x921/x504/x606/x846/977", /* above 2^60 */
        "0/x009/x223/x372/x036/x854/x775/808", /* 2^63 */
        "0/x999/x999/x999/x999/x999/x999/x999/x999/999",
    };
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        td_tile tile = {.width = 77};
        td_err err = {0};
        if (td_tile_parse(bad[i], &tile, &err) != TD_INVALID) {
            fail_msg("\"%s\" was taken", bad[i]);
        }
        assert_int_equal(tile.width, 77);
        assert_non_null(strstr(err.text, "names no tile"));
    }
}

static td_code get(fixture *f, const char *path, td_str *out)
{
    td_tile tile;
    td_err err = {0};
    td_str_clear(out);
    assert_int_equal(td_tile_parse(path, &tile, &err), TD_OK);
    return td_tile_read(f->db, &tile, out, &err);
}

/* The root of what the tiles of level 0 say, which is the checkpoint's. */
static void tile__hashes_are_those_of_the_tree(void **state)
{
    fixture *f = *state;
    TD_CLEANUP(td_str_done) td_str tile = {0};
    TD_CLEANUP(td_str_done) td_str bundle = {0};
    td_merkle_range range = {.size = 0};
    td_err err = {0};
    td_log_root root;
    uint8_t hash[TD_DIGEST_SIZE];
    fixture_append_many(f, 600);
    fixture_seal(f);
    static const char *const parts[][2] = {
        {"0/000", "entries/000"}, {"0/001", "entries/001"}, {"0/002.p/88", "entries/002.p/88"}};
    for (size_t part = 0; part < 3; part++) {
        size_t width = part < 2 ? 256 : 88;
        assert_int_equal(get(f, parts[part][0], &tile), TD_OK);
        assert_int_equal(tile.size, width * TD_DIGEST_SIZE);
        assert_int_equal(get(f, parts[part][1], &bundle), TD_OK);
        assert_int_equal(bundle.size, width * (2 + TD_LOG_LEAF_SIZE));
        for (size_t i = 0; i < width; i++) {
            const char *entry = bundle.data + i * (2 + TD_LOG_LEAF_SIZE);
            assert_int_equal(entry[0], 0);
            assert_int_equal((uint8_t)entry[1], TD_LOG_LEAF_SIZE);
            td_merkle_leaf(entry + 2, TD_LOG_LEAF_SIZE, hash);
            assert_memory_equal(hash, tile.data + i * TD_DIGEST_SIZE, sizeof hash);
            assert_int_equal(td_merkle_append(&range, hash, NULL, NULL, &err), TD_OK);
        }
        if (part == 0) { /* the first hash of level 1 is the root of the first 256 */
            td_merkle_root(&range, hash);
            assert_int_equal(get(f, "1/000.p/1", &tile), TD_OK);
            assert_memory_equal(hash, tile.data, sizeof hash);
        }
    }
    td_merkle_root(&range, hash);
    assert_int_equal(td_log_root_read(f->db, &root, &err), TD_OK);
    assert_int_equal(root.size, 600);
    assert_memory_equal(hash, root.hash, sizeof hash);
}

static void tile__each_covered_width_is_there_and_no_other(void **state)
{
    fixture *f = *state;
    TD_CLEANUP(td_str_done) td_str whole = {0};
    TD_CLEANUP(td_str_done) td_str tile = {0};
    fixture_append_many(f, 300);
    fixture_seal(f);
    assert_int_equal(get(f, "0/000", &whole), TD_OK);
    for (int width = 1; width < 256; width++) {
        char path[32];
        snprintf(path, sizeof path, "0/000.p/%d", width); /* older checkpoints asked for it */
        assert_int_equal(get(f, path, &tile), TD_OK);
        assert_int_equal(tile.size, (size_t)width * TD_DIGEST_SIZE);
        assert_memory_equal(tile.data, whole.data, tile.size);
        snprintf(path, sizeof path, "0/001.p/%d", width);
        assert_int_equal(get(f, path, &tile), width <= 44 ? TD_OK : TD_NOT_FOUND);
    }
    static const char *const missing[] = {"0/001",     "0/002", "0/002.p/1",   "1/000", "1/000.p/2", "1/001.p/1",
                                          "2/000.p/1", "7/000", "entries/001", "0/x001/x152/x921/x504/x606/x846/976"};
    for (size_t i = 0; i < TD_COUNT_OF(missing); i++) {
        assert_int_equal(get(f, missing[i], &tile), TD_NOT_FOUND);
    }
}

static void tile__nothing_is_shown_before_it_is_signed(void **state)
{
    fixture *f = *state;
    TD_CLEANUP(td_str_done) td_str tile = {0};
    td_err err = {0};
    assert_int_equal(get(f, "0/000.p/1", &tile), TD_NOT_FOUND); /* an empty log */
    fixture_append_many(f, 3);
    assert_int_equal(fixture_sequence(f, &err), TD_OK);
    assert_int_equal(get(f, "0/000.p/1", &tile), TD_NOT_FOUND); /* leaves, but no checkpoint */
    fixture_seal(f);
    assert_int_equal(get(f, "0/000.p/3", &tile), TD_OK);
    fixture_append_many(f, 1);
    assert_int_equal(fixture_sequence(f, &err), TD_OK);
    assert_int_equal(get(f, "0/000.p/4", &tile), TD_NOT_FOUND);
    assert_int_equal(get(f, "entries/000.p/4", &tile), TD_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tile__paths_that_name_one),
        cmocka_unit_test(tile__paths_that_name_none),
        cmocka_unit_test_setup_teardown(tile__hashes_are_those_of_the_tree, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(tile__each_covered_width_is_there_and_no_other, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(tile__nothing_is_shown_before_it_is_signed, fixture_set_up, fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
