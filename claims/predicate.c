/*
 * predicate.c: the kinds of predicates that Tidemark knows by name, and what each cannot do without.
 *
 * Sources: SLSA provenance v1 (https://slsa.dev/spec/v1.0/provenance); test-result v0.1
 * (https://github.com/in-toto/attestation, spec/predicates/test-result.md); CycloneDX 1.6
 * (https://cyclonedx.org/docs/1.6/json); the approval is our own (docs/claims.md). SPDX-License-Identifier: Apache-2.0
 */
#include "claims/statement.h"

#include <string.h>

/* A required entry: path, its keys joined by '/', and the JSON type there. */
typedef struct required {
    const char *path;
    json_type type;
} required;

static const struct kind {
    const char *name, *type;
    required needs[8];
} kinds[] = {
    {"provenance",
     TD_PREDICATE_PROVENANCE,
     {{"buildDefinition/buildType", JSON_STRING},
      {"buildDefinition/externalParameters", JSON_OBJECT},
      {"runDetails/builder/id", JSON_STRING}}},
    {"test-result", TD_PREDICATE_TEST_RESULT, {{"result", JSON_STRING}, {"configuration", JSON_ARRAY}}},
    {"bom", TD_PREDICATE_BOM, {{"bomFormat", JSON_STRING}, {"specVersion", JSON_STRING}}},
    {"approval",
     TD_PREDICATE_APPROVAL,
     {{"approver/name", JSON_STRING},
      {"meaning", JSON_STRING},
      {"reason", JSON_STRING},
      {"time", JSON_STRING},
      {"version", JSON_STRING},
      {"project", JSON_STRING}}},
};

static const struct kind *find(const char *type)
{
    for (size_t i = 0; i < TD_COUNT_OF(kinds); i++) {
        if (strcmp(kinds[i].type, type) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

const char *td_predicate_kind(const char *type)
{
    const struct kind *kind = find(type);
    return kind != NULL ? kind->name : "other";
}

td_code td_predicate_type(const char *kind_or_type, const char **out, td_err *err)
{
    const char *names[TD_COUNT_OF(kinds) + 1] = {NULL};
    for (size_t i = 0; i < TD_COUNT_OF(kinds); i++) {
        names[i] = kinds[i].name;
        if (strcmp(kinds[i].name, kind_or_type) == 0) {
            *out = kinds[i].type;
            return TD_OK;
        }
    }
    if (strchr(kind_or_type, ':') != NULL && strlen(kind_or_type) <= TD_PREDICATE_TYPE_MAX) {
        *out = kind_or_type;
        return TD_OK;
    }
    const char *near = td_nearest(kind_or_type, names);
    return td_fail(err, TD_INVALID,
                   "\"%.60s\" is no kind of predicate: provenance, test-result, bom, or a URI of at most %d "
                   "bytes%s%s%s",
                   kind_or_type, TD_PREDICATE_TYPE_MAX, near ? "; did you mean " : "", near ? near : "",
                   near ? "?" : "");
}

static const json_t *at_path(const json_t *json, const char *path)
{
    while (json != NULL && *path != '\0') {
        char key[64] = "";
        size_t length = strcspn(path, "/");
        memcpy(key, path, length < sizeof key ? length : sizeof key - 1);
        json = json_object_get(json, key);
        path += length + (path[length] == '/');
    }
    return json;
}

td_code td_predicate_check(const char *type, const json_t *predicate, td_err *err)
{
    static const char *const results[] = {"PASSED", "WARNED", "FAILED", NULL};
    const struct kind *kind = find(type);
    if (kind == NULL) {
        return TD_OK;
    }
    for (size_t i = 0; kind->needs[i].path != NULL; i++) {
        const json_t *there = at_path(predicate, kind->needs[i].path);
        if (there == NULL || json_typeof(there) != kind->needs[i].type ||
            (json_is_string(there) && json_string_length(there) == 0)) {
            return td_fail(err, TD_CORRUPT, "a predicate of type %s needs %s, which is missing or of another type",
                           type, kind->needs[i].path);
        }
    }
    const char *result = td_json_text(predicate, "result", "");
    bool known = false;
    for (size_t i = 0; results[i] != NULL; i++) {
        known |= strcmp(results[i], result) == 0;
    }
    if (strcmp(type, TD_PREDICATE_TEST_RESULT) == 0 && !known) {
        return td_fail(err, TD_CORRUPT, "the result of a test is PASSED, WARNED or FAILED, not \"%.20s\"", result);
    }
    if (strcmp(type, TD_PREDICATE_BOM) == 0 && strcmp(td_json_text(predicate, "bomFormat", ""), "CycloneDX") != 0) {
        return td_fail(err, TD_CORRUPT, "a bill of materials here is CycloneDX; its bomFormat says otherwise");
    }
    return TD_OK;
}

/* ---- approvals ---- */

const td_meaning td_meanings[] = {
    {"approval", "approved for release to devices"},
    {"review", "reviewed the evidence and approved for release to devices"},
    {"responsibility", "takes responsibility for the release to devices"},
    {NULL, NULL},
};

td_code td_meaning_parse(const char *text, const char **out, td_err *err)
{
    size_t length = strnlen(text, TD_MEANING_MAX + 1);
    if (length > TD_MEANING_MAX || text[strspn(text, " \t\n")] == '\0') {
        return td_fail(err, TD_INVALID, "the meaning of a signature has 1 to %d bytes", TD_MEANING_MAX);
    }
    const char *meaning = text;
    for (size_t i = 0; td_meanings[i].name != NULL; i++) {
        meaning = strcmp(td_meanings[i].name, text) == 0 ? td_meanings[i].sentence : meaning;
    }
    *out = meaning;
    return TD_OK;
}

td_code td_approval_predicate(const td_approval_said *said, json_t **out, td_err *err)
{
    char time[32];
    td_format_time(said->time_ms, time);
    json_t *json =
        json_pack("{s:{s:s}, s:s, s:s, s:s, s:s, s:s}", "approver", "name", said->approver, "meaning", said->meaning,
                  "reason", said->reason, "time", time, "version", said->version, "project", said->project);
    if (json == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a statement");
    }
    *out = json;
    return TD_OK;
}

td_code td_approval_said_read(const json_t *predicate, td_approval_said *out, td_err *err)
{
    td_approval_said said = {
        .approver = td_json_text(json_object_get(predicate, "approver"), "name", ""),
        .meaning = td_json_text(predicate, "meaning", ""),
        .reason = td_json_text(predicate, "reason", ""),
        .version = td_json_text(predicate, "version", ""),
        .project = td_json_text(predicate, "project", ""),
    };
    const char *ignored;
    TD_TRY(td_predicate_check(TD_PREDICATE_APPROVAL, predicate, err));
    TD_TRY(td_meaning_parse(said.meaning, &ignored, err));
    if (td_parse_time(td_json_text(predicate, "time", ""), &said.time_ms, NULL) != TD_OK) {
        return td_fail(err, TD_CORRUPT, "the time of the approval is no RFC 3339 time: \"%.40s\"",
                       td_json_text(predicate, "time", ""));
    }
    *out = said;
    return TD_OK;
}
