/*
 * claims.c: tidemark claims verify: claims.jsonl against keys and a version that the caller brings; no server is asked.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <string.h>

#include "claims/claims.h"
#include "core/base/fs.h"
#include "registry/bundle.h"
#include "registry/content.h"

#define KEYS_MAX 64
#define KEY_FILE_MAX ((size_t)256 * 1024)
#define PEM_BEGIN "-----BEGIN PUBLIC KEY-----"
#define PEM_END "-----END PUBLIC KEY-----"

/* The word of a comment before it ("# person ben"), else the file's name. */
static const char *key_name(td_cli *cli, const char *file, const char *text, const char *begin)
{
    const char *line = begin > text ? begin - 1 : begin; /* the line feed before it */
    while (line > text && line[-1] != '\n') {
        line--;
    }
    if (line == begin || line[0] != '#') {
        return td_cli_base_name(file);
    }
    line += 1 + strspn(line + 1, " ");
    return td_cli_text(cli, "%.*s", (int)strcspn(line, "\n"), line);
}

static td_code read_keys(td_cli *cli, const char *file, td_claim_key *keys, size_t *count, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    size_t before = *count;
    TD_TRY(td_file_read(file, KEY_FILE_MAX, &text, err));
    for (const char *at = td_str_text(&text); (at = strstr(at, PEM_BEGIN)) != NULL;) {
        const char *end = strstr(at, PEM_END);
        if (end == NULL || *count == KEYS_MAX) {
            return end == NULL ? td_fail(err, TD_INVALID, "%s: a public key is cut off", file)
                               : td_fail(err, TD_LIMIT, "more than %d keys are given", KEYS_MAX);
        }
        end += strlen(PEM_END);
        TD_CLEANUP(td_str_done) td_str pem = {0};
        td_str_append(&pem, at, (size_t)(end - at));
        td_str_add_char(&pem, '\n');
        TD_TRY(td_str_check(&pem, err));
        keys[*count] = (td_claim_key){.source = "given", .name = key_name(cli, file, td_str_text(&text), at)};
        if (td_public_key_read(pem.data, pem.size, &keys[*count].key, err) != TD_OK) {
            return td_wrap(err, "%s", file);
        }
        (*count)++;
        at = end;
    }
    return *count > before ? TD_OK : td_fail(err, TD_INVALID, "%s holds no public key (PEM)", file);
}

/* What all must be about; *out stays NULL when nothing was said. */
static td_code read_about(td_cli *cli, td_about *about, const td_about **out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    const char *manifest = td_cli_value(cli, "manifest"), *digest = td_cli_value(cli, "content-id");
    if (manifest != NULL && digest != NULL) {
        return td_fail(err, TD_INVALID, "give --manifest or --content-id, not both");
    }
    if (manifest != NULL) {
        TD_TRY(td_file_read(manifest, TD_MANIFEST_BYTES_MAX, &bytes, err));
        void *copy = td_arena_copy(&cli->arena, bytes.data, bytes.size);
        TD_TRY(copy != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory for the manifest"));
        TD_TRY(td_about_read(copy, bytes.size, &cli->arena, about, err));
        *out = about;
    }
    if (digest != NULL) {
        *about = (td_about){.label = digest};
        TD_TRY(td_digest_parse(digest, about->content_id, err));
        memcpy(about->model_root, about->content_id, TD_DIGEST_SIZE);
        *out = about;
    }
    return TD_OK;
}

/* An export brings claims and manifest along; anything else is claims.jsonl itself. */
static td_code read_lines(td_cli *cli, const char *file, td_str *text, td_about *about, const td_about **out,
                          td_err *err)
{
    TD_CLEANUP(td_str_done) td_str manifest = {0};
    size_t length = strlen(file);
    if (length < 4 || strcmp(file + length - 4, ".tar") != 0) {
        return td_file_read(file, TD_CLAIMS_BYTES_MAX, text, err);
    }
    TD_TRY(td_bundle_attest_read(file, "claims.jsonl", &manifest, text, err));
    if (*out == NULL) {
        void *copy = td_arena_copy(&cli->arena, manifest.data, manifest.size);
        TD_TRY(copy != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory for the manifest"));
        TD_TRY(td_about_read(copy, manifest.size, &cli->arena, about, err));
        *out = about;
    }
    return TD_OK;
}

static void print_lines(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"line", "LINE", TD_CELL_NUMBER},
        {"kind", "KIND", TD_CELL_TEXT},
        {"signed_by", "SIGNED BY", TD_CELL_TEXT},
        {"covers", "ABOUT", TD_CELL_TEXT},
        {"summary", "SAYS", TD_CELL_BRIEF},
        {"problem", "PROBLEM", TD_CELL_TEXT},
        {0},
    };
    td_print_table(cli, columns, td_json_list(answer, "lines"), "No claims.");
}

/* With --audit: none is missing, and each is on record. */
static td_code check_log(td_cli *cli, const td_about *about, const json_t *lines, td_err *err)
{
    const char *file = td_cli_value(cli, "audit"), *key = td_cli_value(cli, "log-key"), *vkey = NULL;
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_claims_log log;
    if (file == NULL) {
        return TD_OK;
    }
    if (about == NULL) {
        return td_fail(err, TD_INVALID,
                       "say of which version the log is asked: --manifest FILE or --content-id DIGEST");
    }
    if (key != NULL) {
        TD_TRY(td_file_read(key, KEY_FILE_MAX, &text, err));
        vkey = td_cli_text(cli, "%.*s", (int)strcspn(td_str_text(&text), "\r\n"), td_str_text(&text));
    }
    TD_TRY(td_claims_of_log(file, vkey, about->content_id, &log, err));
    if (td_claims_match_log(lines, &log, err) != TD_OK) {
        return td_wrap(err, "%s", cli->arguments[0]);
    }
    if (!cli->json) {
        td_print_line(cli, "The log has these %zu and no others on record%s.", log.count,
                      vkey == NULL ? " (its own key was believed; --log-key FILE names the one you know)" : "");
    }
    return TD_OK;
}

td_code td_cli_claims_verify(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_json_done) json_t *lines = NULL;
    td_claim_key keys[KEYS_MAX];
    td_about about;
    td_claim_check check = {.keys = keys};
    size_t bad = 0;
    const char *file = cli->arguments[0];
    TD_TRY(td_crypto_setup(err));
    for (size_t i = 0; td_cli_value_at(cli, "key", i) != NULL; i++) {
        TD_TRY(read_keys(cli, td_cli_value_at(cli, "key", i), keys, &check.key_count, err));
    }
    if (check.key_count == 0) {
        return td_fail(err, TD_INVALID, "say whose signatures count: --key FILE (public keys, PEM)");
    }
    TD_TRY(read_about(cli, &about, &check.about, err));
    TD_TRY(read_lines(cli, file, &text, &about, &check.about, err));
    TD_TRY(td_claims_verify(td_str_text(&text), text.size, &check, &bad, &lines, err));
    TD_CLEANUP(td_json_done)
    json_t *answer = json_pack("{s:s, s:I, s:I, s:O}", "file", file, "good", (json_int_t)(json_array_size(lines) - bad),
                               "bad", (json_int_t)bad, "lines", lines);
    TD_TRY(td_cli_need(answer, err));
    td_cli_present(cli, answer, print_lines);
    for (size_t i = 0; bad > 0 && i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        if (!td_json_bool(line, "good", false)) {
            return td_fail(err, TD_CORRUPT, "%s:%lld: %s", file, (long long)td_json_int(line, "line", 0),
                           td_json_text(line, "problem", ""));
        }
    }
    return check_log(cli, check.about, lines, err);
}
