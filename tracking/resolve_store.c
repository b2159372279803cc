/*
 * resolve_store.c: from the source URI that a client names to the files that it means.
 *
 * Only places that this server keeps are understood. Everything else (s3:, file:, a path) is refused with the way on:
 * a source is never opened, fetched or taken for a path of this machine (CVE-2023-6909, CVE-2024-1558).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "lineage/lineage.h"
#include "registry/content.h"
#include "tracking/internal.h"

#include <stdio.h>
#include <string.h>

#define PROXY "/api/2.0/mlflow-artifacts/artifacts/"

/* ---- what the URI says ---- */

static td_code not_ours(const char *uri, td_err *err)
{
    return td_fail(err, TD_INVALID,
                   "Invalid model version source: \"%.*s\"; this server takes runs:/RUN/PATH, models:/m-…, "
                   "models:/NAME/VERSION and mlflow-artifacts:/… that it holds itself. Log the files to a run first "
                   "(mlflow.log_artifacts)",
                   TD_TRACKING_MESSAGE_TEXT, uri);
}

/* Decodes %XX once; what is still encoded afterwards is refused by td_artifact_path_check. */
static td_code decode(const char *uri, const char *text, char out[TD_ARTIFACT_PATH_MAX + 2], td_err *err)
{
    size_t used = 0;
    while (*text != '\0' && used <= TD_ARTIFACT_PATH_MAX) {
        char c = *text++;
        if (c == '%') {
            uint8_t byte = 0;
            if (strnlen(text, 2) < 2 || td_hex_decode(text, 2, &byte, 1, NULL) != TD_OK || byte == 0) {
                return not_ours(uri, err);
            }
            c = (char)byte;
            text += 2;
        }
        out[used++] = c;
    }
    out[used] = '\0';
    return TD_OK;
}

static td_code join(const char *uri, const char *root, const char *rest, char out[TD_ARTIFACT_PATH_MAX + 2],
                    td_err *err)
{
    int length = snprintf(out, TD_ARTIFACT_PATH_MAX + 2, "%s%s", root, rest);
    return length > TD_ARTIFACT_PATH_MAX ? not_ours(uri, err) : TD_OK;
}

/* "RUN/PATH" of runs:/, with one '/' or three after the colon. */
static td_code run_path(td_db *db, const char *project, const char *uri, const char *text,
                        char out[TD_ARTIFACT_PATH_MAX + 2], td_err *err)
{
    td_tracking__run run;
    char uuid[TD_TRIAL_UUID_SIZE], root[96];
    size_t length = strcspn(text, "/");
    if (length != TD_TRIAL_UUID_SIZE - 1) {
        return not_ours(uri, err);
    }
    snprintf(uuid, sizeof uuid, "%.32s", text);
    TD_TRY(td_tracking__run_find(db, project, uuid, &run, err));
    td_tracking__run_root(run.experiment_number, uuid, root);
    return join(uri, root, text + length, out, err);
}

/* "m-…[/PATH]" of models:/ */
static td_code logged_path(td_db *db, const char *project, const char *uri, const char *text,
                           char out[TD_ARTIFACT_PATH_MAX + 2], td_err *err)
{
    td_tracking__logged model;
    char uuid[TD_LOGGED_UUID_SIZE], root[96];
    size_t length = strcspn(text, "/");
    if (length != TD_LOGGED_UUID_SIZE - 1) {
        return not_ours(uri, err);
    }
    snprintf(uuid, sizeof uuid, "%.34s", text);
    TD_TRY(td_tracking__logged_find(db, project, uuid, &model, err));
    td_tracking__logged_root(model.experiment_number, uuid, root);
    return join(uri, root, text + length, out, err);
}

/* After a scheme: "/x" and "///x" are the same, "//host/x" is somebody else's. NULL: not of that scheme. */
static const char *after_scheme(const char *uri, const char *scheme)
{
    size_t length = strlen(scheme);
    if (strncmp(uri, scheme, length) != 0 || uri[length] != '/') {
        return NULL;
    }
    const char *text = uri + length;
    if (strncmp(text, "///", 3) == 0) {
        return text + 3;
    }
    return text[1] == '/' ? NULL : text + 1;
}

/* The path of artifacts (root and rest) that the URI means. */
static td_code path_of(td_db *db, const char *project, const char *uri, char out[TD_ARTIFACT_PATH_MAX + 2], td_err *err)
{
    const char *text;
    if (strnlen(uri, TD_ARTIFACT_PATH_MAX + 1) > TD_ARTIFACT_PATH_MAX) {
        return not_ours(uri, err);
    }
    if ((text = after_scheme(uri, "runs:")) != NULL) {
        return run_path(db, project, uri, text, out, err);
    }
    if ((text = after_scheme(uri, "models:")) != NULL && strncmp(text, "m-", 2) == 0) {
        return logged_path(db, project, uri, text, out, err);
    }
    if ((text = after_scheme(uri, "mlflow-artifacts:")) != NULL) {
        snprintf(out, TD_ARTIFACT_PATH_MAX + 2, "%s", text);
        return TD_OK;
    }
    if (strncmp(uri, "http://", 7) == 0 || strncmp(uri, "https://", 8) == 0) {
        text = strstr(uri + 8, PROXY);
        return text != NULL ? decode(uri, text + strlen(PROXY), out, err) : not_ours(uri, err);
    }
    return not_ours(uri, err);
}

