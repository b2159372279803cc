/*
 * usecase_source.c: registering what a run logged: from a source URI to the files of a registration.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "server/usecase.h"

#include <stdio.h>
#include <string.h>

td_code td_registration_source(const td_case *work, const char *source, td_registration *out, td_err *err)
{
    td_artifact_tree *tree = td_arena_alloc(work->arena, sizeof *tree);
    if (!tree) {
        return td_fail(err, TD_NOMEM, "no memory for a registration");
    }
    if (work->field) {
        snprintf(work->field, TD_PROBLEM_FIELD_MAX, "source");
    }
    TD_TRY(td_artifact_resolve(work->db, work->project, source, work->arena, tree, err));
    if (tree->file_count > TD_MANIFEST_FILES_MAX - 4) {
        return td_fail(err, TD_LIMIT, "a version has at most %d files; %zu lie at \"%.80s\"", TD_MANIFEST_FILES_MAX - 4,
                       tree->file_count, source);
    }
    td_version_file *files = td_arena_alloc(work->arena, (tree->file_count + 1) * sizeof *files);
    if (!files) {
        return td_fail(err, TD_NOMEM, "no memory for a registration");
    }
    for (size_t i = 0; i < tree->file_count; i++) {
        const td_artifact_file *file = &tree->files[i];
        TD_TRY(td_check_file_name(file->path, strlen(file->path), err));
        files[i] = (td_version_file){.name = file->path, .size = file->size, .role = TD_FILE_MODEL};
        memcpy(files[i].digest, file->digest, TD_DIGEST_SIZE);
    }
    if (work->field) {
        work->field[0] = 0;
    }
    out->files = files;
    out->file_count = tree->file_count;
    out->artifacts = tree;
    return TD_OK;
}
