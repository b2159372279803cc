/*
 * registry.h: models, their numbered versions, and the aliases that name them.
 *
 * A version is a set of files that is fixed when it is registered; its description, tags, metrics and parameters may
 * be edited while it is a draft. Submitting freezes it; from then on only its state moves, along the table in
 * registry/states.c, and each move is one transaction that also appends one audit record.
 *
 * How a version is written: registry/reference.h. Names: [A-Za-z0-9][A-Za-z0-9._-]{0,127}.
 * Writing functions run inside the caller's transaction, check permission (td_access_recheck) and state themselves,
 * and are all or nothing only through that transaction: on an error roll it back. Every one of them appends to the
 * audit log.
 * Threads: as the td_db that is passed.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_REGISTRY_H
#define TD_REGISTRY_REGISTRY_H

#include "access/access.h"
#include "audit/audit.h"
#include "core/base/arena.h"
#include "core/base/json.h"
#include "core/base/states.h"
#include "core/db/list.h"
#include "core/db/migrate.h"
#include "registry/inspect.h"
#include "registry/manifest.h"

extern const td_migration td_registry_migrations[];

#define TD_MODEL_NAME_MAX 128
#define TD_ALIAS_NAME_MAX 255 /* [A-Za-z0-9_-][A-Za-z0-9._-]*, with one that is no digit */
#define TD_TAG_KEY_MAX 250    /* printable, no white space at its ends */
#define TD_TAG_VALUE_MAX 100000 /* bytes; the text of a prompt is a tag */
#define TD_DESCRIPTION_MAX 65536
#define TD_REASON_MAX 1024
#define TD_ENTRIES_MAX 256 /* tags, metrics, parameters: each, of one version */

typedef enum td_version_state {
    TD_VERSION_DRAFT,
    TD_VERSION_PENDING,
    TD_VERSION_APPROVED,
    TD_VERSION_REJECTED,
    TD_VERSION_DEPRECATED,
    TD_VERSION_RETIRED
} td_version_state;
extern const td_states td_version_states; /* names as stored and as in JSON: "draft" … */

/* INVALID, with the grammar in the message. `what` names the thing: "model", "alias". */
TD_MUST_USE td_code td_model_name_check(const char *name, td_err *err);
TD_MUST_USE td_code td_alias_name_check(const char *name, td_err *err);

/* ---- models ---- */

typedef struct td_model_options {
    const char *name;
    const char *description; /* or NULL */
    const json_t *tags;      /* object of strings, or NULL */
} td_model_options;

/* CONFLICT: exists. The actor becomes its owner. */
TD_MUST_USE td_code td_model_create(td_db *db, const td_actor *actor, const char *project,
                                    const td_model_options *options, td_err *err);
/* Changes what is given (NULL: as it is; a tag whose value is JSON null is removed). NOT_FOUND names the nearest model.
 */
TD_MUST_USE td_code td_model_update(td_db *db, const td_actor *actor, const char *project,
                                    const td_model_options *options, td_err *err);
/* {"name","description","owner","created_at","tags","aliases":{alias:version},"latest_version",
 * "versions":{state:count}}
 */
TD_MUST_USE td_code td_model_json(td_db *db, const char *project, const char *name, json_t **out, td_err *err);

/* {"models": […as above…], "next_cursor"?} by name, or as the page says (registry/search.h). INVALID, LIMIT. */
TD_MUST_USE td_code td_model_list_json(td_db *db, const char *project, const td_page *page, json_t **out, td_err *err);

/* ---- versions ---- */

typedef struct td_version_file {
    const char *name; /* as registered ("pump.onnx"); the folder of its role ("model/", "meta/", "golden/") is put
                         before it if it is not there; a baseline's name is always "baseline.pb" */
    uint8_t digest[TD_DIGEST_SIZE];
    uint64_t size; /* as td_content_put told; the caller has checked that content holds it */
    td_file_role role;
} td_version_file;

