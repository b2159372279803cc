/*
 * lifecycle.h: what happens to names: renaming, hiding, and the stage that MLflow's clients know.
 *
 * Archiving hides and never deletes: a hidden version keeps its files, its records and its place in the lineage, and a
 * device that runs it is still known. It takes no edit, no move and no alias any more. A model's name that was archived
 * can be made anew (td_model_create); its numbers go on.
 * Writing functions: as in registry.h.
 * Threads: as the td_db that is passed.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_LIFECYCLE_H
#define TD_REGISTRY_LIFECYCLE_H

#include "registry/registry.h"

/* "None", "Staging", "Production", "Archived"; NULL-terminated. */
extern const char *const td_stage_names[];
#define TD_STAGES_TEXT "None, Staging, Production, Archived"
/* The spelling above of a stage in any case, or NULL. */
const char *td_stage_find(const char *text);

/* CONFLICT: the new name is taken, or a version was submitted already: its signed manifest carries the name. Lineage
 * and monitor know models by name: their callers rename there in the same transaction. */
TD_MUST_USE td_code td_model_rename(td_db *db, const td_actor *actor, const char *project, const char *name,
                                    const char *new_name, td_err *err);
/* Hides the model and all its versions; its aliases end. */
TD_MUST_USE td_code td_model_archive(td_db *db, const td_actor *actor, const char *project, const char *name,
                                     td_err *err);
/* Hides a version; aliases that name it end. CONFLICT: it is archived. */
TD_MUST_USE td_code td_version_archive(td_db *db, const td_actor *actor, const char *project, const char *reference,
                                       td_err *err);
/* Sets the stage (one of td_stage_names). `alone`: versions of the model that are in that stage become "Archived".
 * Setting what is set leaves no record. */
TD_MUST_USE td_code td_version_stage(td_db *db, const td_actor *actor, const char *project, const char *reference,
                                     const char *stage, bool alone, td_err *err);

#endif
