/*
 * cmd_claim.c: tidemark claims: what is said of a version, signed: bring it, see it, take it away.
 *
 * Verifying is in claims.c, because it asks no server. SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <string.h>

#include "claims/claims.h"
#include "core/base/fs.h"

#define PREDICATE_BYTES_MAX ((size_t)700 * 1024) /* as base64 it must fit into an envelope */

static td_code claims_path(td_cli *cli, const char *digest, const char **out, td_err *err)
{
    const char *model, *version;
    TD_TRY(td_cli_reference(cli, cli->arguments[0], &model, &version, err));
    *out = td_cli_path(cli, "models", model, "versions", version, "claims", digest, NULL);
    return TD_OK;
}

/* ---- add ---- */

static td_code send_envelope(td_cli *cli, const json_t *envelope, td_err *err)
{
    const char *path;
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    const json_t *inner = json_object_get(envelope, "dsseEnvelope"); /* of a Sigstore bundle */
    TD_CLEANUP(td_json_done) json_t *body = json_pack("{s:O}", "envelope", inner != NULL ? inner : envelope);
    TD_TRY(td_cli_need(body, err));
    TD_TRY(claims_path(cli, NULL, &path, err));
    TD_TRY(td_cli_call(cli, "POST", path, body, &answer, err));
    if (cli->json) {
        td_print_json(cli, answer);
    } else {
        td_print_line(cli, "Added %.19s…: %s, signed by %s.", td_json_text(answer, "digest", ""),
                      td_json_text(answer, "kind", ""), td_json_text(json_object_get(answer, "signed_by"), "name", ""));
    }
    return TD_OK;
}

static td_code send_line(td_cli *cli, const char *file, const char *text, size_t size, size_t number, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    if (td_json_parse(text, size, file, &json, err) != TD_OK || !json_is_object(json)) {
        return td_fail(err, TD_CORRUPT, "%s:%zu: this is no envelope as JSON", file, number);
    }
    return send_envelope(cli, json, err) == TD_OK ? TD_OK : td_wrap(err, "%s:%zu", file, number);
}

/* One envelope in any layout, or one a line. */
static td_code send_file(td_cli *cli, const char *file, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_json_done) json_t *whole = NULL;
    td_err ignored;
    size_t number = 0;
    TD_TRY(td_file_read(file, TD_CLAIMS_BYTES_MAX, &text, err));
    if (td_json_parse(td_str_text(&text), text.size, file, &whole, &ignored) == TD_OK && json_is_object(whole)) {
        return send_envelope(cli, whole, err) == TD_OK ? TD_OK : td_wrap(err, "%s", file);
    }
    for (const char *at = td_str_text(&text), *end = at + text.size; at < end;) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((feed != NULL ? feed : end) - at);
        TD_TRY(send_line(cli, file, at, length, ++number, err));
        at += length + 1;
    }
    return number > 0 ? TD_OK : td_fail(err, TD_INVALID, "%s is empty", file);
}

static td_code read_predicate(td_cli *cli, const char **type_out, json_t **out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    const char *file = td_cli_value(cli, "predicate"), *type = td_cli_value(cli, "type");
    if (type == NULL) {
        return td_fail(err, TD_INVALID, "say what %s is: --type provenance, test-result, bom, or a URI", file);
    }
    TD_TRY(td_predicate_type(type, type_out, err));
    TD_TRY(td_file_read(file, PREDICATE_BYTES_MAX, &text, err));
    TD_TRY(td_json_parse(td_str_text(&text), text.size, file, out, err));
    return td_predicate_check(*type_out, *out, err) == TD_OK ? TD_OK : td_wrap(err, "%s", file);
}

/* Signs here, about a manifest that was checked here. */
static td_code sign_predicate(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *version = NULL;
    TD_CLEANUP(td_json_done) json_t *predicate = NULL;
    TD_CLEANUP(td_json_done) json_t *envelope = NULL;
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    TD_CLEANUP(td_str_done) td_str statement = {0};
    TD_CLEANUP(td_str_done) td_str line = {0};
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    const char *model, *number, *type;
    td_manifest manifest;
    td_about about;
    TD_TRY(read_predicate(cli, &type, &predicate, err));
    TD_TRY(td_cli_reference(cli, cli->arguments[0], &model, &number, err));
    TD_TRY(td_cli_call(cli, "GET", td_cli_path(cli, "models", model, "versions", number, NULL), NULL, &version, err));
    TD_TRY(td_cli_person_key(cli, &key, err));
    TD_TRY(td_cli_manifest(cli, version, &bytes, &manifest, err));
    TD_TRY(td_about_read(bytes.data, bytes.size, &cli->arena, &about, err));
    TD_TRY(td_statement_make(&about, type, predicate, &statement, err));
    TD_TRY(td_dsse_make(TD_STATEMENT_PAYLOAD, statement.data, statement.size, key, &line, err));
    TD_TRY(td_json_parse(line.data, line.size, "envelope", &envelope, err));
    return send_envelope(cli, envelope, err);
}

