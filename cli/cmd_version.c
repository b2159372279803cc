/*
 * cmd_version.c: tidemark version: show, list, check, derive, submit, approve, reject, move, tag.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <string.h>

#include "registry/reference.h"

/* ---- show ---- */

static void print_version(td_cli *cli, const json_t *version)
{
    static const td_column_spec fields[] = {
        {"model", "model", TD_CELL_TEXT},
        {"version", "version", TD_CELL_NUMBER},
        {"state", "state", TD_CELL_STATE},
        {"description", "description", TD_CELL_TEXT},
        {"format", "format", TD_CELL_TEXT},
        {"created_by", "registered by", TD_CELL_TEXT},
        {"created_at", "registered", TD_CELL_TIME},
        {"submitted_at", "submitted", TD_CELL_TIME},
        {"decided_at", "decided", TD_CELL_TIME},
        {"parent", "parent", TD_CELL_TEXT},
        {"derived_by", "derived by", TD_CELL_TEXT},
        {"cause", "cause", TD_CELL_TEXT},
        {"aliases", "aliases", TD_CELL_LIST},
        {"metrics", "metrics", TD_CELL_PAIRS},
        {"params", "parameters", TD_CELL_PAIRS},
        {"tags", "tags", TD_CELL_PAIRS},
        {"content_id", "content id", TD_CELL_TEXT},
        {"bundle_size", "bundle", TD_CELL_BYTES},
        {"security_counter", "security counter", TD_CELL_NUMBER},
        {"claim_count", "claims", TD_CELL_NUMBER},
        {0},
    };
    static const td_column_spec files[] = {{"name", "FILE", TD_CELL_TEXT},
                                           {"role", "ROLE", TD_CELL_TEXT},
                                           {"size", "SIZE", TD_CELL_BYTES},
                                           {"digest", "SHA-256", TD_CELL_DIGEST},
                                           {0}};
    static const td_column_spec approvals[] = {{"user", "APPROVED BY", TD_CELL_TEXT},
                                               {"at", "AT", TD_CELL_TIME},
                                               {"key_id", "KEY", TD_CELL_DIGEST},
                                               {"meaning", "MEANING", TD_CELL_TEXT},
                                               {"reason", "REASON", TD_CELL_TEXT},
                                               {0}};
    td_print_fields(cli, fields, version);
    if (json_is_object(json_object_get(version, "facts"))) {
        td_print_title(cli, "Model file");
        td_cli_print_facts(cli, json_object_get(version, "facts"));
    }
    td_cli_print_scans(cli, version);
    (void)fputc('\n', cli->out);
    td_print_table(cli, files, td_json_list(version, "files"), "No files.");
    if (json_array_size(td_json_list(version, "approvals")) > 0) {
        (void)fputc('\n', cli->out);
        td_print_table(cli, approvals, td_json_list(version, "approvals"), "");
    }
}

static td_code run_show(td_cli *cli, td_err *err)
{
    const char *model, *version;
    TD_TRY(td_cli_reference(cli, cli->arguments[0], &model, &version, err));
    return td_cli_show(cli, td_cli_path(cli, "models", model, "versions", version, NULL), print_version, err);
}

/* ---- list ---- */

static void print_list(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"version", "VERSION", TD_CELL_NUMBER}, {"state", "STATE", TD_CELL_STATE},
        {"created_by", "BY", TD_CELL_TEXT},     {"created_at", "CREATED", TD_CELL_TIME},
        {"aliases", "ALIASES", TD_CELL_LIST},   {"metrics", "METRICS", TD_CELL_BRIEF},
        {"tags", "TAGS", TD_CELL_PAIRS},        {0},
    };
    td_print_table(cli, columns, td_json_list(answer, "versions"), "No versions.");
}

static td_code run_list(td_cli *cli, td_err *err)
{
    TD_TRY(td_model_name_check(cli->arguments[0], err));
    return td_cli_list(cli, td_cli_path(cli, "models", cli->arguments[0], "versions", NULL), "versions", NULL,
                       print_list, err);
}

static void print_found(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"label", "VERSION", TD_CELL_TEXT},   {"state", "STATE", TD_CELL_STATE},
        {"created_by", "BY", TD_CELL_TEXT},   {"created_at", "CREATED", TD_CELL_TIME},
        {"aliases", "ALIASES", TD_CELL_LIST}, {"metrics", "METRICS", TD_CELL_BRIEF},
        {"tags", "TAGS", TD_CELL_PAIRS},      {0},
    };
    td_print_table(cli, columns, td_json_list(answer, "versions"), "No versions found.");
}

