/*
 * import_experiment.c: experiments by their names, and the files of runs and logged models.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/import.h"

#include "registry/content.h"

#include <string.h>
#include <unistd.h>

/* ---- files ---- */

typedef struct walk {
    const td_import_tree *tree;
    const char *folder; /* below the root; "" for itself */
    int depth;
    const char *id;   /* of the run or logged model */
    int64_t *count;   /* files seen in the whole tree */
    const json_t *there; /* {"name": size} of this folder on our server */
} walk;

static td_code copy_file(td_import *im, const walk *w, const char *path, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    uint64_t size = 0;
    char label[TD_DIGEST_LABEL_SIZE];
    const char *file = td_cli_text(im->cli, "%s/file", im->folder);
    (void)unlink(file);
    const char *from = td_cli_query(&im->from, w->tree->get, w->tree->get_key, path);
    TD_TRY(td_import__theirs(im, td_cli_download(&im->from, from, file, NULL, err), err));
    td_code code = td_cli_upload(im->cli, file, digest, &size, err);
    (void)unlink(file);
    TD_TRY(code);
    td_digest_format(digest, label);
    TD_CLEANUP(td_json_done)
    json_t *body = json_pack("{s:s, s:s}", "path", td_cli_text(im->cli, "%s/%s", w->tree->root, path), "digest", label);
    TD_TRY(td_cli_need(body, err));
    TD_TRY(td_cli_call(im->cli, "POST", td_cli_path(im->cli, "mirror", "artifacts", NULL), body, NULL, err));
    im->files++;
    im->bytes += size;
    return TD_OK;
}

static td_code copy_folder(td_import *im, const walk *above, const char *folder, int depth, td_err *err);

/* A file that they cannot give (its storage lost it, say) does not stop the others. */
static td_code settle(td_import *im, const walk *w, td_code code, const char *path, td_err *err)
{
    if (code == TD_OK) {
        return TD_OK;
    }
    if (json_object_set_new(im->lacking, w->id, json_true()) != 0) {
        return td_fail(err, TD_NOMEM, "no memory for an import");
    }
    code = code == TD_INTERNAL ? TD_NOT_FOUND : code;
    return td_import__soften(im, code, td_cli_text(im->cli, "%s/%s", w->tree->root, path), err);
}

/* The one name below `folder` that `path` adds; NULL: it adds none, more than one, or one that leads elsewhere. */
static const char *name_below(const char *folder, const char *path)
{
    size_t skip = strlen(folder);
    if (skip > 0 && (strncmp(path, folder, skip) != 0 || path[skip] != '/')) {
        return NULL;
    }
    const char *name = skip > 0 ? path + skip + 1 : path;
    bool plain = *name != '\0' && strpbrk(name, "/\\") == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
    return plain ? name : NULL;
}

/* A server that lists what does not lie in the folder that was asked for is not followed. */
static td_code copy_entry(td_import *im, const json_t *item, void *context, td_err *err)
{
    const walk *w = context;
    const char *path = td_json_text(item, "path", ""), *name = name_below(w->folder, path);
    if (name == NULL) {
        td_import__note(im, "%s: \"%.100s\" is listed in folder \"%.100s\", where it cannot lie; left out",
                        w->tree->root, path, w->folder);
        return TD_OK;
    }
    if (++*w->count > TD_IMPORT_FILES_MAX) {
        return td_fail(err, TD_LIMIT, "%s has more than %d files", w->tree->root, TD_IMPORT_FILES_MAX);
    }
    if (json_is_true(json_object_get(item, "is_dir"))) {
        return copy_folder(im, w, path, w->depth + 1, err);
    }
    const json_t *size = json_object_get(w->there, name);
    int64_t theirs = td_json_int(item, "file_size", -1);
    if (json_is_string(json_object_get(item, "file_size"))) {
        TD_TRY(td_parse_int(td_json_text(item, "file_size", ""), "file_size", 0, INT64_MAX, &theirs, err));
    }
    if (json_is_integer(size) && json_integer_value(size) == theirs) {
        return TD_OK;
    }
    return settle(im, w, copy_file(im, w, path, err), path, err);
}

