/*
 * registration.c: the body of a registration, checked against a table and turned into a td_registration.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "server/usecase.h"
#include "tracking/artifact.h"

#include <stdio.h>
#include <string.h>

static const char *const roles[] = {"model", "golden", "meta", NULL};

static const td_json_field file_fields[] = {
    {.name = "name", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = TD_FILE_NAME_MAX},
    {.name = "digest", .type = TD_JSON_STRING, .required = true, .minimum = 64, .maximum = 71},
    {.name = "role", .type = TD_JSON_STRING, .choices = roles},
    {.name = NULL},
};
static const td_json_field baseline_fields[] = {
    {.name = "digest", .type = TD_JSON_STRING, .required = true, .minimum = 64, .maximum = 71},
    {.name = "name", .type = TD_JSON_STRING, .minimum = 1, .maximum = 200},
    {.name = "columns", .type = TD_JSON_OBJECT},
    {.name = NULL},
};
static const td_json_field dataset_fields[] = {
    {.name = "name", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = 200},
    {.name = "uri", .type = TD_JSON_STRING, .minimum = 1, .maximum = 480},
    {.name = "digest", .type = TD_JSON_STRING, .minimum = 64, .maximum = 71},
    {.name = NULL},
};
static const td_json_field code_fields[] = {
    {.name = "repository", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = 400},
    {.name = "commit", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = 100},
    {.name = NULL},
};
static const td_json_field target_fields[] = {
    {.name = "hardware", .type = TD_JSON_STRING, .maximum = 64},
    {.name = "runtimes", .type = TD_JSON_ARRAY, .item_type = TD_JSON_STRING, .minimum = 0, .maximum = 4},
    {.name = "ram_bytes", .type = TD_JSON_INTEGER, .minimum = 0, .maximum = 1e15},
    {.name = NULL},
};
static const td_json_field fields[] = {
    {.name = "files",
     .type = TD_JSON_ARRAY,
     .item_type = TD_JSON_OBJECT,
     .fields = file_fields,
     .minimum = 1,
     .maximum = TD_MANIFEST_FILES_MAX - 4},
    {.name = "source", .type = TD_JSON_STRING, .minimum = 1, .maximum = TD_ARTIFACT_PATH_MAX},
    {.name = "baseline_csv", .type = TD_JSON_OBJECT, .fields = baseline_fields},
    {.name = "datasets",
     .type = TD_JSON_ARRAY,
     .item_type = TD_JSON_OBJECT,
     .fields = dataset_fields,
     .minimum = 0,
     .maximum = 64},
    {.name = "code", .type = TD_JSON_OBJECT, .fields = code_fields},
    {.name = "metrics", .type = TD_JSON_OBJECT},
    {.name = "params", .type = TD_JSON_OBJECT},
    {.name = "tags", .type = TD_JSON_OBJECT},
    {.name = "description", .type = TD_JSON_STRING},
    {.name = "parent", .type = TD_JSON_STRING, .minimum = 1, .maximum = 200},
    {.name = "cause", .type = TD_JSON_STRING, .minimum = 1, .maximum = 64},
    {.name = "target", .type = TD_JSON_OBJECT, .fields = target_fields},
    {.name = "security_counter", .type = TD_JSON_INTEGER, .minimum = 0, .maximum = 4294967295.0},
    {.name = "version", .type = TD_JSON_INTEGER, .minimum = 1, .maximum = 4294967295.0},
    {.name = "strict", .type = TD_JSON_BOOLEAN},
    {.name = "create_model", .type = TD_JSON_BOOLEAN},
    {.name = NULL},
};

/* Of POST …/derive. */
static const td_json_field derive_fields[] = {
    {.name = "files",
     .type = TD_JSON_ARRAY,
     .item_type = TD_JSON_OBJECT,
     .fields = file_fields,
     .minimum = 0,
     .maximum = TD_MANIFEST_FILES_MAX - 4},
    {.name = "without",
     .type = TD_JSON_ARRAY,
     .item_type = TD_JSON_STRING,
     .minimum = 0,
     .maximum = TD_MANIFEST_FILES_MAX},
    {.name = "by", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = 128},
    {.name = "reason", .type = TD_JSON_STRING, .minimum = 0, .maximum = TD_REASON_MAX},
    {.name = "description", .type = TD_JSON_STRING},
    {.name = "target", .type = TD_JSON_OBJECT, .fields = target_fields},
    {.name = "strict", .type = TD_JSON_BOOLEAN},
    {.name = NULL},
};

