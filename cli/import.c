/*
 * import.c: `tidemark import mlflow`: the command, and how the two servers are asked.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/import.h"

#include "cli/http_internal.h"
#include "core/base/fs.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVERY_DEFAULT_MS 60000
#define EVERY_MIN_MS 1000
#define EVERY_MAX_MS ((int64_t)24 * 3600 * 1000)
#define CALL_TIMEOUT_MS 120000
#define PAGES_MAX 1000000

/* ---- asking ---- */

td_code td_import__send(td_import *im, const char *method, const char *path, json_t *body, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *owned = body;
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    if (body == NULL && strcmp(method, "GET") != 0) {
        return td_fail(err, TD_NOMEM, "no memory for a request");
    }
    td_cli__exchange x = {.method = method,
                          .path = path,
                          .timeout_ms = CALL_TIMEOUT_MS,
                          .headers = {td_cli_text(im->cli, "X-MLFLOW-WORKSPACE: %s", im->cli->project)}};
    TD_TRY(td_cli__call(im->cli, &x, owned, &answer, err));
    if (out != NULL) {
        *out = json_incref(answer);
    }
    return TD_OK;
}

td_code td_import__theirs(const td_import *im, td_code code, td_err *err)
{
    if (code != TD_DENIED) {
        return code == TD_OK ? TD_OK : td_wrap(err, "%s", im->uri);
    }
    if (!im->secret) {
        return td_fail(err, TD_DENIED,
                       "%s wants to know who asks: give --from-token-file FILE, or --from-user NAME with "
                       "--from-password-file FILE",
                       im->uri);
    }
    td_err why = *err;
    return td_fail(err, TD_DENIED, "%s does not take the token or password that it was shown: %s", im->uri, why.text);
}

td_code td_import__ask(td_import *im, const char *path, const json_t *body, json_t **out, td_err *err)
{
    td_cli__exchange x = {
        .method = body != NULL ? "POST" : "GET", .path = path, .timeout_ms = CALL_TIMEOUT_MS};
    return td_import__theirs(im, td_cli__call(&im->from, &x, body, out, err), err);
}

td_code td_import__digest(const json_t *item, char out[TD_DIGEST_TEXT], td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    uint8_t digest[TD_DIGEST_SIZE];
    TD_TRY(td_json_write(item, &text, err));
    td_sha256_of(text.data, text.size, digest);
    td_hex_encode(digest, sizeof digest, out);
    return TD_OK;
}

/* One page; *next_out is the token of the next one (new), or NULL. */
static td_code one_page(td_import *im, const char *path, json_t *body, const char *key, td_import_each each,
                        void *context, char **next_out, td_err *err)
{
    size_t i;
    const json_t *item;
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    TD_TRY(td_import__ask(im, path, body, &answer, err));
    json_array_foreach (json_object_get(answer, key), i, item) {
        TD_TRY(each(im, item, context, err));
    }
    const char *token = td_json_text(answer, "next_page_token", "");
    *next_out = *token != '\0' ? strdup(token) : NULL;
    return TD_OK;
}

td_code td_import__each(td_import *im, const char *path, json_t *body, const char *key, td_import_each each,
                        void *context, td_err *err)
{
    TD_CLEANUP(td_free_text) char *token = NULL;
    for (int page = 0; page < PAGES_MAX; page++) {
        char *next = NULL;
        const char *here = body == NULL ? td_cli_query(&im->from, path, "page_token", token) : path;
        if (body != NULL && token != NULL && json_object_set_new(body, "page_token", json_string(token)) != 0) {
            return td_fail(err, TD_NOMEM, "no memory for a request");
        }
        TD_TRY(one_page(im, here, body, key, each, context, &next, err));
        bool stuck = next != NULL && token != NULL && strcmp(next, token) == 0;
        free(token);
        token = next;
        if (stuck) {
            return td_fail(err, TD_CORRUPT, "%s gives the same page of %s again and again", im->uri, key);
        }
        if (token == NULL) {
            return TD_OK;
        }
    }
    return td_fail(err, TD_CORRUPT, "%s: the list of %s does not end", im->uri, key);
}

/* ---- notes ---- */

void td_import__note(td_import *im, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (json_array_size(im->notes) >= TD_IMPORT_NOTES_MAX ||
        json_array_append_new(im->notes, json_string(text)) != 0) {
        im->notes_more++;
    }
}

td_code td_import__soften(td_import *im, td_code code, const char *what, td_err *err)
{
    bool own = code == TD_INVALID || code == TD_LIMIT || code == TD_CONFLICT || code == TD_NOT_FOUND ||
               code == TD_CORRUPT;
    if (own) {
        td_import__note(im, "%s: %s", what, err->text);
        return TD_OK;
    }
    return code;
}