static td_code run_add(td_cli *cli, td_err *err)
{
    TD_TRY(td_crypto_setup(err));
    bool predicate = td_cli_value(cli, "predicate") != NULL;
    if (predicate == (cli->argument_count > 1)) {
        return td_fail(err, TD_INVALID,
                       "name a file of signed claims, or --predicate FILE with --type to sign one here");
    }
    return predicate ? sign_predicate(cli, err) : send_file(cli, cli->arguments[1], err);
}

/* ---- list, show, export ---- */

static void print_claims(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"digest", "CLAIM", TD_CELL_DIGEST},
        {"kind", "KIND", TD_CELL_TEXT},
        {"covers", "ABOUT", TD_CELL_TEXT},
        {"signed_by.name", "SIGNED BY", TD_CELL_TEXT},
        {"signed_by.source", "KEY OF", TD_CELL_TEXT},
        {"added_at", "ADDED", TD_CELL_TIME},
        {"summary", "SAYS", TD_CELL_BRIEF},
        {0},
    };
    td_print_table(cli, columns, td_json_list(answer, "claims"), "No claims.");
}

static td_code run_list(td_cli *cli, td_err *err)
{
    const char *path;
    TD_TRY(claims_path(cli, NULL, &path, err));
    return td_cli_show(cli, path, print_claims, err);
}

static void print_claim(td_cli *cli, const json_t *answer)
{
    td_print_line(cli, "%s of %s says:", td_json_text(answer, "digest", ""), td_json_text(answer, "version", ""));
    td_print_json(cli, json_object_get(answer, "statement"));
}

static td_code run_show(td_cli *cli, td_err *err)
{
    const char *path;
    TD_TRY(claims_path(cli, cli->arguments[1], &path, err));
    return td_cli_show(cli, path, print_claim, err);
}

static td_code run_export(td_cli *cli, td_err *err)
{
    const char *path, *file = td_cli_value(cli, "out");
    TD_TRY(claims_path(cli, NULL, &path, err));
    file = file != NULL ? file : "claims.jsonl";
    TD_TRY(td_cli_download(cli, td_cli_query(cli, path, "form", "lines"), file, NULL, err));
    if (cli->json) {
        TD_CLEANUP(td_json_done) json_t *answer = json_pack("{s:s}", "file", file);
        td_print_json(cli, answer);
    } else {
        td_print_line(cli, "Wrote %s. Check it anywhere: tidemark claims verify %s --key FILE", file, file);
    }
    return TD_OK;
}

/* ---- keys ---- */

static void print_keys(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"name", "NAME", TD_CELL_TEXT},
        {"source", "KEY OF", TD_CELL_TEXT},
        {"kind", "KIND", TD_CELL_TEXT},
        {"key_id", "KEY", TD_CELL_TEXT},
        {"added_at", "ADDED", TD_CELL_TIME},
        {"removed_at", "ENDED", TD_CELL_TIME},
        {0},
    };
    td_print_table(cli, columns, td_json_list(answer, "keys"), "No keys.");
}

/* All that count, as PEM with a line of text before each: what `claims verify --key` takes. */
static td_code write_keys(td_cli *cli, const json_t *answer, const char *file, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    const json_t *keys = td_json_list(answer, "keys");
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *key = json_array_get(keys, i);
        if (td_json_text(key, "removed_at", NULL) == NULL) {
            td_str_addf(&text, "# %s %s\n%s", td_json_text(key, "source", ""), td_json_text(key, "name", ""),
                        td_json_text(key, "public_key", ""));
        }
    }
    TD_TRY(td_str_check(&text, err));
    TD_TRY(td_file_replace(file, text.data, text.size, 0644, err));
    td_print_line(cli, "Wrote %s.", file);
    return TD_OK;
}

static td_code run_keys(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    TD_TRY(td_cli_call(cli, "GET", td_cli_path(cli, "claim-keys", NULL), NULL, &answer, err));
    if (td_cli_value(cli, "out") != NULL) {
        return write_keys(cli, answer, td_cli_value(cli, "out"), err);
    }
    td_cli_present(cli, answer, print_keys);
    return TD_OK;
}

