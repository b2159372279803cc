/*
 * cmd_rollout.c: tidemark rollout: bring a version to devices in waves, watch, and stop.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <poll.h>
#include <string.h>

#include "fleet/rollout.h"

#define WATCH_EVERY_MS 500

static void print_rollouts(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"id", "ROLLOUT", TD_CELL_TEXT},
        {"model", "MODEL", TD_CELL_TEXT},
        {"version", "VERSION", TD_CELL_NUMBER},
        {"state", "STATE", TD_CELL_STATE},
        {"to", "TO", TD_CELL_TEXT},
        {"created_by", "BY", TD_CELL_TEXT},
        {"created_at", "CREATED", TD_CELL_TIME},
        {0},
    };
    td_print_table(cli, columns, td_json_list(answer, "rollouts"), "No rollouts.");
}

static void print_rollout(td_cli *cli, const json_t *rollout)
{
    static const td_column_spec fields[] = {
        {"id", "rollout", TD_CELL_TEXT},
        {"model", "model", TD_CELL_TEXT},
        {"version", "version", TD_CELL_NUMBER},
        {"state", "state", TD_CELL_STATE},
        {"why", "why", TD_CELL_TEXT},
        {"to", "to", TD_CELL_TEXT},
        {"created_by", "by", TD_CELL_TEXT},
        {"created_at", "created", TD_CELL_TIME},
        {"deadline_at", "deadline", TD_CELL_TIME},
        {"finished_at", "finished", TD_CELL_TIME},
        {0},
    };
    static const td_column_spec waves[] = {
        {"number", "WAVE", TD_CELL_NUMBER},    {"share", "SHARE", TD_CELL_SHARE},
        {"state", "STATE", TD_CELL_STATE},     {"devices", "DEVICES", TD_CELL_NUMBER},
        {"committed", "DONE", TD_CELL_NUMBER}, {"working", "AT WORK", TD_CELL_NUMBER},
        {"failed", "FAILED", TD_CELL_NUMBER},  {"unreached", "UNREACHED", TD_CELL_NUMBER},
        {"why", "WHY", TD_CELL_TEXT},          {0},
    };
    static const td_column_spec devices[] = {
        {"device", "DEVICE", TD_CELL_TEXT}, {"wave", "WAVE", TD_CELL_NUMBER},         {"state", "STATE", TD_CELL_STATE},
        {"reason", "REASON", TD_CELL_TEXT}, {"bytes_done", "FETCHED", TD_CELL_BYTES}, {0},
    };
    td_print_fields(cli, fields, rollout);
    (void)fputc('\n', cli->out);
    td_print_table(cli, waves, td_json_list(rollout, "waves"), "No waves.");
    (void)fputc('\n', cli->out);
    td_print_table(cli, devices, td_json_list(rollout, "devices"), "No devices yet.");
}

/* ---- watch ---- */

