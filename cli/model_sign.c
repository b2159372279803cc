/*
 * model_sign.c: `tidemark model sign` and `model verify`: OpenSSF Model Signing over a folder, away from any server.
 *
 * A folder is walked without following links unless both who signed and who verifies say so; what is neither file nor
 * folder is refused, as is a link to a folder, which other verifiers do not look into. Nothing is hashed before the
 * signature is good.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/fs.h"
#include "core/crypto/ec.h"
#include "registry/modelsig.h"

#define DEPTH_MAX 32
#define KEY_FILE_MAX ((size_t)64 * 1024)
#define SIGNATURE_NAME "model.sig"

typedef struct walk {
    td_cli *cli;
    const char *folder;
    const td_modelsig *sig;   /* what is ignored, and whether links are followed */
    bool signing;
    struct stat signature;    /* the signature's own file is left out, wherever it is named */
    bool has_signature;
    td_modelsig_file *files;
    size_t count;
} walk;

/* ---- the folder ---- */

static int no_dots(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static td_code add_file(walk *w, const char *name, td_err *err)
{
    if (w->count == TD_MODELSIG_FILES_MAX) {
        return td_fail(err, TD_LIMIT, "%s: more than %d files", w->folder, TD_MODELSIG_FILES_MAX);
    }
    w->files[w->count++].name = name;
    return TD_OK;
}

static td_code walk_folder(walk *w, const char *path, const char *name, int depth, td_err *err);

static td_code walk_entry(walk *w, const char *path, const char *name, int depth, td_err *err)
{
    struct stat about;
    if (td_modelsig_ignores(w->sig, name)) {
        return TD_OK;
    }
    if (lstat(path, &about) != 0) {
        return td_fail_errno(err, errno, "%s", path);
    }
    if (S_ISLNK(about.st_mode)) {
        if (!w->sig->follow_links) {
            return td_fail(err, TD_CORRUPT, "%s is a link; %s", path,
                           !w->signing && td_cli_has(w->cli, "follow-links")
                               ? "the signature does not follow links"
                               : "--follow-links takes what it points to, where the signature says so too");
        }
        if (stat(path, &about) != 0) {
            return td_fail_errno(err, errno, "%s", path);
        }
        if (S_ISDIR(about.st_mode)) {
            return td_fail(err, TD_CORRUPT, "%s is a link to a folder; verifiers do not look into it", path);
        }
    }
    if (S_ISDIR(about.st_mode)) {
        return walk_folder(w, path, name, depth + 1, err);
    }
    if (!S_ISREG(about.st_mode)) {
        return td_fail(err, TD_CORRUPT, "%s is neither a file nor a folder", path);
    }
    bool own = w->has_signature && about.st_dev == w->signature.st_dev && about.st_ino == w->signature.st_ino;
    return own ? TD_OK : add_file(w, name, err);
}

static td_code walk_folder(walk *w, const char *path, const char *name, int depth, td_err *err)
{
    struct dirent **entries = NULL;
    if (depth > DEPTH_MAX) {
        return td_fail(err, TD_LIMIT, "%s: folders more than %d deep", path, DEPTH_MAX);
    }
    int count = scandir(path, &entries, no_dots, alphasort);
    if (count < 0) {
        return td_fail_errno(err, errno, "%s", path);
    }
    td_code code = TD_OK;
    for (int i = 0; i < count; i++) {
        if (code == TD_OK) {
            const char *below = td_cli_text(w->cli, "%s%s%s", name, *name != '\0' ? "/" : "", entries[i]->d_name);
            code = walk_entry(w, td_cli_text(w->cli, "%s/%s", path, entries[i]->d_name), below, depth, err);
        }
        free(entries[i]);
    }
    free(entries);
    return code;
}

static td_code hash_files(walk *w, td_err *err)
{
    for (size_t i = 0; i < w->count; i++) {
        char path[4096];
        TD_TRY(td_path_join(path, w->folder, w->files[i].name, err));
        TD_TRY(td_sha256_file(path, w->files[i].digest, NULL, err));
    }
    return TD_OK;
}

/* The files below the folder that the signature speaks of, hashed. */
static td_code take_folder(walk *w, const char *signature, td_err *err)
{
    w->files = td_arena_alloc(&w->cli->arena, TD_MODELSIG_FILES_MAX * sizeof *w->files);
    if (w->files == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a list of files");
    }
    w->has_signature = stat(signature, &w->signature) == 0;
    TD_TRY(walk_folder(w, w->folder, "", 1, err));
    return hash_files(w, err);
}

/* Only the files that are listed: the others do not matter. */
static td_code take_listed(walk *w, const td_modelsig *sig, td_err *err)
{
    w->files = td_arena_copy(&w->cli->arena, sig->files, sig->file_count * sizeof *w->files);
    if (w->files == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a list of files");
    }
    for (; w->count < sig->file_count; w->count++) {
        const char *path = td_cli_text(w->cli, "%s/%s", w->folder, w->files[w->count].name);
        struct stat about;
        if ((sig->follow_links ? stat : lstat)(path, &about) != 0 || !S_ISREG(about.st_mode)) {
            return td_fail(err, TD_CORRUPT, "%s is signed, and is no file there", path);
        }
    }
    return hash_files(w, err);
}

static const char *signature_path(td_cli *cli)
{
    const char *path = td_cli_value(cli, "signature");
    return path != NULL ? path : td_cli_text(cli, "%s/" SIGNATURE_NAME, cli->arguments[0]);
}

/* Paths that are ignored: git's unless they count, `own` (or NULL), and those that were given. */
static td_code ignored_paths(td_cli *cli, const char *own, td_modelsig *out, td_err *err)
{
    size_t count = 0, given = 0, at = 0;
    while (!out->counts_git && td_modelsig_always_ignored[count] != NULL) {
        count++;
    }
    while (td_cli_value_at(cli, "ignore-path", given) != NULL) {
        given++;
    }
    out->ignored = td_arena_alloc(&cli->arena, (count + given + 1) * sizeof *out->ignored);
    if (out->ignored == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a list of paths");
    }
    for (size_t i = 0; i < count; i++) {
        out->ignored[at++] = td_modelsig_always_ignored[i];
    }
    if (own != NULL) {
        out->ignored[at++] = own;
    }
    for (size_t i = 0; i < given; i++) {
        const char *path = td_cli_value_at(cli, "ignore-path", i);
        size_t length = strlen(path);
        while (length > 0 && path[length - 1] == '/') {
            length--;
        }
        if (length == 0 || path[0] == '/' || strncmp(path, "./", 2) == 0 || strstr(path, "..") != NULL) {
            return td_fail(err, TD_INVALID, "--ignore-path %s: give it relative to the folder, as in notes/draft.md",
                           path);
        }
        out->ignored[at++] = td_cli_text(cli, "%.*s", (int)length, path);
    }
    out->ignored_count = at;
    return TD_OK;
}

/* ---- signing ---- */

/* The folder's own name, also of "." and of links. */
static td_code folder_name(td_cli *cli, const char *folder, const char **out, td_err *err)
{
    char real[PATH_MAX];
    if (realpath(folder, real) == NULL) {
        return td_fail_errno(err, errno, "%s", folder);
    }
    *out = td_cli_text(cli, "%s", td_cli_base_name(real));
    return **out != '\0' ? TD_OK : td_fail(err, TD_INVALID, "%s: a folder with a name is needed", folder);
}

static td_code report_signed(td_cli *cli, const walk *w, const td_key *key, const char *path, td_err *err)
{
    td_ec_public public_key;
    TD_TRY(td_key_ec_public(key, &public_key, err));
    if (cli->json) {
        TD_CLEANUP(td_json_done)
        json_t *json = json_pack("{s:s, s:I, s:s}", "signature", path, "files", (json_int_t)w->count, "curve",
                                 td_curve_name(public_key.curve));
        TD_TRY(td_cli_need(json, err));
        td_print_json(cli, json);
        return TD_OK;
    }
    td_print_line(cli, "Signed %zu files with a %s key into %s.", w->count, td_curve_name(public_key.curve), path);
    return TD_OK;
}

td_code td_cli_model_sign(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_str_done) td_str text = {0};
    const char *path = signature_path(cli), *name;
    td_modelsig about = {.follow_links = td_cli_has(cli, "follow-links"), .counts_git = td_cli_has(cli, "include-git")};
    walk w = {.cli = cli, .folder = cli->arguments[0], .sig = &about, .signing = true};
    if (td_cli_value(cli, "key") == NULL) {
        return td_fail(err, TD_INVALID, "--key FILE is needed: the private key that signs");
    }
    TD_TRY(td_crypto_setup(err));
    TD_TRY(folder_name(cli, w.folder, &name, err));
    if (td_path_exists(path)) {
        return td_fail(err, TD_CONFLICT, "%s exists already; nothing was changed", path);
    }
    TD_TRY(ignored_paths(cli, td_cli_value(cli, "signature") == NULL ? SIGNATURE_NAME : NULL, &about, err));
    TD_TRY(td_cli_key_read_ec(cli, td_cli_value(cli, "key"), &key, err));
    TD_TRY(take_folder(&w, path, err));
    td_modelsig_how how = {.name = name,
                           .ignored = about.ignored,
                           .ignored_count = about.ignored_count,
                           .follow_links = about.follow_links};
    TD_TRY(td_modelsig_make(&how, w.files, w.count, key, &text, err));
    TD_TRY(td_file_create(path, text.data, text.size, 0644, err));
    return report_signed(cli, &w, key, path, err);
}

