/*
 * cmd_pipeline.c: tidemark pipeline, run and gate: what retrains, and what its result must pass.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <string.h>

#include "monitor/retrain.h"

typedef td_code (*checker)(const json_t *spec, const char *name, const td_yaml_lines *lines, td_err *err);

/* Reads -f, checks it here (with line numbers), sends it. Only admins define commands: without a token the admin socket
 * is used. */
static td_code set_spec(td_cli *cli, const char *collection, checker check, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *spec = NULL;
    td_yaml_lines *lines = NULL;
    const char *file = td_cli_value(cli, "file");
    if (file == NULL) {
        return td_fail(err, TD_INVALID, "-f FILE is needed");
    }
    TD_TRY(td_yaml_read(file, &spec, &lines, err));
    td_code code = check(spec, td_cli_base_name(file), lines, err);
    td_yaml_lines_done(&lines);
    TD_TRY(code);
    td_cli_prefer_socket(cli);
    return td_cli_send(cli, "PUT", td_cli_path(cli, collection, cli->arguments[0], NULL), json_incref(spec),
                       td_cli_text(cli, "%s is set.", cli->arguments[0]), err);
}

static td_code run_set(td_cli *cli, td_err *err)
{
    return set_spec(cli, "pipelines", td_pipeline_check, err);
}

static td_code run_gate_set(td_cli *cli, td_err *err)
{
    return set_spec(cli, "gates", td_gate_check, err);
}

static void print_spec(td_cli *cli, const json_t *answer)
{
    static const td_column_spec fields[] = {
        {"pipeline", "pipeline", TD_CELL_TEXT},   {"gate", "gate", TD_CELL_TEXT},
        {"revision", "revision", TD_CELL_NUMBER}, {"digest", "digest", TD_CELL_TEXT},
        {"set_at", "set", TD_CELL_TIME},          {0}};
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_print_fields(cli, fields, answer);
    if (td_yaml_write(json_object_get(answer, "spec"), &text, NULL) == TD_OK) {
        (void)fputc('\n', cli->out);
        td_print_text(cli, td_str_text(&text));
    }
}

static td_code run_show(td_cli *cli, td_err *err)
{
    return td_cli_show(cli, td_cli_path(cli, "pipelines", cli->arguments[0], NULL), print_spec, err);
}

static td_code run_gate_show(td_cli *cli, td_err *err)
{
    return td_cli_show(cli, td_cli_path(cli, "gates", cli->arguments[0], NULL), print_spec, err);
}

static void print_gates(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {{"gate", "GATE", TD_CELL_TEXT},
                                             {"revision", "REVISION", TD_CELL_NUMBER},
                                             {"set_at", "SET", TD_CELL_TIME},
                                             {"digest", "DIGEST", TD_CELL_DIGEST},
                                             {0}};
    td_print_table(cli, columns, td_json_list(answer, "gates"), "No gates.");
}

static td_code run_gate_list(td_cli *cli, td_err *err)
{
    return td_cli_list(cli, td_cli_path(cli, "gates", NULL), "gates", NULL, print_gates, err);
}

static void print_pipelines(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {{"pipeline", "PIPELINE", TD_CELL_TEXT},
                                             {"revision", "REVISION", TD_CELL_NUMBER},
                                             {"set_at", "SET", TD_CELL_TIME},
                                             {"digest", "DIGEST", TD_CELL_DIGEST},
                                             {0}};
    td_print_table(cli, columns, td_json_list(answer, "pipelines"), "No pipelines.");
}

static void print_runs(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"run", "RUN", TD_CELL_TEXT},
        {"pipeline", "PIPELINE", TD_CELL_TEXT},
        {"state", "STATE", TD_CELL_STATE},
        {"model", "MODEL", TD_CELL_TEXT},
        {"alert", "CAUSE", TD_CELL_TEXT},
        {"version", "RESULT", TD_CELL_NUMBER},
        {"created_at", "CREATED", TD_CELL_TIME},
        {"reason", "REASON", TD_CELL_TEXT},
        {0},
    };
    td_print_table(cli, columns, td_json_list(answer, "runs"), "No runs.");
}

static td_code run_list(td_cli *cli, td_err *err)
{
    return td_cli_list(cli, td_cli_path(cli, "pipelines", NULL), "pipelines", NULL, print_pipelines, err);
}

static td_code run_runs(td_cli *cli, td_err *err)
{
    return td_cli_list(cli, td_cli_path(cli, "pipelines", cli->arguments[0], "runs", NULL), "runs", NULL, print_runs,
                       err);
}

static td_code run_start(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    TD_CLEANUP(td_json_done) json_t *body = json_object();
    const char *model;
    int64_t number;
    TD_TRY(td_cli_need(body, err));
    if (td_cli_value(cli, "parent") != NULL) {
        TD_TRY(td_cli_version_number(cli, td_cli_value(cli, "parent"), &model, &number, err));
        (void)json_object_set_new(body, "model", json_string(model));
        (void)json_object_set_new(body, "parent_version", json_integer(number));
    } else if (td_cli_value(cli, "model") == NULL) {
        return td_fail(err, TD_INVALID,
                       "--model MODEL or --parent VERSION is needed: whose version does the result become?");
    } else {
        (void)json_object_set_new(body, "model", json_string(td_cli_value(cli, "model")));
    }
    if (td_cli_value(cli, "reason") != NULL) {
        (void)json_object_set_new(body, "reason", json_string(td_cli_value(cli, "reason")));
    }
    TD_TRY(
        td_cli_call(cli, "POST", td_cli_path(cli, "pipelines", cli->arguments[0], "runs", NULL), body, &answer, err));
    if (cli->json) {
        td_print_json(cli, answer);
    } else {
        td_print_line(cli, "Started %s; a worker takes it up: tidemark run show %s", td_json_text(answer, "run", ""),
                      td_json_text(answer, "run", ""));
    }
    return TD_OK;
}

