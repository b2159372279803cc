/*
 * approve.c: an approval is a signature over the manifest's bytes, made here after they were checked here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"
#include "cli/login.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "claims/claims.h"
#include "core/base/clock.h"
#include "core/crypto/crypto.h"
#include "registry/manifest.h"

static void show_manifest(td_cli *cli, const td_manifest *manifest, const json_t *version)
{
    static const td_column_spec fields[] = {
        {"created_by", "registered by", TD_CELL_TEXT},
        {"description", "description", TD_CELL_TEXT},
        {"metrics", "metrics", TD_CELL_PAIRS},
        {"parent", "parent", TD_CELL_TEXT},
        {"cause", "cause", TD_CELL_TEXT},
        {"content_id", "content id", TD_CELL_TEXT},
        {0},
    };
    if (cli->json) {
        return;
    }
    td_print_line(cli, "You are about to sign %s/%u, security counter %u:", manifest->model, manifest->version,
                  manifest->security_counter);
    td_print_fields(cli, fields, version);
    for (size_t i = 0; i < manifest->file_count; i++) {
        char size[24], digest[TD_DIGEST_TEXT];
        td_format_bytes(manifest->files[i].size, size);
        td_hex_encode(manifest->files[i].digest, TD_DIGEST_SIZE, digest);
        td_print_line(cli, "  %-32s %10s  %.16s…", manifest->files[i].name, size, digest);
    }
}

/* The server and the devices enforce it; here it only saves the way. */
static td_code check_person(td_cli *cli, const json_t *version, td_err *err)
{
    const char *name = td_cli_as(cli), *registrar = td_json_text(version, "created_by", "");
    if (name != NULL && strcmp(name, registrar) == 0) {
        return td_fail(err, TD_DENIED, "%s registered %s and cannot approve it: an approver is always somebody else",
                       name, td_json_text(version, "label", "it"));
    }
    return TD_OK;
}

/* Asks on a terminal; without one, or with --yes, goes ahead. */
static td_code confirm(td_cli *cli, td_err *err)
{
    char answer[16] = "";
    if (td_cli_has(cli, "yes") || isatty(STDIN_FILENO) != 1) {
        return TD_OK;
    }
    (void)fputs("Sign? [y/N] ", stderr);
    if (fgets(answer, sizeof answer, stdin) == NULL || (answer[0] != 'y' && answer[0] != 'Y')) {
        return td_fail(err, TD_DENIED, "not signed");
    }
    return TD_OK;
}

static td_code sign(const td_key *key, const td_str *bytes, const char *reason, json_t **body_out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str pae = {0};
    uint8_t public_key[TD_P256_PUBLIC_SIZE], key_id[TD_KEY_ID_SIZE], signature[TD_SIGNATURE_SIZE];
    char key_text[2 * TD_KEY_ID_SIZE + 1], signature_text[2 * TD_SIGNATURE_SIZE + 1];
    TD_TRY(td_dsse_pae(TD_MANIFEST_TYPE, td_str_text(bytes), bytes->size, &pae, err));
    TD_TRY(td_key_sign(key, td_str_text(&pae), pae.size, signature, err));
    td_key_id(public_key, td_key_public(key, public_key), key_id);
    td_hex_encode(key_id, sizeof key_id, key_text);
    td_hex_encode(signature, sizeof signature, signature_text);
    *body_out = json_pack("{s:s, s:s, s:s}", "key_id", key_text, "signature", signature_text, "reason", reason);
    return td_cli_need(*body_out, err);
}

/* ---- what the signature means ---- */

static td_code no_meaning(td_err *err)
{
    return td_fail(err, TD_INVALID,
                   "this server is of profile regulated: say what your signature means with --meaning %s, %s, %s, or "
                   "your own words",
                   td_meanings[0].name, td_meanings[1].name, td_meanings[2].name);
}

/* Shows the list and reads a name, a number or words. */
static td_code ask_meaning(td_cli *cli, const char **out, td_err *err)
{
    char answer[TD_MEANING_MAX + 2] = "";
    int64_t number, count = 0;
    if (isatty(STDIN_FILENO) != 1) {
        return no_meaning(err);
    }
    for (; td_meanings[count].name != NULL; count++) {
        (void)fprintf(stderr, "  %d  %s: %s\n", (int)count + 1, td_meanings[count].name, td_meanings[count].sentence);
    }
    (void)fputs("What does your signature mean? (a number, or your own words) ", stderr);
    if (fgets(answer, sizeof answer, stdin) == NULL) {
        return no_meaning(err);
    }
    answer[strcspn(answer, "\n")] = '\0';
    bool listed = td_parse_int(answer, "meaning", 1, count, &number, NULL) == TD_OK;
    *out = listed ? td_meanings[number - 1].sentence : td_cli_text(cli, "%s", answer);
    return TD_OK;
}

