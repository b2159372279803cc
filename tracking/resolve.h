/*
 * resolve.h: from the source URI that a client names to the files that it means, path by path, by digest.
 *
 * For whoever registers what was logged: td_artifact_resolve lists the files (on any connection), the caller registers
 * their digests as a version and calls td_artifact_settle in the same transaction.
 * Threads: as the td_db that is passed.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_TRACKING_RESOLVE_H
#define TD_TRACKING_RESOLVE_H

#include "access/access.h"
#include "core/base/arena.h"
#include "core/crypto/crypto.h"

typedef struct td_artifact_file {
    const char *path; /* relative to what was asked for: "MLmodel", "data/model.pkl" */
    uint8_t digest[TD_DIGEST_SIZE];
    uint64_t size;
} td_artifact_file;

/* Where artifacts lie; all texts live in the arena. */
typedef struct td_artifact_tree {
    const char *root;                       /* "0/<run>/artifacts" */
    const char *folder;                     /* path below it, "" for the root itself */
    const char *run_uuid;                   /* the run that made them, or NULL */
    const char *logged_model_uuid;          /* the logged model that they are, or NULL */
    const td_artifact_file *files;          /* sorted by path */
    size_t file_count;
    uint8_t digest[TD_DIGEST_SIZE];         /* over all paths, digests and sizes */
} td_artifact_tree;

/* Finds what a source URI of a client means within the project and lists all its files: `runs:/RUN/PATH`,
 * `mlflow-artifacts:/ROOT/PATH` (any authority is refused), `models:/m-…[/PATH]`, and
 * `http(s)://…/api/2.0/mlflow-artifacts/artifacts/ROOT/PATH` (only the path counts; nothing is fetched). Content is
 * named, never read. INVALID: any other scheme (s3:, file:, a local path), with the way on; NOT_FOUND: no such run or
 * model, or no file below the path. `models:/NAME/VERSION` is the registry's: INVALID here. */
TD_MUST_USE td_code td_artifact_resolve(td_db *db, const char *project, const char *uri, td_arena *arena,
                                        td_artifact_tree *out, td_err *err);

/* What became a version: one record (settle.artifacts: the tree's digest, the version), and in the lineage the run that
 * made the files is the version's source. Inside the transaction that registers. */
TD_MUST_USE td_code td_artifact_settle(td_db *db, const td_actor *actor, const char *project,
                                       const td_artifact_tree *tree, const char *version_label, td_err *err);

#endif
