/*
 * mlflow_file.c: the files of a version as the artifacts that a client of MLflow downloads.
 *
 * get-download-uri answers an http(s) address below which the client lists and fetches; it cuts such an address at
 * "/mlflow-artifacts/artifacts" (mlflow/store/artifact/http_artifact_repo.py), which is why the patterns end so. The
 * client sees the files of role model as its own tree; all else of a version keeps its folder.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "server/mlflow_registry.h"

#include <stdio.h>
#include <string.h>

#define PREFIX "/api/2.0/mlflow/model-versions/files/mlflow-artifacts/artifacts"

const char *td_mlflow_download_uri(td_request *request, const char *model, int64_t number)
{
    return td_request_text(request, "%s" PREFIX "/%s/%lld", request->base_url, model, (long long)number);
}

/* A version's files, and the path below them. */
typedef struct place {
    td_version version;
    td_version_file *files;
    size_t file_count;
    const char *path; /* "" for the root */
} place;

/* "pump/3/data/model.pkl" */
static td_code find_place(td_request *request, const char *text, place *out, td_err *err)
{
    const char *slash = strchr(text, '/');
    const char *end = slash != NULL ? slash + 1 + strspn(slash + 1, "0123456789") : NULL;
    if (end == NULL || end == slash + 1 || (*end != '\0' && *end != '/')) {
        return td_fail(err, TD_INVALID, "Invalid path '%.120s': MODEL/VERSION/PATH is expected", text);
    }
    const char *reference = td_request_text(request, "%.*s", (int)(end - text), text);
    TD_TRY(td_version_find(request->db, request->project, reference, &request->arena, &out->version, err));
    TD_TRY(td_version_files(request->db, out->version.version_id, &request->arena, &out->files, &out->file_count, err));
    out->path = *end == '/' ? end + 1 : end;
    return out->path[0] == '\0' ? TD_OK : td_check_file_name(out->path, strlen(out->path), err);
}

/* As the client knows it. */
static const char *shown_name(const td_version_file *file)
{
    return file->role == TD_FILE_MODEL && strncmp(file->name, "model/", 6) == 0 ? file->name + 6 : file->name;
}

/* ---- list ---- */

/* The entry of `path` that the name lies in: its length, and whether it is a folder. 0: it lies elsewhere. */
static size_t entry_of(const char *name, const char *path, bool *folder_out)
{
    size_t length = strlen(path);
    if (length > 0 && (strncmp(name, path, length) != 0 || name[length] != '/')) {
        return 0;
    }
    const char *rest = length > 0 ? name + length + 1 : name;
    size_t size = strcspn(rest, "/");
    *folder_out = rest[size] == '/';
    return (size_t)(rest - name) + size;
}

static bool listed(const json_t *files, const char *name, size_t length)
{
    size_t index;
    json_t *file;
    json_array_foreach ((json_t *)files, index, file) {
        const char *path = td_json_text(file, "path", "");
        if (strlen(path) == length && strncmp(path, name, length) == 0) {
            return true;
        }
    }
    return false;
}

static json_t *list_place(const place *at)
{
    json_t *files = json_array();
    for (size_t i = 0; files != NULL && i < at->file_count; i++) {
        const char *name = shown_name(&at->files[i]);
        bool folder = false;
        size_t length = entry_of(name, at->path, &folder);
        size_t before = at->path[0] != '\0' ? strlen(at->path) + 1 : 0;
        if (length == 0 || listed(files, name + before, length - before)) {
            continue;
        }
        json_t *file = json_pack("{s:s%, s:b}", "path", name + before, length - before, "is_dir", folder);
        if (!folder) {
            (void)json_object_set_new(file, "file_size", json_integer((json_int_t)at->files[i].size));
        }
        (void)json_array_append_new(files, file);
    }
    return files;
}

static td_code list_files(td_request *request, td_err *err)
{
    const char *path;
    place at;
    TD_TRY(td_mlflow_text(request, "path", true, &path, err));
    TD_TRY(find_place(request, path, &at, err));
    return td_answer_json(request, 200, json_pack("{s:o}", "files", list_place(&at)), err);
}

/* ---- fetch ---- */

static td_code get_file(td_request *request, td_err *err)
{
    place at;
    TD_TRY(find_place(request, request->parameters[0], &at, err));
    for (size_t i = 0; i < at.file_count; i++) {
        const td_version_file *file = &at.files[i];
        if (strcmp(shown_name(file), at.path) == 0) {
            int fd;
            uint64_t size;
            char label[TD_DIGEST_LABEL_SIZE];
            const char *slash = strrchr(at.path, '/');
            TD_TRY(td_content_get(request->server->content, file->digest, &fd, &size, err));
            td_answer_file(request, fd, size, "application/octet-stream", slash != NULL ? slash + 1 : at.path);
            td_digest_format(file->digest, label);
            td_answer_header(request, "X-Content-Digest", label);
            td_answer_header(request, "ETag", td_request_text(request, "\"%s\"", label + 7));
            return TD_OK;
        }
    }
    return td_fail(err, TD_NOT_FOUND, "version %s has no file \"%.120s\"", at.version.label, at.path);
}

const td_route td_routes_mlflow_file[] = {
    TD_GET(PREFIX, TD_MAY_READ, list_files, "MLflow: a folder of a version's files"),
    TD_GET(PREFIX "/{path...}", TD_MAY_READ, get_file, "MLflow: one file of a version"),
    TD_ROUTES_END,
};
