/*
 * names.c: names and state tables: of devices' identifiers, rollouts, waves, parts, and the states and reasons of the
 * wire.
 *
 * Every state of this folder moves only along an arrow that is listed here.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/internal.h"

#include <string.h>

#define STATES(noun_text, name_list, arrow_list)                                                                       \
    {                                                                                                                  \
        .noun = (noun_text), .names = (name_list), .arrows = (arrow_list), .arrow_count = TD_COUNT_OF(arrow_list)      \
    }

const char *const td_rollout_state_names[] = {"draft",    "waiting_approval", "scheduled",  "running",
                                            "paused",   "aborting",         "aborted",    "reverting",
                                            "reverted", "finished",         "superseded", NULL};
static const td_arrow rollout_arrows[] = {
    {TD_ROLLOUT_DRAFT, TD_ROLLOUT_WAITING_APPROVAL},
    {TD_ROLLOUT_DRAFT, TD_ROLLOUT_SCHEDULED},
    {TD_ROLLOUT_WAITING_APPROVAL, TD_ROLLOUT_SCHEDULED},
    {TD_ROLLOUT_SCHEDULED, TD_ROLLOUT_RUNNING},
    {TD_ROLLOUT_RUNNING, TD_ROLLOUT_PAUSED},
    {TD_ROLLOUT_PAUSED, TD_ROLLOUT_RUNNING},
    {TD_ROLLOUT_RUNNING, TD_ROLLOUT_ABORTING},
    {TD_ROLLOUT_PAUSED, TD_ROLLOUT_ABORTING},
    {TD_ROLLOUT_ABORTING, TD_ROLLOUT_ABORTED},
    {TD_ROLLOUT_RUNNING, TD_ROLLOUT_REVERTING},
    {TD_ROLLOUT_PAUSED, TD_ROLLOUT_REVERTING},
    {TD_ROLLOUT_REVERTING, TD_ROLLOUT_REVERTED},
    {TD_ROLLOUT_RUNNING, TD_ROLLOUT_FINISHED},
    {TD_ROLLOUT_RUNNING, TD_ROLLOUT_SUPERSEDED},
    {TD_ROLLOUT_PAUSED, TD_ROLLOUT_SUPERSEDED},
};
const td_states td_rollout_states = STATES("rollout", td_rollout_state_names, rollout_arrows);

static const char *const wave_names[] = {"waiting", "open", "soaking", "passed", "failed", NULL};
static const td_arrow wave_arrows[] = {
    {TD_WAVE_WAITING, TD_WAVE_OPEN}, {TD_WAVE_OPEN, TD_WAVE_SOAKING},   {TD_WAVE_SOAKING, TD_WAVE_PASSED},
    {TD_WAVE_OPEN, TD_WAVE_FAILED},  {TD_WAVE_SOAKING, TD_WAVE_FAILED},
};
const td_states td_wave_states = STATES("wave", wave_names, wave_arrows);

static const char *const part_names[] = {"waiting",   "issued",    "working",  "committed", "failed", "cancelling",
                                         "cancelled", "reverting", "reverted", "unreached", NULL};
static const td_arrow part_arrows[] = {
    {TD_PART_WAITING, TD_PART_ISSUED},       {TD_PART_WAITING, TD_PART_CANCELLED},
    {TD_PART_ISSUED, TD_PART_WORKING},       {TD_PART_ISSUED, TD_PART_COMMITTED},
    {TD_PART_ISSUED, TD_PART_FAILED},        {TD_PART_ISSUED, TD_PART_UNREACHED},
    {TD_PART_ISSUED, TD_PART_CANCELLED},     {TD_PART_ISSUED, TD_PART_CANCELLING},
    {TD_PART_ISSUED, TD_PART_REVERTING},     {TD_PART_WORKING, TD_PART_COMMITTED},
    {TD_PART_WORKING, TD_PART_FAILED},       {TD_PART_WORKING, TD_PART_CANCELLED},
    {TD_PART_WORKING, TD_PART_CANCELLING},   {TD_PART_WORKING, TD_PART_REVERTING},
    {TD_PART_COMMITTED, TD_PART_FAILED},     {TD_PART_COMMITTED, TD_PART_REVERTING},
    {TD_PART_CANCELLING, TD_PART_CANCELLED}, {TD_PART_CANCELLING, TD_PART_FAILED},
    {TD_PART_CANCELLING, TD_PART_UNREACHED}, {TD_PART_REVERTING, TD_PART_REVERTED},
    {TD_PART_REVERTING, TD_PART_FAILED},     {TD_PART_REVERTING, TD_PART_UNREACHED},
    {TD_PART_UNREACHED, TD_PART_COMMITTED},  {TD_PART_UNREACHED, TD_PART_FAILED}, /* it came back after the end */
    {TD_PART_UNREACHED, TD_PART_CANCELLED},  {TD_PART_UNREACHED, TD_PART_REVERTED},
};
const td_states td_part_states = STATES("device of the rollout", part_names, part_arrows);

