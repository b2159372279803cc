/*
 * usecase_inspect.c: every file of a version is looked into: formats and facts at registration, verdicts also before
 * packing.
 *
 * Files are mapped out of content on the caller's thread, never read in and never run.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "server/usecase.h"

#include <stdio.h>
#include <string.h>

/* Which file of a version is the model: the first of the format that stands first. */
static const char *const by_weight[] = {"onnx",   "tflite", "gguf", "safetensors", "keras",   "pytorch", "joblib",
                                        "pickle", "hdf5",   "npz",  "npy",         "mlmodel", "zip"};

/* As it is called beside the model: without the folder of its role. */
static const char *plain_name(const char *name)
{
    return strncmp(name, "model/", 6) == 0 ? name + 6 : name;
}

/* ---- looking ---- */

static td_code look_at(const td_case *work, const td_version_file *file, const char *const *others, td_inspection *out,
                       td_err *err)
{
    td_inspect_options options = {.name = plain_name(file->name), .files = others};
    TD_CLEANUP(td_close_fd) int fd = -1;
    uint64_t size;
    TD_TRY(td_content_get(work->server->content, file->digest, &fd, &size, err));
    return td_inspect_fd(fd, size, &options, out, err);
}

td_code td_look(const td_case *work, const td_version_file *files, size_t count, td_inspection *out, td_err *err)
{
    for (size_t i = 0; i < count; i++) {
        const char *others[TD_MANIFEST_FILES_MAX + 1];
        size_t other_count = 0;
        for (size_t k = 0; k < count && other_count < TD_MANIFEST_FILES_MAX; k++) {
            if (k != i && files[k].role == TD_FILE_MODEL) {
                others[other_count++] = plain_name(files[k].name);
            }
        }
        others[other_count] = NULL;
        TD_TRY(look_at(work, &files[i], others, &out[i], err));
    }
    return TD_OK;
}

td_code td_look_json(const td_case *work, const char *name, const uint8_t digest[TD_DIGEST_SIZE], json_t **out,
                     td_err *err)
{
    static const char *const none[] = {NULL};
    td_version_file file = {.name = name, .role = TD_FILE_MODEL};
    TD_CLEANUP(td_inspection_done) td_inspection found = {0};
    memcpy(file.digest, digest, sizeof file.digest);
    TD_TRY(look_at(work, &file, none, &found, err));
    json_t *json = td_inspection_json(name, &found);
    if (json == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to describe %s", name);
    }
    *out = json;
    return TD_OK;
}

/* ---- telling ---- */

static const char *shown_format(const char *format)
{
    static const char *const shown[][2] = {
        {"onnx", "ONNX"}, {"tflite", "TFLite"}, {"gguf", "GGUF"}, {"npy", "NumPy"}, {"npz", "NumPy"}};
    for (size_t i = 0; i < TD_COUNT_OF(shown); i++) {
        if (strcmp(shown[i][0], format) == 0) {
            return shown[i][1];
        }
    }
    return format;
}

static td_code broken_promise(const td_registration *registration, const char *name, const td_inspection *found,
                              json_t *warnings, td_err *err)
{
    char text[300];
    const char *promised = shown_format(found->promised);
    if (registration->strict) {
        return td_fail(err, TD_INVALID,
                       "%.80s is no %s file although it is named so; --strict refuses it, without it is registered as "
                       "%s",
                       name, promised, found->format);
    }
    snprintf(text, sizeof text, "%.80s is no %s file although it is named so: registered as %s", name, promised,
             found->format);
    (void)json_array_append_new(warnings, json_string(text));
    return TD_OK;
}

static td_code warn_quarantine(const td_registration *registration, const char *name, const td_inspection *found,
                               json_t *warnings, td_err *err)
{
    char text[400];
    if (registration->clean) {
        return td_fail(err, TD_INVALID,
                       "%.80s can hold a pickle too (%s), so a version with it would be no better off; give a file "
                       "that a device can run, such as ONNX",
                       name, td_verdict_name(found->verdict));
    }
    snprintf(
        text, sizeof text,
        "%.80s can hold a pickle (%s): it is quarantined, which means kept and given back to you, but never packed "
        "nor sent to a device; convert the model and use: tidemark version derive",
        name, td_verdict_name(found->verdict));
    (void)json_array_append_new(warnings, json_string(text));
    return TD_OK;
}