/* *out stays NULL where none was given and none is needed. */
static td_code find_meaning(td_cli *cli, const char **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *status = NULL;
    const char *meaning = td_cli_value(cli, "meaning");
    if (meaning == NULL) {
        TD_TRY(td_cli_call(cli, "GET", td_cli_path(cli, "status", NULL), NULL, &status, err));
        if (strcmp(td_json_text(status, "profile", ""), "regulated") != 0) {
            return TD_OK;
        }
        TD_TRY(ask_meaning(cli, &meaning, err));
    }
    return td_meaning_parse(meaning, out, err);
}

/* Adds the statement, signed by the same key, to the body of the approval. */
static td_code add_statement(td_cli *cli, const td_key *key, const td_str *manifest, const char *meaning, json_t *body,
                             td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *self = NULL;
    TD_CLEANUP(td_json_done) json_t *predicate = NULL;
    TD_CLEANUP(td_json_done) json_t *envelope = NULL;
    TD_CLEANUP(td_str_done) td_str statement = {0};
    TD_CLEANUP(td_str_done) td_str line = {0};
    td_about about;
    TD_TRY(td_cli_call(cli, "GET", td_cli_path(cli, "me", NULL), NULL, &self, err));
    TD_TRY(td_about_read(manifest->data, manifest->size, &cli->arena, &about, err));
    const td_approval_said said = {.approver = td_json_text(self, "user", ""),
                                   .meaning = meaning,
                                   .reason = td_json_text(body, "reason", ""),
                                   .version = about.label,
                                   .project = cli->project,
                                   .time_ms = td_now_ms(&td_clock_system)};
    TD_TRY(td_approval_predicate(&said, &predicate, err));
    TD_TRY(td_statement_make(&about, TD_PREDICATE_APPROVAL, predicate, &statement, err));
    TD_TRY(td_dsse_make(TD_STATEMENT_PAYLOAD, statement.data, statement.size, key, &line, err));
    TD_TRY(td_json_parse(line.data, line.size, "envelope", &envelope, err));
    return json_object_set(body, "statement", envelope) == 0 ? TD_OK : td_cli_need(NULL, err);
}

/* ---- the command ---- */

static td_code send_approval(td_cli *cli, const json_t *version, const json_t *body, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    const char *model = td_json_text(version, "model", ""); /* an alias may move meanwhile */
    const char *number = td_cli_text(cli, "%lld", (long long)td_json_int(version, "version", 0));
    TD_TRY(td_cli_call(cli, "POST", td_cli_path(cli, "models", model, "versions", number, "approvals", NULL), body,
                       &answer, err));
    if (cli->json) {
        td_print_json(cli, answer);
        return TD_OK;
    }
    const char *state = td_json_text(answer, "state", "pending");
    td_print_line(cli, "Signed. %s/%s is %s%s%s.", model, number, td_tint_code(cli, td_state_tint(state)), state,
                  td_tint_code(cli, TD_TINT_NONE));
    return TD_OK;
}

td_code td_cli_approve(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *version = NULL;
    TD_CLEANUP(td_json_done) json_t *body = NULL;
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    td_manifest manifest;
    const char *model, *number, *reason, *meaning = NULL;
    TD_TRY(td_cli_reference(cli, cli->arguments[0], &model, &number, err));
    TD_TRY(td_cli_reason(cli, &reason, err));
    TD_TRY(td_crypto_setup(err));
    TD_TRY(td_cli_call(cli, "GET", td_cli_path(cli, "models", model, "versions", number, NULL), NULL, &version, err));
    TD_TRY(check_person(cli, version, err));
    TD_TRY(find_meaning(cli, &meaning, err));
    TD_TRY(td_cli_person_key(cli, &key, err));
    TD_TRY(td_cli_manifest(cli, version, &bytes, &manifest, err));
    show_manifest(cli, &manifest, version);
    if (meaning != NULL && !cli->json) {
        td_print_line(cli, "  Your signature means: %s", meaning);
    }
    TD_TRY(confirm(cli, err));
    TD_TRY(sign(key, &bytes, reason, &body, err));
    if (meaning != NULL) {
        TD_TRY(add_statement(cli, key, &bytes, meaning, body, err));
    }
    return send_approval(cli, version, body, err);
}
