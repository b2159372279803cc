/*
 * cmd_device.c: tidemark device: who is in the fleet, and how more come in.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include "fleet/device.h"

static void print_devices(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"device", "DEVICE", TD_CELL_TEXT},
        {"presence", "PRESENCE", TD_CELL_STATE},
        {"state", "STATE", TD_CELL_STATE},
        {"running", "RUNS", TD_CELL_TEXT},
        {"hardware", "HARDWARE", TD_CELL_TEXT},
        {"tags", "TAGS", TD_CELL_PAIRS},
        {"last_contact_at", "LAST CONTACT", TD_CELL_TIME},
        {0},
    };
    bool chosen = td_cli_has(cli, "where") || td_cli_has(cli, "filter");
    const char *none = chosen ? "No device matches. All of them: tidemark device list"
                              : "No devices. Let one in: tidemark device enrol-code";
    td_print_table(cli, columns, td_json_list(answer, "devices"), none);
}

static td_code run_list(td_cli *cli, td_err *err)
{
    const char *selector = td_cli_value(cli, "where");
    if (selector != NULL) {
        TD_TRY(td_selector_check(selector, err));
    }
    return td_cli_list(cli, td_cli_query(cli, td_cli_path(cli, "devices", NULL), "selector", selector), "devices", NULL,
                       print_devices, err);
}

static void print_device(td_cli *cli, const json_t *device)
{
    static const td_column_spec fields[] = {
        {"device", "device", TD_CELL_TEXT},
        {"presence", "presence", TD_CELL_STATE},
        {"state", "state", TD_CELL_STATE},
        {"running", "runs", TD_CELL_TEXT},
        {"hardware", "hardware", TD_CELL_TEXT},
        {"runtimes", "runtimes", TD_CELL_LIST},
        {"tags", "tags", TD_CELL_PAIRS},
        {"agent", "agent", TD_CELL_TEXT},
        {"storage_free", "free storage", TD_CELL_BYTES},
        {"ram_bytes", "memory", TD_CELL_BYTES},
        {"enrolled_at", "enrolled", TD_CELL_TIME},
        {"last_contact_at", "last contact", TD_CELL_TIME},
        {"certificate_ends_at", "certificate until", TD_CELL_TIME},
        {"revoked_at", "revoked", TD_CELL_TIME},
        {"directive_sequence", "last directive", TD_CELL_NUMBER},
        {"directive_accepted", "of them accepted", TD_CELL_NUMBER},
        {0},
    };
    static const td_column_spec slots[] = {
        {"slot", "SLOT", TD_CELL_TEXT},          {"state", "STATE", TD_CELL_STATE},
        {"manifest", "CONTENT", TD_CELL_DIGEST}, {"previous", "BEFORE", TD_CELL_DIGEST},
        {"updated_at", "SINCE", TD_CELL_TIME},   {0}};
    static const td_column_spec runs[] = {{"model", "RAN MODEL", TD_CELL_TEXT},
                                          {"version", "VERSION", TD_CELL_NUMBER},
                                          {"started_at", "FROM", TD_CELL_TIME},
                                          {"ended_at", "TO", TD_CELL_TIME},
                                          {0}};
    td_print_fields(cli, fields, device);
    (void)fputc('\n', cli->out);
    td_print_table(cli, slots, td_json_list(device, "slots"), "It runs nothing yet.");
    if (json_array_size(td_json_list(device, "runs")) > 0) {
        (void)fputc('\n', cli->out);
        td_print_table(cli, runs, td_json_list(device, "runs"), "");
    }
}

static td_code run_show(td_cli *cli, td_err *err)
{
    TD_TRY(td_device_check_name(cli->arguments[0], err));
    return td_cli_show(cli, td_cli_path(cli, "devices", cli->arguments[0], NULL), print_device, err);
}

static void print_codes(td_cli *cli, const json_t *answer)
{
    const json_t *codes = td_json_list(answer, "codes");
    for (size_t i = 0; i < json_array_size(codes); i++) {
        const json_t *code = json_array_get(codes, i);
        td_print_line(cli, "%s", json_is_string(code) ? json_string_value(code) : td_json_text(code, "code", ""));
    }
}

static td_code add_tags(td_cli *cli, json_t *body, td_err *err)
{
    const char *text, *key, *value;
    json_t *tags = json_object();
    for (size_t i = 0; (text = td_cli_value_at(cli, "tag", i)) != NULL; i++) {
        if (td_cli_pair(cli, "tag", text, &key, &value, err) != TD_OK) {
            json_decref(tags);
            return err == NULL ? TD_INVALID : err->code;
        }
        (void)json_object_set_new(tags, key, *value == '\0' ? json_null() : json_string(value));
    }
    return json_object_set_new(body, "tags", tags) == 0 ? TD_OK : td_cli_need(NULL, err);
}

static td_code run_code(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    int64_t count, uses, lifetime;
    TD_TRY(td_cli_int(cli, "count", 1, 10000, 1, &count, err));
    TD_TRY(td_cli_int(cli, "uses", 1, 1000000, 1, &uses, err));
    TD_TRY(td_cli_duration(cli, "lifetime", 0, &lifetime, err));
    TD_CLEANUP(td_json_done)
    json_t *body = json_pack("{s:I, s:I}", "count", (json_int_t)count, "uses", (json_int_t)uses);
    TD_TRY(td_cli_need(body, err));
    TD_TRY(add_tags(cli, body, err));
    if (lifetime > 0) {
        (void)json_object_set_new(body, "ttl", json_sprintf("%lldms", (long long)lifetime));
    }
    TD_TRY(td_cli_call(cli, "POST", td_cli_path(cli, "enrolment-codes", NULL), body, &answer, err));
    td_cli_present(cli, answer, print_codes);
    return TD_OK;
}

static void print_code_list(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"id", "CODE", TD_CELL_NUMBER},       {"created_by", "BY", TD_CELL_TEXT},
        {"created_at", "MADE", TD_CELL_TIME}, {"expires_at", "EXPIRES", TD_CELL_TIME},
        {"used", "USED", TD_CELL_NUMBER},     {"uses", "OF", TD_CELL_NUMBER},
        {"tags", "TAGS", TD_CELL_PAIRS},      {0}};
    td_print_table(cli, columns, td_json_list(answer, "codes"), "No codes.");
}

static td_code run_codes(td_cli *cli, td_err *err)
{
    return td_cli_list(cli, td_cli_path(cli, "enrolment-codes", NULL), "codes", NULL, print_code_list, err);
}

static td_code run_tag(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *tags = json_object();
    const char *key, *value;
    TD_TRY(td_device_check_name(cli->arguments[0], err));
    for (int i = 1; i < cli->argument_count; i++) {
        TD_TRY(td_cli_pair(cli, "tag", cli->arguments[i], &key, &value, err));
        (void)json_object_set_new(tags, key, *value == '\0' ? json_null() : json_string(value));
    }
    return td_cli_send(cli, "PATCH", td_cli_path(cli, "devices", cli->arguments[0], NULL),
                       json_pack("{s:O}", "tags", tags), td_cli_text(cli, "Tagged %s.", cli->arguments[0]), err);
}

static td_code run_revoke(td_cli *cli, td_err *err)
{
    const char *reason;
    TD_TRY(td_device_check_name(cli->arguments[0], err));
    TD_TRY(td_cli_reason(cli, &reason, err));
    return td_cli_send(cli, "POST", td_cli_path(cli, "devices", cli->arguments[0], "revoke", NULL),
                       json_pack("{s:s}", "reason", reason),
                       td_cli_text(cli, "%s is shut out; whatever it sends from now on is dropped.", cli->arguments[0]),
                       err);
}

static const td_cli_option list_options[] = {
    {"where", 0, "SELECTOR", "as in a rollout: \"site=oslo and ram_mb >= 512\"", false},
    TD_CLI_LIST_OPTIONS,
    {0},
};
static const td_cli_option codes_options[] = {TD_CLI_LIST_OPTIONS, {0}};
static const td_cli_option code_options[] = {
    {"count", 'n', "N", "how many codes (default 1)", false},
    {"tag", 0, "NAME=VALUE", "that devices get which come in by these codes", true},
    {"uses", 0, "N", "devices that each code lets in (default 1)", false},
    {"lifetime", 0, "TIME", "until the codes expire: 24h, 7d (default 7d)", false},
    {0},
};
static const td_cli_option reason_options[] = {
    {"reason", 0, "TEXT", "goes into the audit log; needed", false},
    {0},
};

const td_cli_command td_cli_device_commands[] = {
    {"device", "list", "", 0, 0, "List the devices of the fleet", NULL,
     "tidemark device list --where \"site=oslo and not online\"", list_options, run_list},
    {"device", "show", "DEVICE", 1, 1, "Show a device: inventory, what it runs and ran", NULL, NULL, NULL, run_show},
    {"device", "enrol-code", "", 0, 0, "Make one-time codes that let devices in",
     "A code is shown once. It also lets the device recognise this server, so it needs no other secret.",
     "tidemark device enrol-code --count 20 --tag site=oslo", code_options, run_code},
    {"device", "codes", "", 0, 0, "List the enrolment codes that were made, never their text", NULL,
     "tidemark device codes --filter \"spent = false\"", codes_options, run_codes},
    {"device", "tag", "DEVICE NAME=VALUE...", 2, TD_CLI_ARGUMENTS_MAX, "Set tags; an empty value removes one", NULL,
     "tidemark device tag pump-07 site=oslo line=", NULL, run_tag},
    {"device", "revoke", "DEVICE", 1, 1, "Shut a device out, for ever", NULL,
     "tidemark device revoke pump-07 --reason stolen", reason_options, run_revoke},
    {0},
};