static void warn_risks(const char *name, const td_inspection *found, json_t *warnings)
{
    size_t index;
    json_t *risk;
    json_array_foreach (json_object_get(found->facts, "risks"), index, risk) {
        char text[500];
        snprintf(text, sizeof text, "%.80s: %.400s", name, td_json_text(risk, "text", ""));
        json_t *clean = td_facts_text(text, strlen(text), sizeof text);
        if (clean != NULL) {
            (void)json_array_append_new(warnings, clean);
        }
    }
}

td_code td_look_warnings(const td_registration *registration, const td_inspection *found, json_t *warnings, td_err *err)
{
    for (size_t i = 0; i < registration->file_count; i++) {
        const char *name = registration->files[i].name;
        if (found[i].promised != NULL) {
            TD_TRY(broken_promise(registration, name, &found[i], warnings, err));
        }
        if (found[i].verdict != TD_VERDICT_NONE) {
            TD_TRY(warn_quarantine(registration, name, &found[i], warnings, err));
        }
        warn_risks(name, &found[i], warnings);
    }
    return TD_OK;
}

/* ---- the main file ---- */

static size_t weight_of(const char *format)
{
    for (size_t i = 0; i < TD_COUNT_OF(by_weight); i++) {
        if (strcmp(by_weight[i], format) == 0) {
            return i;
        }
    }
    return TD_COUNT_OF(by_weight);
}

/* MLflow's signature speaks where the model file itself says nothing of inputs and outputs. */
static void add_mlflow(const json_t *mlmodel, json_t *facts)
{
    static const char *const lists[] = {"inputs", "outputs", "params"};
    for (size_t i = 0; i < TD_COUNT_OF(lists); i++) {
        if (json_array_size(json_object_get(facts, lists[i])) == 0) {
            (void)json_object_set(facts, lists[i], json_object_get(mlmodel, lists[i]));
        }
    }
    (void)json_object_set(json_object_get(facts, "details"), "mlflow", json_object_get(mlmodel, "details"));
}

const char *td_look_main(const td_version_file *files, size_t count, const td_inspection *found, json_t **facts_out)
{
    const td_inspection *best = NULL, *mlmodel = NULL;
    for (size_t i = 0; i < count; i++) {
        if (files[i].role != TD_FILE_MODEL || found[i].facts == NULL) {
            continue;
        }
        best = best == NULL || weight_of(found[i].format) < weight_of(best->format) ? &found[i] : best;
        mlmodel = strcmp(found[i].format, "mlmodel") == 0 ? &found[i] : mlmodel;
    }
    if (best == NULL) {
        return "opaque";
    }
    *facts_out = json_deep_copy(best->facts);
    if (mlmodel != NULL && mlmodel != best && *facts_out != NULL) {
        add_mlflow(mlmodel->facts, *facts_out);
    }
    return best->format;
}

/* ---- verdicts ---- */

td_code td_look_for_pickles(const td_case *work, const td_version_file *files, size_t count, td_verdict *out,
                            td_err *err)
{
    for (size_t i = 0; i < count; i++) {
        TD_CLEANUP(td_inspection_done) td_inspection found = {0};
        td_code code = look_at(work, &files[i], NULL, &found, err);
        if (code != TD_OK && code != TD_CORRUPT && code != TD_LIMIT) { /* those are models, not pickles */
            return code;
        }
        out[i] = found.verdict;
    }
    return TD_OK;
}

td_code td_look_before_packing(const td_case *work, const td_version *version, td_err *err)
{
    td_version_file *files;
    td_verdict verdicts[TD_MANIFEST_FILES_MAX];
    size_t count;
    TD_TRY(td_version_files(work->db, version->version_id, work->arena, &files, &count, err));
    TD_TRY(td_look_for_pickles(work, files, count, verdicts, err));
    for (size_t i = 0; i < count; i++) {
        if (verdicts[i] != TD_VERDICT_NONE) {
            return td_quarantine_refuse(version->label, files[i].name, td_verdict_name(verdicts[i]), err);
        }
    }
    return TD_OK;
}
