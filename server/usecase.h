/*
 * usecase.h: the work that crosses records: registering, submitting, retraining.
 *
 * Everything slow (reading model files, building baselines, packing, hashing) happens on the caller's thread; then one
 * closure on the writer's thread checks all state again and writes version, lineage and audit record together.
 * Threads: workers and the scheduler, each with its own reading connection, outside the writer.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_USECASE_H
#define TD_SERVER_USECASE_H

#include "core/base/arena.h"
#include "registry/bundle.h"
#include "registry/registry.h"
#include "server/internal.h"
#include "tracking/resolve.h"

/* What every use case needs from its caller. */
typedef struct td_case {
    td_server *server;
    td_db *db; /* a reading connection */
    td_arena *arena;
    const td_actor *actor;
    const char *project;
    char *field; /* room for TD_PROBLEM_FIELD_MAX, or NULL: what of the input an error is about */
    td_request *request; /* whose conditions the change heeds; NULL: the server's own work */
} td_case;

/* Runs fn through the writer, with the conditions of the request if there is one (td_request_write). */
TD_MUST_USE td_code td_case_write(const td_case *work, td_write_fn fn, void *context, td_err *err);
/* Does the project have this content? Content of others is not there, whoever knows its digest. */
TD_MUST_USE td_code td_case_content(const td_case *work, const uint8_t digest[TD_DIGEST_SIZE], uint64_t *size_out,
                                    bool *there_out, td_err *err);

/* ---- register (usecase_register.c) ---- */

typedef struct td_registration {
    const char *model;
    bool create_model;
    bool strict;            /* a file named .onnx that is none is refused instead of registered as opaque */
    td_version_file *files; /* sizes are filled in */
    size_t file_count;
    const td_artifact_tree *artifacts; /* where the files come from, if a run logged them (td_registration_source) */
    bool has_baseline;
    uint8_t baseline_digest[TD_DIGEST_SIZE]; /* of the CSV, in content */
    const char *baseline_name;               /* for messages */
    const json_t *columns;                   /* or NULL */
    const json_t *datasets;                  /* [{name, uri?, digest?}] or NULL */
    const json_t *code;                      /* {repository, commit} or NULL */
    const json_t *metrics, *params, *tags;
    const char *description, *parent, *cause, *run;
    const struct td_version_origin *origin; /* registry/mlflow.h; or NULL */
    /* of a derived version (usecase_derive.c) */
    const char *derived_by;      /* the tool that made it from its parent, or NULL */
    const json_t *sources;       /* as its parent has them, instead of datasets, code and baseline; or NULL */
    const uint8_t *edges_digest; /* of the baseline among `files`, or NULL */
    const json_t *left_out;      /* names of its parent's files that it does not have, or NULL */
    const char *reason;
    bool clean; /* a file that can hold a pickle is refused */
    const char *hardware;
    const char *runtimes[4];
    uint64_t ram_bytes;
    uint32_t security_counter;
    int64_t number; /* the number that the version must get, or 0 */
    const json_t *warnings; /* filled in by td_register before it writes; borrowed */
    /* Runs in the same transaction, after the version was written; or NULL. */
    td_code (*also)(td_db *db, void *context, int64_t number, td_err *err);
    void *also_context;
} td_registration;

typedef struct td_registered {
    int64_t number;
    json_t *warnings; /* array of texts; owned by whoever holds this */
} td_registered;

/* INVALID, NOT_FOUND (content that was not uploaded), CORRUPT (a hostile model file) … */
TD_MUST_USE td_code td_register(const td_case *work, td_registration *registration, td_registered *out, td_err *err);
/* Takes the files from a source URI (tracking/resolve.h): runs:/…, models:/m-…, mlflow-artifacts:/…; all of role model.
 * The run that logged them becomes the version's source in the lineage. In the arena. */
TD_MUST_USE td_code td_registration_source(const td_case *work, const char *source, td_registration *out, td_err *err);
/* Reads the body of POST …/versions. Text is borrowed from it. */
TD_MUST_USE td_code td_registration_read(const td_case *work, const json_t *body, td_registration *out, td_err *err);
/* Reads the body of POST …/derive: what is new; *without_out: names of more files to leave out, or NULL. */
TD_MUST_USE td_code td_derivation_read(const td_case *work, const json_t *body, td_registration *out,
                                       const json_t **without_out, td_err *err);

/* ---- derive (usecase_derive.c) ---- */

