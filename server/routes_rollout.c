/*
 * routes_rollout.c: rollouts.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/rollout.h"
#include "server/routes.h"
#include "server/sequencer.h"
#include "server/scheduler.h"

#include <string.h>

typedef struct rollout_write {
    td_request *request;
    char id[TD_ROLLOUT_ID_TEXT];
    const char *verb, *reason;
} rollout_write;

static td_code answer_rollout(td_request *request, int status, const char *id, td_err *err)
{
    json_t *rollout;
    TD_TRY(td_request_refresh(request, err));
    TD_TRY(td_rollout_json(request->db, request->project, id, &rollout, err));
    return td_answer_json(request, status, rollout, err);
}

static td_code write_rollout(td_db *db, void *context, td_err *err)
{
    rollout_write *write = context;
    td_request *request = write->request;
    TD_TRY(td_rollout_create(db, &request->actor, request->project, request->body, write->id, err));
    td_answer_header(request, "Location", td_request_text(request, "/api/v1/rollouts/%s", write->id));
    return answer_rollout(request, 201, write->id, err);
}

static td_code create_rollout(td_request *request, td_err *err)
{
    TD_TRY(td_sequencer_check_signed(request->server->sequencer, err));
    static const char *const answers[] = {"yes", "no", NULL};
    const char *preview_only;
    TD_TRY(td_request_query_choice(request, "preview", answers, "no", &preview_only, err));
    if (strcmp(preview_only, "yes") == 0) {
        json_t *preview;
        TD_TRY(td_rollout_preview_json(request->db, request->project, request->body, &preview, err));
        return td_answer_json(request, 200, preview, err);
    }
    rollout_write write = {.request = request};
    TD_TRY(td_request_write(request, write_rollout, &write, err));
    td_scheduler_kick(request->server->scheduler);
    return TD_OK;
}

static td_code list_rollouts(td_request *request, td_err *err)
{
    td_page page;
    json_t *rollouts;
    TD_TRY(td_request_page(request, TD_LIST_LIMIT_MAX, &page, err));
    TD_TRY(td_rollout_list_json(request->db, request->project, &page, &rollouts, err));
    return td_answer_json(request, 200, rollouts, err);
}

static td_code get_rollout(td_request *request, td_err *err)
{
    json_t *rollout;
    TD_TRY(td_rollout_json(request->db, request->project, request->parameters[0], &rollout, err));
    return td_answer_json(request, 200, rollout, err);
}

static td_code write_verb(td_db *db, void *context, td_err *err)
{
    const rollout_write *write = context;
    const td_actor *actor = &write->request->actor;
    const char *project = write->request->project, *id = write->request->parameters[0];
    if (strcmp(write->verb, "pause") == 0) {
        return td_rollout_pause(db, actor, project, id, write->reason, err);
    }
    if (strcmp(write->verb, "resume") == 0) {
        return td_rollout_resume(db, actor, project, id, err);
    }
    if (strcmp(write->verb, "abort") == 0) {
        return td_rollout_abort(db, actor, project, id, write->reason, err);
    }
    return td_rollout_revert(db, actor, project, id, write->reason, err);
}

static td_code do_verb(td_request *request, const char *verb, bool reason_needed, td_err *err)
{
    rollout_write write = {.request = request, .verb = verb};
    TD_TRY(td_request_reason(request, reason_needed, &write.reason, err));
    TD_TRY(td_request_write(request, write_verb, &write, err));
    td_scheduler_kick(request->server->scheduler);
    return answer_rollout(request, 200, request->parameters[0], err);
}

static td_code pause_rollout(td_request *request, td_err *err)
{
    return do_verb(request, "pause", false, err);
}

static td_code resume_rollout(td_request *request, td_err *err)
{
    return do_verb(request, "resume", false, err);
}

static td_code abort_rollout(td_request *request, td_err *err)
{
    return do_verb(request, "abort", true, err);
}

static td_code revert_rollout(td_request *request, td_err *err)
{
    return do_verb(request, "revert", true, err);
}

const td_route td_routes_rollout[] = {
    TD_SEND("POST", "/api/v1/rollouts", TD_MAY_ROLL_OUT, create_rollout,
            "Bring an approved version to devices (?preview=yes)"),
    TD_GET("/api/v1/rollouts", TD_MAY_READ, list_rollouts, "Rollouts"),
    TD_GET("/api/v1/rollouts/{id}", TD_MAY_READ, get_rollout, "One rollout with waves and devices"),
    TD_SEND("POST", "/api/v1/rollouts/{id}/pause", TD_MAY_ROLL_OUT, pause_rollout, "Pause"),
    TD_SEND("POST", "/api/v1/rollouts/{id}/resume", TD_MAY_ROLL_OUT, resume_rollout, "Go on"),
    TD_SEND("POST", "/api/v1/rollouts/{id}/abort", TD_MAY_ROLL_OUT, abort_rollout, "Stop devices that are at work"),
    TD_SEND("POST", "/api/v1/rollouts/{id}/revert", TD_MAY_ROLL_OUT, revert_rollout,
            "Send devices back to what they ran"),
    TD_ROUTES_END,
};
