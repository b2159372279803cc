/*
 * test_broker.c: the access list lets a device write its own up/# and read its own down/#, and a revoked one nothing.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/broker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void broker__access_list(void **state)
{
    (void)state;
    td_err err = {0};
    td_str text = {0};
    json_t *revoked = json_pack("[s]", "pump-07");
    assert_int_equal(td_broker_acl_text("tm/v1", revoked, &text, &err), TD_OK);
    assert_string_equal(td_str_text(&text), "user _server\ntopic readwrite tm/v1/#\n\n"
                                            "user pump-07\ntopic deny #\n\n"
                                            "pattern write tm/v1/%u/up/#\npattern read tm/v1/%u/down/#\n"
                                            "pattern read tm/v1/_/server\npattern read tm/v1/_/content/#\n");
    td_str_done(&text);
    json_decref(revoked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broker__access_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
