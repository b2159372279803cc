/*
 * artifact_show_store.c: artifacts by the run or the logged model that they belong to.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tracking/internal.h"

#include <stdio.h>
#include <string.h>

static td_code no_memory(td_err *err)
{
    return td_fail(err, TD_NOMEM, "no memory to list artifacts");
}

/* ROOT/PATH, checked. */
static td_code whole_path(const char *root, const char *path, td_str *out, td_err *err)
{
    bool below = path != NULL && *path != '\0';
    if (below) {
        TD_TRY(td_artifact_path_check(path, err));
    }
    td_str_addf(out, "%s%s%s", root, below ? "/" : "", below ? path : "");
    return td_str_check(out, err);
}

/* The last parts of `files` become paths below the root. */
static td_code prefix_all(json_t *files, const char *path, td_err *err)
{
    size_t i;
    const json_t *const_file;
    json_array_foreach (files, i, const_file) {
        json_t *file = json_array_get(files, i);
        TD_CLEANUP(td_str_done) td_str text = {0};
        td_str_addf(&text, "%s/%s", path, td_json_text(file, "path", ""));
        TD_TRY(td_str_check(&text, err));
        if (json_object_set_new(file, "path", json_string(td_str_text(&text))) != 0) {
            return no_memory(err);
        }
    }
    return TD_OK;
}

static td_code list_below(td_db *db, const char *project, const char *root, const char *path, json_t **out, td_err *err)
{
    json_t *list = NULL;
    TD_CLEANUP(td_str_done) td_str whole = {0};
    TD_TRY(whole_path(root, path, &whole, err));
    TD_TRY(td_artifact_list_json(db, project, td_str_text(&whole), &list, err));
    TD_CLEANUP(td_json_done) json_t *files = list;
    if (path != NULL && *path != '\0') {
        TD_TRY(prefix_all(files, path, err));
    }
    TD_CLEANUP(td_str_done) td_str uri = {0};
    td_str_addf(&uri, "mlflow-artifacts:/%s", root);
    TD_TRY(td_str_check(&uri, err));
    json_t *answer = json_pack("{s:s, s:O}", "root_uri", td_str_text(&uri), "files", files);
    *out = answer;
    return answer != NULL ? TD_OK : no_memory(err);
}

td_code td_artifact_of_run_json(td_db *db, const char *project, const char *uuid, const char *path, json_t **out,
                                td_err *err)
{
    td_tracking__run run;
    char root[96];
    TD_TRY(td_tracking__run_find(db, project, uuid, &run, err));
    td_tracking__run_root(run.experiment_number, uuid, root);
    return list_below(db, project, root, path, out, err);
}

td_code td_artifact_of_logged_json(td_db *db, const char *project, const char *uuid, const char *path, json_t **out,
                                   td_err *err)
{
    td_tracking__logged model;
    char root[96];
    TD_TRY(td_tracking__logged_find(db, project, uuid, &model, err));
    td_tracking__logged_root(model.experiment_number, uuid, root);
    return list_below(db, project, root, path, out, err);
}

td_code td_artifact_path_of_run(td_db *db, const char *project, const char *uuid, const char *path, td_arena *arena,
                                const char **out, td_err *err)
{
    td_tracking__run run;
    char root[96];
    TD_CLEANUP(td_str_done) td_str whole = {0};
    TD_TRY(td_tracking__run_find(db, project, uuid, &run, err));
    td_tracking__run_root(run.experiment_number, uuid, root);
    TD_TRY(whole_path(root, path, &whole, err));
    const char *text = td_arena_text(arena, td_str_text(&whole));
    *out = text;
    return text != NULL ? TD_OK : no_memory(err);
}
