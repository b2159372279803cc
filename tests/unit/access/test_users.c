/*
 * test_users.c: users, grants and tokens in a real database: what opens the door, what shuts it, and that each change
 * is on record.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/project.h"

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

struct fixture {
    char folder[64];
    td_db *db;
    td_txn txn;
    td_actor admin;
    td_principal local;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    td_err err = {0};
    char path[128];
    const td_migration *const lists[] = {td_audit_migrations, td_access_migrations, NULL};
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/td-access-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(path, sizeof path, "%s/t.db", f->folder);
    assert_int_equal(td_crypto_setup(&err), TD_OK);
    assert_int_equal(td_db_open(path, TD_DB_WRITE, &fake_clock, &f->db, &err), TD_OK);
    if (td_db_migrate(f->db, lists, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(td_txn_begin(f->db, &f->txn, &err), TD_OK);
    td_access_local(1000, &f->local);
    assert_int_equal(td_access_check(&f->local, "default", TD_MAY_MANAGE_USER, "", &f->admin, &err), TD_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    td_txn_done(&f->txn);
    td_db_close(f->db);
    assert_int_equal(td_folder_remove(f->folder, NULL), TD_OK);
    free(f);
    return 0;
}

static void must(td_code code, const td_err *err)
{
    if (code != TD_OK) {
        fail_msg("%s: %s", td_code_lookup(code)->name, err->text);
    }
}

static void add_user(struct fixture *f, const char *name, bool service)
{
    td_err err = {0};
    td_user_options options = {.name = name, .service = service};
    must(td_user_create(f->db, &f->admin, &options, NULL, &err), &err);
}

static void grant(struct fixture *f, const char *user, td_role role)
{
    td_err err = {0};
    must(td_role_grant(f->db, &f->admin, user, "default", role, "test", &err), &err);
}

static td_token token_for(struct fixture *f, const char *user)
{
    td_err err = {0};
    td_token token;
    td_token_options options = {.user = user, .label = "laptop"};
    must(td_token_create(f->db, &f->admin, &options, &token, &err), &err);
    return token;
}

static td_code log_in(struct fixture *f, const char *text, td_principal *out)
{
    return td_access_authenticate(f->db, text, strlen(text), out, NULL);
}

static int64_t count_records(struct fixture *f, const char *action)
{
    td_stmt *stmt;
    bool row;
    td_err err = {0};
    must(td_db_prepare(f->db, "SELECT count(*) AS n FROM audit_record WHERE action = :action", &stmt, &err), &err);
    td_bind_text(stmt, ":action", action);
    must(td_step(stmt, &row, &err), &err);
    int64_t n = td_column_int(stmt, "n");
    td_reset(stmt);
    return n;
}

static void token__opens_the_door_with_the_users_roles(void **state)
{
    struct fixture *f = *state;
    td_principal who;
    td_actor actor;
    add_user(f, "ana", false);
    grant(f, "ana", TD_ROLE_DATA_SCIENTIST);
    td_token token = token_for(f, "ana");
    assert_int_equal(strlen(token.text), 68);
    assert_int_equal(token.expires_ms, now_ms + TD_TOKEN_LIFETIME_DEFAULT_MS);
    assert_int_equal(log_in(f, token.text, &who), TD_OK);
    assert_string_equal(who.name, "ana");
    assert_int_equal(td_access_check(&who, "default", TD_MAY_REGISTER, "r9", &actor, NULL), TD_OK);
    assert_string_equal(actor.role, "data-scientist");
    assert_true(td_actor_is_person(&actor));
    assert_int_equal(td_access_check(&who, "default", TD_MAY_APPROVE, "r9", &actor, NULL), TD_DENIED);
    assert_int_equal(td_access_recheck(f->db, &actor, "default", TD_MAY_REGISTER, NULL), TD_OK);
    assert_int_equal(td_access_recheck(f->db, &actor, "default", TD_MAY_ROLL_OUT, NULL), TD_DENIED);
}

static void token__is_stored_only_as_digest(void **state)
{
    struct fixture *f = *state;
    td_err err = {0};
    char path[128];
    td_str file = {0};
    add_user(f, "ana", false);
    td_token token = token_for(f, "ana");
    must(td_txn_commit(&f->txn, &err), &err);
    must(td_db_checkpoint(f->db, true, &err), &err);
    (void)snprintf(path, sizeof path, "%s/t.db", f->folder);
    must(td_file_read(path, 64 << 20, &file, &err), &err);
    uint8_t secret[32], digest[TD_DIGEST_SIZE];
    must(td_hex_decode(token.text + 4, 64, secret, sizeof secret, &err), &err);
    td_sha256_of(secret, sizeof secret, digest);
    assert_non_null(memmem(file.data, file.size, digest, sizeof digest));
    assert_null(memmem(file.data, file.size, secret, sizeof secret));
    assert_null(memmem(file.data, file.size, token.text + 4, 64));
    td_str_done(&file);
    must(td_txn_begin(f->db, &f->txn, &err), &err);
}

static void token__bad_ones_all_get_the_same_answer(void **state)
{
    struct fixture *f = *state;
    td_principal who;
    td_err unknown = {0}, expired = {0}, revoked = {0}, disabled = {0};
    add_user(f, "ana", false);
    add_user(f, "eve", false);
    td_token old = token_for(f, "ana");
    char wrong[TD_TOKEN_TEXT_SIZE];
    memcpy(wrong, old.text, sizeof wrong);
    wrong[10] = wrong[10] == 'a' ? 'b' : 'a';
    size_t n = strlen(wrong);
    assert_int_equal(td_access_authenticate(f->db, wrong, n, &who, &unknown), TD_DENIED);
    assert_int_equal(td_access_authenticate(f->db, old.text, n - 1, &who, NULL), TD_DENIED);
    assert_int_equal(td_access_authenticate(f->db, "", 0, &who, NULL), TD_DENIED);
    now_ms = old.expires_ms;
    assert_int_equal(td_access_authenticate(f->db, old.text, n, &who, &expired), TD_DENIED);
    td_token second = token_for(f, "ana");
    must(td_token_revoke(f->db, &f->admin, second.token_id, "lost", &revoked), &revoked);
    assert_int_equal(td_access_authenticate(f->db, second.text, n, &who, &revoked), TD_DENIED);
    td_token third = token_for(f, "eve");
    must(td_user_disable(f->db, &f->admin, "eve", true, "left", &disabled), &disabled);
    assert_int_equal(td_access_authenticate(f->db, third.text, n, &who, &disabled), TD_DENIED);
    assert_string_equal(unknown.text, expired.text);
    assert_string_equal(unknown.text, revoked.text);
    assert_string_equal(unknown.text, disabled.text);
}

static td_code basic(struct fixture *f, const char *pair, td_principal *out, td_err *err)
{
    char header[512] = "Basic ";
    td_str text = {0};
    td_base64_add(&text, pair, strlen(pair));
    (void)snprintf(header + 6, sizeof header - 6, "%s", td_str_text(&text));
    td_str_done(&text);
    return td_access_log_in(f->db, header, out, err);
}

static void basic__takes_the_token_as_its_owners_password(void **state)
{
    struct fixture *f = *state;
    td_principal who;
    td_err wrong = {0}, foreign = {0}, empty = {0}, bare = {0};
    char pair[256], header[128];
    add_user(f, "ana", false);
    add_user(f, "eve", false);
    grant(f, "ana", TD_ROLE_VIEWER);
    td_token token = token_for(f, "ana");
    (void)snprintf(header, sizeof header, "bearer %s", token.text);
    assert_int_equal(td_access_log_in(f->db, header, &who, NULL), TD_OK);
    (void)snprintf(pair, sizeof pair, "ana:%s", token.text);
    assert_int_equal(basic(f, pair, &who, NULL), TD_OK);
    assert_string_equal(who.name, "ana");
    (void)snprintf(pair, sizeof pair, "eve:%s", token.text);
    assert_int_equal(basic(f, pair, &who, &foreign), TD_DENIED);
    (void)snprintf(pair, sizeof pair, "ana:%s0", token.text);
    assert_int_equal(basic(f, pair, &who, &wrong), TD_DENIED);
    assert_int_equal(basic(f, "ana:", &who, &empty), TD_DENIED);
    assert_int_equal(basic(f, "ana", &who, &bare), TD_DENIED);
    assert_string_equal(wrong.text, foreign.text);
    assert_string_equal(wrong.text, empty.text);
    assert_string_equal(wrong.text, bare.text);
}

static void header__of_no_known_form_is_refused(void **state)
{
    static const char *const headers[] = {"",        "Basic",       "Basic ",   "Basic !!!!", "Basic Og==", "Bearer",
                                          "Bearer ", "Bearer tmk_", "Digest x", "Basicdg==",  "Bearertm"};
    struct fixture *f = *state;
    td_principal who;
    assert_int_equal(td_access_log_in(f->db, NULL, &who, NULL), TD_DENIED);
    for (size_t i = 0; i < TD_COUNT_OF(headers); i++) {
        assert_int_equal(td_access_log_in(f->db, headers[i], &who, NULL), TD_DENIED);
    }
    char *huge = malloc(100001);
    memset(huge, 'A', 100000);
    memcpy(huge, "Basic ", 6);
    huge[100000] = 0;
    assert_int_equal(td_access_log_in(f->db, huge, &who, NULL), TD_DENIED);
    memcpy(huge, "Bearer tmk_", 11);
    assert_int_equal(td_access_log_in(f->db, huge, &who, NULL), TD_DENIED);
    free(huge);
}

static void token__expires_at_its_moment_and_not_before(void **state)
{
    struct fixture *f = *state;
    td_principal who;
    add_user(f, "ana", false);
    td_token token = token_for(f, "ana");
    now_ms = token.expires_ms - 1;
    assert_int_equal(log_in(f, token.text, &who), TD_OK);
    now_ms = token.expires_ms;
    assert_int_equal(log_in(f, token.text, &who), TD_DENIED);
}

static void token__may_be_restricted_to_some_roles(void **state)
{
    struct fixture *f = *state;
    td_principal who;
    td_token token;
    td_err err = {0};
    add_user(f, "ben", false);
    grant(f, "ben", TD_ROLE_APPROVER);
    grant(f, "ben", TD_ROLE_OPERATOR);
    td_token_options options = {.user = "ben", .roles = 1U << TD_ROLE_OPERATOR};
    must(td_token_create(f->db, &f->admin, &options, &token, &err), &err);
    must(log_in(f, token.text, &who), &err);
    assert_int_equal(td_access_check(&who, "default", TD_MAY_ROLL_OUT, NULL, NULL, NULL), TD_OK);
    assert_int_equal(td_access_check(&who, "default", TD_MAY_APPROVE, NULL, NULL, NULL), TD_DENIED);
}

static void token__for_others_takes_an_admin(void **state)
{
    struct fixture *f = *state;
    td_principal who;
    td_actor ana;
    td_token token;
    add_user(f, "ana", false);
    add_user(f, "ben", false);
    grant(f, "ana", TD_ROLE_VIEWER);
    td_token own = token_for(f, "ana");
    assert_int_equal(log_in(f, own.text, &who), TD_OK);
    assert_int_equal(td_access_check(&who, "default", TD_MAY_READ, NULL, &ana, NULL), TD_OK);
    td_token_options for_ben = {.user = "ben"}, for_ana = {.user = "ana"};
    assert_int_equal(td_token_create(f->db, &ana, &for_ben, &token, NULL), TD_DENIED);
    assert_int_equal(td_token_create(f->db, &ana, &for_ana, &token, NULL), TD_OK);
}

static void token__limits_are_enforced(void **state)
{
    struct fixture *f = *state;
    td_token token;
    td_err err = {0};
    add_user(f, "ana", false);
    td_token_options options = {.user = "ana", .lifetime_ms = TD_TOKEN_LIFETIME_MAX_MS + 1};
    assert_int_equal(td_token_create(f->db, &f->admin, &options, &token, &err), TD_INVALID);
    for (int i = 0; i < TD_TOKENS_PER_USER_MAX; i++) {
        (void)token_for(f, "ana");
    }
    options.lifetime_ms = 0;
    assert_int_equal(td_token_create(f->db, &f->admin, &options, &token, &err), TD_LIMIT);
}

static void token__touch_is_asked_for_once_a_minute(void **state)
{
    struct fixture *f = *state;
    td_principal who;
    td_err err = {0};
    add_user(f, "ana", false);
    td_token token = token_for(f, "ana");
    must(log_in(f, token.text, &who), &err);
    assert_true(td_token_wants_touch(&who, now_ms));
    must(td_token_touch(f->db, who.token_id, &err), &err);
    must(log_in(f, token.text, &who), &err);
    assert_false(td_token_wants_touch(&who, now_ms + TD_TOKEN_TOUCH_MS - 1));
    assert_true(td_token_wants_touch(&who, now_ms + TD_TOKEN_TOUCH_MS));
}

static void role__approver_is_not_for_services(void **state)
{
    struct fixture *f = *state;
    td_err err = {0};
    add_user(f, "worker", true);
    assert_int_equal(td_role_grant(f->db, &f->admin, "worker", "default", TD_ROLE_APPROVER, "why not", &err),
                     TD_INVALID);
    assert_non_null(strstr(err.text, "only people approve"));
    grant(f, "worker", TD_ROLE_TRAINER);
}

static void role__loss_counts_in_the_writing_transaction(void **state)
{
    struct fixture *f = *state;
    td_principal who;
    td_actor ben;
    td_err err = {0};
    add_user(f, "ben", false);
    grant(f, "ben", TD_ROLE_APPROVER);
    td_token token = token_for(f, "ben");
    must(log_in(f, token.text, &who), &err);
    must(td_access_check(&who, "default", TD_MAY_APPROVE, NULL, &ben, &err), &err);
    assert_int_equal(td_access_recheck(f->db, &ben, "default", TD_MAY_APPROVE, &err), TD_OK);
    must(td_role_revoke(f->db, &f->admin, "ben", "default", TD_ROLE_APPROVER, "moved", &err), &err);
    assert_int_equal(td_access_recheck(f->db, &ben, "default", TD_MAY_APPROVE, &err), TD_DENIED);
}

static void role__grants_take_an_admin(void **state)
{
    struct fixture *f = *state;
    td_principal who;
    td_actor ana;
    add_user(f, "ana", false);
    grant(f, "ana", TD_ROLE_OPERATOR);
    td_token token = token_for(f, "ana");
    assert_int_equal(log_in(f, token.text, &who), TD_OK);
    assert_int_equal(td_access_check(&who, "default", TD_MAY_READ, NULL, &ana, NULL), TD_OK);
    assert_int_equal(td_role_grant(f->db, &ana, "ana", "default", TD_ROLE_APPROVER, "please", NULL), TD_DENIED);
    td_user_options options = {.name = "eve"};
    assert_int_equal(td_user_create(f->db, &ana, &options, NULL, NULL), TD_DENIED);
}

static void change__each_leaves_one_record(void **state)
{
    struct fixture *f = *state;
    td_err err = {0};
    add_user(f, "ana", false);
    grant(f, "ana", TD_ROLE_VIEWER);
    grant(f, "ana", TD_ROLE_VIEWER); /* held already: no second record */
    (void)token_for(f, "ana");
    must(td_access_denied(f->db, NULL, "127.0.0.1", "POST /api/v1/rollouts", 3, &err), &err);
    must(td_project_create(f->db, &f->admin, "mill", "the mill", &err), &err);
    assert_int_equal(count_records(f, "create.user"), 1);
    assert_int_equal(count_records(f, "grant.role"), 1);
    assert_int_equal(count_records(f, "create.token"), 1);
    assert_int_equal(count_records(f, "deny.access"), 1);
    assert_int_equal(count_records(f, "create.project"), 1);
}

