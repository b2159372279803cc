/*
 * routes_monitor.c: what is watched, how it stands, and alerts.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/evaluate.h"
#include "server/routes.h"

#include <string.h>

static td_code write_spec(td_db *db, void *context, td_err *err)
{
    td_request *request = context;
    TD_TRY(td_request_recheck(db, request, err));
    return td_monitor_set(db, &request->actor, request->project, request->parameters[0], request->body, err);
}

static td_code get_spec(td_request *request, td_err *err)
{
    json_t *spec;
    TD_TRY(td_monitor_spec_json(request->db, request->project, request->parameters[0], &spec, err));
    return td_answer_json(request, 200, spec, err);
}

static td_code set_spec(td_request *request, td_err *err)
{
    TD_TRY(td_monitor_check(request->body, "request body", NULL, err));
    TD_TRY(td_request_write(request, write_spec, request, err));
    TD_TRY(td_request_refresh(request, err));
    return get_spec(request, err);
}

static td_code get_signals(td_request *request, td_err *err)
{
    const char *reference;
    td_version version;
    json_t *signals;
    TD_TRY(td_request_reference(request, &reference, err));
    TD_TRY(td_version_find(request->db, request->project, reference, &request->arena, &version, err));
    TD_TRY(td_monitor_json(request->db, request->project, version.model, version.number, &signals, err));
    return td_answer_json(request, 200, signals, err);
}

/* ---- alerts ---- */

static td_code list_alerts(td_request *request, td_err *err)
{
    td_page page;
    json_t *alerts;
    TD_TRY(td_request_page(request, TD_LIST_LIMIT_MAX, &page, err));
    TD_TRY(td_alert_list_json(request->db, request->project, &page, &alerts, err));
    return td_answer_json(request, 200, alerts, err);
}

static td_code get_alert(td_request *request, td_err *err)
{
    json_t *alert;
    TD_TRY(td_alert_show_json(request->db, request->project, request->parameters[0], &alert, err));
    return td_answer_json(request, 200, alert, err);
}

typedef struct acknowledgement {
    td_request *request;
    const char *reason;
} acknowledgement;

static td_code write_acknowledgement(td_db *db, void *context, td_err *err)
{
    const acknowledgement *write = context;
    td_request *request = write->request;
    TD_TRY(td_request_recheck(db, request, err));
    return td_alert_acknowledge(db, &request->actor, request->project, request->parameters[0], write->reason, err);
}

static td_code acknowledge_alert(td_request *request, td_err *err)
{
    acknowledgement write = {.request = request};
    TD_TRY(td_request_reason(request, false, &write.reason, err));
    TD_TRY(td_request_write(request, write_acknowledgement, &write, err));
    TD_TRY(td_request_refresh(request, err));
    return get_alert(request, err);
}

const td_route td_routes_monitor[] = {
    TD_SEND("PUT", "/api/v1/models/{model}/monitor", TD_MAY_SET_MONITOR, set_spec, "Set what is watched"),
    TD_GET("/api/v1/models/{model}/monitor", TD_MAY_READ, get_spec, "What is watched, defaults filled in"),
    TD_GET("/api/v1/models/{model}/versions/{version}/monitor", TD_MAY_READ, get_signals, "Signals now"),
    TD_GET("/api/v1/alerts", TD_MAY_READ, list_alerts, "Alerts"),
    TD_GET("/api/v1/alerts/{id}", TD_MAY_READ, get_alert, "One alert with its evidence"),
    TD_SEND("POST", "/api/v1/alerts/{id}/ack", TD_MAY_HANDLE_ALERT, acknowledge_alert, "Take charge of an alert"),
    TD_ROUTES_END,
};
