/*
 * usecase_derive.c: from a version that may not go on, a draft that may: without the files that can hold a pickle, with
 * what a tool made of them.
 *
 * What is not named again stays as it was: baseline, metrics, parameters, tags, sources, requirements. The new version
 * is registered like any other, with its parent, the tool and what was left out on record.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/usecase.h"

#include <string.h>

typedef struct derivation {
    const td_case *work;
    td_registration *registration;
    td_version parent;
    td_version_file *parent_files;
    size_t parent_count;
    td_verdict verdicts[TD_MANIFEST_FILES_MAX];
    const json_t *without;
    bool found[TD_MANIFEST_FILES_MAX]; /* one a name of `without` */
    json_t *left_out, *facts;
} derivation;

static void derivation_done(derivation *self)
{
    td_json_done(&self->left_out);
    td_json_done(&self->facts);
}

/* A name without the folder of its role. */
static const char *plain(const td_version_file *file)
{
    static const char *const folders[] = {"model/", "golden/", "meta/"};
    for (size_t i = 0; i < TD_COUNT_OF(folders); i++) {
        size_t length = strlen(folders[i]);
        if (strncmp(file->name, folders[i], length) == 0) {
            return file->name + length;
        }
    }
    return file->name;
}

static bool replaced(const derivation *self, const td_version_file *file)
{
    for (size_t i = 0; i < self->registration->file_count; i++) {
        const td_version_file *given = &self->registration->files[i];
        if (given->role == file->role && strcmp(plain(given), plain(file)) == 0) {
            return true;
        }
    }
    return false;
}

static bool unwanted(derivation *self, const td_version_file *file)
{
    bool named = false;
    for (size_t i = 0; i < json_array_size(self->without); i++) {
        const char *name = json_string_value(json_array_get(self->without, i));
        if (name && (strcmp(name, file->name) == 0 || strcmp(name, plain(file)) == 0)) {
            named = self->found[i] = true;
        }
    }
    return named;
}

static td_code check_names(const derivation *self, td_err *err)
{
    for (size_t i = 0; i < json_array_size(self->without); i++) {
        if (!self->found[i]) {
            return td_fail(err, TD_INVALID, "version %s has no file \"%.100s\" that could be left out",
                           self->parent.label, json_string_value(json_array_get(self->without, i)));
        }
    }
    return TD_OK;
}

/* The parent's files that stay, then the given ones. */
static td_code gather_files(derivation *self, td_err *err)
{
    td_registration *registration = self->registration;
    size_t count = 0, models = 0, room = self->parent_count + registration->file_count;
    td_version_file *files = td_arena_alloc(self->work->arena, (room + 1) * sizeof *files);
    if (!files) {
        return td_fail(err, TD_NOMEM, "no memory to derive a version");
    }
    for (size_t i = 0; i < self->parent_count; i++) {
        const td_version_file *file = &self->parent_files[i];
        bool leave = unwanted(self, file);
        if (!leave && self->verdicts[i] == TD_VERDICT_NONE && !replaced(self, file)) {
            files[count++] = *file;
            models += file->role == TD_FILE_MODEL;
            registration->edges_digest =
                file->role == TD_FILE_BASELINE ? self->parent.edges_digest : registration->edges_digest;
        } else if (json_array_append_new(self->left_out, json_string(file->name)) != 0) {
            return td_fail(err, TD_NOMEM, "no memory to derive a version");
        }
    }
    TD_TRY(check_names(self, err));
    for (size_t i = 0; i < registration->file_count; i++) {
        models += registration->files[i].role == TD_FILE_MODEL;
        files[count++] = registration->files[i];
    }
    if (models == 0) {
        return td_fail(err, TD_INVALID,
                       "nothing of %s would be left but what goes with a model: convert it and give the new file",
                       self->parent.label);
    }
    if (registration->file_count == 0 && json_array_size(self->left_out) == 0) {
        return td_fail(err, TD_INVALID,
                       "the version would be the same as %s: none of its files can hold a pickle, and none was given "
                       "or named to be left out",
                       self->parent.label);
    }
    registration->files = files;
    registration->file_count = count;
    return TD_OK;
}

/* What stays as it was. */
static td_code inherit(derivation *self, td_err *err)
{
    td_registration *registration = self->registration;
    const td_version *parent = &self->parent;
    TD_TRY(td_version_json(self->work->db, self->work->project, parent->label, &self->facts, err));
    const json_t *sources = json_object_get(self->facts, "sources");
    registration->sources = json_is_object(sources) ? sources : NULL;
    registration->metrics = json_object_get(self->facts, "metrics");
    registration->params = json_object_get(self->facts, "params");
    registration->tags = json_object_get(self->facts, "tags");
    registration->description = registration->description ? registration->description : parent->description;
    registration->hardware = registration->hardware ? registration->hardware : parent->hardware;
    registration->ram_bytes = registration->ram_bytes ? registration->ram_bytes : parent->ram_bytes;
    if (!registration->runtimes[0]) {
        memcpy(registration->runtimes, parent->runtimes, sizeof registration->runtimes);
    }
    registration->model = parent->model;
    registration->parent = parent->label;
    registration->left_out = self->left_out;
    registration->clean = true;
    return TD_OK;
}

td_code td_derive(const td_case *work, const char *reference, const json_t *without, td_registration *registration,
                  td_registered *out, td_err *err)
{
    TD_CLEANUP(derivation_done)
    derivation self = {.work = work, .registration = registration, .without = without, .left_out = json_array()};
    if (!self.left_out) {
        return td_fail(err, TD_NOMEM, "no memory to derive a version");
    }
    TD_TRY(td_version_find(work->db, work->project, reference, work->arena, &self.parent, err));
    TD_TRY(td_version_files(work->db, self.parent.version_id, work->arena, &self.parent_files, &self.parent_count,
                            err));
    TD_TRY(td_look_for_pickles(work, self.parent_files, self.parent_count, self.verdicts, err));
    TD_TRY(gather_files(&self, err));
    TD_TRY(inherit(&self, err));
    return td_register(work, registration, out, err);
}
