/*
 * test_pkcs11.c: names of keys in tokens; what needs a token is tested against SoftHSM (tests/interop/pkcs11).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/crypto/pkcs11.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void named__tells_uris_from_files(void **state)
{
    (void)state;
    assert_true(td_pkcs11_named("pkcs11:token=a"));
    assert_true(td_pkcs11_named("PKCS11:"));
    assert_false(td_pkcs11_named("key.pem"));
    assert_false(td_pkcs11_named("./pkcs11:token=a"));
    assert_false(td_pkcs11_named("pkcs11"));
}

static void uri__is_taken(void **state)
{
    static const char *const good[] = {
        "pkcs11:",
        "pkcs11:token=plant;object=approver",
        "pkcs11:token=the%20plant;id=%01%ff?module-path=/usr/lib/module.so&pin-source=file:/etc/pin",
        "pkcs11:object=a;type=private?pin-source=/etc/pin",
        "pkcs11:object=a;type=public?pin-source=file:///etc/pin&module-name=softhsm2",
        "pkcs11:slot-id=3;serial=17;model=m;manufacturer=x;library-version=2.6",
    };
    (void)state;
    for (size_t i = 0; i < TD_COUNT_OF(good); i++) {
        td_err err = {0};
        if (td_pkcs11_uri_check(good[i], &err) != TD_OK) {
            fail_msg("%s: %s", good[i], err.text);
        }
    }
}

static void uri__is_refused_by_its_fault(void **state)
{
    static const struct {
        const char *uri, *part;
    } bad[] = {
        {"key.pem", "not a key's URI"},
        {"pkcs11:token=a?pin-value=1234", "read arguments"},
        {"pkcs11:token=a?pin-source=|cat", "whole path"},
        {"pkcs11:token=a?pin-source=file:pin", "whole path"},
        {"pkcs11:token=a?pin-source=file://host/pin", "whole path"},
        {"pkcs11:token=a?pin-source=https:/x", "whole path"},
        {"pkcs11:colour=red", "not known"},
        {"pkcs11:type=cert", "no key pair"},
        {"pkcs11:type=secret-key", "no key pair"},
        {"pkcs11:token=the plant", "%20"},
        {"pkcs11:token=a\n", "%20"},
        {"pkcs11:token=a%00", "cannot be read"},
        {"pkcs11:token=%g1", "cannot be read"},
        {"pkcs11:token", "cannot be read"},
    };
    (void)state;
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        td_err err = {0};
        assert_int_equal(td_pkcs11_uri_check(bad[i].uri, &err), TD_INVALID);
        if (strstr(err.text, bad[i].part) == NULL) {
            fail_msg("%s: %s", bad[i].uri, err.text);
        }
        assert_null(strstr(err.text, "1234"));
    }
}

static void uri__has_a_length(void **state)
{
    char uri[TD_PKCS11_URI_MAX + 2] = "pkcs11:token=";
    td_err err = {0};
    (void)state;
    memset(uri + strlen(uri), 'a', sizeof uri - 1 - strlen(uri));
    uri[sizeof uri - 1] = '\0';
    assert_int_equal(td_pkcs11_uri_check(uri, &err), TD_LIMIT);
    uri[TD_PKCS11_URI_MAX] = '\0';
    assert_int_not_equal(td_pkcs11_uri_check(uri, &err), TD_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(named__tells_uris_from_files),
        cmocka_unit_test(uri__is_taken),
        cmocka_unit_test(uri__is_refused_by_its_fault),
        cmocka_unit_test(uri__has_a_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
