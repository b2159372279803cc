/*
 * artifact_store.c: the tree of artifacts: a table of paths, in which folders are ranges.
 *
 * '0' follows '/' in ASCII, so all paths below "model" lie in ["model/", "model0"); a listing jumps from folder to
 * folder by index seeks and never reads what is deeper.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/content.h"
#include "tracking/internal.h"

#include <stdio.h>
#include <string.h>

#define ABOVE_ALL "\xf4\x8f\xbf\xbf" /* U+10FFFF: no path begins with it */

/* ---- roots ---- */

/* Bytes of the root's name at the start of a path; 0: it lies below none. */
static size_t root_length(const char *path)
{
    const char *first = strchr(path, '/');
    if (first == NULL) {
        return 0;
    }
    const char *at = strncmp(first, "/models/", 8) == 0 ? strchr(first + 8, '/') : strchr(first + 1, '/');
    if (at == NULL || strncmp(at, "/artifacts", 10) != 0 || (at[10] != '\0' && at[10] != '/')) {
        return 0;
    }
    return (size_t)(at + 10 - path);
}

static td_code no_root(const char *path, td_err *err)
{
    return td_fail(err, TD_NOT_FOUND,
                   "\"%.*s\" belongs to no run and no logged model of this project; artifacts lie at "
                   "EXPERIMENT/RUN/artifacts/… and EXPERIMENT/models/MODEL/artifacts/…",
                   TD_TRACKING_MESSAGE_TEXT, path);
}

td_code td_tracking__root_of(td_db *db, const char *project, const char *path, td_tracking__root *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    size_t length = root_length(path);
    if (length == 0 || length >= sizeof out->name) {
        return no_root(path, err);
    }
    td_tracking__root root = {.rest = path[length] == '/' ? path + length + 1 : path + length};
    memcpy(root.name, path, length);
    TD_TRY(td_db_prepare(
        db,
        "SELECT root_id, root.run_id AS run_id, root.logged_model_id AS logged_model_id, "
        "coalesce(run.uuid, model.uuid) AS uuid, "
        "coalesce(run.status NOT IN ('RUNNING', 'SCHEDULED'), model.status <> 'LOGGED_MODEL_PENDING') AS closed, "
        "coalesce(run.stage = 'deleted', model.deleted_ms IS NOT NULL) AS deleted "
        "FROM artifact_root AS root JOIN project ON project.project_id = root.project_id "
        "LEFT JOIN experiment_run AS run ON run.run_id = root.run_id "
        "LEFT JOIN logged_model AS model ON model.logged_model_id = root.logged_model_id "
        "WHERE project.name = :project AND root.name = :root",
        &stmt, err));
    td_bind_text(stmt, ":project", project);
    td_bind_text(stmt, ":root", root.name);
    TD_TRY(td_step(stmt, &row, err));
    if (!row) {
        return no_root(path, err);
    }
    root.root_id = td_column_int(stmt, "root_id");
    root.run_id = td_column_int(stmt, "run_id");
    root.logged_model_id = td_column_int(stmt, "logged_model_id");
    root.closed = td_column_int(stmt, "closed") != 0;
    root.deleted = td_column_int(stmt, "deleted") != 0;
    snprintf(root.owner, sizeof root.owner, "%s", td_column_text(stmt, "uuid"));
    td_reset(stmt);
    *out = root;
    return TD_OK;
}

void td_tracking__below(const char *folder, char from[TD_ARTIFACT_PATH_MAX + 8], char end[TD_ARTIFACT_PATH_MAX + 8])
{
    bool all = *folder == '\0';
    snprintf(from, TD_ARTIFACT_PATH_MAX + 8, all ? "%s" : "%s/", folder);
    snprintf(end, TD_ARTIFACT_PATH_MAX + 8, "%s%s", folder, all ? ABOVE_ALL : "0");
}

/* ---- writing ---- */

static td_code find_file(td_db *db, int64_t root_id, const char *path, bool *found_out,
                         uint8_t digest_out[TD_DIGEST_SIZE], uint64_t *size_out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    size_t size = 0;
    TD_TRY(td_db_prepare(db, "SELECT digest, size FROM artifact WHERE root_id = :root AND path = :path", &stmt, err));
    td_bind_int(stmt, ":root", root_id);
    td_bind_text(stmt, ":path", path);
    TD_TRY(td_step(stmt, &row, err));
    if (row && digest_out != NULL) {
        const void *digest = td_column_blob(stmt, "digest", &size);
        memcpy(digest_out, digest, TD_DIGEST_SIZE);
        *size_out = (uint64_t)td_column_int(stmt, "size");
    }
    td_reset(stmt);
    *found_out = row;
    return TD_OK;
}

