/*
 * statement.c: in-toto statements: read, matched with a version, made.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "claims/statement.h"

#include "core/crypto/crypto.h"
#include "registry/modelsig.h"
#include "registry/registry.h"

#include <stdio.h>
#include <string.h>

static td_code no_memory(td_err *err)
{
    return td_fail(err, TD_NOMEM, "no memory for a statement");
}

/* ---- what a claim can be about ---- */

td_code td_about_read(const void *manifest, size_t size, td_arena *arena, td_about *out, td_err *err)
{
    td_about about = {.label = NULL};
    char label[TD_MODEL_NAME_MAX + 24];
    TD_TRY(td_manifest_read(manifest, size, arena, &about.manifest, err));
    td_sha256_of(manifest, size, about.content_id);
    TD_TRY(td_modelsig_manifest_root(&about.manifest, about.model_root, err));
    snprintf(label, sizeof label, "%s/%u", about.manifest.model, about.manifest.version);
    about.label = td_arena_text(arena, label);
    if (about.label == NULL) {
        return no_memory(err);
    }
    *out = about;
    return TD_OK;
}

/* ---- reading ---- */

void td_statement_done(td_statement *statement)
{
    json_decref(statement->json);
    *statement = (td_statement){.json = NULL};
}

static td_code check_subject(const json_t *subject, size_t index, td_err *err)
{
    const char *algorithm;
    json_t *digest;
    const json_t *digests = json_object_get(subject, "digest");
    if (json_object_size(digests) == 0) {
        return td_fail(err, TD_CORRUPT, "subject %zu of the statement has no digest", index + 1);
    }
    json_object_foreach ((json_t *)digests, algorithm, digest) {
        if (!json_is_string(digest)) {
            return td_fail(err, TD_CORRUPT, "the %.40s digest of subject %zu is no text", algorithm, index + 1);
        }
    }
    return TD_OK;
}

static td_code check_subjects(const json_t *subjects, td_err *err)
{
    size_t count = json_array_size(subjects);
    if (count == 0) {
        return td_fail(err, TD_CORRUPT, "the statement has no subject");
    }
    if (count > TD_STATEMENT_SUBJECTS_MAX) {
        return td_fail(err, TD_LIMIT, "the statement has %zu subjects; %d are the most", count,
                       TD_STATEMENT_SUBJECTS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        TD_TRY(check_subject(json_array_get(subjects, i), i, err));
    }
    return TD_OK;
}

static td_code check_statement(const td_statement *statement, td_err *err)
{
    const char *type = td_json_text(statement->json, "_type", "");
    if (strcmp(type, TD_STATEMENT_TYPE) != 0) {
        return td_fail(err, TD_CORRUPT, "the payload is no in-toto statement v1: its _type is \"%.60s\"", type);
    }
    TD_TRY(check_subjects(statement->subjects, err));
    size_t length = strlen(statement->predicate_type);
    if (length == 0 || length > TD_PREDICATE_TYPE_MAX || strchr(statement->predicate_type, ':') == NULL) {
        return td_fail(err, TD_CORRUPT, "the statement's predicateType is no URI of 1 to %d bytes: \"%.60s\"",
                       TD_PREDICATE_TYPE_MAX, statement->predicate_type);
    }
    if (!json_is_object(statement->predicate)) {
        return td_fail(err, TD_CORRUPT, "the statement has no predicate");
    }
    return td_predicate_check(statement->predicate_type, statement->predicate, err);
}

td_code td_statement_read(const void *payload, size_t size, td_statement *out, td_err *err)
{
    TD_CLEANUP(td_statement_done) td_statement statement = {.json = NULL};
    if (td_json_parse(payload, size, "statement", &statement.json, err) != TD_OK) {
        return td_fail(err, TD_CORRUPT, "the payload is not JSON");
    }
    statement.predicate_type = td_json_text(statement.json, "predicateType", "");
    statement.subjects = json_object_get(statement.json, "subject");
    statement.predicate = json_object_get(statement.json, "predicate");
    TD_TRY(check_statement(&statement, err));
    *out = statement;
    statement.json = NULL;
    return TD_OK;
}

/* ---- matching ---- */

static bool names(const td_statement *statement, const uint8_t digest[TD_DIGEST_SIZE])
{
    size_t index;
    json_t *subject;
    json_array_foreach (statement->subjects, index, subject) {
        uint8_t got[TD_DIGEST_SIZE];
        const char *hex = td_json_text(json_object_get(subject, "digest"), "sha256", "");
        if (td_hex_decode(hex, strlen(hex), got, sizeof got, NULL) == TD_OK && memcmp(got, digest, sizeof got) == 0) {
            return true;
        }
    }
    return false;
}

const char *td_statement_covers(const td_statement *statement, const td_about *about)
{
    if (names(statement, about->content_id)) {
        return "version";
    }
    if (names(statement, about->model_root)) {
        return "model";
    }
    for (size_t i = 0; i < about->manifest.file_count; i++) {
        const td_manifest_file *file = &about->manifest.files[i];
        if (file->role == TD_FILE_MODEL && names(statement, file->digest)) {
            return file->name;
        }
    }
    return NULL;
}

/* ---- making ---- */

td_code td_statement_make(const td_about *about, const char *predicate_type, const json_t *predicate, td_str *out,
                          td_err *err)
{
    char content_id[TD_DIGEST_TEXT], root[TD_DIGEST_TEXT], model[TD_MODEL_NAME_MAX + 32];
    td_hex_encode(about->content_id, TD_DIGEST_SIZE, content_id);
    td_hex_encode(about->model_root, TD_DIGEST_SIZE, root);
    snprintf(model, sizeof model, "%s/model", about->label);
    TD_CLEANUP(td_json_done)
    json_t *json = json_pack("{s:s, s:[{s:s, s:{s:s}}, {s:s, s:{s:s}}], s:s, s:O}", "_type", TD_STATEMENT_TYPE,
                             "subject", "name", about->label, "digest", "sha256", content_id, "name", model, "digest",
                             "sha256", root, "predicateType", predicate_type, "predicate", predicate);
    return json != NULL ? td_json_write(json, out, err) : no_memory(err);
}