static td_code run_trust(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str pem = {0};
    const char *reason, *file = td_cli_value(cli, "key"), *name = cli->arguments[0];
    TD_TRY(td_cli_reason(cli, &reason, err));
    if (file == NULL) {
        return td_fail(err, TD_INVALID, "name the file with the public key: --key FILE (PEM)");
    }
    TD_TRY(td_file_read(file, 4096, &pem, err));
    json_t *body = json_pack("{s:s, s:s, s:s}", "name", name, "public_key", td_str_text(&pem), "reason", reason);
    return td_cli_send(cli, "POST", td_cli_path(cli, "claim-keys", NULL), body,
                       td_cli_text(cli, "Claims signed by %s count from now on.", name), err);
}

static td_code run_distrust(td_cli *cli, td_err *err)
{
    const char *reason, *name = cli->arguments[0];
    TD_TRY(td_cli_reason(cli, &reason, err));
    return td_cli_send(cli, "POST", td_cli_path(cli, "claim-keys", name, "distrust", NULL),
                       json_pack("{s:s}", "reason", reason),
                       td_cli_text(cli, "New claims signed by %s are refused; those that are there stay.", name), err);
}

/* ---- the table ---- */

static const td_cli_option add_options[] = {
    {"predicate", 0, "FILE", "what you say, as JSON: it is signed here", false},
    {"type", 0, "KIND", "of --predicate: provenance, test-result, bom, or a URI", false},
    {"key", 0, "FILE", "your private key, or its pkcs11: URI (default: as for `version approve`)", false},
    TD_CLI_PASSPHRASE_OPTION,
    {0},
};
static const td_cli_option export_options[] = {
    {"out", 'o', "FILE", "where to (default: claims.jsonl)", false},
    {0},
};
static const td_cli_option verify_options[] = {
    {"key", 0, "FILE", "public keys that you trust, PEM", true},
    {"manifest", 0, "FILE", "the version's manifest: claims must be about it", false},
    {"content-id", 0, "DIGEST", "the same by the version's content id alone", false},
    {"audit", 0, "FILE", "an export of the audit log: says that none is missing", false},
    {"log-key", 0, "FILE", "the audit log's key (log.vkey), for --audit", false},
    {0},
};
static const td_cli_option keys_options[] = {
    {"out", 'o', "FILE", "write those that count there, as PEM", false},
    {0},
};
static const td_cli_option trust_options[] = {
    {"key", 0, "FILE", "public key, PEM: P-256 or Ed25519", false},
    {"reason", 0, "TEXT", "goes into the audit log; needed", false},
    {0},
};
static const td_cli_option reason_options[] = {
    {"reason", 0, "TEXT", "goes into the audit log; needed", false},
    {0},
};

const td_cli_command td_cli_claim_commands[] = {
    {"claims", "add", "VERSION [FILE]", 1, 2, "Add signed claims about a version",
     "FILE holds envelopes (DSSE) that somebody signed whose key counts here, one or one a line. With --predicate you "
     "say something yourself: it is put into an in-toto statement about the version and signed with your own key.",
     "tidemark claims add pump/3 provenance.intoto.jsonl\n"
     "tidemark claims add pump/3 --type test-result --predicate bench.json",
     add_options, run_add},
    {"claims", "list", "VERSION", 1, 1, "List what is said of a version, signed", NULL, "tidemark claims list pump/3",
     NULL, run_list},
    {"claims", "show", "VERSION DIGEST", 2, 2, "Print what a claim says", NULL, "tidemark claims show pump/3 9f2c1a",
     NULL, run_show},
    {"claims", "export", "VERSION", 1, 1, "Download a version's claims.jsonl", NULL,
     "tidemark claims export pump/3 --out pump-3.claims.jsonl", export_options, run_export},
    {"claims", "verify", "FILE", 1, 1, "Verify a claims.jsonl; no server is asked",
     "FILE is a claims.jsonl, or an export of a version (.tar) that carries one. "
     "Each line must be signed by one of the keys that you bring and be well formed; with a manifest or content id, "
     "each must be about that version. A bad line is named with what is wrong. That none is missing, an export of "
     "the audit log shows (--audit).",
     "tidemark claims verify claims.jsonl --key keys.pem --content-id sha256:…", verify_options, td_cli_claims_verify},
    {"claims", "keys", "", 0, 0, "List the keys whose claims count", NULL, "tidemark claims keys --out keys.pem",
     keys_options, run_keys},
    {"claims", "trust", "NAME", 1, 1, "List a key whose claims count from now on", NULL,
     "tidemark claims trust lab-oslo --key lab.pub.pem --reason 'accredited test laboratory'", trust_options,
     run_trust},
    {"claims", "distrust", "NAME", 1, 1, "Strike off a listed key; its claims stay", NULL,
     "tidemark claims distrust lab-oslo --reason 'contract ended'", reason_options, run_distrust},
    {0},
};