/* ---- the files ---- */

static td_code count_files(td_db *db, int64_t root_id, const char *folder, size_t *count_out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    char from[TD_ARTIFACT_PATH_MAX + 8], end[TD_ARTIFACT_PATH_MAX + 8];
    td_tracking__below(folder, from, end);
    TD_TRY(td_db_prepare(db,
                         "SELECT count(*) AS n FROM artifact WHERE root_id = :root AND (path = :path OR "
                         "(path >= :from AND path < :end))",
                         &stmt, err));
    td_bind_int(stmt, ":root", root_id);
    td_bind_text(stmt, ":path", folder);
    td_bind_text(stmt, ":from", from);
    td_bind_text(stmt, ":end", end);
    TD_TRY(td_step(stmt, &row, err));
    *count_out = (size_t)td_column_int(stmt, "n");
    td_reset(stmt);
    return TD_OK;
}

static void hash_file(td_sha256 *hash, const td_artifact_file *file)
{
    char size[24];
    snprintf(size, sizeof size, "%llu", (unsigned long long)file->size);
    td_sha256_update(hash, file->path, strlen(file->path) + 1);
    td_sha256_update(hash, file->digest, sizeof file->digest);
    td_sha256_update(hash, size, strlen(size) + 1);
}

static void row_file(td_stmt *stmt, const char *path, td_artifact_file *out)
{
    size_t size = 0;
    const void *digest = td_column_blob(stmt, "digest", &size);
    out->path = path;
    out->size = (uint64_t)td_column_int(stmt, "size");
    memcpy(out->digest, digest, TD_DIGEST_SIZE);
}

/* Reads `count` files; a folder that is a file itself gives that one, by its last part. */
static td_code read_files(td_db *db, int64_t root_id, const char *folder, td_arena *arena, td_artifact_tree *tree,
                          td_err *err)
{
    td_stmt *stmt;
    bool row;
    char from[TD_ARTIFACT_PATH_MAX + 8], end[TD_ARTIFACT_PATH_MAX + 8];
    TD_CLEANUP(td_sha256_free) td_sha256 *hash = NULL;
    td_artifact_file *files = td_arena_alloc(arena, (tree->file_count + 1) * sizeof *files);
    td_tracking__below(folder, from, end);
    TD_TRY(td_sha256_new(&hash, err));
    TD_TRY(td_db_prepare(db,
                         "SELECT path, digest, size FROM artifact WHERE root_id = :root AND (path = :path OR "
                         "(path >= :from AND path < :end)) ORDER BY path",
                         &stmt, err));
    td_bind_int(stmt, ":root", root_id);
    td_bind_text(stmt, ":path", folder);
    td_bind_text(stmt, ":from", from);
    td_bind_text(stmt, ":end", end);
    TD_TRY(td_step(stmt, &row, err));
    for (size_t i = 0; row && files != NULL && i < tree->file_count; i++) {
        const char *path = td_column_text(stmt, "path");
        const char *last = strrchr(path, '/');
        bool itself = strcmp(path, folder) == 0;
        const char *name = td_arena_text(arena, !itself ? path + strlen(from) : last != NULL ? last + 1 : path);
        files = name != NULL ? files : NULL;
        if (files != NULL) {
            row_file(stmt, name, &files[i]);
            hash_file(hash, &files[i]);
        }
        TD_TRY(td_step(stmt, &row, err));
    }
    td_reset(stmt);
    tree->files = files;
    td_sha256_final(hash, tree->digest);
    return files != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory to list artifacts");
}