static td_code run_search(td_cli *cli, td_err *err)
{
    const char *path = td_cli_path(cli, "versions", NULL);
    if (cli->argument_count > 0 && td_cli_value(cli, "filter") != NULL) {
        return td_fail(err, TD_INVALID, "the filter is given twice: as %s and as --filter", cli->arguments[0]);
    }
    return td_cli_list(cli, path, "versions", cli->argument_count > 0 ? cli->arguments[0] : NULL, print_found, err);
}

/* ---- moves ---- */

static td_code run_submit(td_cli *cli, td_err *err)
{
    const char *model, *version;
    TD_TRY(td_cli_reference(cli, cli->arguments[0], &model, &version, err));
    const char *reason = td_cli_value(cli, "reason");
    json_t *body = json_object();
    if (reason != NULL) {
        (void)json_object_set_new(body, "reason", json_string(reason));
    }
    return td_cli_send(cli, "POST", td_cli_path(cli, "models", model, "versions", version, "submit", NULL), body,
                       td_cli_text(cli,
                                   "Submitted %s: its files are fixed and packed. Next, by somebody else: tidemark "
                                   "version approve %s --reason TEXT",
                                   cli->arguments[0], cli->arguments[0]),
                       err);
}

static td_code run_reject(td_cli *cli, td_err *err)
{
    const char *model, *version, *reason;
    TD_TRY(td_cli_reference(cli, cli->arguments[0], &model, &version, err));
    TD_TRY(td_cli_reason(cli, &reason, err));
    return td_cli_send(cli, "POST", td_cli_path(cli, "models", model, "versions", version, "reject", NULL),
                       json_pack("{s:s}", "reason", reason), td_cli_text(cli, "Rejected %s.", cli->arguments[0]), err);
}

static td_code run_move(td_cli *cli, td_err *err)
{
    const char *model, *version, *reason;
    TD_TRY(td_cli_reference(cli, cli->arguments[0], &model, &version, err));
    TD_TRY(td_cli_reason(cli, &reason, err));
    return td_cli_send(cli, "POST", td_cli_path(cli, "models", model, "versions", version, "move", NULL),
                       json_pack("{s:s, s:s}", "to", cli->arguments[1], "reason", reason),
                       td_cli_text(cli, "%s is %s now.", cli->arguments[0], cli->arguments[1]), err);
}

static td_code run_tag(td_cli *cli, td_err *err)
{
    const char *model, *version, *key, *value;
    TD_TRY(td_cli_reference(cli, cli->arguments[0], &model, &version, err));
    if (td_cli_has(cli, "delete")) {
        const char *path = td_cli_path(cli, "models", model, "versions", version, "tags", cli->arguments[1], NULL);
        return td_cli_send(cli, "DELETE", path, json_object(), td_cli_text(cli, "Removed tag %s.", cli->arguments[1]),
                           err);
    }
    TD_TRY(td_cli_pair(cli, "tag", cli->arguments[1], &key, &value, err));
    return td_cli_send(cli, "PUT", td_cli_path(cli, "models", model, "versions", version, "tags", key, NULL),
                       json_pack("{s:s}", "value", value), td_cli_text(cli, "Set tag %s.", key), err);
}

static td_code run_change(td_cli *cli, td_err *err)
{
    json_t *body;
    const char *model, *version;
    TD_TRY(td_cli_reference(cli, cli->arguments[0], &model, &version, err));
    TD_TRY(td_cli_change(cli, true, &body, err));
    if (json_object_size(body) == 0) {
        json_decref(body);
        return td_fail(err, TD_INVALID, "nothing to change: say --description, --tag, --metric or --param");
    }
    return td_cli_send(cli, "PATCH", td_cli_path(cli, "models", model, "versions", version, NULL), body,
                       td_cli_text(cli, "Changed %s.", cli->arguments[0]), err);
}

/* ---- check ---- */