/* What a step that failed has said; control characters are not let through. */
static void print_failures(td_cli *cli, const json_t *steps)
{
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *step = json_array_get(steps, i);
        const char *log = td_json_text(step, "log", "");
        if (td_json_int(step, "exit_code", 0) == 0 || *log == '\0') {
            continue;
        }
        td_print_title(cli, td_cli_text(cli, "The end of what step %s said", td_json_text(step, "step", "")));
        td_print_text(cli, log);
    }
}

static void print_run(td_cli *cli, const json_t *run)
{
    static const td_column_spec fields[] = {
        {"run", "run", TD_CELL_TEXT},
        {"pipeline", "pipeline", TD_CELL_TEXT},
        {"state", "state", TD_CELL_STATE},
        {"model", "model", TD_CELL_TEXT},
        {"parent_version", "parent", TD_CELL_NUMBER},
        {"alert", "cause", TD_CELL_TEXT},
        {"reason", "reason", TD_CELL_TEXT},
        {"created_at", "created", TD_CELL_TIME},
        {"ended_at", "ended", TD_CELL_TIME},
        {"version", "result", TD_CELL_NUMBER},
        {"metrics.metrics", "metrics", TD_CELL_PAIRS},
        {"metrics.champion", "champion", TD_CELL_PAIRS},
        {0},
    };
    static const td_column_spec steps[] = {
        {"step", "STEP", TD_CELL_TEXT},         {"state", "STATE", TD_CELL_STATE},
        {"attempt", "ATTEMPT", TD_CELL_NUMBER}, {"worker", "WORKER", TD_CELL_TEXT},
        {"exit_code", "EXIT", TD_CELL_NUMBER},  {0},
    };
    static const td_column_spec rules[] = {
        {"metric", "GATE: METRIC", TD_CELL_TEXT}, {"value", "VALUE", TD_CELL_NUMBER},
        {"limit", "LIMIT", TD_CELL_NUMBER},       {"champion", "CHAMPION", TD_CELL_NUMBER},
        {"passed", "PASSED", TD_CELL_TEXT},       {0}};
    td_print_fields(cli, fields, run);
    (void)fputc('\n', cli->out);
    td_print_table(cli, steps, td_json_list(run, "steps"), "No steps.");
    print_failures(cli, td_json_list(run, "steps"));
    const json_t *verdict = json_object_get(run, "verdict");
    if (verdict != NULL && !json_is_null(verdict)) {
        (void)fputc('\n', cli->out);
        td_print_table(cli, rules, td_json_list(verdict, "rules"), "No rules.");
    }
}

static td_code run_run_show(td_cli *cli, td_err *err)
{
    return td_cli_show(cli, td_cli_path(cli, "runs", cli->arguments[0], NULL), print_run, err);
}

static const td_cli_option file_options[] = {
    {"file", 'f', "SPEC", "YAML (docs/monitoring.md)", false},
    {0},
};
static const td_cli_option start_options[] = {
    {"model", 0, "MODEL", "whose version the result becomes", false},
    {"parent", 0, "VERSION", "version that is retrained: pump/1", false},
    {"reason", 0, "TEXT", "goes into the audit log", false},
    {0},
};

static const td_cli_option list_options[] = {TD_CLI_LIST_OPTIONS, {0}};

const td_cli_command td_cli_pipeline_commands[] = {
    {"pipeline", "set", "PIPELINE", 1, 1, "Set up or change a retraining pipeline",
     "Only admins define commands. A run that has started keeps the pipeline and the gate that it started with.",
     "tidemark pipeline set retrain-pump -f pipeline.yaml", file_options, run_set},
    {"pipeline", "list", "", 0, 0, "List pipelines", NULL, NULL, list_options, run_list},
    {"pipeline", "runs", "PIPELINE", 1, 1, "List the runs of a pipeline, newest first", NULL,
     "tidemark pipeline runs retrain --filter \"state = 'failed'\"", list_options, run_runs},
    {"pipeline", "show", "PIPELINE", 1, 1, "Show a pipeline's steps", NULL, NULL, NULL, run_show},
    {"pipeline", "run", "PIPELINE", 1, 1, "Start a run by hand", NULL,
     "tidemark pipeline run retrain-pump --parent pump/1 --reason 'new data'", start_options, run_start},
    {"run", "show", "RUN", 1, 1, "Show a run: steps, metrics, verdict", NULL, NULL, NULL, run_run_show},
    {"gate", "set", "GATE", 1, 1, "Fix the rules that a challenger must pass", NULL,
     "tidemark gate set pump-gate -f gate.yaml", file_options, run_gate_set},
    {"gate", "list", "", 0, 0, "List gates", NULL, NULL, list_options, run_gate_list},
    {"gate", "show", "GATE", 1, 1, "Show a gate's rules", NULL, NULL, NULL, run_gate_show},
    {0},
};