static td_code read_files(const td_case *work, const json_t *list, td_registration *out, td_err *err)
{
    out->file_count = json_array_size(list);
    out->files = td_arena_alloc(work->arena, (out->file_count + 1) * sizeof *out->files);
    if (!out->files) {
        return td_fail(err, TD_NOMEM, "no memory for a registration");
    }
    for (size_t i = 0; i < out->file_count; i++) {
        const json_t *entry = json_array_get(list, i);
        const char *name = td_json_text(entry, "name", "");
        TD_TRY(td_check_file_name(name, strlen(name), err));
        out->files[i].name = name;
        TD_TRY(td_digest_parse(td_json_text(entry, "digest", ""), out->files[i].digest, err));
        TD_TRY(td_file_role_parse(td_json_text(entry, "role", "model"), &out->files[i].role, err));
    }
    return TD_OK;
}

/* Files that were uploaded, or a source that names what a run logged. */
static td_code read_content(const td_case *work, const json_t *body, td_registration *out, td_err *err)
{
    const json_t *files = json_object_get(body, "files");
    const char *source = td_json_text(body, "source", NULL);
    if ((files == NULL) == (source == NULL)) {
        return td_fail(err, TD_INVALID, "request body: exactly one of \"files\" and \"source\" must be given");
    }
    return source != NULL ? td_registration_source(work, source, out, err) : read_files(work, files, out, err);
}

static td_code read_baseline(const json_t *baseline, td_registration *out, td_err *err)
{
    if (!baseline) {
        return TD_OK;
    }
    out->has_baseline = true;
    out->baseline_name = td_json_text(baseline, "name", "reference.csv");
    out->columns = json_object_get(baseline, "columns");
    return td_digest_parse(td_json_text(baseline, "digest", ""), out->baseline_digest, err);
}

static void read_target(const json_t *target, td_registration *out)
{
    out->hardware = td_json_text(target, "hardware", NULL);
    out->ram_bytes = (uint64_t)td_json_int(target, "ram_bytes", 0);
    const json_t *runtimes = json_object_get(target, "runtimes");
    for (size_t i = 0; i < json_array_size(runtimes) && i < TD_COUNT_OF(out->runtimes); i++) {
        out->runtimes[i] = json_string_value(json_array_get(runtimes, i));
    }
}

td_code td_registration_read(const td_case *work, const json_t *body, td_registration *out, td_err *err)
{
    TD_TRY(td_json_check(body, fields, "request body", NULL, err));
    td_registration registration = {.create_model = td_json_bool(body, "create_model", true),
                                    .strict = td_json_bool(body, "strict", false),
                                    .datasets = json_object_get(body, "datasets"),
                                    .code = json_object_get(body, "code"),
                                    .metrics = json_object_get(body, "metrics"),
                                    .params = json_object_get(body, "params"),
                                    .tags = json_object_get(body, "tags"),
                                    .description = td_json_text(body, "description", NULL),
                                    .parent = td_json_text(body, "parent", NULL),
                                    .cause = td_json_text(body, "cause", NULL),
                                    .security_counter = (uint32_t)td_json_int(body, "security_counter", 0),
                                    .number = td_json_int(body, "version", 0)};
    TD_TRY(read_content(work, body, &registration, err));
    TD_TRY(read_baseline(json_object_get(body, "baseline_csv"), &registration, err));
    if (json_object_get(body, "target")) {
        read_target(json_object_get(body, "target"), &registration);
    }
    *out = registration;
    return TD_OK;
}

td_code td_derivation_read(const td_case *work, const json_t *body, td_registration *out, const json_t **without_out,
                           td_err *err)
{
    TD_TRY(td_json_check(body, derive_fields, "request body", NULL, err));
    td_registration registration = {.strict = td_json_bool(body, "strict", false),
                                    .description = td_json_text(body, "description", NULL),
                                    .derived_by = td_json_text(body, "by", NULL),
                                    .reason = td_json_text(body, "reason", NULL)};
    TD_TRY(read_files(work, json_object_get(body, "files"), &registration, err));
    read_target(json_object_get(body, "target"), &registration);
    *without_out = json_object_get(body, "without");
    *out = registration;
    return TD_OK;
}