static bool has_ended(const char *state)
{
    static const char *const ends[] = {"finished", "aborted", "reverted", "superseded"};
    for (size_t i = 0; i < TD_COUNT_OF(ends); i++) {
        if (strcmp(state, ends[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* "running  wave 1 passed 1/1  wave 2 open 7/19 (1 failed)" */
static void summarise(const json_t *rollout, td_str *out)
{
    const json_t *waves = td_json_list(rollout, "waves");
    td_str_addf(out, "%s %s/%lld %s", td_json_text(rollout, "id", ""), td_json_text(rollout, "model", ""),
                (long long)td_json_int(rollout, "version", 0), td_json_text(rollout, "state", ""));
    for (size_t i = 0; i < json_array_size(waves); i++) {
        const json_t *wave = json_array_get(waves, i);
        td_str_addf(out, "; wave %lld %s %lld/%lld", (long long)td_json_int(wave, "number", (int64_t)i + 1),
                    td_json_text(wave, "state", ""), (long long)td_json_int(wave, "committed", 0),
                    (long long)td_json_int(wave, "devices", 0));
        if (td_json_int(wave, "failed", 0) > 0) {
            td_str_addf(out, " (%lld failed)", (long long)td_json_int(wave, "failed", 0));
        }
    }
}

static td_code result_of(const json_t *rollout, td_err *err)
{
    const char *state = td_json_text(rollout, "state", "");
    if (strcmp(state, "finished") == 0) {
        return TD_OK;
    }
    return td_fail(err, TD_CONFLICT, "rollout %s %s: %s", td_json_text(rollout, "id", ""), state,
                   td_json_text(rollout, "why", "no reason given"));
}

/* Prints a line whenever something changed, until the rollout has ended; on a terminal the line is rewritten in place.
 */
static td_code watch(td_cli *cli, const char *id, td_err *err)
{
    td_str last = {0}, text = {0}, line = {0};
    td_code code = TD_OK;
    const char *path = td_cli_path(cli, "rollouts", id, NULL);
    for (;;) {
        json_t *rollout = NULL;
        code = td_cli_call(cli, "GET", path, NULL, &rollout, err);
        if (code != TD_OK) {
            break;
        }
        td_str_clear(&line);
        td_str_clear(&text);
        summarise(rollout, &text);
        td_text_add(&line, td_str_text(&text));
        if (last.size == 0 || strcmp(td_str_text(&last), td_str_text(&line)) != 0) {
            td_str_clear(&last);
            td_str_add(&last, td_str_text(&line));
            if (!cli->json) {
                (void)fprintf(cli->out, "%s%s%s", cli->color ? "\r\x1b[K" : "", td_str_text(&line),
                              cli->color ? "" : "\n");
                (void)fflush(cli->out);
            }
        }
        if (has_ended(td_json_text(rollout, "state", ""))) {
            (void)fputs(cli->color && !cli->json ? "\n" : "", cli->out);
            if (cli->json) {
                td_print_json(cli, rollout);
            }
            code = result_of(rollout, err);
            json_decref(rollout);
            break;
        }
        json_decref(rollout);
        (void)poll(NULL, 0, WATCH_EVERY_MS);
    }
    td_str_done(&last);
    td_str_done(&line);
    td_str_done(&text);
    return code;
}

static td_code run_show(td_cli *cli, td_err *err)
{
    if (td_cli_has(cli, "watch")) {
        return watch(cli, cli->arguments[0], err);
    }
    return td_cli_show(cli, td_cli_path(cli, "rollouts", cli->arguments[0], NULL), print_rollout, err);
}

static td_code run_list(td_cli *cli, td_err *err)
{
    const char *filter = td_cli_filter(cli, NULL, "state", td_cli_value(cli, "state"));
    return td_cli_list(cli, td_cli_path(cli, "rollouts", NULL), "rollouts", filter, print_rollouts, err);
}

/* ---- create ---- */

static td_code add_texts(td_cli *cli, json_t *spec, td_err *err)
{
    static const struct {
        const char *option, *key;
    } rows[] = {{"waves", "waves"},
                {"stop-if", "stop_if"},
                {"soak", "soak"},
                {"deadline", "deadline"},
                {"step-deadline", "step_deadline"},
                {"contact-wait", "contact_wait"},
                {"slot", "slot"},
                {"window", "window"},
                {"on-failure", "on_failure"},
                {"unfit", "unfit"}};
    for (size_t i = 0; i < TD_COUNT_OF(rows); i++) {
        const char *value = td_cli_value(cli, rows[i].option);
        if (value != NULL && json_object_set_new(spec, rows[i].key, json_string(value)) != 0) {
            return td_fail(err, TD_INVALID, "--%s: not valid UTF-8", rows[i].option);
        }
    }
    return TD_OK;
}

static td_code add_numbers(td_cli *cli, json_t *spec, td_err *err)
{
    double share;
    int64_t number;
    if (td_cli_value(cli, "success") != NULL) {
        TD_TRY(td_parse_double(td_cli_value(cli, "success"), "--success", &share, err));
        (void)json_object_set_new(spec, "success", json_real(share));
    }
    TD_TRY(td_cli_int(cli, "min-sample", 1, 1000000, 0, &number, err));
    if (number > 0) {
        (void)json_object_set_new(spec, "min_sample", json_integer(number));
    }
    TD_TRY(td_cli_int(cli, "per-minute", 0, 1000000, -1, &number, err));
    if (number >= 0) {
        (void)json_object_set_new(spec, "per_minute", json_integer(number));
    }
    if (td_cli_has(cli, "health-gate")) {
        (void)json_object_set_new(spec, "health_gate", json_true());
    }
    return TD_OK;
}

static td_code add_probation(td_cli *cli, json_t *spec, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *probation = json_object();
    int64_t ms, number;
    TD_TRY(td_cli_duration(cli, "probation", -1, &ms, err));
    if (ms >= 0) {
        (void)json_object_set_new(probation, "seconds", json_integer((ms + 999) / 1000));
    }
    TD_TRY(td_cli_int(cli, "min-inferences", 0, 1000000, -1, &number, err));
    if (number >= 0) {
        (void)json_object_set_new(probation, "min_inferences", json_integer(number));
    }
    if (json_object_size(probation) > 0) {
        (void)json_object_set(spec, "probation", probation);
    }
    return TD_OK;
}

static void add_target(const td_cli *cli, json_t *spec)
{
    if (cli->argument_count > 0) {
        (void)json_object_set_new(spec, "model_version", json_string(cli->arguments[0]));
    }
    if (td_cli_value(cli, "to") != NULL) {
        (void)json_object_set_new(spec, "to", json_string(td_cli_value(cli, "to")));
    }
}

/* A spec file's keys are those of the API. It is checked here, while its lines are known. */
static td_code read_spec(td_cli *cli, json_t **out, td_err *err)
{
    const char *file = td_cli_value(cli, "file");
    td_yaml_lines *lines = NULL;
    if (file == NULL) {
        *out = json_object();
        add_target(cli, *out);
        return td_cli_need(*out, err);
    }
    TD_TRY(td_yaml_read(file, out, &lines, err));
    add_target(cli, *out);
    td_code code = td_rollout_check_spec(*out, td_cli_base_name(file), lines, err);
    td_yaml_lines_done(&lines);
    return code;
}

/* Flags win over the file. */
static td_code make_spec(td_cli *cli, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *spec = NULL;
    const char *text;
    TD_TRY(read_spec(cli, &spec, err));
    if (td_json_text(spec, "model_version", NULL) == NULL || td_json_text(spec, "to", NULL) == NULL) {
        return td_fail(err, TD_INVALID, "say which version and which devices: tidemark rollout create pump/3 --to all");
    }
    TD_TRY(add_texts(cli, spec, err));
    TD_TRY(add_numbers(cli, spec, err));
    TD_TRY(add_probation(cli, spec, err));
    for (size_t i = 0; (text = td_cli_value_at(cli, "canary", i)) != NULL; i++) {
        json_t *list = json_object_get(spec, "canaries");
        if (list == NULL) {
            list = json_array();
            (void)json_object_set_new(spec, "canaries", list);
        }
        (void)json_array_append_new(list, json_string(text));
    }
    *out = json_incref(spec);
    return TD_OK;
}

static td_code run_create(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *spec = NULL;
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    TD_TRY(make_spec(cli, &spec, err));
    TD_TRY(td_cli_call(cli, "POST", td_cli_path(cli, "rollouts", NULL), spec, &answer, err));
    const char *id = td_cli_text(cli, "%s", td_json_text(answer, "id", ""));
    if (td_cli_has(cli, "watch")) {
        return watch(cli, id, err);
    }
    if (cli->json) {
        td_print_json(cli, answer);
    } else {
        td_print_line(cli, "Started %s. Watch it: tidemark rollout show %s --watch", id, id);
    }
    return TD_OK;
}

/* ---- pause, resume, abort, revert: the verb is the route ---- */

static td_code run_act(td_cli *cli, td_err *err)
{
    const char *verb = cli->command->verb;
    const char *reason = td_cli_value(cli, "reason");
    if (strcmp(verb, "abort") == 0 || strcmp(verb, "revert") == 0) {
        TD_TRY(td_cli_reason(cli, &reason, err));
    }
    json_t *body = json_object();
    if (reason != NULL) {
        (void)json_object_set_new(body, "reason", json_string(reason));
    }
    return td_cli_send(cli, "POST", td_cli_path(cli, "rollouts", cli->arguments[0], verb, NULL), body,
                       td_cli_text(cli, "%s: %s asked for.", cli->arguments[0], verb), err);
}

static const td_cli_option create_options[] = {
    {"to", 0, "SELECTOR", "devices by tags and inventory: \"site=oslo\", all", false},
    {"file", 'f', "SPEC", "YAML with the keys of the API; flags win", false},
    {"waves", 0, "SHARES", "cumulative: 5%,50%,100% (default 100%)", false},
    {"canary", 0, "DEVICE", "always in the first wave", true},
    {"success", 0, "SHARE", "least share of successes that a wave needs (default 0.9)", false},
    {"stop-if", 0, "RULE", "failed>2% or failed>3 (default failed>10%)", false},
    {"min-sample", 0, "N", "answers that a wave needs (default 1)", false},
    {"soak", 0, "TIME", "between a wave's end and the next one's start (default 0s)", false},
    {"deadline", 0, "TIME", "of the whole (default 7d)", false},
    {"step-deadline", 0, "TIME", "from a device's yes to its success (default 1h)", false},
    {"contact-wait", 0, "TIME", "how long a wave waits for devices that say nothing", false},
    {"on-failure", 0, "WHAT", "abort (default) or revert", false},
    {"unfit", 0, "WHAT", "devices that cannot take it: refuse the rollout (default), skip them, or try", false},
    {"health-gate", 0, NULL, "a wave passes only if the monitor finds its devices healthy", false},
    {"slot", 0, "NAME", "slot on the devices (default: the model's name)", false},
    {"window", 0, "TIME", "length of the telemetry windows that devices send", false},
    {"probation", 0, "TIME", "how long a device tries the version before it keeps it", false},
    {"min-inferences", 0, "N", "that a device must have made in that time", false},
    {"per-minute", 0, "N", "devices a minute; 0: no limit", false},
    {"watch", 0, NULL, "stay and show the progress until it has ended", false},
    {0},
};
static const td_cli_option watch_options[] = {
    {"watch", 0, NULL, "stay and show the progress until it has ended", false},
    {0},
};
static const td_cli_option state_options[] = {
    {"state", 0, "STATE", "only those in that state", false},
    TD_CLI_LIST_OPTIONS,
    {0},
};
static const td_cli_option reason_options[] = {
    {"reason", 0, "TEXT", "goes into the audit log", false},
    {0},
};

const td_cli_command td_cli_rollout_commands[] = {
    {"rollout", "create", "[VERSION]", 0, 1, "Bring an approved version to devices, in waves",
     "Each wave must earn the next: enough of its devices have installed, tested and kept the version. A device that "
     "said yes "
     "and then misses its deadline has failed; one that never answered is unreached and shown apart. With --watch the "
     "exit "
     "code tells how it ended.",
     "tidemark rollout create pump/3 --to 'site=oslo' --waves 5%,50%,100% --stop-if 'failed>2%'\n"
     "tidemark rollout create pump/3 --to all --waves 10%,100% --canary pump-07 --watch",
     create_options, run_create},
    {"rollout", "list", "", 0, 0, "List rollouts, newest first", NULL, NULL, state_options, run_list},
    {"rollout", "show", "ROLLOUT", 1, 1, "Show a rollout: waves and devices", NULL, "tidemark rollout show r-1 --watch",
     watch_options, run_show},
    {"rollout", "pause", "ROLLOUT", 1, 1, "Start no further device", NULL, NULL, reason_options, run_act},
    {"rollout", "resume", "ROLLOUT", 1, 1, "Go on after a pause", NULL, NULL, reason_options, run_act},
    {"rollout", "abort", "ROLLOUT", 1, 1, "Stop, also devices that are at work; what is installed stays", NULL, NULL,
     reason_options, run_act},
    {"rollout", "revert", "ROLLOUT", 1, 1, "Every device goes back to what it ran before", NULL, NULL, reason_options,
     run_act},
    {0},
};