/* One row a reason. */
static void print_check(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"device", "DEVICE", TD_CELL_TEXT}, {"fit", "TAKES IT", TD_CELL_TEXT}, {"text", "WHY", TD_CELL_TEXT}, {0}};
    const json_t *devices = td_json_list(answer, "devices"), *counts = json_object_get(answer, "counts");
    TD_CLEANUP(td_json_done) json_t *rows = json_array();
    for (size_t i = 0; i < json_array_size(devices); i++) {
        const json_t *device = json_array_get(devices, i), *reasons = json_object_get(device, "reasons");
        const char *name = td_json_text(device, "device", "");
        for (size_t k = 0; k < json_array_size(reasons); k++) {
            const json_t *reason = json_array_get(reasons, k);
            (void)json_array_append_new(rows, json_pack("{s:s, s:s, s:s}", "device", name, "fit",
                                                        td_json_text(reason, "fit", ""), "text",
                                                        td_json_text(reason, "text", "")));
        }
    }
    td_print_table(cli, columns, rows, "Nothing speaks against it.");
    td_print_line(cli, "%s: %lld can take it, %lld may not be able to, %lld cannot.",
                  td_json_text(answer, "version", ""), (long long)td_json_int(counts, "yes", 0),
                  (long long)td_json_int(counts, "unsure", 0), (long long)td_json_int(counts, "no", 0));
}

static td_code run_check(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    const char *model, *version;
    TD_TRY(td_cli_reference(cli, cli->arguments[0], &model, &version, err));
    const char *path = td_cli_path(cli, "models", model, "versions", version, "compatibility", NULL);
    path = td_cli_query(cli, path, "device", td_cli_value(cli, "device"));
    path = td_cli_query(cli, path, "to", td_cli_value(cli, "to"));
    TD_TRY(td_cli_call(cli, "GET", path, NULL, &answer, err));
    td_cli_present(cli, answer, print_check);
    long long unfit = td_json_int(json_object_get(answer, "counts"), "no", 0);
    return unfit == 0 ? TD_OK
                      : td_fail(err, TD_CONFLICT, "%lld %s take %s", unfit,
                                unfit == 1 ? "device cannot" : "devices cannot", td_json_text(answer, "version", ""));
}

static const td_cli_option check_options[] = {
    {"device", 0, "DEVICE", "this one alone", false},
    {"to", 0, "SELECTOR", "devices by tags and inventory (default: all)", false},
    {0},
};
static const td_cli_option reason_options[] = {
    {"reason", 0, "TEXT", "goes into the audit log", false},
    {0},
};
static const td_cli_option approve_options[] = {
    {"reason", 0, "TEXT", "goes into the audit log; needed", false},
    {"meaning", 0, "TEXT", "what your signature means: approval, review, responsibility, or your own words", false},
    {"key", 0, "FILE",
     "private key or pkcs11: URI (default: $TIDEMARK_KEY_FILE, the one of --as, or of `key enrol-me`)", false},
    TD_CLI_PASSPHRASE_OPTION,
    {"yes", 'y', NULL, "do not ask before signing", false},
    {0},
};
static const td_cli_option derive_options[] = {
    {"by", 0, "TOOL", "what made the new files: skl2onnx; needed", false},
    {"file", 'f', "FILE|FOLDER", "a new file of the model; it takes the place of one of the same name", true},
    {"golden", 0, "FILE", "a new self-test for devices", true},
    {"without", 0, "NAME", "another file of VERSION to leave out", true},
    {"description", 'd', "TEXT", "default: that of VERSION", false},
    {"hardware", 0, "NAME", "devices that it is for (default: as VERSION)", false},
    {"runtime", 0, "NAME", "runtimes that it needs, any one of them (default: as VERSION)", true},
    {"ram", 0, "BYTES", "that it needs (default: as VERSION)", false},
    {"reason", 0, "TEXT", "goes into the audit log", false},
    {"strict", 0, NULL, "refuse files that cannot be read as what they are named", false},
    {0},
};
static const td_cli_option list_options[] = {TD_CLI_LIST_OPTIONS, {0}};
static const td_cli_option change_options[] = {
    {"description", 'd', "TEXT", "what the version is", false},
    {"tag", 0, "NAME=VALUE", "set it; NAME= removes it", true},
    {"metric", 0, "NAME=NUMBER", "of the evaluation; NAME= removes it", true},
    {"param", 0, "NAME=VALUE", "of the training; NAME= removes it", true},
    {0},
};
static const td_cli_option tag_options[] = {
    {"delete", 0, NULL, "remove the tag", false},
    {0},
};

