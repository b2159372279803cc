/*
 * registry_internal.h: what the record files of the registry share: names, references, rows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_REGISTRY_INTERNAL_H
#define TD_REGISTRY_REGISTRY_INTERNAL_H

#include "access/access.h"
#include "registry/reference.h"
#include "registry/registry.h"
#include "registry/trust.h"
#include "registry/webhook.h"

#define TD_LABEL_SIZE (TD_MODEL_NAME_MAX + 24)
#define TD_FACTS_BYTES_MAX ((size_t)1024 * 1024)

typedef struct td_registry__model {
    int64_t model_id, next_number, security_counter;
} td_registry__model;

/* Keys of tags, metrics and parameters: 1 to TD_TAG_KEY_MAX printable characters, no white space at the ends. */
td_code td_registry__key_check(const char *what, const char *key, td_err *err);
td_code td_registry__text_check(const char *what, const char *text, size_t length_max, td_err *err);
td_code td_registry__reason_check(const char *reason, td_err *err);

/* NOT_FOUND names the nearest model of the project. One that is archived is not found, but by _any. */
td_code td_registry__model_find(td_db *db, const char *project, const char *name, td_registry__model *out, td_err *err);
td_code td_registry__model_find_any(td_db *db, const char *project, const char *name, td_registry__model *out,
                                    td_err *err);
/* Inserts without asking for permission; the caller has. */
td_code td_registry__model_insert(td_db *db, const td_actor *actor, const char *project,
                                  const td_model_options *options, td_err *err);

/* One version row of those that a reference may mean. */
td_code td_registry__version_id(td_db *db, const char *project, const char *reference, int64_t *version_id_out,
                                td_err *err);
td_code td_registry__version_by_id(td_db *db, int64_t version_id, td_arena *arena, td_version *out, td_err *err);
/* CONFLICT when it is archived. */
td_code td_registry__live_check(const td_version *version, td_err *err);
/* Stamps the last change of a model and, if not 0, of a version. */
td_code td_registry__touch(td_db *db, int64_t model_id, int64_t version_id, td_err *err);

/* For what is made, not changed: INVALID names an entry with null, which there would remove something. */
td_code td_registry__new_entries(const char *what, const json_t *entries, td_err *err);
/* Writes {"key": value}: null removes. LIMIT: more than TD_ENTRIES_MAX. */
td_code td_registry__tags_write(td_db *db, int64_t version_id, const json_t *tags, td_err *err);
td_code td_registry__metrics_write(td_db *db, int64_t version_id, const json_t *metrics, td_err *err);
td_code td_registry__params_write(td_db *db, int64_t version_id, const json_t *params, td_err *err);

/* A model or version by its row, as lists show it; *out is owned by the caller. */
td_code td_registry__model_json(td_db *db, int64_t model_id, json_t **out, td_err *err);
td_code td_registry__version_brief(td_db *db, int64_t version_id, json_t **out, td_err *err);
extern const char *const td_registry__version_state_names[]; /* "draft" …, NULL-terminated */

/* JSON that may fail for want of memory only. */
td_code td_registry__json_ok(const json_t *json, td_err *err);
json_t *td_registry__json_time(int64_t ms);           /* null for 0 */
json_t *td_registry__json_digest(const void *digest); /* null for NULL */

/* ---- outbox_store.c: what webhooks are told, if any listens ---- */

/* Whoever sends has to look again. */
void td_registry__outbox_changed(void);
/* Takes over `data`, also on failure. */
TD_MUST_USE td_code td_registry__event(td_db *db, int64_t model_id, td_event event, json_t *data, td_err *err);
TD_MUST_USE td_code td_registry__event_model(td_db *db, int64_t model_id, const td_model_options *options, td_err *err);
TD_MUST_USE td_code td_registry__event_version(td_db *db, int64_t model_id, int64_t number,
                                               const td_version_options *options, td_err *err);
/* number 0: tags of the model itself. */
TD_MUST_USE td_code td_registry__event_tags(td_db *db, int64_t model_id, const char *model, int64_t number,
                                            const json_t *tags, td_err *err);
/* number 0: the alias was deleted. */
TD_MUST_USE td_code td_registry__event_alias(td_db *db, int64_t model_id, const char *model, const char *alias,
                                             int64_t number, td_err *err);

/* ---- scan_store.c ---- */

TD_MUST_USE td_code td_registry__scan_write(td_db *db, int64_t version_id, const char *name, const td_inspection *found,
                                            td_err *err);
/* CONFLICT: a file of the version is quarantined. */
TD_MUST_USE td_code td_registry__quarantine_check(td_db *db, const td_version *version, td_err *err);

#endif
