/*
 * cmd_model.c: tidemark model: register, list, show, download.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <string.h>

#include "core/base/fs.h"
#include "registry/registry.h"

static void print_models(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"name", "MODEL", TD_CELL_TEXT},
        {"latest_version", "LATEST", TD_CELL_NUMBER},
        {"aliases", "ALIASES", TD_CELL_PAIRS},
        {"versions", "VERSIONS", TD_CELL_PAIRS},
        {"owner", "OWNER", TD_CELL_TEXT},
        {"created_at", "CREATED", TD_CELL_TIME},
        {0},
    };
    td_print_table(cli, columns, td_json_list(answer, "models"),
                   "No models yet. Register one: tidemark model register NAME FILE");
}

static td_code run_list(td_cli *cli, td_err *err)
{
    return td_cli_list(cli, td_cli_path(cli, "models", NULL), "models", NULL, print_models, err);
}

static void print_model(td_cli *cli, const json_t *model)
{
    static const td_column_spec fields[] = {
        {"name", "model", TD_CELL_TEXT},
        {"description", "description", TD_CELL_TEXT},
        {"owner", "owner", TD_CELL_TEXT},
        {"created_at", "created", TD_CELL_TIME},
        {"tags", "tags", TD_CELL_PAIRS},
        {"aliases", "aliases", TD_CELL_PAIRS},
        {"latest_version", "latest version", TD_CELL_NUMBER},
        {0},
    };
    td_print_fields(cli, fields, model);
}

static void print_versions(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"version", "VERSION", TD_CELL_NUMBER},
        {"state", "STATE", TD_CELL_STATE},
        {"created_by", "BY", TD_CELL_TEXT},
        {"created_at", "CREATED", TD_CELL_TIME},
        {"aliases", "ALIASES", TD_CELL_LIST},
        {"metrics", "METRICS", TD_CELL_BRIEF},
        {0},
    };
    (void)fputc('\n', cli->out);
    td_print_table(cli, columns, td_json_list(answer, "versions"), "No versions.");
}

static td_code run_show(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *model = NULL;
    TD_CLEANUP(td_json_done) json_t *versions = NULL;
    const char *name = cli->arguments[0];
    TD_TRY(td_model_name_check(name, err));
    TD_TRY(td_cli_call(cli, "GET", td_cli_path(cli, "models", name, NULL), NULL, &model, err));
    TD_TRY(td_cli_call(cli, "GET", td_cli_path(cli, "models", name, "versions", NULL), NULL, &versions, err));
    if (cli->json) {
        (void)json_object_set(model, "version_list", (json_t *)td_json_list(versions, "versions"));
        td_print_json(cli, model);
        return TD_OK;
    }
    print_model(cli, model);
    print_versions(cli, versions);
    return TD_OK;
}

static td_code run_create(td_cli *cli, td_err *err)
{
    json_t *body;
    const char *name = cli->arguments[0];
    TD_TRY(td_model_name_check(name, err));
    TD_TRY(td_cli_change(cli, false, &body, err));
    (void)json_object_set_new(body, "name", json_string(name));
    return td_cli_send(cli, "POST", td_cli_path(cli, "models", NULL), body,
                       td_cli_text(cli, "Made model %s; it has no versions yet.", name), err);
}

static td_code run_change(td_cli *cli, td_err *err)
{
    json_t *body;
    const char *name = cli->arguments[0];
    TD_TRY(td_model_name_check(name, err));
    TD_TRY(td_cli_change(cli, false, &body, err));
    if (json_object_size(body) == 0) {
        json_decref(body);
        return td_fail(err, TD_INVALID, "nothing to change: say --description TEXT or --tag NAME=VALUE");
    }
    return td_cli_send(cli, "PATCH", td_cli_path(cli, "models", name, NULL), body,
                       td_cli_text(cli, "Changed %s.", name), err);
}

/* The files of a version go into FOLDER/<name>, each checked against the digest that the version lists. */
static td_code download_file(td_cli *cli, const char *model, const char *version, const json_t *file,
                             const char *folder, td_err *err)
{
    const char *name = td_json_text(file, "name", "");
    const char *digest_text = td_json_text(file, "digest", "");
    uint8_t digest[TD_DIGEST_SIZE];
    char target[4096], part[4096];
    TD_TRY(td_check_file_name(name, strlen(name), err));
    if (strncmp(digest_text, "sha256:", 7) != 0 ||
        td_hex_decode(digest_text + 7, strlen(digest_text + 7), digest, sizeof digest, err) != TD_OK) {
        return td_fail(err, TD_CORRUPT, "the server lists %s without a proper digest", name);
    }
    TD_TRY(td_path_join(target, folder, name, err));
    memcpy(part, target, sizeof part);
    *strrchr(part, '/') = '\0';
    TD_TRY(td_folder_make(part, 0755, err));
    TD_CLEANUP(td_str_done) td_str path = {0};
    const char *base = td_cli_path(cli, "models", model, "versions", version, "files", NULL);
    const char *query = strchr(base, '?');
    td_str_addf(&path, "%.*s/%s%s", (int)(query - base), base, name, query); /* checked characters need no escape */
    TD_TRY(td_cli_download(cli, td_str_text(&path), target, digest, err));
    if (!cli->json) {
        td_print_line(cli, "%s", target);
    }
    return TD_OK;
}