/* ---- verifying ---- */

static void print_verified(td_cli *cli, const json_t *report)
{
    static const td_column_spec fields[] = {{"model", "model", TD_CELL_TEXT},
                                            {"files", "files", TD_CELL_NUMBER},
                                            {"root", "root digest", TD_CELL_TEXT},
                                            {"ignored", "ignored", TD_CELL_LIST},
                                            {0}};
    td_print_line(cli, "%sVerified%s: signed with this key, and every file is as it was signed.",
                  td_tint_code(cli, TD_TINT_GOOD), td_tint_code(cli, TD_TINT_NONE));
    td_print_fields(cli, fields, report);
}

static td_code report_verified(td_cli *cli, const td_modelsig *sig, td_err *err)
{
    char root[TD_DIGEST_TEXT];
    TD_CLEANUP(td_json_done) json_t *ignored = json_array();
    for (size_t i = 0; i < sig->ignored_count; i++) {
        (void)json_array_append_new(ignored, json_string(sig->ignored[i]));
    }
    td_hex_encode(sig->root, sizeof sig->root, root);
    TD_CLEANUP(td_json_done)
    json_t *report = json_pack("{s:s, s:I, s:s, s:b, s:O}", "model", sig->name, "files", (json_int_t)sig->file_count,
                               "root", root, "links_followed", sig->follow_links, "ignored", ignored);
    TD_TRY(td_cli_need(report, err));
    td_cli_present(cli, report, print_verified);
    return TD_OK;
}

