/*
 * cmd_monitor.c: tidemark monitor and tidemark alert: what is watched, how it stands, what is out of bounds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <string.h>

#include "monitor/evaluate.h"
#include "registry/registry.h"

static td_code run_set(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *spec = NULL;
    td_yaml_lines *lines = NULL;
    const char *file = td_cli_value(cli, "file");
    TD_TRY(td_model_name_check(cli->arguments[0], err));
    if (file == NULL) {
        return td_fail(err, TD_INVALID, "-f monitor.yaml is needed");
    }
    TD_TRY(td_yaml_read(file, &spec, &lines, err));
    td_code code = td_monitor_check(spec, td_cli_base_name(file), lines, err);
    td_yaml_lines_done(&lines);
    TD_TRY(code);
    return td_cli_send(cli, "PUT", td_cli_path(cli, "models", cli->arguments[0], "monitor", NULL), json_incref(spec),
                       td_cli_text(cli, "The monitor of %s is set.", cli->arguments[0]), err);
}

static void print_groups(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"group", "GROUP", TD_CELL_TEXT},
        {"n", "N", TD_CELL_NUMBER},
        {"positive_rate.value", "POSITIVE", TD_CELL_SHARE},
        {"positive_rate.low", "FROM", TD_CELL_SHARE},
        {"positive_rate.high", "TO", TD_CELL_SHARE},
        {"accuracy.value", "ACCURACY", TD_CELL_SHARE},
        {0},
    };
    const json_t *groups = td_json_list(answer, "groups");
    if (json_array_size(groups) > 0) {
        td_print_title(cli, "Groups (95 % Wilson intervals)");
        td_print_table(cli, columns, groups, "");
    }
}

/* Zero, none, ok: nothing to see. */
static bool is_quiet(const json_t *signal)
{
    return strcmp(td_json_text(signal, "severity", ""), "none") == 0 &&
           strcmp(td_json_text(signal, "state", ""), "ok") == 0 && td_json_number(signal, "value", 1) == 0;
}

static void print_loud(td_cli *cli, const td_column_spec *columns, const json_t *signals)
{
    TD_CLEANUP(td_json_done) json_t *loud = json_array();
    for (size_t i = 0; i < json_array_size(signals); i++) {
        if (td_cli_has(cli, "all") || !is_quiet(json_array_get(signals, i))) {
            (void)json_array_append(loud, json_array_get(signals, i));
        }
    }
    size_t hidden = json_array_size(signals) - json_array_size(loud);
    td_print_table(cli, columns, loud,
                   hidden > 0 ? "Every signal is quiet." : "No signals yet: no evaluation window is complete.");
    if (hidden > 0) {
        td_print_line(cli, "%zu signals are at zero and not shown (--all shows them).", hidden);
    }
}

static void print_signals(td_cli *cli, const json_t *answer)
{
    static const td_column_spec fields[] = {
        {"version", "version", TD_CELL_TEXT},
        {"from_at", "from", TD_CELL_TIME},
        {"to_at", "to", TD_CELL_TIME},
        {"observations", "observations", TD_CELL_NUMBER},
        {"devices", "devices", TD_CELL_NUMBER},
        {"performance.accuracy.value", "accuracy", TD_CELL_SHARE},
        {"performance.accuracy", "accuracy", TD_CELL_SHARE},
        {"performance.reference_accuracy", "accuracy at registration", TD_CELL_SHARE},
        {0},
    };
    static const td_column_spec columns[] = {
        {"signal", "SIGNAL", TD_CELL_TEXT},      {"feature", "FEATURE", TD_CELL_TEXT},
        {"metric", "METRIC", TD_CELL_TEXT},      {"value", "VALUE", TD_CELL_NUMBER},
        {"warning", "WARNING", TD_CELL_NUMBER},  {"alert", "ALERT", TD_CELL_NUMBER},
        {"severity", "SEVERITY", TD_CELL_STATE}, {"state", "STATE", TD_CELL_STATE},
        {"alert_id", "ID", TD_CELL_TEXT},        {0},
    };
    td_print_fields(cli, fields, answer);
    (void)fputc('\n', cli->out);
    print_loud(cli, columns, td_json_list(answer, "signals"));
    print_groups(cli, answer);
}

static void print_spec(td_cli *cli, const json_t *answer)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    if (td_yaml_write(answer, &text, NULL) == TD_OK) {
        td_print_text(cli, td_str_text(&text));
    }
}

static td_code run_show(td_cli *cli, td_err *err)
{
    const char *model, *version;
    if (strpbrk(cli->arguments[0], "/@:") == NULL) {
        TD_TRY(td_model_name_check(cli->arguments[0], err));
        return td_cli_show(cli, td_cli_path(cli, "models", cli->arguments[0], "monitor", NULL), print_spec, err);
    }
    TD_TRY(td_cli_reference(cli, cli->arguments[0], &model, &version, err));
    return td_cli_show(cli, td_cli_path(cli, "models", model, "versions", version, "monitor", NULL), print_signals,
                       err);
}

/* ---- alerts ---- */