static td_code any_below(td_db *db, int64_t root_id, const char *folder, bool *found_out, td_err *err)
{
    td_stmt *stmt;
    char from[TD_ARTIFACT_PATH_MAX + 8], end[TD_ARTIFACT_PATH_MAX + 8];
    td_tracking__below(folder, from, end);
    TD_TRY(td_db_prepare(db,
                         "SELECT 1 AS one FROM artifact WHERE root_id = :root AND path >= :from AND path < :end "
                         "LIMIT 1",
                         &stmt, err));
    td_bind_int(stmt, ":root", root_id);
    td_bind_text(stmt, ":from", from);
    td_bind_text(stmt, ":end", end);
    TD_TRY(td_step(stmt, found_out, err));
    td_reset(stmt);
    return TD_OK;
}

/* A name is a file or a folder, never both: a download into a real folder could not hold them. */
static td_code check_place(td_db *db, int64_t root_id, const char *path, td_err *err)
{
    bool found = false;
    char folder[TD_ARTIFACT_PATH_MAX + 1];
    TD_TRY(any_below(db, root_id, path, &found, err));
    if (found) {
        return td_fail(err, TD_CONFLICT, "\"%.*s\" is a folder", TD_TRACKING_MESSAGE_TEXT, path);
    }
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
        TD_TRY(find_file(db, root_id, folder, &found, NULL, NULL, err));
        if (found) {
            return td_fail(err, TD_CONFLICT, "\"%.*s\" is a file and cannot hold others", TD_TRACKING_MESSAGE_TEXT,
                           folder);
        }
    }
    return TD_OK;
}

static td_code count_add(td_db *db, int64_t root_id, int64_t change, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "UPDATE artifact_root SET file_count = file_count + :change WHERE root_id = :root "
                         "RETURNING file_count",
                         &stmt, err));
    td_bind_int(stmt, ":change", change);
    td_bind_int(stmt, ":root", root_id);
    TD_TRY(td_step(stmt, &row, err));
    int64_t count = td_column_int(stmt, "file_count");
    td_reset(stmt);
    if (count > TD_ARTIFACT_FILES_MAX) {
        return td_fail(err, TD_LIMIT, "a run or logged model has at most %d artifacts", TD_ARTIFACT_FILES_MAX);
    }
    return TD_OK;
}

static td_code record_change(td_db *db, const td_actor *actor, const char *project, const td_tracking__root *root,
                             json_t *after, td_err *err)
{
    bool run = root->run_id != 0;
    return td_tracking__record(db, actor, project, run ? "update.experiment_run" : "update.logged_model",
                               run ? "experiment_run" : "logged_model", root->owner, after, err);
}

/* Finds the root of a path that is to be changed. */
static td_code open_root(td_db *db, const td_actor *actor, const char *project, const char *path,
                         td_tracking__root *out, td_err *err)
{
    td_tracking__root root;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_REGISTER, err));
    TD_TRY(td_artifact_path_check(path, err));
    TD_TRY(td_tracking__root_of(db, project, path, &root, err));
    if (root.deleted) {
        return td_fail(err, TD_INVALID, "%s is deleted; restore it before changing its artifacts", root.owner);
    }
    *out = root;
    return TD_OK;
}

td_code td_artifact_put(td_db *db, const td_actor *actor, const char *project, const char *path,
                        const uint8_t digest[TD_DIGEST_SIZE], uint64_t size, td_err *err)
{
    td_tracking__root root;
    td_stmt *stmt;
    bool found = false;
    char label[TD_DIGEST_LABEL_SIZE];
    TD_TRY(open_root(db, actor, project, path, &root, err));
    if (*root.rest == '\0') {
        return td_fail(err, TD_INVALID, "\"%.*s\" is a root of artifacts, not a file", TD_TRACKING_MESSAGE_TEXT, path);
    }
    TD_TRY(check_place(db, root.root_id, root.rest, err));
    TD_TRY(find_file(db, root.root_id, root.rest, &found, NULL, NULL, err));
    TD_TRY(found ? TD_OK : count_add(db, root.root_id, 1, err));
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO artifact (root_id, path, digest, size, written_ms) "
                         "VALUES (:root, :path, :digest, :size, :now) ON CONFLICT (root_id, path) "
                         "DO UPDATE SET digest = excluded.digest, size = excluded.size, "
                         "written_ms = excluded.written_ms",
                         &stmt, err));
    td_bind_int(stmt, ":root", root.root_id);
    td_bind_text(stmt, ":path", root.rest);
    td_bind_blob(stmt, ":digest", digest, TD_DIGEST_SIZE);
    td_bind_int(stmt, ":size", (int64_t)size);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    TD_TRY(td_run(stmt, err));
    if (!root.closed) {
        return TD_OK;
    }
    td_digest_format(digest, label);
    return record_change(db, actor, project, &root, json_pack("{s:s, s:s}", "artifact", root.rest, "digest", label),
                         err);
}

