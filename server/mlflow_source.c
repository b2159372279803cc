/*
 * mlflow_source.c: the `source` of a version that a client of MLflow registers, and which files it means.
 *
 * It is text from a stranger and stays text: no path of this machine is ever made of it, nothing is fetched by it. What
 * means files that lie here is looked up by name; a store elsewhere is remembered as words.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/reference.h"
#include "server/mlflow_registry.h"

#include <string.h>
#include <strings.h>

/* What clients send for prompts, whose words are tags (3.x: mlflow/prompt/registry_utils.py). */
static const char *const prompt_sources[] = {"prompt-template", "dummy-source", NULL};

/* Stores of other people, which a version may point at without having its files here. */
static const char *const elsewhere[] = {"s3", "gs", "wasbs", "abfss", "dbfs", "hdfs", "r2", "b2", "oci", NULL};

static td_code refuse(const char *source, const char *why, td_err *err)
{
    return td_fail(err, TD_INVALID, "Invalid model version source: '%.120s': %s", source, why);
}

/* Whatever climbs, hides or could be cut in another way by somebody else. */
static td_code check_text(const char *source, td_err *err)
{
    if (strlen(source) > TD_SOURCE_MAX) {
        return td_fail(err, TD_INVALID, "Invalid model version source: longer than %d bytes", TD_SOURCE_MAX);
    }
    for (const char *c = source; *c != '\0'; c++) {
        if ((unsigned char)*c <= 0x20 || *c == 0x7f || strchr("%\\#?;\"'<>|*", *c) != NULL) {
            return refuse(source, "white space and % \\ # ? ; \" ' < > | * are not allowed", err);
        }
    }
    for (const char *dots = strstr(source, ".."); dots != NULL; dots = strstr(dots + 1, "..")) {
        bool starts = dots == source || dots[-1] == '/' || dots[-1] == ':';
        if (starts && (dots[2] == '\0' || dots[2] == '/')) {
            return refuse(source, "a part of it is '..'", err);
        }
    }
    return TD_OK;
}

static bool has_scheme(const char *source, const char *scheme)
{
    size_t length = strlen(scheme);
    return strncasecmp(source, scheme, length) == 0 && source[length] == ':';
}

static bool is_prompt(const char *source)
{
    for (const char *const *known = prompt_sources; *known != NULL; known++) {
        if (strcmp(source, *known) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_elsewhere(const char *source)
{
    for (const char *const *scheme = elsewhere; *scheme != NULL; scheme++) {
        if (has_scheme(source, *scheme) && strncmp(source + strlen(*scheme), "://", 3) == 0 &&
            source[strlen(*scheme) + 3] != '\0') {
            return true;
        }
    }
    return false;
}

/* A copy: the files of a version that is here. What was packed or built for it is made anew. */
static td_code copy_version(td_request *request, const char *reference, td_registration *out, bool *reference_out,
                            td_err *err)
{
    td_version version;
    td_version_file *files;
    size_t count;
    TD_TRY(td_version_find(request->db, request->project, reference, &request->arena, &version, err));
    TD_TRY(td_version_files(request->db, version.version_id, &request->arena, &files, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (files[i].role == TD_FILE_MODEL || files[i].role == TD_FILE_GOLDEN) {
            files[out->file_count++] = files[i];
        }
    }
    out->files = files;
    out->parent = version.label;
    *reference_out = out->file_count == 0;
    return TD_OK;
}

static bool is_artifact(const char *source)
{
    static const char *const schemes[] = {"runs", "mlflow-artifacts", "http", "https", "models"};
    for (size_t i = 0; i < TD_COUNT_OF(schemes); i++) {
        if (has_scheme(source, schemes[i])) {
            return true;
        }
    }
    return false;
}

td_code td_mlflow_source_read(td_request *request, const char *source, td_registration *out, bool *reference_out,
                              td_err *err)
{
    td_reference reference;
    char text[TD_REFERENCE_TEXT_SIZE];
    TD_TRY(check_text(source, err));
    *reference_out = is_prompt(source) || is_elsewhere(source);
    if (*reference_out) {
        return TD_OK;
    }
    if (strncmp(source, "models:/", 8) == 0 && strncmp(source, "models:/m-", 10) != 0) {
        TD_TRY(td_reference_parse(source, &reference, err));
        td_reference_write(&reference, text);
        return copy_version(request, text, out, reference_out, err);
    }
    if (is_artifact(source)) {
        td_case work = td_request_case(request);
        return td_registration_source(&work, source, out, err);
    }
    return refuse(source,
                  "say runs:/RUN/PATH, mlflow-artifacts:/PATH or models:/NAME/VERSION for files that are here, or the "
                  "address of an object store (s3://, gs://, abfss:// …) for files that are not",
                  err);
}