static td_code run_download(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    const char *model, *version;
    const char *folder = cli->argument_count > 1 ? cli->arguments[1] : ".";
    TD_TRY(td_cli_reference(cli, cli->arguments[0], &model, &version, err));
    TD_TRY(td_cli_call(cli, "GET", td_cli_path(cli, "models", model, "versions", version, NULL), NULL, &answer, err));
    const json_t *files = td_json_list(answer, "files");
    for (size_t i = 0; i < json_array_size(files); i++) {
        TD_TRY(download_file(cli, model, version, json_array_get(files, i), folder, err));
    }
    if (cli->json) {
        td_print_json(cli, answer);
    }
    return TD_OK;
}

static const td_cli_option register_options[] = {
    {"file", 'f', "SPEC", "model.yaml with everything below; flags add to it and win", false},
    {"description", 'd', "TEXT", "what the version is", false},
    {"baseline", 0, "CSV", "reference data: the monitoring baseline is built from it", false},
    {"feature", 0, "COLUMN", "of the CSV; default: all that have no other role", true},
    {"categorical", 0, "COLUMN", "a feature whose values are categories", true},
    {"ignore", 0, "COLUMN", "of the CSV", true},
    {"prediction", 0, "COLUMN", "default: prediction, if there is one", false},
    {"score", 0, "COLUMN", "default: score, if there is one", false},
    {"label", 0, "COLUMN", "default: label, if there is one", false},
    {"group", 0, "COLUMN", "for fairness; default: group, if there is one", false},
    {"threshold", 0, "X", "score from which the prediction is positive", false},
    {"columns", 0, "YAML", "file that says which column is what", false},
    {"dataset", 0, "NAME=URI@FILE",
     "training data; FILE is hashed here, not sent (=URI may be left out; @sha256:… for FILE)", true},
    {"code", 0, "REPO@COMMIT", "source of the training", false},
    {"metric", 0, "NAME=NUMBER", "of the evaluation", true},
    {"metrics", 0, "FILE", "metrics as JSON: {\"metrics\": {…}} or a flat object", false},
    {"param", 0, "NAME=VALUE", "of the training", true},
    {"tag", 0, "NAME=VALUE", "of the version", true},
    {"parent", 0, "VERSION", "version that it was made from: pump/1", false},
    {"cause", 0, "ID", "alert or run that led to it", false},
    {"golden", 0, "FILE", "self-test for devices; goes to golden/ in the bundle", true},
    {"hardware", 0, "NAME", "devices that it is for (default: any)", false},
    {"runtime", 0, "NAME", "runtimes that it needs, any one of them", true},
    {"ram", 0, "BYTES", "that it needs", false},
    {"version", 0, "N", "the number that the version must get (default: the next)", false},
    {"strict", 0, NULL, "refuse files that cannot be read as what they are named", false},
    {0},
};

static const td_cli_option create_options[] = {
    {"description", 'd', "TEXT", "what the model is for", false},
    {"tag", 0, "NAME=VALUE", "of the model", true},
    {0},
};

static const td_cli_option change_options[] = {
    {"description", 'd', "TEXT", "what the model is for", false},
    {"tag", 0, "NAME=VALUE", "set it; NAME= removes it", true},
    {0},
};

static const td_cli_option inspect_options[] = {
    {"strict", 0, NULL, "fail if a file is quarantined or is not what its name says", false},
    {0},
};

