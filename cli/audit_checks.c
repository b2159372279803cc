/*
 * audit_checks.c: what `audit verify` checked, as JSON and as a table, whether it went well or not.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/audit_checks.h"

#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

/* Of one check, once the whole ended. */
static const char *state_of(const td_audit_checks *checks, td_audit_check check, const td_err *failure)
{
    if (failure != NULL && checks->now == check) {
        return "failed";
    }
    if (checks->count[check] == 0) {
        return failure != NULL ? "not_reached" : "not_applicable";
    }
    return failure != NULL ? "unfinished" : "passed";
}

json_t *td_audit_checks_json(const td_audit_checks *checks, const td_err *failure)
{
    json_t *list = json_array();
    for (int i = 0; i < TD_AUDIT_CHECK_COUNT; i++) {
        td_audit_check check = (td_audit_check)i;
        json_t *row = json_pack("{s:s, s:s, s:I, s:s}", "check", td_audit_check_name(check), "state",
                                state_of(checks, check, failure), "count", (json_int_t)checks->count[i], "means",
                                td_audit_check_means(check));
        (void)json_array_append_new(list, row);
    }
    return list;
}

json_t *td_audit_clock_json(const td_audit_checks *checks)
{
    if (checks->clock_set_back == 0) {
        return NULL;
    }
    return json_pack("{s:I, s:I, s:I}", "set_back", (json_int_t)checks->clock_set_back, "largest_ms",
                     (json_int_t)checks->set_back_ms, "record", (json_int_t)checks->set_back_at);
}

/* The number of the record is the index of its leaf. */
static json_t *number_or_null(int64_t record)
{
    return record < 0 ? json_null() : json_integer(record);
}

static json_t *failure_json(const td_audit_checks *checks, const td_err *failure)
{
    return json_pack("{s:b, s:o, s:{s:s, s:o, s:o, s:s}}", "verified", 0, "checks",
                     td_audit_checks_json(checks, failure), "failure", "check", td_audit_check_name(checks->now),
                     "record", number_or_null(checks->record), "index", number_or_null(checks->record), "detail",
                     failure->text);
}

static void print_failure(td_cli *cli, const json_t *answer)
{
    td_audit_checks_print(cli, answer);
    td_audit_policy_print(cli, answer);
}

void td_audit_checks_print(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"check", "CHECK", TD_CELL_TEXT},
        {"state", "STATE", TD_CELL_STATE},
        {"count", "COUNT", TD_CELL_NUMBER},
        {"means", "WHAT", TD_CELL_TEXT},
        {0},
    };
    td_print_table(cli, columns, json_object_get(answer, "checks"), "");
}

void td_audit_checks_failed(td_cli *cli, const td_audit_checks *checks, const td_audit_policy *policy,
                            const td_err *failure)
{
    TD_CLEANUP(td_json_done) json_t *answer = failure_json(checks, failure);
    bool judged = checks->now == TD_AUDIT_QUORUM || checks->count[TD_AUDIT_QUORUM] > 0;
    if (answer != NULL && (!judged || td_audit_policy_add(policy, answer, NULL) == TD_OK)) {
        td_cli_present(cli, answer, print_failure);
    }
}

/* ---- erased bodies ---- */

void td_audit_erasures_see(td_audit_erasures *erasures, const json_t *record)
{
    if (strcmp(td_json_text(record, "action", ""), "erase.record") != 0 ||
        strcmp(td_json_text(record, "outcome", ""), "done") != 0) {
        return;
    }
    if (erasures->list == NULL) {
        erasures->list = json_array();
    }
    const json_t *after = json_object_get(json_object_get(record, "after"), "facts");
    if (json_array_size(erasures->list) < TD_AUDIT_ERASURES_SHOWN) {
        (void)json_array_append_new(
            erasures->list, json_pack("{s:s, s:s, s:I, s:s, s:s, s:s}", "record",
                                      td_json_text(json_object_get(record, "object"), "id", ""), "action",
                                      td_json_text(after, "action", ""), "by_record",
                                      (json_int_t)td_json_int(record, "seq", -1), "by",
                                      td_json_text(json_object_get(record, "actor"), "id", ""), "time",
                                      td_json_text(record, "time", ""), "reason", td_json_text(record, "reason", "")));
    }
}

void td_audit_erasures_print(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"record", "ERASED", TD_CELL_TEXT},    {"action", "ACTION", TD_CELL_TEXT}, {"by", "BY", TD_CELL_TEXT},
        {"by_record", "RECORD", TD_CELL_NUMBER}, {"time", "TIME", TD_CELL_TIME},     {"reason", "REASON", TD_CELL_TEXT},
        {0},
    };
    const json_t *list = json_object_get(answer, "erasures");
    if (json_array_size(list) > 0) {
        td_print_table(cli, columns, list, "");
    }
}
