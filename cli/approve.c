/*
 * approve.c: an approval is a signature over the manifest's bytes, made here after they were checked here.
 *
 * The server is not believed: the manifest must have the content id that the version claims, list the version's own
 * files with their digests, and name the very version that was asked for. SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"
#include "cli/login.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/crypto/crypto.h"
#include "registry/manifest.h"

/* What was said on the line wins over the environment, and that over the key that enrol-me made. */
static td_code find_key(td_cli *cli, const char **path_out, td_err *err)
{
    const char *path = td_cli_value(cli, "key");
    if (path == NULL && td_cli_value(cli, "as") == NULL) {
        path = getenv("TIDEMARK_KEY_FILE");
    }
    if (path != NULL && *path != '\0') {
        *path_out = path;
        return TD_OK;
    }
    if (td_cli_as(cli) != NULL) {
        return td_cli_as_file(cli, "key.pem", path_out, err);
    }
    char folder[4096];
    if (td_config_folder(folder, err) == TD_OK) {
        *path_out = td_cli_text(cli, "%s/%s", folder, TD_CLI_KEY_FILE);
        return TD_OK;
    }
    return td_fail(err, TD_INVALID,
                   "name your private key: --key FILE or $TIDEMARK_KEY_FILE (make one with `tidemark key enrol-me`)");
}

static td_code read_key(td_cli *cli, td_key **out, td_err *err)
{
    const char *path;
    TD_TRY(find_key(cli, &path, err));
    td_code code = td_cli_key_read(cli, path, out, err);
    if (code == TD_NOT_FOUND) {
        return td_fail(err, TD_NOT_FOUND,
                       "%s is not there: an approver signs with a key of his own (`tidemark key enrol-me` makes it; "
                       "--key FILE names another)",
                       path);
    }
    TD_TRY(code);
    if (td_key_kind_of(*out) != TD_KEY_P256) {
        return td_fail(err, TD_INVALID, "%s is not a P-256 key", path);
    }
    return TD_OK;
}

/* The manifest as raw bytes. */
static td_code fetch_manifest(td_cli *cli, const char *model, const char *version, td_str *out, td_err *err)
{
    return td_cli_fetch(cli, td_cli_path(cli, "models", model, "versions", version, "manifest", NULL),
                        TD_MANIFEST_BYTES_MAX, out, err);
}

static const td_manifest_file *find_file(const td_manifest *manifest, const char *name)
{
    for (size_t i = 0; i < manifest->file_count; i++) {
        if (strcmp(manifest->files[i].name, name) == 0) {
            return &manifest->files[i];
        }
    }
    return NULL;
}

/* Each file of the version is in the manifest, the same; what the manifest has beyond is only meta/. */
static td_code check_files(const td_manifest *manifest, const json_t *version, td_err *err)
{
    const json_t *files = td_json_list(version, "files");
    size_t found = 0, meta = 0;
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *file = json_array_get(files, i);
        const char *name = td_json_text(file, "name", "");
        const td_manifest_file *listed = find_file(manifest, name);
        char digest[7 + TD_DIGEST_TEXT] = "sha256:";
        if (listed == NULL) {
            return td_fail(err, TD_CORRUPT, "the manifest does not list the version's file %s; do not sign", name);
        }
        td_hex_encode(listed->digest, TD_DIGEST_SIZE, digest + 7);
        if (strcmp(digest, td_json_text(file, "digest", "")) != 0 ||
            (int64_t)listed->size != td_json_int(file, "size", -1)) {
            return td_fail(err, TD_CORRUPT,
                           "the manifest lists %s with another digest or size than the version; do not sign", name);
        }
        found += listed->role != TD_FILE_META;
    }
    for (size_t i = 0; i < manifest->file_count; i++) {
        meta += manifest->files[i].role == TD_FILE_META;
    }
    if (found + meta != manifest->file_count) {
        return td_fail(err, TD_CORRUPT, "the manifest lists files that the version does not have; do not sign");
    }
    return TD_OK;
}

static td_code check_manifest(td_cli *cli, const td_str *bytes, const json_t *version, td_manifest *out, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    char text[7 + TD_DIGEST_TEXT] = "sha256:";
    td_sha256_of(td_str_text(bytes), bytes->size, digest);
    td_hex_encode(digest, sizeof digest, text + 7);
    const char *claimed = td_json_text(version, "content_id", "");
    if (strcmp(claimed, text) != 0) {
        return td_fail(err, TD_CORRUPT, "the manifest's digest is %.20s…, the version claims %.20s…; do not sign", text,
                       claimed);
    }
    TD_TRY(td_manifest_read(td_str_text(bytes), bytes->size, &cli->arena, out, err));
    if (strcmp(out->model, td_json_text(version, "model", "")) != 0 ||
        (int64_t)out->version != td_json_int(version, "version", -1) || strcmp(out->project, cli->project) != 0) {
        return td_fail(err, TD_CORRUPT,
                       "the manifest is of %s/%u in project %s, which is not what was asked for; do not sign",
                       out->model, out->version, out->project);
    }
    return check_files(out, version, err);
}

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
    TD_TRY(read_key(cli, &key, err));
    number = td_cli_text(cli, "%lld", (long long)td_json_int(version, "version", 0)); /* an alias may move meanwhile */
    TD_TRY(fetch_manifest(cli, model, number, &bytes, err));
    TD_TRY(check_manifest(cli, &bytes, version, &manifest, err));
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