td_code td_tracking__tree_digest(td_db *db, int64_t run_id, int64_t logged_model_id,
                                 uint8_t digest_out[TD_DIGEST_SIZE], int64_t *files_out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_CLEANUP(td_sha256_free) td_sha256 *hash = NULL;
    TD_TRY(td_sha256_new(&hash, err));
    TD_TRY(td_db_prepare(db,
                         "SELECT path, digest, size FROM artifact WHERE root_id = (SELECT root_id FROM artifact_root "
                         "WHERE run_id = nullif(:run, 0) UNION ALL SELECT root_id FROM artifact_root "
                         "WHERE logged_model_id = nullif(:model, 0)) ORDER BY path",
                         &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    td_bind_int(stmt, ":model", logged_model_id);
    TD_TRY(td_step(stmt, &row, err));
    int64_t count = 0;
    for (; row; count++) {
        td_artifact_file file;
        row_file(stmt, td_column_text(stmt, "path"), &file);
        hash_file(hash, &file);
        TD_TRY(td_step(stmt, &row, err));
    }
    td_sha256_final(hash, digest_out);
    *files_out = count;
    return TD_OK;
}

/* ---- resolving ---- */

/* MLflow 3 keeps what log_model() made of a run as a logged model, yet runs:/RUN/NAME goes on to mean it. */
static td_code logged_of_run(td_db *db, const char *project, int64_t run_id, const char *name,
                             td_tracking__root *root, td_err *err)
{
    td_stmt *stmt;
    bool row;
    char path[96];
    TD_TRY(td_db_prepare(db,
                         "SELECT root.name AS root FROM logged_model AS model "
                         "JOIN artifact_root AS root ON root.logged_model_id = model.logged_model_id "
                         "WHERE source_run_id = :run AND model.name = :name AND deleted_ms IS NULL "
                         "ORDER BY model.logged_model_id DESC LIMIT 1",
                         &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    td_bind_text(stmt, ":name", name);
    TD_TRY(td_step(stmt, &row, err));
    if (!row) {
        return TD_OK;
    }
    snprintf(path, sizeof path, "%s", td_column_text(stmt, "root"));
    td_reset(stmt);
    TD_TRY(td_tracking__root_of(db, project, path, root, err));
    root->rest = "";
    return TD_OK;
}

static td_code run_of_logged(td_db *db, int64_t logged_model_id, td_arena *arena, const char **out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT run.uuid AS uuid FROM logged_model JOIN experiment_run AS run ON run.run_id = "
                         "source_run_id WHERE logged_model_id = :model",
                         &stmt, err));
    td_bind_int(stmt, ":model", logged_model_id);
    TD_TRY(td_step(stmt, &row, err));
    *out = row ? td_arena_text(arena, td_column_text(stmt, "uuid")) : NULL;
    td_reset(stmt);
    return TD_OK;
}

td_code td_artifact_resolve(td_db *db, const char *project, const char *uri, td_arena *arena, td_artifact_tree *out,
                            td_err *err)
{
    char path[TD_ARTIFACT_PATH_MAX + 2];
    td_tracking__root root;
    td_artifact_tree tree = {.file_count = 0};
    TD_TRY(path_of(db, project, uri, path, err));
    size_t length = strlen(path);
    if (length > 0 && path[length - 1] == '/') {
        path[length - 1] = '\0';
    }
    TD_TRY(td_artifact_path_check(path, err));
    TD_TRY(td_tracking__root_of(db, project, path, &root, err));
    TD_TRY(count_files(db, root.root_id, root.rest, &tree.file_count, err));
    if (tree.file_count == 0 && root.run_id != 0) {
        TD_TRY(logged_of_run(db, project, root.run_id, root.rest, &root, err));
        TD_TRY(count_files(db, root.root_id, root.rest, &tree.file_count, err));
    }
    if (tree.file_count == 0) {
        return td_fail(err, TD_NOT_FOUND, "there are no artifacts at \"%.*s\"; log the model before registering it",
                       TD_TRACKING_MESSAGE_TEXT, uri);
    }
    TD_TRY(read_files(db, root.root_id, root.rest, arena, &tree, err));
    tree.root = td_arena_text(arena, root.name);
    tree.folder = td_arena_text(arena, root.rest);
    const char *owner = td_arena_text(arena, root.owner);
    if (tree.root == NULL || tree.folder == NULL || owner == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to list artifacts");
    }
    tree.run_uuid = root.run_id != 0 ? owner : NULL;
    if (root.logged_model_id != 0) {
        tree.logged_model_uuid = owner;
        TD_TRY(run_of_logged(db, root.logged_model_id, arena, &tree.run_uuid, err));
    }
    *out = tree;
    return TD_OK;
}

td_code td_artifact_settle(td_db *db, const td_actor *actor, const char *project, const td_artifact_tree *tree,
                           const char *version_label, td_err *err)
{
    if (tree->run_uuid != NULL) {
        TD_TRY(td_trial_link_version(db, project, tree->run_uuid, version_label, err));
    }
    TD_CLEANUP(td_json_done)
    json_t *after = json_pack("{s:s, s:s, s:I, s:s, s:s*}", "root", tree->root, "folder", tree->folder, "files",
                              (json_int_t)tree->file_count, "version", version_label, "logged_model",
                              tree->logged_model_uuid);
    if (after == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for the audit record");
    }
    td_audit_entry entry = {.actor = actor,
                            .action = "settle.artifacts",
                            .object_type = "artifacts",
                            .object_id = tree->root,
                            .digest = tree->digest,
                            .project = project,
                            .after = after};
    return td_audit_append(db, &entry, NULL, err);
}
