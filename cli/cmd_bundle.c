/*
 * cmd_bundle.c: tidemark bundle: a version as one file; inspect and verify work with no server at all.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <string.h>

#include "core/base/fs.h"
#include "core/crypto/crypto.h"
#include "registry/bundle.h"

#define TRUST_FILE_MAX ((size_t)256 * 1024)

static td_code run_export(td_cli *cli, td_err *err)
{
    const char *model, *version;
    TD_TRY(td_cli_reference(cli, cli->arguments[0], &model, &version, err));
    const char *file = td_cli_value(cli, "out");
    if (file == NULL) {
        file = td_cli_text(cli, "%s-%s.tar", model, version[0] == '@' ? version + 1 : version);
    }
    TD_TRY(
        td_cli_download(cli, td_cli_path(cli, "models", model, "versions", version, "bundle", NULL), file, NULL, err));
    if (cli->json) {
        TD_CLEANUP(td_json_done) json_t *answer = json_pack("{s:s}", "file", file);
        td_print_json(cli, answer);
    } else {
        td_print_line(cli, "Wrote %s. Check it anywhere: tidemark bundle verify %s --keyset FILE", file, file);
    }
    return TD_OK;
}

static td_code run_build(td_cli *cli, td_err *err)
{
    const char *model, *version;
    TD_TRY(td_cli_reference(cli, cli->arguments[0], &model, &version, err));
    return td_cli_send(cli, "POST", td_cli_path(cli, "models", model, "versions", version, "submit", NULL),
                       json_object(), td_cli_text(cli, "Packed %s; it waits for approval.", cli->arguments[0]), err);
}

static void print_inspection(td_cli *cli, const json_t *answer)
{
    static const td_column_spec fields[] = {
        {"manifest.model", "model", TD_CELL_TEXT},
        {"manifest.version", "version", TD_CELL_NUMBER},
        {"manifest.project", "project", TD_CELL_TEXT},
        {"manifest.format", "format", TD_CELL_TEXT},
        {"manifest.digest", "content id", TD_CELL_TEXT},
        {"manifest.created_at", "created", TD_CELL_TIME},
        {"manifest.security_counter", "security counter", TD_CELL_NUMBER},
        {"manifest.runtimes", "runtimes", TD_CELL_LIST},
        {"attest", "attest/", TD_CELL_LIST},
        {0},
    };
    static const td_column_spec files[] = {{"name", "FILE", TD_CELL_TEXT},
                                           {"role", "ROLE", TD_CELL_TEXT},
                                           {"size", "SIZE", TD_CELL_BYTES},
                                           {"digest", "SHA-256", TD_CELL_DIGEST},
                                           {0}};
    static const td_column_spec approvals[] = {
        {"key_id", "SIGNED BY KEY", TD_CELL_TEXT}, {"user", "USER", TD_CELL_TEXT}, {0}};
    td_print_fields(cli, fields, answer);
    td_print_title(cli, "Files");
    td_print_table(cli, files, td_json_list(json_object_get(answer, "manifest"), "files"), "No files.");
    td_print_title(cli, "Signatures (not checked here: tidemark bundle verify)");
    td_print_table(cli, approvals, td_json_list(answer, "approvals"), "None.");
    const json_t *lineage = json_object_get(answer, "lineage");
    TD_CLEANUP(td_str_done) td_str tree = {0};
    if (lineage != NULL && td_lineage_tree(lineage, false, &tree, NULL) == TD_OK && tree.size > 0) {
        td_print_title(cli, "Lineage");
        td_print_text(cli, td_str_text(&tree));
    }
}

/* What is wrong inside of an archive does not know its name. */
static td_code name_file(const char *path, td_err *err)
{
    return strncmp(err->text, path, strlen(path)) == 0 ? err->code : td_wrap(err, "%s", path);
}

static td_code run_inspect(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    TD_TRY(td_crypto_setup(err));
    if (td_bundle_inspect_json(cli->arguments[0], &answer, err) != TD_OK) {
        return name_file(cli->arguments[0], err);
    }
    td_cli_present(cli, answer, print_inspection);
    return TD_OK;
}

static void print_verdict(td_cli *cli, const json_t *report)
{
    static const td_column_spec fields[] = {
        {"model", "model", TD_CELL_TEXT},
        {"version", "version", TD_CELL_NUMBER},
        {"content_id", "content id", TD_CELL_TEXT},
        {"files", "files", TD_CELL_NUMBER},
        {"bytes", "bytes", TD_CELL_BYTES},
        {"approvals", "signed by", TD_CELL_LIST},
        {"model_sig", "model.sig", TD_CELL_TEXT},
        {"log_proof", "in the log", TD_CELL_TEXT},
        {"keyset_version", "keyset", TD_CELL_NUMBER},
        {"claims_unchecked", "claims, not checked here", TD_CELL_NUMBER},
        {0},
    };
    td_print_line(cli, "%sVerified%s: manifest and every file are as the approvers signed them.",
                  td_tint_code(cli, TD_TINT_GOOD), td_tint_code(cli, TD_TINT_NONE));
    td_print_fields(cli, fields, report);
}

