/*
 * test_roles.c: the permission table against the design's own words, cell by cell.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/access.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants the four above */
#include <cmocka.h>

/* One line a permission; one column a role: viewer, data-scientist, trainer, approver, operator, auditor, admin,
 * metrics. */
static const struct {
    const char *permission;
    const char *row;
} matrix[] = {
    {"read", "XXXXXXX."},        {"register", ".XX....."},      {"manage_alias", ".X..X..."},
    {"approve", "...X...."},     {"manage_device", "....X..."}, {"roll_out", "....X..."},
    {"set_monitor", ".X......"}, {"handle_alert", ".X..X..."},  {"define_pipeline", "......X."},
    {"define_gate", "...X..X."}, {"start_run", ".X......"},     {"work", "..X....."},
    {"read_audit", "...X.XX."},  {"export_audit", ".....X.."},  {"manage_user", "......X."},
    {"read_metrics", ".....XXX"}, {"claim", ".XXX...."},
};

static void role__matrix_is_as_documented(void **state)
{
    (void)state;
    assert_int_equal(TD_COUNT_OF(matrix), TD_PERMISSION_COUNT);
    for (int permission = 0; permission < TD_PERMISSION_COUNT; permission++) {
        assert_string_equal(td_permission_name((td_permission)permission), matrix[permission].permission);
        for (int role = 0; role < TD_ROLE_COUNT; role++) {
            bool expected = matrix[permission].row[role] == 'X';
            if (td_role_may((td_role)role, (td_permission)permission) != expected) {
                fail_msg("%s %s %s", td_role_name((td_role)role), expected ? "should be able to" : "must not",
                         matrix[permission].permission);
            }
        }
    }
}

static void role__admin_can_neither_approve_nor_roll_out(void **state)
{
    (void)state;
    assert_false(td_role_may(TD_ROLE_ADMIN, TD_MAY_APPROVE));
    assert_false(td_role_may(TD_ROLE_ADMIN, TD_MAY_ROLL_OUT));
    assert_false(td_role_may(TD_ROLE_ADMIN, TD_MAY_REGISTER));
}

static void role__names_parse_back(void **state)
{
    (void)state;
    for (int role = 0; role < TD_ROLE_COUNT; role++) {
        td_role parsed = TD_ROLE_COUNT;
        assert_int_equal(td_role_parse(td_role_name((td_role)role), &parsed, NULL), TD_OK);
        assert_int_equal(parsed, role);
    }
}

static void role__misspelt_name_gets_the_nearest(void **state)
{
    (void)state;
    td_err err = {0};
    td_role role = TD_ROLE_AUDITOR;
    assert_int_equal(td_role_parse("aprover", &role, &err), TD_INVALID);
    assert_non_null(strstr(err.text, "did you mean \"approver\""));
    assert_int_equal(role, TD_ROLE_AUDITOR); /* untouched */
}

static void principal__socket_is_admin_everywhere_but_no_approver(void **state)
{
    (void)state;
    td_principal local;
    td_actor actor;
    td_err err = {0};
    td_access_local(1000, &local);
    assert_int_equal(td_access_check(&local, "any-project", TD_MAY_MANAGE_USER, "r1", &actor, &err), TD_OK);
    assert_string_equal(actor.name, "uid-1000");
    assert_string_equal(actor.role, "admin");
    assert_string_equal(actor.authentication, "admin-socket");
    assert_string_equal(actor.request_id, "r1");
    assert_false(td_actor_is_person(&actor));
    assert_int_equal(td_access_check(&local, "default", TD_MAY_APPROVE, NULL, &actor, &err), TD_DENIED);
    assert_non_null(strstr(err.text, "approver"));
    assert_int_equal(td_access_check(&local, "default", TD_MAY_ROLL_OUT, NULL, &actor, &err), TD_DENIED);
}

static void principal__service_never_approves_even_with_the_role(void **state)
{
    (void)state;
    td_principal service = {.kind = TD_ACTOR_SERVICE,
                            .user_id = 7,
                            .name = "bot",
                            .grant_count = 1,
                            .grants = {{.project = "default", .roles = UINT32_MAX}}};
    td_err err = {0};
    assert_int_equal(td_access_check(&service, "default", TD_MAY_APPROVE, NULL, NULL, &err), TD_DENIED);
    assert_non_null(strstr(err.text, "only people approve"));
    assert_int_equal(td_access_check(&service, "default", TD_MAY_WORK, NULL, NULL, &err), TD_OK);
}

static void principal__role_counts_only_in_its_project(void **state)
{
    (void)state;
    td_principal ana = {.kind = TD_ACTOR_USER,
                        .user_id = 3,
                        .name = "ana",
                        .grant_count = 2,
                        .grants = {{.project = "default", .roles = 1U << TD_ROLE_VIEWER},
                                   {.project = "mill", .roles = 1U << TD_ROLE_OPERATOR}}};
    assert_int_equal(td_access_check(&ana, "mill", TD_MAY_ROLL_OUT, NULL, NULL, NULL), TD_OK);
    assert_int_equal(td_access_check(&ana, "default", TD_MAY_ROLL_OUT, NULL, NULL, NULL), TD_DENIED);
    assert_int_equal(td_access_check(&ana, "default", TD_MAY_READ, NULL, NULL, NULL), TD_OK);
    assert_int_equal(td_access_check(&ana, "other", TD_MAY_READ, NULL, NULL, NULL), TD_NOT_FOUND);
}

static void name__grammar_is_enforced(void **state)
{
    (void)state;
    const char *good[] = {"ana", "a", "ci.bot-2", "x_y"};
    const char *bad[] = {"", "Ana", "1ana", "ana ", "ana/..", "ben\n", "_x", "é"};
    char long_name[TD_USER_NAME_MAX + 2];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    for (size_t i = 0; i < TD_COUNT_OF(good); i++) {
        assert_int_equal(td_user_name_check(good[i], NULL), TD_OK);
    }
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        assert_int_equal(td_user_name_check(bad[i], NULL), TD_INVALID);
    }
    assert_int_equal(td_user_name_check(long_name, NULL), TD_INVALID);
    long_name[TD_USER_NAME_MAX] = '\0';
    assert_int_equal(td_user_name_check(long_name, NULL), TD_OK);
    assert_int_equal(td_project_name_check("mill-2", NULL), TD_OK);
    assert_int_equal(td_project_name_check("Mill", NULL), TD_INVALID);
    assert_int_equal(td_project_name_check("-x", NULL), TD_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(role__matrix_is_as_documented),
        cmocka_unit_test(role__admin_can_neither_approve_nor_roll_out),
        cmocka_unit_test(role__names_parse_back),
        cmocka_unit_test(role__misspelt_name_gets_the_nearest),
        cmocka_unit_test(principal__socket_is_admin_everywhere_but_no_approver),
        cmocka_unit_test(principal__service_never_approves_even_with_the_role),
        cmocka_unit_test(principal__role_counts_only_in_its_project),
        cmocka_unit_test(name__grammar_is_enforced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
