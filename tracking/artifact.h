/*
 * artifact.h: files by path, as training scripts know them, over content by digest.
 *
 * Each run and each logged model has a *root* ("0/<run>/artifacts", "0/models/m-…/artifacts"); below it a path names
 * a digest and a size. Folders are implied by the paths. Writing a path again points it at other content; what was
 * registered as a version keeps its own digests and does not move with it. A path never touches the file system.
 *
 * Threads: as the td_db that is passed. Writing functions run inside the caller's transaction.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_TRACKING_ARTIFACT_H
#define TD_TRACKING_ARTIFACT_H

#include "access/access.h"
#include "core/base/arena.h"
#include "core/base/json.h"
#include "core/crypto/crypto.h"

#define TD_ARTIFACT_PATH_MAX 1024    /* bytes of a path, root included */
#define TD_ARTIFACT_PARTS_MAX 32     /* folders in it */
#define TD_ARTIFACT_FILES_MAX 100000 /* files below one root */

/* Relative, no empty, "." or ".." part, no backslash, colon-slash, '%', '#', '?', control character; UTF-8; at most
 * TD_ARTIFACT_PATH_MAX bytes and TD_ARTIFACT_PARTS_MAX parts. "" is INVALID. `path` is decoded already, once. */
TD_MUST_USE td_code td_artifact_path_check(const char *path, td_err *err);

/* Points ROOT/PATH at content that is already durable. NOT_FOUND: the path lies below no root of the project;
 * CONFLICT: a folder of that name is there, or a file where a folder is needed; INVALID: the run is deleted; LIMIT. */
TD_MUST_USE td_code td_artifact_put(td_db *db, const td_actor *actor, const char *project, const char *path,
                                    const uint8_t digest[TD_DIGEST_SIZE], uint64_t size, td_err *err);
/* Removes a file or all below a folder; the content stays. NOT_FOUND. */
TD_MUST_USE td_code td_artifact_delete(td_db *db, const td_actor *actor, const char *project, const char *path,
                                       td_err *err);
/* NOT_FOUND: no such file (a folder is none). */
TD_MUST_USE td_code td_artifact_get(td_db *db, const char *project, const char *path,
                                    uint8_t digest_out[TD_DIGEST_SIZE], uint64_t *size_out, td_err *err);
/* The next level below ROOT/PATH: [{"path": last part, "is_dir", "file_size"?}…] by name; a file or an empty folder
 * gives []. NOT_FOUND: below no root of the project. */
TD_MUST_USE td_code td_artifact_list_json(td_db *db, const char *project, const char *path, json_t **out, td_err *err);

/* {"root_uri","files":[{"path": below the root, "is_dir", "file_size"?}…]} of a run or a logged model; `path` may be
 * NULL or "". */
TD_MUST_USE td_code td_artifact_of_run_json(td_db *db, const char *project, const char *uuid, const char *path,
                                            json_t **out, td_err *err);
TD_MUST_USE td_code td_artifact_of_logged_json(td_db *db, const char *project, const char *uuid, const char *path,
                                               json_t **out, td_err *err);
/* ROOT/PATH of a run, in the arena. */
TD_MUST_USE td_code td_artifact_path_of_run(td_db *db, const char *project, const char *uuid, const char *path,
                                            td_arena *arena, const char **out, td_err *err);

#endif
