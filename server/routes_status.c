/*
 * routes_status.c: is it alive, and how is it?
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"
#include "fleet/device.h"
#include "registry/trust.h"
#include "server/broker.h"
#include "server/link.h"
#include "server/routes.h"
#include "server/sequencer.h"
#include "server/status.h"
#include "server/witness.h"

static td_code get_health(td_request *request, td_err *err)
{
    td_answer_done(&request->answer);
    td_str_add(&request->answer.body, "ok\n");
    request->answer.status = 200;
    request->answer.content_type = "text/plain; charset=utf-8";
    return td_str_check(&request->answer.body, err);
}

/* ---- status ---- */

static td_code broker_json(td_server *server, json_t **out, td_err *err)
{
    TD_TRY(td_link_status_json(td_server_link(server), out, err));
    if (!server->broker) {
        (void)json_object_set_new(*out, "kind", json_string("external"));
        return TD_OK;
    }
    int64_t starts;
    char why[160];
    const char *state = td_broker_state(server->broker, &starts, why);
    (void)json_object_set_new(*out, "kind", json_string("child"));
    (void)json_object_set_new(*out, "state", json_string(state));
    (void)json_object_set_new(*out, "starts", json_integer(starts));
    if (*why) {
        (void)json_object_set_new(*out, "child_why", json_string(why));
    }
    return TD_OK;
}

static td_code log_json(td_request *request, json_t **out, td_err *err)
{
    int64_t records;
    td_log_root root;
    td_sequencer_state state;
    TD_TRY(td_audit_count(request->db, &records, err));
    TD_TRY(td_log_root_read(request->db, &root, err));
    td_sequencer_look(request->server->sequencer, &state);
    char hash[TD_DIGEST_TEXT];
    td_hex_encode(root.hash, sizeof root.hash, hash);
    *out = json_pack("{s:I, s:I, s:s, s:s, s:s, s:I}", "records", (json_int_t)records, "tree_size",
                     (json_int_t)root.size, "root", hash, "signer", td_signer_apart_worth(state.signer.apart),
                     "signer_apart", td_signer_apart_name(state.signer.apart), "unsigned_ms",
                     (json_int_t)state.away_ms);
    if (!*out) {
        return td_fail(err, TD_NOMEM, "no memory for the status");
    }
    if (state.trouble[0]) {
        (void)json_object_set_new(*out, "trouble", json_string(state.trouble));
    }
    TD_TRY(td_witnesses_add_status(request->server->witnesses, request->db, *out, err));
    TD_CLEANUP(td_str_done) td_str note = {0};
    td_code code = td_log_checkpoint_read(request->db, &note, err);
    if (code == TD_OK) {
        (void)json_object_set_new(*out, "checkpoint", json_string(td_str_text(&note)));
    }
    return code == TD_NOT_FOUND ? TD_OK : code;
}

static td_code add_parts(td_request *request, json_t *status, td_err *err)
{
    json_t *part = NULL;
    TD_TRY(td_status_counts_json(request->db, request->project, &part, err));
    (void)json_object_set_new(status, "counts", part);
    TD_TRY(td_device_counts_json(request->db, request->project, &part, err));
    (void)json_object_set_new(status, "devices", part);
    TD_TRY(broker_json(request->server, &part, err));
    (void)json_object_set_new(status, "broker", part);
    TD_TRY(log_json(request, &part, err));
    (void)json_object_set_new(status, "log", part);
    TD_TRY(td_trust_json(request->db, &part, err));
    (void)json_object_set_new(status, "keyset", part);
    return TD_OK;
}

static td_code get_status(td_request *request, td_err *err)
{
    td_server *server = request->server;
    char started[32];
    td_format_time(server->started_ms, started);
    TD_CLEANUP(td_json_done)
    json_t *status = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:i, s:i}", "version", TD_VERSION, "profile", server->profile,
        "profile_worth", td_profile_worth(server->profile), "workspace", server->path, "started_at", started,
        "uptime_ms", (json_int_t)(td_now_ms(server->clock) - server->started_ms), "requests",
        (json_int_t)atomic_load(&server->requests), "polls", (json_int_t)td_pool_parked(server->pool), "http_port",
        atomic_load(&server->api_port), "device_port", atomic_load(&server->device_port));
    if (!status) {
        return td_fail(err, TD_NOMEM, "no memory for the status");
    }
    if (server->read_only[0]) {
        (void)json_object_set_new(status, "read_only", json_string(server->read_only));
    }
    TD_TRY(add_parts(request, status, err));
    return td_answer_json(request, 200, json_incref(status), err);
}

static td_code get_routes(td_request *request, td_err *err);

const td_route td_routes_status[] = {
    {"GET", "/healthz", TD_ROUTE_PUBLIC, TD_LISTENER_USERS | TD_LISTENER_DEVICE, TD_BODY_NONE, get_health,
     "Is it alive?"},
    TD_GET("/api/v1/status", TD_MAY_READ, get_status, "Version, profile, counts, broker, log"),
    {"GET", "/api/v1/routes", TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_NONE, get_routes, "This table"},
    TD_ROUTES_END,
};

TD_MUST_USE td_code td_server_routes_json(json_t **out, td_err *err);

static td_code get_routes(td_request *request, td_err *err)
{
    json_t *routes;
    TD_TRY(td_server_routes_json(&routes, err));
    return td_answer_json(request, 200, json_pack("{s:o}", "routes", routes), err);
}