static const char *const device_state_names[] = {
    "idle",      "offered",      "rejected",    "deferred",      "fetching",   "paused",
    "verifying", "staged",       "wait_window", "wait_approval", "activating", "probation",
    "committed", "rolling_back", "rolled_back", "cancelled",     "superseded",
};
static const char *const reason_names[] = {
    "",           "no_space",         "signature",       "hash",      "counter",
    "hardware",   "operator_missing", "golden_mismatch", "latency",   "crash_loop",
    "lease_lost", "budget",           "deadline",        "operator",  "expired",
    "replayed",   "wrong_device",     "revoked",         "malformed", "io",
    "errors",     "unproven",         "keyset",
};

const char *td_fleet__state_name(int state)
{
    return state >= 0 && (size_t)state < TD_COUNT_OF(device_state_names) ? device_state_names[state] : "unknown";
}

const char *td_fleet__reason_name(int reason)
{
    return reason >= 0 && (size_t)reason < TD_COUNT_OF(reason_names) ? reason_names[reason] : "unknown";
}

bool td_fleet__rollout_ended(td_rollout_state state)
{
    return state == TD_ROLLOUT_ABORTED || state == TD_ROLLOUT_REVERTED || state == TD_ROLLOUT_FINISHED ||
           state == TD_ROLLOUT_SUPERSEDED;
}

td_code td_device_check_name(const char *name, td_err *err)
{
    size_t length = strlen(name);
    bool ok = length >= 1 && length <= TD_DEVICE_ID_MAX && name[0] != '-' && name[length - 1] != '-' &&
              strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
    if (!ok) {
        return td_fail(err, TD_INVALID,
                       "device \"%.70s\": an identifier is 1 to %d of a-z, 0-9 and -, not beginning or "
                       "ending with -",
                       name, TD_DEVICE_ID_MAX);
    }
    return TD_OK;
}

json_t *td_fleet__time_json(int64_t ms)
{
    if (ms == 0) {
        return json_null();
    }
    char text[32];
    td_format_time(ms, text);
    return json_string(text);
}

json_t *td_fleet__digest_json(const void *digest, size_t size)
{
    if (digest == NULL || size != TD_DIGEST_SIZE) {
        return json_null();
    }
    char text[TD_DIGEST_LABEL_SIZE];
    td_digest_format(digest, text);
    return json_string(text);
}

td_code td_fleet__json_out(json_t *value, json_t **out, td_err *err)
{
    if (value == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    *out = value;
    return TD_OK;
}

td_code td_fleet__audit(td_db *db, const td_fleet_record *record, td_err *err)
{
    td_audit_entry entry = {.actor = record->actor,
                            .action = record->action,
                            .object_type = record->object_type,
                            .object_id = record->object_id,
                            .project = record->project,
                            .reason = record->reason,
                            .after = record->after};
    return td_audit_append(db, &entry, NULL, err);
}

td_actor td_fleet__device_actor(const char *device)
{
    return (td_actor){.kind = TD_ACTOR_DEVICE, .name = device, .authentication = "mqtt", .role = "", .request_id = ""};
}
