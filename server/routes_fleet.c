/*
 * routes_fleet.c: enrolment codes and devices.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/fit.h"
#include "fleet/fleet.h"
#include "registry/trust.h"
#include "server/broker.h"
#include "server/link.h"
#include "server/routes.h"

#include <string.h>

/* ---- enrolment codes ---- */

typedef struct code_write {
    td_request *request;
    td_enrol_code_options options;
    json_t *codes;
} code_write;

static td_code write_codes(td_db *db, void *context, td_err *err)
{
    code_write *write = context;
    return td_enrol_code_create(db, &write->request->actor, &write->options, &write->codes, err);
}

static td_code create_codes(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "count", .type = TD_JSON_INTEGER, .minimum = 1, .maximum = TD_ENROL_CODES_MAX},
        {.name = "tags", .type = TD_JSON_OBJECT},
        {.name = "ttl", .type = TD_JSON_DURATION},
        {.name = "uses", .type = TD_JSON_INTEGER, .minimum = 1, .maximum = 100000},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    code_write write = {.request = request};
    write.options = (td_enrol_code_options){.project = request->project,
                                            .count = td_json_int(request->body, "count", 1),
                                            .tags = json_object_get(request->body, "tags"),
                                            .uses = td_json_int(request->body, "uses", 0)};
    const json_t *ttl = json_object_get(request->body, "ttl");
    if (json_is_string(ttl)) {
        TD_TRY(td_parse_duration(json_string_value(ttl), &write.options.ttl_ms, err));
    } else {
        write.options.ttl_ms = json_integer_value(ttl) * 1000;
    }
    td_trust trust;
    TD_TRY(td_trust_current(request->db, &request->arena, &trust, err));
    TD_TRY(td_enrol_trust_digest(td_str_text(&request->server->keys.ca_pem), trust.envelope, trust.envelope_size,
                                 write.options.trust_digest, err));
    td_code code = td_request_write(request, write_codes, &write, err);
    if (code != TD_OK) { /* perhaps only after they were made: a COMMIT that failed, a key */
        json_decref(write.codes);
        return code;
    }
    return td_answer_json(request, 201, write.codes, err);
}

static td_code list_codes(td_request *request, td_err *err)
{
    td_page page;
    json_t *codes;
    TD_TRY(td_request_page(request, TD_LIST_LIMIT_MAX, &page, err));
    TD_TRY(td_enrol_code_list_json(request->db, request->project, &page, &codes, err));
    return td_answer_json(request, 200, codes, err);
}

/* ---- devices ---- */

static td_code list_devices(td_request *request, td_err *err)
{
    td_page page;
    json_t *devices;
    TD_TRY(td_request_page(request, TD_LIST_LIMIT_MAX, &page, err));
    TD_TRY(td_device_list_json(request->db, request->project, td_request_query(request, "selector", NULL), &page,
                               &devices, err));
    return td_answer_json(request, 200, devices, err);
}

static td_code get_device(td_request *request, td_err *err)
{
    json_t *device;
    TD_TRY(td_device_json(request->db, request->project, request->parameters[0], &device, err));
    return td_answer_json(request, 200, device, err);
}

static td_code get_device_runs(td_request *request, td_err *err)
{
    td_page page;
    json_t *runs;
    TD_TRY(td_request_page(request, TD_LIST_LIMIT_MAX, &page, err));
    TD_TRY(td_device_run_list_json(request->db, request->project, request->parameters[0], &page, &runs, err));
    return td_answer_json(request, 200, runs, err);
}

static td_code write_tags(td_db *db, void *context, td_err *err)
{
    td_request *request = context;
    return td_device_tag(db, &request->actor, request->project, request->parameters[0],
                         json_object_get(request->body, "tags"), err);
}

static td_code change_device(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "tags", .type = TD_JSON_OBJECT, .required = true},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    TD_TRY(td_request_write(request, write_tags, request, err));
    TD_TRY(td_request_refresh(request, err));
    return get_device(request, err);
}

typedef struct revocation {
    td_request *request;
    const char *reason;
} revocation;

static td_code write_revocation(td_db *db, void *context, td_err *err)
{
    const revocation *write = context;
    td_request *request = write->request;
    return td_device_revoke(db, &request->actor, request->project, request->parameters[0], write->reason, err);
}

/* The record stands; now the broker and the table of keys must know. */
static td_code shut_out(td_request *request, td_err *err)
{
    td_server *server = request->server;
    TD_TRY(td_link_keys_reload(td_server_link(server), request->db, err));
    if (!server->broker) {
        return TD_OK;
    }
    TD_CLEANUP(td_json_done) json_t *revoked = NULL;
    TD_TRY(td_device_revoked_json(request->db, &revoked, err));
    return td_broker_revoked(server->broker, revoked, err);
}

static td_code revoke_device(td_request *request, td_err *err)
{
    revocation write = {.request = request};
    TD_TRY(td_request_reason(request, true, &write.reason, err));
    TD_TRY(td_request_write(request, write_revocation, &write, err));
    TD_TRY(td_request_refresh(request, err));
    TD_TRY(shut_out(request, err));
    return get_device(request, err);
}

/* ---- which of them can take a version? ---- */

static td_code get_compatibility(td_request *request, td_err *err)
{
    const char *reference;
    td_fit_query query = {.to = td_request_query(request, "to", NULL)};
    json_t *fit;
    TD_TRY(td_request_query_name(request, "device", td_device_check_name, NULL, &query.device, err));
    if (query.device && query.to) {
        return td_fail(err, TD_INVALID, "give device or to, not both");
    }
    TD_TRY(td_request_reference(request, &reference, err));
    TD_TRY(td_fit_json(request->db, request->project, reference, &query, &fit, err));
    return td_answer_json(request, 200, fit, err);
}

const td_route td_routes_fleet[] = {
    TD_SEND("POST", "/api/v1/enrolment-codes", TD_MAY_MANAGE_DEVICE, create_codes,
            "Make one-time codes for new devices"),
    TD_GET("/api/v1/enrolment-codes", TD_MAY_MANAGE_DEVICE, list_codes, "Codes that were made (never their text)"),
    TD_GET("/api/v1/devices", TD_MAY_READ, list_devices, "Devices (?selector=)"),
    TD_POINT("/api/v1/devices/{device}", TD_MAY_READ, get_device, "One device"),
    TD_GET("/api/v1/models/{model}/versions/{version}/compatibility", TD_MAY_READ, get_compatibility,
           "Which devices can take it (?to= or ?device=)"),
    TD_GET("/api/v1/devices/{device}/runs", TD_MAY_READ, get_device_runs, "What it ran, and when"),
    TD_SEND("PATCH", "/api/v1/devices/{device}", TD_MAY_MANAGE_DEVICE, change_device, "Change tags"),
    TD_SEND("POST", "/api/v1/devices/{device}/revoke", TD_MAY_MANAGE_DEVICE, revoke_device,
            "Shut a device out for ever"),
    TD_ROUTES_END,
};