td_code td_artifact_delete(td_db *db, const td_actor *actor, const char *project, const char *path, td_err *err)
{
    td_tracking__root root;
    td_stmt *stmt;
    char from[TD_ARTIFACT_PATH_MAX + 8], end[TD_ARTIFACT_PATH_MAX + 8];
    TD_TRY(open_root(db, actor, project, path, &root, err));
    td_tracking__below(root.rest, from, end);
    TD_TRY(td_db_prepare(db,
                         "DELETE FROM artifact WHERE root_id = :root AND (path = :path OR (path >= :from AND path < "
                         ":end))",
                         &stmt, err));
    td_bind_int(stmt, ":root", root.root_id);
    td_bind_text(stmt, ":path", root.rest);
    td_bind_text(stmt, ":from", from);
    td_bind_text(stmt, ":end", end);
    TD_TRY(td_run(stmt, err));
    int64_t removed = td_db_changes(db);
    if (removed == 0) {
        return td_fail(err, TD_NOT_FOUND, "there is no artifact \"%.*s\"", TD_TRACKING_MESSAGE_TEXT, path);
    }
    TD_TRY(count_add(db, root.root_id, -removed, err));
    return record_change(db, actor, project, &root,
                         json_pack("{s:s, s:I}", "artifact", root.rest, "removed", (json_int_t)removed), err);
}

/* ---- reading ---- */

td_code td_artifact_get(td_db *db, const char *project, const char *path, uint8_t digest_out[TD_DIGEST_SIZE],
                        uint64_t *size_out, td_err *err)
{
    td_tracking__root root;
    bool found = false;
    TD_TRY(td_artifact_path_check(path, err));
    TD_TRY(td_tracking__root_of(db, project, path, &root, err));
    TD_TRY(find_file(db, root.root_id, root.rest, &found, digest_out, size_out, err));
    return found ? TD_OK
                 : td_fail(err, TD_NOT_FOUND, "there is no artifact \"%.*s\"", TD_TRACKING_MESSAGE_TEXT, path);
}

/* The first path in the range, and where the next one at this level begins. */
static td_code next_entry(td_db *db, int64_t root_id, size_t skip, char from[TD_ARTIFACT_PATH_MAX + 8],
                          const char *end, json_t **entry_out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT path, size FROM artifact WHERE root_id = :root AND path >= :from AND path < :end "
                         "ORDER BY path LIMIT 1",
                         &stmt, err));
    td_bind_int(stmt, ":root", root_id);
    td_bind_text(stmt, ":from", from);
    td_bind_text(stmt, ":end", end);
    TD_TRY(td_step(stmt, &row, err));
    if (!row) {
        *entry_out = NULL;
        return TD_OK;
    }
    const char *path = td_column_text(stmt, "path");
    const char *part = path + skip;
    size_t length = strcspn(part, "/");
    bool folder = part[length] == '/';
    json_t *entry = folder ? json_pack("{s:s%, s:b}", "path", part, length, "is_dir", 1)
                           : json_pack("{s:s%, s:b, s:I}", "path", part, length, "is_dir", 0, "file_size",
                                       (json_int_t)td_column_int(stmt, "size"));
    snprintf(from, TD_ARTIFACT_PATH_MAX + 8, "%.*s%s", (int)(skip + length), path, folder ? "0" : "\x01");
    td_reset(stmt);
    *entry_out = entry;
    return entry != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory to list artifacts");
}

td_code td_artifact_list_json(td_db *db, const char *project, const char *path, json_t **out, td_err *err)
{
    td_tracking__root root;
    char from[TD_ARTIFACT_PATH_MAX + 8], end[TD_ARTIFACT_PATH_MAX + 8];
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    TD_TRY(td_artifact_path_check(path, err));
    TD_TRY(td_tracking__root_of(db, project, path, &root, err));
    td_tracking__below(root.rest, from, end);
    size_t skip = strlen(from);
    for (;;) {
        json_t *entry = NULL;
        TD_TRY(next_entry(db, root.root_id, skip, from, end, &entry, err));
        if (entry == NULL) {
            break;
        }
        if (json_array_append_new(list, entry) != 0) {
            return td_fail(err, TD_NOMEM, "no memory to list artifacts");
        }
    }
    *out = json_incref(list);
    return TD_OK;
}
