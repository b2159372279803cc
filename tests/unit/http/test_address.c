/*
 * test_address.c: which addresses requests of others may go to: both sides of every border.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/http/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void must(td_code code, const td_err *err)
{
    if (code != TD_OK) {
        fail_msg("%s", err->text);
    }
}

static struct sockaddr_storage parse(const char *text)
{
    struct sockaddr_storage out = {0};
    struct sockaddr_in *four = (struct sockaddr_in *)&out;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&out;
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        out.ss_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
        out.ss_family = AF_INET6;
    }
    return out;
}

static bool is_public(const char *text)
{
    struct sockaddr_storage address = parse(text);
    return td_address_is_public((const struct sockaddr *)&address);
}

static void address__what_is_set_apart_is_not_public(void **state)
{
    (void)state;
    static const char *const apart[] = {
        "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1",
        "127.255.255.255", "169.254.169.254", "172.16.0.0", "172.31.255.255", "192.0.0.8", "192.0.2.1",
        "192.88.99.1", "192.168.0.0", "192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.1",
        "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "fc00::1", "fdff::1",
        "fe80::1", "febf::1", "fec0::1", "ff02::1", "2001::1", "2001:1ff::1", "2001:db8::1", "2002:7f00:1::1",
        "3fff::1", "4000::1",
    };
    for (size_t i = 0; i < TD_COUNT_OF(apart); i++) {
        if (is_public(apart[i])) {
            fail_msg("%s was taken for public", apart[i]);
        }
    }
}

static void address__the_rest_is_public(void **state)
{
    (void)state;
    static const char *const open[] = {
        "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
        "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0",
        "198.17.255.255", "198.20.0.0", "223.255.255.255", "::ffff:1.1.1.1", "2606:4700::1111", "2a00:1450::1",
        "2001:200::1", "2001:4860::8888", "2003::1", "3ffe::1",
    };
    for (size_t i = 0; i < TD_COUNT_OF(open); i++) {
        if (!is_public(open[i])) {
            fail_msg("%s was taken for private", open[i]);
        }
    }
}

static bool listed(const char *networks, const char *address)
{
    td_err err = {0};
    td_networks list;
    struct sockaddr_storage parsed = parse(address);
    must(td_networks_parse(networks, &list, &err), &err);
    return td_networks_hold(&list, (const struct sockaddr *)&parsed);
}

static void networks__hold_what_their_prefix_says(void **state)
{
    (void)state;
    assert_false(listed("", "10.0.0.1"));
    assert_true(listed("10.1.0.0/16, 127.0.0.1,fd00::/8", "10.1.255.255"));
    assert_false(listed("10.1.0.0/16,127.0.0.1", "10.2.0.0"));
    assert_true(listed("10.1.0.0/16,127.0.0.1", "::ffff:127.0.0.1"));
    assert_false(listed("127.0.0.1", "127.0.0.2"));
    assert_true(listed("172.16.0.0/12", "172.31.0.1"));
    assert_false(listed("172.16.0.0/12", "172.32.0.1"));
    assert_true(listed("fd00::/8", "fdff::1"));
    assert_false(listed("fd00::/8", "fc00::1"));
    assert_true(listed("0.0.0.0/0", "8.8.8.8"));
    assert_false(listed("0.0.0.0/0", "2606::1"));
}

static void networks__refuse_what_they_do_not_understand(void **state)
{
    (void)state;
    td_err err = {0};
    td_networks list;
    static const char *const wrong[] = {"localhost", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0/8", "::1/129", "10.0.0.1:80",
                                        "1.2.3.4 ", "a,b", ",", "10.0.0.0/8/8"};
    for (size_t i = 0; i < TD_COUNT_OF(wrong); i++) {
        if (td_networks_parse(wrong[i], &list, &err) != TD_INVALID) {
            fail_msg("\"%s\" was taken", wrong[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(address__what_is_set_apart_is_not_public),
        cmocka_unit_test(address__the_rest_is_public),
        cmocka_unit_test(networks__hold_what_their_prefix_says),
        cmocka_unit_test(networks__refuse_what_they_do_not_understand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
