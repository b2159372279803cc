/*
 * routes_enrol.c: the device listener: how a new device gets its certificate.
 *
 * Nobody is logged in here: the one-time code is the credential, and the device checks us by what the code commits to.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/fleet.h"
#include "registry/trust.h"
#include "server/link.h"
#include "server/routes.h"

#include <string.h>

#define CSR_BYTES_MAX 8192

static td_code get_trust(td_request *request, td_err *err)
{
    td_trust trust;
    TD_TRY(td_trust_current(request->db, &request->arena, &trust, err));
    TD_CLEANUP(td_str_done) td_str keyset = {0};
    td_base64_add(&keyset, trust.envelope, trust.envelope_size);
    TD_TRY(td_str_check(&keyset, err));
    return td_answer_json(
        request, 200,
        json_pack("{s:s, s:s}", "ca_pem", td_str_text(&request->server->keys.ca_pem), "keyset", td_str_text(&keyset)),
        err);
}

typedef struct enrolment {
    td_enrol_request request;
    td_enrol_grant grant;
} enrolment;

static void enrolment_done(enrolment *done)
{
    td_enrol_grant_done(&done->grant);
    td_wipe(done->request.secret, sizeof done->request.secret);
}

static td_code write_device(td_db *db, void *context, td_err *err)
{
    const enrolment *write = context;
    return td_enrol_device(db, &write->request, &write->grant, err);
}

static td_code read_request(td_request *request, td_enrol_request *out, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "code_secret", .type = TD_JSON_STRING, .required = true, .minimum = 20, .maximum = 20},
        {.name = "device", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = 200},
        {.name = "csr_pem", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = CSR_BYTES_MAX},
        {.name = "hardware", .type = TD_JSON_STRING, .maximum = 64},
        {.name = "runtimes", .type = TD_JSON_ARRAY, .item_type = TD_JSON_STRING, .minimum = 0, .maximum = 8},
        {.name = "tags", .type = TD_JSON_OBJECT},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    const char *secret = td_json_text(request->body, "code_secret", "");
    TD_TRY(td_hex_decode(secret, strlen(secret), out->secret, sizeof out->secret, err));
    out->device = td_json_text(request->body, "device", "");
    out->csr_pem = td_json_text(request->body, "csr_pem", "");
    out->csr_size = strlen(out->csr_pem);
    out->hardware = td_json_text(request->body, "hardware", "");
    out->runtimes = json_object_get(request->body, "runtimes");
    out->tags = json_object_get(request->body, "tags");
    return TD_OK;
}

static td_code answer_grant(td_request *request, const enrolment *done, td_err *err)
{
    char host[256], key[2 * TD_UPLINK_KEY_SIZE + 1], now[32];
    int port;
    TD_TRY(td_link_address(request->server, host, &port, err));
    td_hex_encode(done->grant.uplink_key, sizeof done->grant.uplink_key, key);
    td_format_time(td_now_ms(request->server->clock), now);
    json_t *answer =
        json_pack("{s:s, s:s, s:s, s:{s:s, s:i, s:s}, s:s}", "device", done->request.device, "certificate_pem",
                  td_str_text(&done->grant.certificate_pem), "uplink_key", key, "mqtt", "host", host, "port", port,
                  "prefix", td_config_text(request->server->config, "mqtt.prefix"), "server_time", now);
    td_wipe(key, sizeof key);
    return td_answer_json(request, 201, answer, err);
}

static td_code enrol_device(td_request *request, td_err *err)
{
    TD_CLEANUP(enrolment_done) enrolment write = {0};
    td_server *server = request->server;
    char host[256];
    int port;
    TD_TRY(read_request(request, &write.request, err));
    TD_TRY(td_link_address(server, host, &port, err)); /* before the code is spent */
    TD_TRY(td_enrol_check(request->db, &write.request, err));
    td_enrol_authority authority = {.ca_key = server->keys.ca, .ca_pem = td_str_text(&server->keys.ca_pem)};
    TD_TRY(td_enrol_certify(&write.request, &authority, td_now_ms(server->clock), &write.grant, err));
    TD_TRY(td_request_write(request, write_device, &write, err));
    TD_TRY(td_request_refresh(request, err));
    TD_TRY(td_link_keys_reload(td_server_link(server), request->db, err));
    return answer_grant(request, &write, err);
}

const td_route td_routes_enrol[] = {
    {"GET", "/enrol/v1/trust", TD_ROUTE_PUBLIC, TD_LISTENER_DEVICE, TD_BODY_NONE, get_trust,
     "CA and keyset, which the code commits to"},
    {"POST", "/enrol/v1/device", TD_ROUTE_PUBLIC, TD_LISTENER_DEVICE, TD_BODY_JSON, enrol_device,
     "Let a device in, by its code"},
    TD_ROUTES_END,
};