/* Names and sizes of a folder's files on our server. */
static td_code what_is_there(td_import *im, const td_import_tree *tree, const char *folder, json_t **out, td_err *err)
{
    size_t i;
    const json_t *file;
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    TD_CLEANUP(td_json_done) json_t *sizes = json_object();
    const char *path = td_cli_text(im->cli, "%s%s%s", tree->root, *folder != '\0' ? "/" : "", folder);
    TD_TRY(td_import__send(im, "GET", td_cli_query(im->cli, "/api/2.0/mlflow-artifacts/artifacts", "path", path), NULL,
                           &answer, err));
    json_array_foreach (json_object_get(answer, "files"), i, file) {
        json_t *size = json_object_get(file, "file_size");
        if (size != NULL && json_object_set(sizes, td_json_text(file, "path", ""), size) != 0) {
            return td_fail(err, TD_NOMEM, "no memory for a list of files");
        }
    }
    *out = json_incref(sizes);
    return TD_OK;
}

static td_code copy_folder(td_import *im, const walk *above, const char *folder, int depth, td_err *err)
{
    const td_import_tree *tree = above->tree;
    TD_CLEANUP(td_json_done) json_t *there = NULL;
    if (depth > TD_IMPORT_DEPTH_MAX) {
        td_import__note(im, "%s/%.100s: more than %d folders in each other; left out", tree->root, folder,
                        TD_IMPORT_DEPTH_MAX);
        return TD_OK;
    }
    td_code code = what_is_there(im, tree, folder, &there, err);
    if (code != TD_OK) {
        return settle(im, above, code, folder, err);
    }
    walk w = {.tree = tree, .folder = folder, .depth = depth, .id = above->id, .count = above->count, .there = there};
    const char *path = *folder != '\0' ? td_cli_query(&im->from, tree->list, tree->list_key, folder) : tree->list;
    return td_import__each(im, path, NULL, "files", copy_entry, &w, err);
}

td_code td_import__tree(td_import *im, const td_import_tree *tree, const char *id, td_err *err)
{
    int64_t count = 0;
    walk root = {.tree = tree, .id = id, .count = &count};
    return copy_folder(im, &root, "", 0, err);
}

/* ---- experiments ---- */

/* Our experiment of that name; made if it is not there. */
static td_code find_experiment(td_import *im, const json_t *theirs, json_t **out, td_err *err)
{
    const char *name = td_json_text(theirs, "name", "");
    const char *path = td_cli_query(im->cli, "/api/2.0/mlflow/experiments/get-by-name", "experiment_name", name);
    td_code code = td_import__send(im, "GET", path, NULL, out, err);
    if (code != TD_NOT_FOUND) {
        return code;
    }
    json_t *tags = td_import__pairs(im, json_object_get(theirs, "tags"), 8000, name);
    TD_TRY(td_import__send(im, "POST", "/api/2.0/mlflow/experiments/create",
                           json_pack("{s:s, s:o}", "name", name, "tags", tags), NULL, err));
    return td_import__send(im, "GET", path, NULL, out, err);
}

static td_code one_experiment(td_import *im, const json_t *item, void *context, td_err *err)
{
    (void)context;
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    const char *name = td_json_text(item, "name", "");
    td_code code = find_experiment(im, item, &answer, err);
    if (code != TD_OK) {
        return td_import__soften(im, code, name, err);
    }
    const json_t *ours = json_object_get(answer, "experiment");
    if (strcmp(td_json_text(ours, "lifecycle_stage", ""), "active") != 0) {
        td_import__note(im, "experiment %.100s is deleted here; left out", name);
        return TD_OK;
    }
    td_import__progress(im, "experiment", name);
    im->experiments++;
    return td_import__runs(im, td_json_text(item, "experiment_id", ""), td_json_text(ours, "experiment_id", ""), err);
}

td_code td_import__experiments(td_import *im, td_err *err)
{
    TD_CLEANUP(td_json_done)
    json_t *body = json_pack("{s:i, s:s}", "max_results", 100, "view_type", "ACTIVE_ONLY");
    TD_TRY(td_cli_need(body, err));
    return td_import__each(im, "/api/2.0/mlflow/experiments/search", body, "experiments", one_experiment, NULL, err);
}
