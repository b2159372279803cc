/*
 * manifest_json.c: a manifest for people: a function of its bytes and nothing else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/manifest.h"

#include "core/base/clock.h"

#include <string.h>

static td_code no_memory(td_err *err)
{
    return td_fail(err, TD_NOMEM, "no memory to show a manifest");
}

static json_t *digest_json(bool there, const uint8_t *digest)
{
    char label[TD_DIGEST_LABEL_SIZE];
    if (!there) {
        return NULL;
    }
    td_digest_format(digest, label);
    return json_string(label);
}

static json_t *file_json(const td_manifest_file *file)
{
    return json_pack("{s:s, s:s, s:I, s:o, s:I, s:o*}", "name", file->name, "role", td_file_role_names[file->role],
                     "size", (json_int_t)file->size, "digest", digest_json(true, file->digest), "piece_size",
                     (json_int_t)file->piece_size, "piece_table",
                     digest_json(file->has_pieces, file->piece_table_digest));
}

static json_t *files_json(const td_manifest *m)
{
    json_t *files = json_array();
    for (size_t i = 0; i < m->file_count; i++) {
        if (json_array_append_new(files, file_json(&m->files[i])) != 0) {
            json_decref(files);
            return NULL;
        }
    }
    return files;
}

static json_t *runtimes_json(const td_manifest *m)
{
    json_t *runtimes = json_array();
    for (size_t i = 0; i < m->runtime_count; i++) {
        if (json_array_append_new(runtimes, json_string(m->runtimes[i])) != 0) {
            json_decref(runtimes);
            return NULL;
        }
    }
    return runtimes;
}

/* What the bytes say, without what they are. */
static td_code facts_json(const void *bytes, size_t size, json_t **out, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_manifest m;
    char created[32];
    TD_TRY(td_manifest_read(bytes, size, &arena, &m, err));
    td_format_time((int64_t)m.created_ms, created);
    json_t *json = json_pack(
        "{s:s, s:s, s:I, s:I, s:s, s:o*, s:s, s:o, s:{s:s, s:o, s:I}}", "project", m.project, "model", m.model,
        "version", (json_int_t)m.version, "security_counter", (json_int_t)m.security_counter, "format", m.format,
        "edges", digest_json(m.has_edges, m.edges_digest), "created_at", created, "files", files_json(&m),
        "requirement", "hardware", m.hardware, "runtimes", runtimes_json(&m), "ram_bytes", (json_int_t)m.ram_bytes);
    if (json == NULL) {
        return no_memory(err);
    }
    *out = json;
    return TD_OK;
}

td_code td_manifest_json(const void *bytes, size_t size, json_t **out, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_TRY(facts_json(bytes, size, &json, err));
    td_sha256_of(bytes, size, digest);
    if (json_object_set_new(json, "digest", digest_json(true, digest)) != 0 ||
        json_object_set_new(json, "size", json_integer((json_int_t)size)) != 0) {
        return no_memory(err);
    }
    *out = json;
    json = NULL;
    return TD_OK;
}

td_code td_manifest_text(const void *bytes, size_t size, td_str *out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_TRY(facts_json(bytes, size, &json, err));
    TD_CLEANUP(td_free_text) char *text = json_dumps(json, JSON_INDENT(2) | JSON_SORT_KEYS);
    if (text == NULL) {
        return no_memory(err);
    }
    td_str_add(out, text);
    td_str_add_char(out, '\n');
    return td_str_check(out, err);
}