typedef struct td_version_options {
    const char *model;
    bool create_model; /* make the model if it is not there (else NOT_FOUND with the nearest name) */
    const td_version_file *files;
    size_t file_count;           /* at least one of role model */
    const td_inspection *found;  /* what introspection found, one a file (as far as found_count goes), or NULL */
    size_t found_count;
    const char *format;          /* of the main model file: "onnx", "opaque" */
    const json_t *facts;         /* of the main model file (registry/facts.h), or NULL */
    const uint8_t *edges_digest; /* of the baseline's edges (32 bytes), or NULL without a baseline */
    const json_t *metrics;       /* object of finite numbers, or NULL */
    const json_t *params;        /* object of strings or numbers, or NULL */
    const json_t *tags;          /* object of strings, or NULL */
    const json_t *sources;     /* {"datasets":[…],"code":{…}} as given: kept for the card and for views, or NULL */
    const char *description;   /* or NULL */
    const char *parent;        /* reference of the version it was made from ("pump/1"), or NULL; must exist */
    const char *derived_by;    /* the tool that made it from its parent ("skl2onnx"), or NULL */
    const json_t *left_out;    /* array: names of the parent's files that it does not have, for the record; or NULL */
    const char *reason;        /* for the record, or NULL */
    const char *cause;         /* what led to it ("al-…" or "run-…"), or NULL */
    const char *hardware;      /* requirement, or NULL */
    const char *runtimes[4];   /* requirement: any one of them; NULL-filled */
    uint64_t ram_bytes;        /* requirement, or 0 */
    uint32_t security_counter; /* 0: as the model's highest so far (1 at first); lower than that is refused */
    int64_t number;            /* the number that it must get, else CONFLICT; 0: whichever is next */
    const struct td_version_origin *origin; /* registry/mlflow.h; or NULL */
} td_version_options;

/* Registers a version as draft, by a number that was never used before in this model. */
TD_MUST_USE td_code td_version_create(td_db *db, const td_actor *actor, const char *project,
                                      const td_version_options *options, int64_t *number_out, td_err *err);

/* A version's facts for C code; text and blobs live in the arena given to td_version_find. */
typedef struct td_version {
    int64_t version_id, model_id, number;
    const char *project, *model;
    const char *label; /* "pump/3" */
    td_version_state state;
    const char *registrar;                                      /* user name */
    int64_t registrar_id, created_ms, submitted_ms, decided_ms, archived_ms; /* 0: not yet */
    const char *format, *description, *parent, *cause;          /* parent: label or NULL; cause or NULL */
    const char *derived_by;                                     /* tool, or NULL */
    bool quarantined;                                           /* a file of it can hold a pickle */
    const char *hardware;                                       /* "" = any */
    const char *runtimes[4];
    size_t runtime_count;
    uint64_t ram_bytes;
    uint32_t security_counter;
    bool has_edges;
    uint8_t edges_digest[TD_DIGEST_SIZE];
    uint64_t device_bytes; /* of all files a device needs; 0 before submit */
    /* from submit on */
    const uint8_t *manifest; /* its bytes, or NULL */
    size_t manifest_size;
    uint8_t manifest_digest[TD_DIGEST_SIZE]; /* the content id */
    uint8_t bundle_digest[TD_DIGEST_SIZE];   /* of the tar.zst in content */
    uint64_t bundle_size;
    /* from approval on */
    bool has_envelope, has_model_sig;
    uint8_t envelope_digest[TD_DIGEST_SIZE]; /* SignedMessage: manifest and approvals, in content */
    uint32_t envelope_size;
    uint8_t model_sig_digest[TD_DIGEST_SIZE]; /* model.sig, in content */
    int64_t approval_seq;                     /* audit record of the approval that met the threshold; -1: none */
} td_version;

/* CONFLICT: names the file of a version that keeps it from being packed, and the way on. */
TD_MUST_USE td_code td_quarantine_refuse(const char *label, const char *file, const char *verdict, td_err *err);

/* Finds by any form of reference. NOT_FOUND names the nearest model or alias; INVALID: not a reference. */
TD_MUST_USE td_code td_version_find(td_db *db, const char *project, const char *reference, td_arena *arena,
                                    td_version *out, td_err *err);
/* By content id: which version is it that a device says it runs? */
TD_MUST_USE td_code td_version_of_manifest(td_db *db, const uint8_t manifest_digest[TD_DIGEST_SIZE], td_arena *arena,
                                           td_version *out, td_err *err);
/* The registered files (names as in the manifest, sorted). */
TD_MUST_USE td_code td_version_files(td_db *db, int64_t version_id, td_arena *arena, td_version_file **files_out,
                                     size_t *count_out, td_err *err);
/* Everything known: state, files, facts, metrics, params, tags, aliases, approvals, digests, sources, moves. */
TD_MUST_USE td_code td_version_json(td_db *db, const char *project, const char *reference, json_t **out, td_err *err);
/* {"versions": [{"version","model","state","created_at","created_by","metrics","tags","aliases","description",…}],
 * "next_cursor"?}, newest first, or as the page says (registry/search.h). `model` NULL: of the whole project. */
TD_MUST_USE td_code td_version_list_json(td_db *db, const char *project, const char *model, const td_page *page,
                                         json_t **out, td_err *err);

/* Edits. Metrics and parameters only of a draft; description and tags also once it was decided, because the signed card
 * keeps what was decided on; else CONFLICT. Whoever edits can no longer approve. value NULL: removed (NOT_FOUND if
 * absent). */
TD_MUST_USE td_code td_version_set_tag(td_db *db, const td_actor *actor, const char *project, const char *reference,
                                       const char *key, const char *value, td_err *err);
