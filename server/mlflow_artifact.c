/*
 * mlflow_artifact.c: MLflow's routes of artifacts: a path in, a digest behind it, bytes streamed both ways.
 *
 * Uploads are hashed while they come and go straight into the content store; nothing of a path ever reaches the file
 * system. `models/NAME/VERSION/…` shows the files of a registered version, which nobody can change.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/project.h"
#include "registry/registry.h"
#include "server/mlflow_tracking.h"

#include <string.h>

/* ---- files of registered versions ---- */

#define VERSIONS "models/"

static bool is_version_path(const char *path)
{
    return strncmp(path, VERSIONS, strlen(VERSIONS)) == 0;
}

/* Splits models/NAME/VERSION[/REST] and finds its files. */
static td_code version_files(td_request *request, const char *path, td_version_file **files_out, size_t *count_out,
                             const char **rest_out, td_err *err)
{
    const char *name = path + strlen(VERSIONS);
    size_t length = strcspn(name, "/");
    const char *number = name[length] == '/' ? name + length + 1 : "";
    size_t digits = strcspn(number, "/");
    td_version version;
    const char *reference = td_request_text(request, "%.*s/%.*s", (int)length, name, (int)digits, number);
    TD_TRY(td_artifact_path_check(path, err));
    TD_TRY(td_version_find(request->db, request->project, reference, &request->arena, &version, err));
    TD_TRY(td_version_files(request->db, version.version_id, &request->arena, files_out, count_out, err));
    *rest_out = number[digits] == '/' ? number + digits + 1 : "";
    return TD_OK;
}

/* Adds what `file` is at the level below `folder`, unless it was added already (files are sorted). */
static td_code add_entry(json_t *list, const td_version_file *file, const char *folder, td_err *err)
{
    size_t skip = strlen(folder);
    if (skip > 0 && (strncmp(file->name, folder, skip) != 0 || file->name[skip] != '/')) {
        return TD_OK;
    }
    const char *part = file->name + skip + (skip > 0);
    size_t length = strcspn(part, "/");
    bool is_folder = part[length] == '/';
    const char *last = td_json_text(json_array_get(list, json_array_size(list) - 1), "path", "");
    if (strlen(last) == length && strncmp(last, part, length) == 0) {
        return TD_OK; /* all of one folder stand beside each other */
    }
    json_t *entry = is_folder ? json_pack("{s:s%, s:b}", "path", part, length, "is_dir", 1)
                              : json_pack("{s:s%, s:b, s:I}", "path", part, length, "is_dir", 0, "file_size",
                                          (json_int_t)file->size);
    return json_array_append_new(list, entry) == 0 ? TD_OK : td_fail(err, TD_NOMEM, "no memory to list artifacts");
}

static td_code list_version(td_request *request, const char *path, json_t **out, td_err *err)
{
    td_version_file *files;
    size_t count;
    const char *folder;
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    TD_TRY(version_files(request, path, &files, &count, &folder, err));
    for (size_t i = 0; i < count; i++) {
        TD_TRY(add_entry(list, &files[i], folder, err));
    }
    *out = json_incref(list);
    return TD_OK;
}

static td_code find_in_version(td_request *request, const char *path, uint8_t digest_out[TD_DIGEST_SIZE], td_err *err)
{
    td_version_file *files;
    size_t count;
    const char *name;
    TD_TRY(version_files(request, path, &files, &count, &name, err));
    for (size_t i = 0; i < count; i++) {
        if (strcmp(files[i].name, name) == 0) {
            memcpy(digest_out, files[i].digest, TD_DIGEST_SIZE);
            return TD_OK;
        }
    }
    return td_fail(err, TD_NOT_FOUND, "there is no artifact \"%.100s\"", path);
}

/* ---- reading ---- */

static td_code list(td_request *request, td_err *err)
{
    const char *path;
    json_t *files;
    TD_TRY(td_mlflow_text(request, "path", true, &path, err));
    TD_TRY(is_version_path(path) ? list_version(request, path, &files, err)
                                 : td_artifact_list_json(request->db, request->project, path, &files, err));
    return td_answer_json(request, 200, json_pack("{s:o}", "files", files), err);
}

