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

td_code td_cli_approve(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *version = NULL;
    TD_CLEANUP(td_json_done) json_t *body = NULL;
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    td_manifest manifest;
    const char *model, *number, *reason;
    TD_TRY(td_cli_reference(cli, cli->arguments[0], &model, &number, err));
    TD_TRY(td_cli_reason(cli, &reason, err));
    TD_TRY(td_crypto_setup(err));
    TD_TRY(td_cli_call(cli, "GET", td_cli_path(cli, "models", model, "versions", number, NULL), NULL, &version, err));
    TD_TRY(check_person(cli, version, err));
    TD_TRY(td_cli_person_key(cli, &key, err));
    number = td_cli_text(cli, "%lld", (long long)td_json_int(version, "version", 0)); /* an alias may move meanwhile */
    TD_TRY(td_cli_manifest(cli, version, &bytes, &manifest, err));
    show_manifest(cli, &manifest, version);
    TD_TRY(confirm(cli, err));
    TD_TRY(sign(key, &bytes, reason, &body, err));
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