/* A pinned root key: PEM of its public half. */
static td_code read_root(const char *path, uint8_t out[TD_P256_PUBLIC_SIZE], td_err *err)
{
    TD_CLEANUP(td_str_done) td_str pem = {0};
    td_key_kind kind;
    TD_TRY(td_file_read(path, TRUST_FILE_MAX, &pem, err));
    TD_TRY(td_public_from_pem(td_str_text(&pem), pem.size, &kind, out, err));
    return kind == TD_KEY_P256 ? TD_OK : td_fail(err, TD_INVALID, "%s is not a P-256 public key", path);
}

static td_code run_verify(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *report = NULL;
    TD_CLEANUP(td_str_done) td_str keyset = {0};
    TD_CLEANUP(td_str_done) td_str approvals = {0};
    TD_CLEANUP(td_str_done) td_str publisher = {0};
    TD_CLEANUP(td_str_done) td_str vkey = {0};
    uint8_t root[TD_P256_PUBLIC_SIZE];
    td_bundle_trust trust = {0};
    TD_TRY(td_crypto_setup(err));
    if (td_cli_value(cli, "root") == NULL && td_cli_value(cli, "keyset") == NULL) {
        return td_fail(err, TD_INVALID, "say whom you trust: --root FILE (root's public key) or --keyset FILE");
    }
    if (td_cli_value(cli, "root") != NULL) {
        TD_TRY(read_root(td_cli_value(cli, "root"), root, err));
        trust.root = root;
    }
    if (td_cli_value(cli, "keyset") != NULL) {
        TD_TRY(td_file_read(td_cli_value(cli, "keyset"), TRUST_FILE_MAX, &keyset, err));
        trust.keyset = td_str_text(&keyset);
        trust.keyset_size = keyset.size;
    }
    if (td_cli_value(cli, "approvals") != NULL) {
        TD_TRY(td_file_read(td_cli_value(cli, "approvals"), TRUST_FILE_MAX, &approvals, err));
        trust.approvals = td_str_text(&approvals);
        trust.approvals_size = approvals.size;
    }
    if (td_cli_value(cli, "publisher") != NULL) {
        TD_TRY(td_file_read(td_cli_value(cli, "publisher"), TRUST_FILE_MAX, &publisher, err));
        trust.publisher_pem = td_str_text(&publisher);
    }
    if (td_cli_value(cli, "log-key") != NULL) {
        TD_TRY(td_file_read(td_cli_value(cli, "log-key"), TRUST_FILE_MAX, &vkey, err));
        vkey.size = strcspn(td_str_text(&vkey), "\r\n");
        trust.log_vkey = td_cli_text(cli, "%.*s", (int)vkey.size, td_str_text(&vkey));
    }
    if (td_bundle_verify(cli->arguments[0], &trust, &report, err) != TD_OK) {
        return name_file(cli->arguments[0], err);
    }
    td_cli_present(cli, report, print_verdict);
    return TD_OK;
}

static const td_cli_option export_options[] = {
    {"out", 'o', "FILE", "default: MODEL-NUMBER.tar", false},
    {0},
};
static const td_cli_option verify_options[] = {
    {"root", 0, "FILE", "root's public key (PEM): checks the keyset in the export", false},
    {"keyset", 0, "FILE", "a keyset that is trusted as it is", false},
    {"approvals", 0, "FILE", "signatures, for a bundle without attest/", false},
    {"log-key", 0, "FILE", "the audit log's key (log.vkey): checks that the approval is in that log", false},
    {"publisher", 0, "FILE", "public key (PEM) that must have signed model.sig", false},
    {0},
};

const td_cli_command td_cli_bundle_commands[] = {
    {"bundle", "build", "VERSION", 1, 1, "Pack a draft (the same as version submit)", NULL, NULL, NULL, run_build},
    {"bundle", "inspect", "FILE", 1, 1, "Print what a bundle or export holds; no server is asked",
     "Every digest is checked; signatures are listed, not checked.", "tidemark bundle inspect pump-3.tar", NULL,
     run_inspect},
    {"bundle", "verify", "FILE", 1, 1, "Verify a bundle or export; no server is asked",
     "Keyset, approvals, manifest and every byte of every file are checked. You bring what you trust: root's public "
     "key, or a "
     "keyset.",
     "tidemark bundle verify pump-3.tar --root root.pub.pem", verify_options, run_verify},
    {"bundle", "export", "VERSION", 1, 1, "Download an approved version with its proofs as one tar", NULL,
     "tidemark bundle export pump/3 --out pump-3.tar", export_options, run_export},
    {0},
};