typedef struct td_version_edit {
    const char *description; /* NULL: as it is */
    const json_t *metrics;   /* merged in; null removes; NULL: as they are */
    const json_t *params;
    const json_t *tags;
} td_version_edit;
TD_MUST_USE td_code td_version_update(td_db *db, const td_actor *actor, const char *project, const char *reference,
                                      const td_version_edit *edit, td_err *err);

/* ---- the life of a version (moves along td_version_states) ---- */

typedef struct td_packed { /* what td_bundle_pack made and put into content */
    const void *manifest;
    size_t manifest_size;
    uint8_t bundle_digest[TD_DIGEST_SIZE];
    uint64_t bundle_size;
} td_packed;

/* draft → pending. The manifest must be of this version: its registered files, names, counters, all of them (files of
 * role meta may have been added by packing). */
TD_MUST_USE td_code td_version_submit(td_db *db, const td_actor *actor, const char *project, const char *reference,
                                      const td_packed *packed, const char *reason, td_err *err);

typedef struct td_approval {
    uint8_t key_id[TD_KEY_ID_SIZE];
    uint8_t signature[TD_SIGNATURE_SIZE]; /* over PAE(TD_MANIFEST_TYPE, manifest bytes) */
    const char *reason;                   /* mandatory */
    const uint8_t *envelope_digest;  /* of what td_version_envelope gave and content now holds; NULL: not checked */
    const uint8_t *model_sig_digest; /* model.sig in content, or NULL */
    const uint8_t *statement_digest; /* of the claim that says what the signature means, for the record; or NULL */
} td_approval;

/* The SignedMessage of the manifest with the approvals so far and, if given, one more: put it into content before the
 * transaction that approves. Deterministic: signatures sorted by key identifier. CONFLICT: not submitted. */
TD_MUST_USE td_code td_version_envelope(td_db *db, const char *project, const char *reference, const td_approval *more,
                                        td_str *out, td_err *err);
/* Records one person's approval; at the keyset's threshold the version is approved (*state_out).
 * DENIED: no permission, the registrar, somebody who edited it, a service account, or the key is not this person's;
 * CONFLICT: not pending, or he has approved already; CORRUPT: the signature; BUSY: another approval came between (build
 * the envelope again). The caller records denials (td_audit_append with denied set) in a transaction of its own. */
TD_MUST_USE td_code td_version_approve(td_db *db, const td_actor *actor, const char *project, const char *reference,
                                       const td_approval *approval, td_version_state *state_out, td_err *err);
/* pending → rejected. Needs the permission to approve and a reason. */
TD_MUST_USE td_code td_version_reject(td_db *db, const td_actor *actor, const char *project, const char *reference,
                                      const char *reason, td_err *err);
/* approved → deprecated → retired. Needs a reason. Other targets have functions of their own: INVALID. */
TD_MUST_USE td_code td_version_move(td_db *db, const td_actor *actor, const char *project, const char *reference,
                                    td_version_state to, const char *reason, td_err *err);

/* ---- content of a project (content_project_store.c) ---- */

/* Was this content sent into the project (td_project_content_add), or is it a file of one of its versions? Every
 * answer and every record that names content by its digest asks this first. Any connection. */
TD_MUST_USE td_code td_content_visible(td_db *db, const char *project, const uint8_t digest[TD_DIGEST_SIZE], bool *out,
                                       td_err *err);

/* ---- aliases ---- */

/* What moving or deleting it takes: TD_MAY_APPROVE for a protected alias ("champion"), else TD_MAY_MANAGE_ALIAS. */
td_permission td_alias_permission(const char *alias);
/* Points model@alias at a version (number of that model). CONFLICT: it already does. `reason` may be NULL unless the
 * alias is protected. */
TD_MUST_USE td_code td_alias_set(td_db *db, const td_actor *actor, const char *project, const char *model,
                                 const char *alias, int64_t number, const char *reason, td_err *err);
TD_MUST_USE td_code td_alias_delete(td_db *db, const td_actor *actor, const char *project, const char *model,
                                    const char *alias, const char *reason, td_err *err);
/* {"alias","version","set_at","set_by","history":[{"version"|null,"at","by","reason"}]}, newest first. */
TD_MUST_USE td_code td_alias_json(td_db *db, const char *project, const char *model, const char *alias, json_t **out,
                                  td_err *err);
/* {"aliases":{alias:version}} */
TD_MUST_USE td_code td_alias_list_json(td_db *db, const char *project, const char *model, json_t **out, td_err *err);
/* What was the alias at that time? 0 when it named nothing. One index seek. */
TD_MUST_USE td_code td_alias_at(td_db *db, const char *project, const char *model, const char *alias, int64_t at_ms,
                                int64_t *number_out, td_err *err);

#endif