void td_import__progress(const td_import *im, const char *what, const char *name)
{
    if (im->cli->progress) {
        TD_CLEANUP(td_str_done) td_str line = {0};
        td_text_add(&line, name);
        (void)fprintf(stderr, "%s %s\n", what, td_str_text(&line));
    }
}

json_t *td_import__pairs(td_import *im, const json_t *pairs, size_t most, const char *what)
{
    size_t i;
    const json_t *pair;
    json_t *list = json_array();
    json_array_foreach (pairs, i, pair) {
        const char *key = td_json_text(pair, "key", ""), *value = td_json_text(pair, "value", "");
        if (strlen(value) > most) {
            td_import__note(im, "%s: %.100s has %zu bytes, at most %zu are kept; left out", what, key, strlen(value),
                            most);
        } else if (json_array_append_new(list, json_pack("{s:s, s:s}", "key", key, "value", value)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* ---- the command ---- */

static json_t *result_json(const td_import *im)
{
    return json_pack("{s:s, s:I, s:{s:I, s:I}, s:I, s:I, s:I, s:I, s:{s:I, s:I}, s:I, s:O, s:I}", "from", im->uri,
                     "experiments", (json_int_t)im->experiments, "runs", "mirrored", (json_int_t)im->runs, "unchanged",
                     (json_int_t)im->runs_unchanged, "logged_models", (json_int_t)im->logged_models, "files",
                     (json_int_t)im->files, "bytes", (json_int_t)im->bytes, "models", (json_int_t)im->models,
                     "versions", "registered", (json_int_t)im->versions, "unchanged",
                     (json_int_t)im->versions_unchanged, "aliases", (json_int_t)im->aliases, "notes", im->notes,
                     "notes_more", (json_int_t)im->notes_more);
}

static void print_result(td_cli *cli, const json_t *result)
{
    size_t i;
    const json_t *note;
    const json_t *runs = json_object_get(result, "runs"), *versions = json_object_get(result, "versions");
    (void)fprintf(cli->out,
                  "%lld experiments, %lld runs (%lld unchanged), %lld logged models, %lld files (%lld bytes)\n"
                  "%lld models, %lld versions registered (%lld unchanged), %lld aliases set\n",
                  (long long)td_json_int(result, "experiments", 0), (long long)td_json_int(runs, "mirrored", 0),
                  (long long)td_json_int(runs, "unchanged", 0), (long long)td_json_int(result, "logged_models", 0),
                  (long long)td_json_int(result, "files", 0), (long long)td_json_int(result, "bytes", 0),
                  (long long)td_json_int(result, "models", 0), (long long)td_json_int(versions, "registered", 0),
                  (long long)td_json_int(versions, "unchanged", 0), (long long)td_json_int(result, "aliases", 0));
    json_array_foreach (json_object_get(result, "notes"), i, note) {
        TD_CLEANUP(td_str_done) td_str line = {0};
        td_text_add(&line, json_string_value(note));
        (void)fprintf(cli->out, "note: %s\n", td_str_text(&line));
    }
    int64_t more = td_json_int(result, "notes_more", 0);
    if (more > 0) {
        (void)fprintf(cli->out, "note: and %lld more\n", (long long)more);
    }
}

void td_import__report(td_import *im)
{
    TD_CLEANUP(td_json_done) json_t *result = result_json(im);
    TD_CLEANUP(td_str_done) td_str line = {0};
    if (im->cli->json && td_cli_has(im->cli, "watch") && td_json_write(result, &line, NULL) == TD_OK) {
        (void)fprintf(im->cli->out, "%s\n", td_str_text(&line)); /* a line a pass, for whoever reads along */
    } else {
        td_cli_present(im->cli, result, print_result);
    }
    (void)fflush(im->cli->out);
}

td_code td_import__pass(td_import *im, td_err *err)
{
    (void)json_array_clear(im->notes);
    (void)json_object_clear(im->lacking);
    im->experiments = im->runs = im->runs_unchanged = im->logged_models = im->files = im->models = im->versions =
        im->versions_unchanged = im->aliases = im->notes_more = 0;
    im->bytes = 0;
    TD_TRY(td_import__experiments(im, err));
    return td_import__models(im, err);
}

/* A bearer token, or a user's password: from a file that only its owner can read. */
static td_code reach(td_import *im, td_err *err)
{
    TD_CLEANUP(td_cli_wipe) td_str secret = {0};
    const char *token = td_cli_value(im->cli, "from-token-file"), *user = td_cli_value(im->cli, "from-user");
    const char *password = td_cli_value(im->cli, "from-password-file"), *file = token != NULL ? token : password;
    const char *from = td_cli_value(im->cli, "from"), *ca = td_cli_value(im->cli, "from-ca");
    if ((user != NULL) != (password != NULL) || (user != NULL && token != NULL)) {
        return td_fail(err, TD_INVALID,
                       "say who asks by --from-token-file FILE, or by --from-user NAME with --from-password-file FILE");
    }
    if (file != NULL) {
        TD_TRY(td_cli_check_private(file, err));
        TD_TRY(td_cli_secret(file, NULL, &secret, err));
    }
    im->secret = file != NULL;
    im->from = (td_cli){.project = "", .progress = false, .out = im->cli->out};
    TD_TRY(user != NULL ? td_cli_connect_basic(&im->from, from, ca, user, td_str_text(&secret), err)
                        : td_cli_connect(&im->from, from, ca, token != NULL ? td_str_text(&secret) : NULL, err));
    if (snprintf(im->uri, sizeof im->uri, "%s", td_cli_server(&im->from)) >= (int)sizeof im->uri) {
        return td_fail(err, TD_INVALID, "--from: the address is too long");
    }
    return TD_OK;
}

static td_code run_import(td_import *im, td_err *err)
{
    int64_t every_ms;
    TD_TRY(td_cli_duration(im->cli, "every", EVERY_DEFAULT_MS, &every_ms, err));
    if (every_ms < EVERY_MIN_MS || every_ms > EVERY_MAX_MS) {
        return td_fail(err, TD_INVALID, "--every: between 1s and 24h");
    }
    TD_TRY(reach(im, err));
    if (td_cli_has(im->cli, "watch")) {
        return td_import__watch(im, every_ms, err);
    }
    TD_TRY(td_import__pass(im, err));
    td_import__report(im);
    return TD_OK;
}

static td_code run_mlflow(td_cli *cli, td_err *err)
{
    char folder[] = "/tmp/tidemark-import-XXXXXX";
    if (td_cli_value(cli, "from") == NULL) {
        return td_fail(err, TD_INVALID, "name the MLflow server: --from http://HOST:PORT");
    }
    td_import im = {
        .cli = cli, .folder = folder, .notes = json_array(), .whole = json_object(), .lacking = json_object()};
    if (mkdtemp(folder) == NULL) {
        return td_fail(err, TD_IO, "a temporary folder in /tmp cannot be made");
    }
    bool made = im.notes != NULL && im.whole != NULL && im.lacking != NULL;
    td_code code = made ? run_import(&im, err) : td_fail(err, TD_NOMEM, "no memory for an import");
    td_err ignored = {0};
    if (td_folder_remove(folder, &ignored) != TD_OK && code == TD_OK) {
        code = td_fail(err, ignored.code, "%s", ignored.text);
    }
    td_json_done(&im.notes);
    td_json_done(&im.logged);
    td_json_done(&im.pending);
    td_json_done(&im.whole);
    td_json_done(&im.lacking);
    td_http_close(&im.from.http);
    td_arena_done(&im.from.arena);
    return code;
}

static const td_cli_option options[] = {
    {"from", 0, "URL", "the MLflow server; needed", false},
    {"from-token-file", 0, "FILE", "file that holds its bearer token, if it wants one", false},
    {"from-user", 0, "NAME", "its user, if it asks for a name and a password", false},
    {"from-password-file", 0, "FILE", "file that holds that user's password", false},
    {"from-ca", 0, "FILE", "PEM of the authority that certifies it", false},
    {"watch", 0, NULL, "go on: look again and again for what is new", false},
    {"every", 0, "DURATION", "how long to wait between two looks (default 60s)", false},
    {0},
};

const td_cli_command td_cli_import_commands[] = {
    {"import", "mlflow", "", 0, 0, "Mirror a running MLflow server",
     "Experiments, runs with metrics over time, logged models and artifacts keep their ids; registered models, "
     "versions and aliases become ours. It can be run again, or killed and run again: what is there already is "
     "left alone, and what is new is added. Nothing is changed there.\n"
     "What cannot be taken (a name that is none here, a value that is too long, a protected alias) is told as a note.",
     "tidemark import mlflow --from http://mlflow.plant.example:5000\n"
     "tidemark import mlflow --from https://mlflow.example --from-token-file mlflow.token --watch --every 5m",
     options, run_mlflow},
    {0},
};