static void print_alerts(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"alert", "ALERT", TD_CELL_TEXT},
        {"state", "STATE", TD_CELL_STATE},
        {"severity", "SEVERITY", TD_CELL_STATE},
        {"version", "VERSION", TD_CELL_TEXT},
        {"signal", "SIGNAL", TD_CELL_TEXT},
        {"feature", "FEATURE", TD_CELL_TEXT},
        {"value", "VALUE", TD_CELL_NUMBER},
        {"threshold", "LIMIT", TD_CELL_NUMBER},
        {"fired_at", "SINCE", TD_CELL_TIME},
        {"started", "STARTED", TD_CELL_TEXT},
        {0},
    };
    td_print_table(cli, columns, td_json_list(answer, "alerts"), "No alerts.");
}

static td_code run_alerts(td_cli *cli, td_err *err)
{
    const char *state = td_cli_value(cli, "state");
    bool open = state != NULL && strcmp(state, "open") == 0;
    const char *filter = open ? "open = true" : td_cli_filter(cli, NULL, "state", state);
    filter = td_cli_filter(cli, filter, "model", td_cli_value(cli, "model"));
    return td_cli_list(cli, td_cli_path(cli, "alerts", NULL), "alerts", filter, print_alerts, err);
}

/* The bins as a table, the rest as it is. */
static void print_evidence(td_cli *cli, const json_t *evidence)
{
    static const td_column_spec columns[] = {{"bin", "BIN", TD_CELL_TEXT},
                                             {"reference", "REFERENCE", TD_CELL_NUMBER},
                                             {"current", "NOW", TD_CELL_NUMBER},
                                             {"psi_contribution", "ADDS TO PSI", TD_CELL_NUMBER},
                                             {0}};
    TD_CLEANUP(td_json_done) json_t *rest = json_copy((json_t *)evidence);
    (void)json_object_del(rest, "bins");
    td_print_title(cli, "Evidence");
    print_spec(cli, rest);
    if (json_array_size(td_json_list(evidence, "bins")) > 0) {
        (void)fputc('\n', cli->out);
        td_print_table(cli, columns, td_json_list(evidence, "bins"), "");
    }
}

static void print_alert(td_cli *cli, const json_t *alert)
{
    static const td_column_spec fields[] = {
        {"alert", "alert", TD_CELL_TEXT},
        {"text", "what", TD_CELL_TEXT},
        {"state", "state", TD_CELL_STATE},
        {"severity", "severity", TD_CELL_STATE},
        {"version", "version", TD_CELL_TEXT},
        {"signal", "signal", TD_CELL_TEXT},
        {"feature", "feature", TD_CELL_TEXT},
        {"metric", "metric", TD_CELL_TEXT},
        {"value", "value", TD_CELL_NUMBER},
        {"threshold", "threshold", TD_CELL_NUMBER},
        {"fired_at", "firing since", TD_CELL_TIME},
        {"acknowledged_by", "acknowledged by", TD_CELL_TEXT},
        {"acknowledged_at", "acknowledged", TD_CELL_TIME},
        {"acknowledged_reason", "because", TD_CELL_TEXT},
        {"resolved_at", "resolved", TD_CELL_TIME},
        {"started", "started", TD_CELL_TEXT},
        {0},
    };
    td_print_fields(cli, fields, alert);
    if (json_object_size(json_object_get(alert, "evidence")) > 0) {
        print_evidence(cli, json_object_get(alert, "evidence"));
    }
}

static td_code run_alert(td_cli *cli, td_err *err)
{
    return td_cli_show(cli, td_cli_path(cli, "alerts", cli->arguments[0], NULL), print_alert, err);
}

static td_code run_ack(td_cli *cli, td_err *err)
{
    json_t *body = json_object();
    if (td_cli_value(cli, "reason") != NULL) {
        (void)json_object_set_new(body, "reason", json_string(td_cli_value(cli, "reason")));
    }
    return td_cli_send(cli, "POST", td_cli_path(cli, "alerts", cli->arguments[0], "ack", NULL), body,
                       td_cli_text(cli, "You have taken charge of %s.", cli->arguments[0]), err);
}

static const td_cli_option set_options[] = {
    {"file", 'f', "SPEC", "monitor.yaml (docs/monitoring.md)", false},
    {0},
};
static const td_cli_option show_options[] = {
    {"all", 0, NULL, "also signals that are at zero", false},
    {0},
};
static const td_cli_option alert_options[] = {
    {"state", 0, "STATE", "open, firing, acknowledged, resolved", false},
    {"model", 0, "MODEL", "only of that model", false},
    TD_CLI_LIST_OPTIONS,
    {0},
};
static const td_cli_option reason_options[] = {
    {"reason", 0, "TEXT", "goes into the audit log", false},
    {0},
};

const td_cli_command td_cli_monitor_commands[] = {
    {"monitor", "set", "MODEL", 1, 1, "Set what is watched of a model, and within which bounds", NULL,
     "tidemark monitor set pump-anomaly -f monitor.yaml", set_options, run_set},
    {"monitor", "show", "MODEL|VERSION", 1, 1, "Show a version's signals, or a model's settings", NULL,
     "tidemark monitor show pump-anomaly@champion\ntidemark monitor show pump-anomaly", show_options, run_show},
    {"alert", "list", "", 0, 0, "List alerts, newest first", NULL, "tidemark alert list --state open", alert_options,
     run_alerts},
    {"alert", "show", "ALERT", 1, 1, "Show an alert with its evidence", NULL, "tidemark alert show al-1", NULL,
     run_alert},
    {"alert", "ack", "ALERT", 1, 1, "Take charge of an alert", NULL,
     "tidemark alert ack al-1 --reason 'looking into it'", reason_options, run_ack},
    {0},
};
