/*
 * test_idempotency.c: a key answers for a day, for its own request only, and there are only so many.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/access.h"
#include "access/idempotency.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the first ones */
#include <cmocka.h>

#include "core/base/fs.h"

extern const td_migration td_audit_migrations[];

static int64_t now_ms = 1700000000000;

static int64_t fake_wall(const td_clock *clock)
{
    (void)clock;
    return now_ms;
}

static const td_clock fake_clock = {.wall_ms = fake_wall, .monotonic_ms = fake_wall};

static char folder[64];
static td_db *db;
static td_txn txn;

static int setup(void **state)
{
    (void)state;
    td_err err = {0};
    char path[128];
    const td_migration *const lists[] = {td_audit_migrations, td_access_migrations, NULL};
    (void)snprintf(folder, sizeof folder, "/tmp/td-keys-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/t.db", folder);
    assert_int_equal(td_db_open(path, TD_DB_WRITE, &fake_clock, &db, &err), TD_OK);
    assert_int_equal(td_db_migrate(db, lists, &err), TD_OK);
    return td_txn_begin(db, &txn, &err) == TD_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    td_txn_done(&txn);
    td_db_close(db);
    return td_folder_remove(folder, NULL) == TD_OK ? 0 : -1;
}

static td_code keep(const char *key, uint8_t digest, const char *text, td_err *err)
{
    td_idempotent request = {.actor = "ana", .key = key, .request_digest = {digest}};
    TD_CLEANUP(td_str_done) td_str body = {0};
    td_str_add(&body, text);
    return td_idempotency_keep(db, &request, 201, "/here", &body, err);
}

static td_code find(const char *actor, const char *key, uint8_t digest, char text_out[64], td_err *err)
{
    td_idempotent request = {.actor = actor, .key = key, .request_digest = {digest}};
    TD_CLEANUP(td_idempotent_answer_done) td_idempotent_answer answer = {0};
    TD_TRY(td_idempotency_find(db, &request, &answer, err));
    (void)snprintf(text_out, 64, "%d %s %s", answer.status, td_str_text(&answer.location), td_str_text(&answer.body));
    return TD_OK;
}

static void key__stands_for_its_own_request(void **state)
{
    (void)state;
    td_err err = {0};
    char text[64];
    assert_int_equal(find("ana", "k", 1, text, &err), TD_NOT_FOUND);
    assert_int_equal(keep("k", 1, "{}", &err), TD_OK);
    assert_int_equal(find("ana", "k", 1, text, &err), TD_OK);
    assert_string_equal(text, "201 /here {}");
    assert_int_equal(find("ana", "k", 2, text, &err), TD_CONFLICT);
    assert_int_equal(find("ben", "k", 1, text, &err), TD_NOT_FOUND);
}

static void key__ends_after_a_day(void **state)
{
    (void)state;
    td_err err = {0};
    char text[64];
    bool more = true;
    assert_int_equal(keep("old", 1, "{}", &err), TD_OK);
    now_ms += TD_IDEMPOTENCY_KEEP_MS;
    assert_int_equal(find("ana", "old", 1, text, &err), TD_NOT_FOUND);
    assert_int_equal(keep("old", 2, "[]", &err), TD_OK); /* before the purge came by */
    assert_int_equal(find("ana", "old", 2, text, &err), TD_OK);
    assert_int_equal(td_idempotency_purge(db, 10, &more, &err), TD_OK);
    assert_false(more);
    assert_int_equal(find("ana", "old", 2, text, &err), TD_OK);
    now_ms += TD_IDEMPOTENCY_KEEP_MS;
    assert_int_equal(td_idempotency_purge(db, 1, &more, &err), TD_OK);
    assert_true(more);
}

static void key__has_limits(void **state)
{
    (void)state;
    td_err err = {0};
    char key[TD_IDEMPOTENCY_KEY_MAX + 2];
    memset(key, 'k', sizeof key);
    key[sizeof key - 1] = 0;
    assert_int_equal(td_idempotency_key_check(key, &err), TD_INVALID);
    key[TD_IDEMPOTENCY_KEY_MAX] = 0;
    assert_int_equal(td_idempotency_key_check(key, &err), TD_OK);
    assert_int_equal(td_idempotency_key_check("", &err), TD_INVALID);
    assert_int_equal(td_idempotency_key_check("a\x7f", &err), TD_INVALID);
    for (int i = 0; i < TD_IDEMPOTENCY_KEYS_MAX; i++) {
        (void)snprintf(key, sizeof key, "n%d", i);
        assert_int_equal(keep(key, 1, "{}", &err), TD_OK);
    }
    assert_int_equal(keep("one more", 1, "{}", &err), TD_LIMIT);
    TD_CLEANUP(td_str_done) td_str body = {0};
    char block[4096];
    memset(block, ' ', sizeof block);
    while (body.size <= TD_IDEMPOTENCY_BODY_MAX) {
        td_str_append(&body, block, sizeof block);
    }
    td_idempotent request = {.actor = "ben", .key = "k"};
    assert_int_equal(td_idempotency_keep(db, &request, 201, NULL, &body, &err), TD_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(key__stands_for_its_own_request, setup, teardown),
        cmocka_unit_test_setup_teardown(key__ends_after_a_day, setup, teardown),
        cmocka_unit_test_setup_teardown(key__has_limits, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
