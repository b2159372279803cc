/*
 * signing.c: what signing on the client stands on: the person's own key, and a manifest that was checked here.
 *
 * The server is not believed: the manifest must have the content id that the version claims, list the version's own
 * files with their digests, and name the very version that was asked for. SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"
#include "cli/login.h"

#include <stdlib.h>
#include <string.h>

#include "core/crypto/pkcs11.h"
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

td_code td_cli_person_key(td_cli *cli, td_key **out, td_err *err)
{
    const char *path;
    TD_TRY(find_key(cli, &path, err));
    td_code code = td_cli_key_read(cli, path, out, err);
    if (code == TD_NOT_FOUND && !td_pkcs11_named(path)) {
        return td_fail(err, TD_NOT_FOUND,
                       "%s is not there: an approver signs with a key of his own (`tidemark key enrol-me` makes it; "
                       "--key FILE names another)",
                       path);
    }
    return code;
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

td_code td_cli_manifest(td_cli *cli, const json_t *version, td_str *bytes, td_manifest *out, td_err *err)
{
    const char *model = td_json_text(version, "model", "");
    const char *number = td_cli_text(cli, "%lld", (long long)td_json_int(version, "version", 0));
    TD_TRY(td_cli_fetch(cli, td_cli_path(cli, "models", model, "versions", number, "manifest", NULL),
                        TD_MANIFEST_BYTES_MAX, bytes, err));
    return check_manifest(cli, bytes, version, out, err);
}
