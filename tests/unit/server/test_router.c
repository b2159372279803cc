/*
 * test_router.c: no route without a permission; every route is found by its own path and by no other method.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static td_code nothing(td_request *request, td_err *err)
{
    (void)request;
    (void)err;
    return TD_OK;
}

static void router__the_servers_own_table_is_sound(void **state)
{
    (void)state;
    td_err err = {0};
    if (td_router_check(&td_server_router, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
}

static void router__a_route_without_permission_stops_the_start(void **state)
{
    (void)state;
    static const td_route table[] = {
        {"GET", "/open", 0, TD_LISTENER_API, TD_BODY_NONE, nothing, "forgotten"},
        {0},
    };
    static const td_route *const tables[] = {table, NULL};
    td_router router = {tables};
    td_err err = {0};
    assert_int_equal(td_router_check(&router, &err), TD_INTERNAL);
    assert_non_null(strstr(err.text, "GET /open declares no permission"));
}

static void router__twice_the_same_shape_stops_the_start(void **state)
{
    (void)state;
    static const td_route table[] = {
        {"GET", "/a/{b}", TD_ROUTE_PUBLIC, TD_LISTENER_API, TD_BODY_NONE, nothing, ""},
        {"GET", "/a/{c}", TD_ROUTE_PUBLIC, TD_LISTENER_API, TD_BODY_NONE, nothing, ""},
        {0},
    };
    static const td_route *const tables[] = {table, NULL};
    td_router router = {tables};
    td_err err = {0};
    assert_int_equal(td_router_check(&router, &err), TD_INTERNAL);
}

static td_match find(const char *method, const char *path, unsigned listener, td_request *request,
                     const td_route **route, td_str *allowed)
{
    td_err err = {0};
    assert_int_equal(td_target_parse(path, &request->arena, &request->target, &err), TD_OK);
    return td_router_find(&td_server_router, method, listener, &request->target, request, route, allowed);
}

static void router__finds_values_and_rests(void **state)
{
    (void)state;
    td_request request = {0};
    const td_route *route = NULL;
    td_str allowed = {0};
    assert_int_equal(find("GET", "/api/v1/models/pump/versions/3/files/model/deep/pump.onnx", TD_LISTENER_API, &request,
                          &route, &allowed),
                     TD_MATCH_OK);
    assert_string_equal(request.parameters[0], "pump");
    assert_string_equal(request.parameters[1], "3");
    assert_string_equal(request.parameters[2], "model/deep/pump.onnx");
    assert_int_equal(find("HEAD", "/api/v1/models", TD_LISTENER_API, &request, &route, NULL), TD_MATCH_OK);
    assert_int_equal(find("DELETE", "/api/v1/models", TD_LISTENER_API, &request, &route, &allowed), TD_MATCH_NO_METHOD);
    assert_string_equal(td_str_text(&allowed), "GET, POST");
    assert_int_equal(find("GET", "/api/v1/nothing", TD_LISTENER_API, &request, &route, NULL), TD_MATCH_NO_PATH);
    td_str_done(&allowed);
    td_arena_done(&request.arena);
}

static void router__devices_and_users_have_doors_of_their_own(void **state)
{
    (void)state;
    td_request request = {0};
    const td_route *route = NULL;
    assert_int_equal(find("POST", "/enrol/v1/device", TD_LISTENER_DEVICE, &request, &route, NULL), TD_MATCH_OK);
    assert_int_equal(find("POST", "/enrol/v1/device", TD_LISTENER_API, &request, &route, NULL), TD_MATCH_NO_PATH);
    assert_int_equal(find("GET", "/api/v1/models", TD_LISTENER_DEVICE, &request, &route, NULL), TD_MATCH_NO_PATH);
    td_arena_done(&request.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(router__the_servers_own_table_is_sound),
        cmocka_unit_test(router__a_route_without_permission_stops_the_start),
        cmocka_unit_test(router__twice_the_same_shape_stops_the_start),
        cmocka_unit_test(router__finds_values_and_rests),
        cmocka_unit_test(router__devices_and_users_have_doors_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