td_code td_cli_version_number(td_cli *cli, const char *text, const char **model_out, int64_t *number_out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *version = NULL;
    const char *model, *name;
    TD_TRY(td_cli_reference(cli, text, &model, &name, err));
    if (name[0] == '@') {
        TD_TRY(td_cli_call(cli, "GET", td_cli_path(cli, "models", model, "versions", name, NULL), NULL, &version, err));
        *number_out = td_json_int(version, "version", 0);
    } else {
        TD_TRY(td_parse_int(name, "version", 1, TD_VERSION_NUMBER_MAX, number_out, err));
    }
    *model_out = model;
    return TD_OK;
}

const td_cli_command td_cli_version_commands[] = {
    {"version", "show", "VERSION", 1, 1, "Show a version: files, facts, metrics, approvals",
     "A version is written MODEL/NUMBER (pump/3) or MODEL@ALIAS (pump@champion).", "tidemark version show pump/3", NULL,
     run_show},
    {"version", "list", "MODEL", 1, 1, "List the versions of a model", NULL,
     "tidemark version list pump --filter \"state = 'approved'\" --order-by \"metrics.auc DESC\"", list_options,
     run_list},
    {"version", "search", "[FILTER]", 0, 1, "Find versions of all models by names, tags, metrics, parameters, times",
     "FILTER is the same as --filter: comparisons joined by AND, of model, version, state, created_at and others, of "
     "tags.NAME, metrics.NAME and params.NAME. Newest first unless --order-by says otherwise.",
     "tidemark version search \"tags.site = 'oslo' AND metrics.auc >= 0.9\" --order-by \"metrics.auc DESC\"",
     list_options, run_search},
    {"version", "check", "VERSION", 1, 1, "Tell which devices can take a version, and why others cannot",
     "Format, operators, memory and size of the model file, and what the version asks for, are held against what the "
     "devices told of themselves. Exit code 5: a device cannot take it.",
     "tidemark version check pump/3 --device pump-07\ntidemark version check pump/3 --to 'site=oslo'", check_options,
     run_check},
    {"version", "derive", "VERSION", 1, 1, "Make a new draft without the files that can hold pickles",
     "Quarantined files are left out, those given with --file come in. Baseline, metrics, parameters, tags and sources "
     "stay, and so do all files that are not replaced. Lineage keeps from what the new version was made, and by which "
     "tool. The old version is not changed.",
     "tidemark version derive pump/3 --file pump.onnx --by skl2onnx --runtime onnx", derive_options, td_cli_derive},
    {"version", "submit", "VERSION", 1, 1, "Freeze a draft, pack it and put it up for approval",
     "From then on nothing in the version changes. The server packs one reproducible bundle and fixes its manifest, "
     "which is "
     "what approvers sign.",
     "tidemark version submit pump/3", reason_options, run_submit},
    {"version", "approve", "VERSION", 1, 1, "Check and sign a submitted version with your own key",
     "The manifest is fetched, shown and checked against the version's files; then it is signed here, with your key, "
     "which "
     "never leaves this machine, and only the signature is sent. Devices check it themselves. Whoever registered or "
     "edited a "
     "version cannot approve it, service accounts cannot either.",
     "tidemark version approve pump/3 --key ~/.config/tidemark/key.pem --reason 'passed the bench'", approve_options,
     td_cli_approve},
    {"version", "reject", "VERSION", 1, 1, "Turn a submitted version down", NULL,
     "tidemark version reject pump/3 --reason 'recall too low'", reason_options, run_reject},
    {"version", "move", "VERSION STATE", 2, 2, "Move an approved version to deprecated, or a deprecated one to retired",
     NULL, "tidemark version move pump/1 deprecated --reason 'replaced by pump/2'", reason_options, run_move},
    {"version", "change", "VERSION", 1, 1, "Change a draft: description, tags, metrics, parameters",
     "Who changes a version does not approve it.",
     "tidemark version change pump/3 --metric auc=0.95 --param seed=2 --tag pilot=", change_options, run_change},
    {"version", "tag", "VERSION NAME=VALUE", 2, 2, "Set or remove a tag of a draft", NULL,
     "tidemark version tag pump/3 team=vibration\ntidemark version tag pump/3 team --delete", tag_options, run_tag},
    {0},
};
