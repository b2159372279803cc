/*
 * import_logged.c: logged models of MLflow 3, with their files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/import.h"

#include <string.h>

#define VALUE_MAX 6000 /* bytes of a parameter or tag, as docs/mlflow.md says */

static td_code make_model(td_import *im, const json_t *info, const json_t *data, const char *ours, json_t **out,
                          td_err *err)
{
    const char *id = td_json_text(info, "model_id", ""), *run = td_json_text(info, "source_run_id", "");
    TD_CLEANUP(td_json_done)
    json_t *body = json_pack("{s:s, s:s, s:s*, s:s*, s:o, s:o}", "experiment_id", ours, "name",
                             td_json_text(info, "name", ""), "model_type", td_json_text(info, "model_type", NULL),
                             "source_run_id", *run != '\0' ? run : NULL, "params",
                             td_import__pairs(im, json_object_get(data, "params"), VALUE_MAX, id), "tags",
                             td_import__pairs(im, json_object_get(info, "tags"), VALUE_MAX, id));
    TD_TRY(td_cli_need(body, err));
    return td_cli_call(im->cli, "PUT", td_cli_path(im->cli, "mirror", "logged-models", id, NULL), body, out, err);
}

static td_code copy_files(td_import *im, const char *id, const char *ours, td_err *err)
{
    td_import_tree tree = {
        .list = td_cli_text(im->cli, "/api/2.0/mlflow/logged-models/%s/artifacts/directories", id),
        .list_key = "artifact_directory_path",
        .get = td_cli_text(im->cli, "/ajax-api/2.0/mlflow/logged-models/%s/artifacts/files", id),
        .get_key = "artifact_file_path",
        .root = td_cli_text(im->cli, "%s/models/%s/artifacts", ours, id),
    };
    return td_import__tree(im, &tree, id, err);
}

/* A name of theirs that goes into a path of theirs. */
static bool is_id(const char *id)
{
    return strncmp(id, "m-", 2) == 0 && strspn(id + 2, "0123456789abcdefABCDEF") == 32 && strlen(id) == 34;
}

static td_code fill_model(td_import *im, const json_t *item, const char *ours, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    const json_t *info = json_object_get(item, "info");
    const char *id = td_json_text(info, "model_id", ""), *status = td_json_text(info, "status", "");
    if (!is_id(id)) {
        return td_fail(err, TD_INVALID, "\"%.60s\" is no id of a logged model", id);
    }
    TD_TRY(make_model(im, info, json_object_get(item, "data"), ours, &answer, err));
    if (json_object_set_new(im->logged, id, json_true()) != 0) {
        return td_fail(err, TD_NOMEM, "no memory for an import");
    }
    const json_t *there = json_object_get(json_object_get(answer, "model"), "info");
    if (strcmp(status, "LOGGED_MODEL_READY") == 0 && strcmp(td_json_text(there, "status", ""), status) == 0) {
        return TD_OK;
    }
    TD_TRY(copy_files(im, id, ours, err));
    if (json_object_get(im->lacking, id) != NULL) { /* stays pending; looked at again next time */
        return TD_OK;
    }
    im->logged_models++;
    return td_import__send(im, "PATCH", td_cli_text(im->cli, "/api/2.0/mlflow/logged-models/%s", id),
                           json_pack("{s:s}", "status", status), NULL, err);
}

static td_code one_model(td_import *im, const json_t *item, void *context, td_err *err)
{
    const char *id = td_json_text(json_object_get(item, "info"), "model_id", "");
    td_code code = fill_model(im, item, context, err);
    return td_import__soften(im, code, td_cli_text(im->cli, "logged model %.40s", id), err);
}

td_code td_import__logged(td_import *im, const char *theirs, const char *ours, td_err *err)
{
    char kept[24];
    (void)snprintf(kept, sizeof kept, "%s", ours);
    TD_CLEANUP(td_json_done)
    json_t *body = json_pack("{s:[s], s:i}", "experiment_ids", theirs, "max_results", 50);
    TD_TRY(td_cli_need(body, err));
    td_code code =
        td_import__each(im, "/api/2.0/mlflow/logged-models/search", body, "models", one_model, kept, err);
    return code == TD_NOT_FOUND ? TD_OK : code; /* before MLflow 3 there are none */
}