static void user__duplicate_and_unknown_are_named(void **state)
{
    struct fixture *f = *state;
    td_err err = {0};
    td_user_options options = {.name = "ana"};
    add_user(f, "ana", false);
    assert_int_equal(td_user_create(f->db, &f->admin, &options, NULL, &err), TD_CONFLICT);
    assert_non_null(strstr(err.text, "\"ana\""));
    assert_int_equal(td_role_grant(f->db, &f->admin, "zoe", "default", TD_ROLE_VIEWER, "x", &err), TD_NOT_FOUND);
    assert_non_null(strstr(err.text, "\"zoe\""));
    assert_int_equal(td_role_grant(f->db, &f->admin, "ana", "nowhere", TD_ROLE_VIEWER, "x", &err), TD_NOT_FOUND);
    assert_non_null(strstr(err.text, "\"nowhere\""));
}

static void user__list_shows_roles_and_tokens_but_no_secret(void **state)
{
    struct fixture *f = *state;
    td_err err = {0};
    json_t *list = NULL;
    add_user(f, "ana", false);
    grant(f, "ana", TD_ROLE_VIEWER);
    td_token token = token_for(f, "ana");
    must(td_user_list_json(f->db, NULL, &(td_page){.limit = 0}, &list, &err), &err);
    char *text = json_dumps(list, JSON_COMPACT);
    assert_non_null(strstr(text, "\"name\":\"ana\""));
    assert_non_null(strstr(text, "\"viewer\""));
    assert_non_null(strstr(text, "\"laptop\""));
    assert_null(strstr(text, token.text + 4));
    free(text);
    json_decref(list);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(token__opens_the_door_with_the_users_roles),
        CASE(token__is_stored_only_as_digest),
        CASE(token__bad_ones_all_get_the_same_answer),
        CASE(basic__takes_the_token_as_its_owners_password),
        CASE(header__of_no_known_form_is_refused),
        CASE(token__expires_at_its_moment_and_not_before),
        CASE(token__may_be_restricted_to_some_roles),
        CASE(token__for_others_takes_an_admin),
        CASE(token__limits_are_enforced),
        CASE(token__touch_is_asked_for_once_a_minute),
        CASE(role__approver_is_not_for_services),
        CASE(role__loss_counts_in_the_writing_transaction),
        CASE(role__grants_take_an_admin),
        CASE(change__each_leaves_one_record),
        CASE(user__duplicate_and_unknown_are_named),
        CASE(user__list_shows_roles_and_tokens_but_no_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