static const td_cli_option sign_options[] = {
    {"key", 0, "FILE", "your private key: P-256, P-384 or P-521; or a pkcs11: URI; needed", false},
    TD_CLI_PASSPHRASE_OPTION,
    {"signature", 'o', "FILE", "default: FOLDER/model.sig", false},
    {"ignore-path", 0, "PATH", "below the folder: not signed, may change", true},
    {"follow-links", 0, NULL, "links to files count as what they point to (default: refuse them)", false},
    {"include-git", 0, NULL, "sign what git keeps (.git, .gitignore, …) too (default: leave it out)", false},
    {0},
};
static const td_cli_option model_verify_options[] = {
    {"key", 0, "FILE", "the signer's public key (PEM); needed", false},
    {"signature", 0, "FILE", "default: FOLDER/model.sig", false},
    {"ignore-path", 0, "PATH", "below the folder: may be there unsigned", true},
    {"follow-links", 0, NULL, "where the signature says so too: links to files count as what they point to", false},
    {"ignore-unsigned-files", 0, NULL, "any further file may be there", false},
    {0},
};

static const td_cli_option list_options[] = {TD_CLI_LIST_OPTIONS, {0}};

const td_cli_command td_cli_model_commands[] = {
    {"model", "register", "[MODEL] [FILE|FOLDER...]", 0, TD_CLI_ARGUMENTS_MAX,
     "Register files as a new version of a model",
     "Files are hashed and sent; the server reads inputs, outputs, operators and size from the model file itself, "
     "builds the "
     "monitoring baseline from the reference data, and records datasets, code and parent as lineage. The model is made "
     "if it "
     "is not there. The version is a draft until it is submitted.",
     "tidemark model register pump-anomaly model.onnx --baseline reference.csv --metric accuracy=0.97\n"
     "tidemark model register pump-anomaly model.onnx --dataset train=s3://plant/vibration@train.csv\n"
     "tidemark model register pump-anomaly ./mlflow-model\n"
     "tidemark model register -f model.yaml --parent pump-anomaly/1",
     register_options, td_cli_register},
    {"model", "create", "MODEL", 1, 1, "Make a model that has no versions yet", "Registering makes it as well.",
     "tidemark model create pump-anomaly --description 'Bearing faults' --tag team=vibration", create_options,
     run_create},
    {"model", "change", "MODEL", 1, 1, "Change the description or tags of a model", NULL,
     "tidemark model change pump-anomaly --tag team=vibration --tag pilot=", change_options, run_change},
    {"model", "list", "", 0, 0, "List the models of the project", NULL,
     "tidemark model list --filter \"name LIKE 'pump%' AND tags.team = 'vibration'\"", list_options, run_list},
    {"model", "show", "MODEL", 1, 1, "Show a model and its versions", NULL, "tidemark model show pump-anomaly", NULL,
     run_show},
    {"model", "download", "VERSION [DIR]", 1, 2, "Download the files of a version",
     "Each file is checked against the digest that the version lists. Files that are there already are not replaced.",
     "tidemark model download pump-anomaly@champion ./champion", NULL, run_download},
    {"model", "diff", "VERSION [VERSION]", 1, 2, "Show what differs between two versions",
     "Files, inputs and outputs, operators, metrics, parameters, tags, baseline, and what each was made from. Of one "
     "version alone: what differs from the version that it was made from, or the one before it.",
     "tidemark model diff pump/2 pump/3\ntidemark model diff pump@champion models:/pump/4 --json", NULL, td_cli_diff},
    {"model", "inspect", "FILE...", 1, TD_CLI_ARGUMENTS_MAX,
     "Read what model files say about themselves; needs no server",
     "ONNX, TFLite, GGUF, safetensors and MLmodel files tell inputs, outputs, operators, size and risks. Pickles, "
     "NumPy arrays, archives and Keras files are walked and judged. Nothing is run.",
     "tidemark model inspect pump.onnx\ntidemark model inspect --json --strict model.pkl", inspect_options,
     td_cli_inspect},
    {"model", "sign", "FOLDER", 1, 1, "Sign a folder of model files by OpenSSF Model Signing; needs no server",
     "Makes model.sig, which `model_signing verify key` and other verifiers of the specification accept. What git "
     "keeps at the top of the folder, and model.sig itself, are left out.",
     "tidemark model sign ./pump --key key.pem\n"
     "tidemark model sign ./pump --key key.pem --signature pump.sig --ignore-path notes", sign_options,
     td_cli_model_sign},
    {"model", "verify", "FOLDER", 1, 1, "Check a folder of model files against model.sig; needs no server",
     "Signed by this key, and every file as it was signed; a file that changed, lacks or was added is named. Takes "
     "what `model_signing sign key` makes.",
     "tidemark model verify ./pump --key publisher.pem\n"
     "tidemark model verify ./pump --key publisher.pem --signature pump.sig --ignore-unsigned-files",
     model_verify_options, td_cli_model_verify},
    {0},
};