/* Always as plain bytes: a browser runs nothing that somebody logged. The name is the digest, whatever the path was. */
static td_code send_content(td_request *request, const uint8_t digest[TD_DIGEST_SIZE], td_err *err)
{
    int fd;
    uint64_t size;
    char name[TD_DIGEST_TEXT];
    TD_TRY(td_content_get(request->server->content, digest, &fd, &size, err));
    td_hex_encode(digest, TD_DIGEST_SIZE, name);
    td_answer_file(request, fd, size, "application/octet-stream", name);
    td_answer_header(request, "ETag", td_request_text(request, "\"%s\"", name));
    return TD_OK;
}

static td_code send_path(td_request *request, const char *path, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    uint64_t size;
    TD_TRY(is_version_path(path) ? find_in_version(request, path, digest, err)
                                 : td_artifact_get(request->db, request->project, path, digest, &size, err));
    return send_content(request, digest, err);
}

static td_code get(td_request *request, td_err *err)
{
    return send_path(request, request->parameters[0], err);
}

/* What MLflow's pages and old clients ask: a path below a run. */
static td_code get_of_run(td_request *request, td_err *err)
{
    const char *id, *path, *whole;
    TD_TRY(td_mlflow_run_id(request, &id, err));
    TD_TRY(td_mlflow_text(request, "path", true, &path, err));
    TD_TRY(td_artifact_path_of_run(request->db, request->project, id, path, &request->arena, &whole, err));
    return send_path(request, whole, err);
}

/* ---- writing ---- */

static td_code write_put(td_db *db, void *context, td_err *err)
{
    td_request *request = context;
    TD_TRY(td_project_content_add(db, request->project, request->upload_digest, err));
    TD_TRY(td_artifact_put(db, TD_WHO(request), request->parameters[0], request->upload_digest, request->upload_size,
                           err));
    return td_mlflow_answer_empty(request, err);
}

static td_code refuse_version(const td_request *request, td_err *err)
{
    return is_version_path(request->parameters[0])
               ? td_fail(err, TD_INVALID, "the files of a registered version never change; register another version")
               : TD_OK;
}

static td_code put(td_request *request, td_err *err)
{
    TD_TRY(refuse_version(request, err));
    return td_request_write(request, write_put, request, err);
}

static td_code write_delete(td_db *db, void *context, td_err *err)
{
    td_request *request = context;
    TD_TRY(td_artifact_delete(db, TD_WHO(request), request->parameters[0], err));
    return td_mlflow_answer_empty(request, err);
}

static td_code delete_path(td_request *request, td_err *err)
{
    TD_TRY(refuse_version(request, err));
    return td_request_write(request, write_delete, request, err);
}

/* The client compares the first words, then sends the file in one PUT, which is streamed here whatever its size. */
static td_code refuse_parts(td_request *request, td_err *err)
{
    (void)request;
    return td_fail(err, TD_INVALID,
                   "Multipart upload is not supported for the current artifact repository; send the file in one PUT");
}

#define ARTIFACTS "/api/2.0/mlflow-artifacts/artifacts"
#define PARTS "/api/2.0/mlflow-artifacts/mpu/"

const td_route td_routes_mlflow_artifact[] = {
    TD_GET(ARTIFACTS, TD_MAY_READ, list, "MLflow: artifacts below a path"),
    TD_GET(ARTIFACTS "/{path...}", TD_MAY_READ, get, "MLflow: one artifact; Range is honoured"),
    {"PUT", ARTIFACTS "/{path...}", TD_ROUTE_MAY(TD_MAY_REGISTER), TD_LISTENER_USERS, TD_BODY_STREAM, put,
     "MLflow: bytes in, under a path (?digest= is checked)"},
    {"DELETE", ARTIFACTS "/{path...}", TD_ROUTE_MAY(TD_MAY_REGISTER), TD_LISTENER_USERS, TD_BODY_NONE, delete_path,
     "MLflow: remove an artifact or a folder"},
    TD_SEND("POST", PARTS "create/{path...}", TD_MAY_REGISTER, refuse_parts, "MLflow: not served; clients use PUT"),
    TD_SEND("POST", PARTS "complete/{path...}", TD_MAY_REGISTER, refuse_parts, "MLflow: not served"),
    TD_SEND("POST", PARTS "abort/{path...}", TD_MAY_REGISTER, refuse_parts, "MLflow: not served"),
    TD_GET("/get-artifact", TD_MAY_READ, get_of_run, "MLflow: one artifact of a run"),
    TD_ROUTES_END,
};