/* Registers a draft of the same model with the files of `reference` that hold no pickle and are not in `without`, and
 * with those of `registration`, which take the place of files of the same name. Baseline, metrics, parameters, tags,
 * sources and whatever the registration does not say stay as they are. INVALID: nothing would be different, no model
 * file would be left, or a given file can hold a pickle. */
TD_MUST_USE td_code td_derive(const td_case *work, const char *reference, const json_t *without,
                              td_registration *registration, td_registered *out, td_err *err);

/* ---- looking into files (usecase_inspect.c) ---- */

/* Inspects each file (out: one a file; the caller lets go of them with td_inspection_done, also after an error).
 * CORRUPT, LIMIT: a model file that is hostile. */
TD_MUST_USE td_code td_look(const td_case *work, const td_version_file *files, size_t count, td_inspection *out,
                            td_err *err);
/* What td_inspection_json says of content by its digest, as a file of that name; other
 * files that it may refer to are not known. Errors as of td_look. */
TD_MUST_USE td_code td_look_json(const td_case *work, const char *name, const uint8_t digest[TD_DIGEST_SIZE],
                                 json_t **out, td_err *err);
/* Which of the files can hold a pickle, by today's lists; out: one a file. */
TD_MUST_USE td_code td_look_for_pickles(const td_case *work, const td_version_file *files, size_t count,
                                        td_verdict *out, td_err *err);
/* What people should know: appended to an array of texts. INVALID with `strict`: a file is not what its name says;
 * with `clean`: it can hold a pickle. */
TD_MUST_USE td_code td_look_warnings(const td_registration *registration, const td_inspection *found, json_t *warnings,
                                     td_err *err);
/* The format of the version and (owned by the caller) the facts of its main model file, or NULL. */
const char *td_look_main(const td_version_file *files, size_t count, const td_inspection *found, json_t **facts_out);
/* CONFLICT: one of the files is quarantined. They are looked at afresh: today's lists may know more than those of the
 * day of registration. */
TD_MUST_USE td_code td_look_before_packing(const td_case *work, const td_version *version, td_err *err);

/* ---- compare (usecase_diff.c) ---- */

/* registry/diff.h of two references, with "baseline": {"from", "to": has it one?, "same_edges", "facts", "features":
 * parts} and "lineage": a part of what each was made from. NOT_FOUND, INVALID. */
TD_MUST_USE td_code td_compare(const td_case *work, const char *from, const char *to, json_t **out, td_err *err);

/* ---- submit (usecase_submit.c) ---- */

/* The bytes of a version's baseline, if it has one. */
TD_MUST_USE td_code td_case_baseline(const td_case *work, int64_t version_id, td_str *out, bool *there_out,
                                     td_err *err);

/* Packs the version (card, lineage, manifest, bundle) and freezes it. */
TD_MUST_USE td_code td_submit(const td_case *work, const char *reference, const char *reason, td_err *err);

/* ---- approve (usecase_approve.c) ---- */

/* `statement` (may be NULL; profile regulated demands it) is the envelope in which the approver says what his signature
 * means: checked, and kept as a claim in the same transaction. */
TD_MUST_USE td_code td_approve(const td_case *work, const char *reference, const td_approval *approval,
                               const json_t *statement, td_version_state *state_out, td_err *err);
/* One tar of the bundle with what proves it in attest/, in content. */
TD_MUST_USE td_code td_export_version(const td_case *work, const td_version *version,
                                      uint8_t digest_out[TD_DIGEST_SIZE], uint64_t *size_out, td_err *err);

/* ---- approval by a gate (usecase_auto_approve.c) ---- */

/* At start: INVALID if the setting names an approver outside profile demo, or one without a key in the workspace. */
TD_MUST_USE td_code td_auto_approve_check(const td_server *server, td_err *err);
/* Signs and approves a submitted version in the name of the configured approver; does nothing when none is configured.
 */
TD_MUST_USE td_code td_auto_approve(const td_case *work, const char *reference, const char *run, td_err *err);

/* ---- the model card (card.c) ---- */

/* meta/card.md: what the version's facts say, as Markdown. */
TD_MUST_USE td_code td_card_text(const json_t *version, const json_t *baseline, td_str *out, td_err *err);

/* ---- retraining (usecase_retrain.c) ---- */

/* Judges runs that wait for it and registers what passed. Called by the scheduler; cheap when there is none. */
void td_retraining_advance(td_server *server, td_db *db);

#endif
