/*
 * bundle_pack.c: from a registered version to what submitting needs: manifest and bundle, both in content.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/bundle.h"

#include <string.h>

static void add_file(td_manifest_file *out, const td_version_file *file)
{
    *out = (td_manifest_file){.name = file->name, .size = file->size, .role = file->role};
    memcpy(out->digest, file->digest, TD_DIGEST_SIZE);
}

static td_manifest manifest_of(const td_version *version)
{
    td_manifest m = {.project = version->project,
                     .model = version->model,
                     .version = (uint32_t)version->number,
                     .security_counter = version->security_counter,
                     .format = version->format,
                     .has_edges = version->has_edges,
                     .hardware = version->hardware,
                     .runtime_count = version->runtime_count,
                     .ram_bytes = version->ram_bytes,
                     .created_ms = (uint64_t)version->created_ms};
    memcpy(m.edges_digest, version->edges_digest, TD_DIGEST_SIZE);
    for (size_t i = 0; i < version->runtime_count; i++) {
        m.runtimes[i] = version->runtimes[i];
    }
    return m;
}

static td_code collect(td_db *db, const td_version *version, const td_version_file *extras, size_t extra_count,
                       td_arena *arena, td_manifest *m, td_err *err)
{
    td_version_file *files;
    size_t count;
    TD_TRY(td_version_files(db, version->version_id, arena, &files, &count, err));
    if (extra_count > TD_MANIFEST_FILES_MAX - count) {
        return td_fail(err, TD_LIMIT, "a version has at most %d files with those that packing adds",
                       TD_MANIFEST_FILES_MAX);
    }
    m->files = td_arena_alloc(arena, (count + extra_count) * sizeof *m->files);
    if (m->files == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to pack %s", version->label);
    }
    for (size_t i = 0; i < count; i++) {
        add_file(&m->files[m->file_count++], &files[i]);
    }
    for (size_t i = 0; i < extra_count; i++) {
        if (extras[i].role != TD_FILE_META) {
            return td_fail(err, TD_INVALID, "packing adds files of role meta only, not \"%s\"", extras[i].name);
        }
        add_file(&m->files[m->file_count++], &extras[i]);
    }
    return TD_OK;
}

td_code td_bundle_pack(td_db *db, td_content *content, const td_version *version, const td_version_file *extras,
                       size_t extra_count, td_str *manifest_out, td_packed *packed_out, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_bundle_info info;
    uint8_t digest[TD_DIGEST_SIZE];
    td_manifest m = manifest_of(version);
    if (version->state != TD_VERSION_DRAFT) {
        return td_states_check(&td_version_states, version->label, (int)version->state, TD_VERSION_PENDING, err);
    }
    TD_TRY(collect(db, version, extras, extra_count, &arena, &m, err));
    td_str_clear(manifest_out);
    TD_TRY(td_manifest_build(&m, content, manifest_out, err));
    TD_TRY(td_content_put_bytes(content, manifest_out->data, manifest_out->size, digest, err));
    TD_TRY(td_bundle_build(content, manifest_out->data, manifest_out->size, &info, err));
    *packed_out =
        (td_packed){.manifest = manifest_out->data, .manifest_size = manifest_out->size, .bundle_size = info.size};
    memcpy(packed_out->bundle_digest, info.digest, TD_DIGEST_SIZE);
    return TD_OK;
}