/* What this verifier was told to ignore, beside what the signature says. */
static td_code add_ignored(td_cli *cli, const td_modelsig *sig, td_modelsig *out, td_err *err)
{
    td_modelsig own = {.counts_git = sig->counts_git};
    TD_TRY(ignored_paths(cli, NULL, &own, err));
    size_t count = own.ignored_count + sig->ignored_count;
    *out = *sig;
    out->ignored = td_arena_alloc(&cli->arena, (count + 1) * sizeof *out->ignored);
    if (out->ignored == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a list of paths");
    }
    memcpy(out->ignored, own.ignored, own.ignored_count * sizeof *out->ignored);
    memcpy(out->ignored + own.ignored_count, sig->ignored, sig->ignored_count * sizeof *out->ignored);
    out->ignored_count = count;
    out->follow_links = sig->follow_links && td_cli_has(cli, "follow-links"); /* links of this machine lead anywhere */
    return TD_OK;
}

td_code td_cli_model_verify(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str pem = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_modelsig sig, about;
    const char *path = signature_path(cli), *key = td_cli_value(cli, "key");
    bool others = td_cli_has(cli, "ignore-unsigned-files");
    walk w = {.cli = cli, .folder = cli->arguments[0], .sig = &about};
    if (key == NULL) {
        return td_fail(err, TD_INVALID, "--key FILE is needed: the public key of whoever should have signed");
    }
    TD_TRY(td_crypto_setup(err));
    TD_TRY(td_file_read(key, KEY_FILE_MAX, &pem, err));
    TD_TRY(td_file_read(path, TD_MODELSIG_BYTES_MAX, &text, err));
    TD_TRY(td_modelsig_read(text.data, text.size, &cli->arena, &sig, err));
    TD_TRY(td_modelsig_check_signature(&sig, td_str_text(&pem), err));
    TD_TRY(add_ignored(cli, &sig, &about, err));
    TD_TRY(others ? take_listed(&w, &about, err) : take_folder(&w, path, err));
    TD_TRY(td_modelsig_check_files(&about, w.files, w.count, others, err));
    return report_verified(cli, &sig, err);
}
