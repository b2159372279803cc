/*
 * spec_folder.c: a folder among the files of a spec stands for the files below it: MLflow's and Triton's models are
 * folders.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/fs.h"
#include "registry/manifest.h"

#define DEPTH_MAX 16

typedef struct walk {
    td_cli *cli;
    json_t *files;    /* {path, name, role?} */
    const char *role; /* or NULL */
} walk;

static td_code add_file(const walk *w, const char *path, const char *name, td_err *err)
{
    if (json_array_size(w->files) >= TD_MANIFEST_FILES_MAX) {
        return td_fail(err, TD_LIMIT, "%s: more than %d files; pack them into one, or name those that are needed", path,
                       TD_MANIFEST_FILES_MAX);
    }
    if (td_check_file_name(name, strlen(name), err) != TD_OK) {
        return td_wrap(err, "%s", path);
    }
    json_t *file = json_pack("{s:s, s:s}", "path", path, "name", name);
    if (file == NULL || (w->role != NULL && json_object_set_new(file, "role", json_string(w->role)) != 0) ||
        json_array_append(w->files, file) != 0) {
        json_decref(file);
        return td_fail(err, TD_INVALID, "%.200s: the name is not valid UTF-8", path);
    }
    json_decref(file);
    return TD_OK;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int no_dots(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static td_code walk_folder(const walk *w, const char *folder, const char *prefix, int depth, td_err *err);

static td_code walk_entry(const walk *w, const char *path, const char *name, int depth, td_err *err)
{
    struct stat about;
    if (lstat(path, &about) != 0) {
        return td_fail_errno(err, errno, "%s", path);
    }
    if (S_ISDIR(about.st_mode)) {
        return walk_folder(w, path, name, depth + 1, err);
    }
    if (!S_ISREG(about.st_mode)) {
        return td_fail(err, TD_INVALID, "%s is %s; only regular files can be registered", path,
                       S_ISLNK(about.st_mode) ? "a link" : "no file");
    }
    return add_file(w, path, name, err);
}

static td_code walk_folder(const walk *w, const char *folder, const char *prefix, int depth, td_err *err)
{
    struct dirent **entries = NULL;
    if (depth > DEPTH_MAX) {
        return td_fail(err, TD_LIMIT, "%s: folders more than %d deep", folder, DEPTH_MAX);
    }
    int count = scandir(folder, &entries, no_dots, by_name);
    if (count < 0) {
        return td_fail_errno(err, errno, "%s", folder);
    }
    td_code code = TD_OK;
    for (int i = 0; i < count; i++) {
        if (code == TD_OK) {
            const char *slash = folder[0] != '\0' && folder[strlen(folder) - 1] == '/' ? "" : "/";
            const char *path = td_cli_text(w->cli, "%s%s%s", folder, slash, entries[i]->d_name);
            const char *name = td_cli_text(w->cli, "%s%s%s", prefix, prefix[0] != '\0' ? "/" : "", entries[i]->d_name);
            code = walk_entry(w, path, name, depth, err);
        }
        free(entries[i]);
    }
    free(entries);
    return code;
}

static td_code expand(td_cli *cli, json_t *item, json_t *files, td_err *err)
{
    struct stat about;
    const char *path = td_json_text(item, "path", "");
    size_t before = json_array_size(files);
    if (stat(path, &about) != 0 || !S_ISDIR(about.st_mode)) { /* what is not there is told when it is sent */
        return json_array_append(files, item) == 0 ? TD_OK : td_cli_need(NULL, err);
    }
    walk w = {.cli = cli, .files = files, .role = td_json_text(item, "role", NULL)};
    TD_TRY(walk_folder(&w, path, td_json_text(item, "name", ""), 1, err));
    return json_array_size(files) > before ? TD_OK : td_fail(err, TD_INVALID, "%s: the folder holds no files", path);
}

/* MLflow's loader looks for it at the top. */
static td_code need_mlmodel(const json_t *spec, const json_t *files, td_err *err)
{
    if (strcmp(td_json_text(spec, "type", ""), "mlflow_model") != 0) {
        return TD_OK;
    }
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *file = json_array_get(files, i);
        const char *name = td_json_text(file, "name", td_cli_base_name(td_json_text(file, "path", "")));
        if (strcmp(name, "MLmodel") == 0) {
            return TD_OK;
        }
    }
    return td_fail(err, TD_INVALID, "type mlflow_model: there is no file MLmodel at the top of the model's folder");
}

td_code td_spec_folders(td_cli *cli, json_t *spec, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *files = json_array();
    json_t *list = json_object_get(spec, "files");
    TD_TRY(td_cli_need(files, err));
    for (size_t i = 0; i < json_array_size(list); i++) {
        TD_TRY(expand(cli, json_array_get(list, i), files, err));
    }
    TD_TRY(need_mlmodel(spec, files, err));
    return json_object_set(spec, "files", files) == 0 ? TD_OK : td_cli_need(NULL, err);
}
