/*
 * fs.h: files that are either wholly there or not there at all, and survive a power cut.
 *
 * td_file_replace writes a temporary file in the same folder, fsyncs, renames, fsyncs the folder. Reading is bounded.
 * Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_BASE_FS_H
#define TD_CORE_BASE_FS_H

#include "core/base/err.h"
#include "core/base/str.h"

#include <sys/types.h>

/* Atomically and durably puts data at path with mode (an existing file is replaced). */
TD_MUST_USE td_code td_file_replace(const char *path, const void *data, size_t size, mode_t mode, td_err *err);
/* As td_file_replace but CONFLICT if path exists. */
TD_MUST_USE td_code td_file_create(const char *path, const void *data, size_t size, mode_t mode, td_err *err);
/* Removes what killed writers of `path` left half written beside it (NAME.tmp-XXXXXX). Only while nobody else can be
 * writing it. */
TD_MUST_USE td_code td_file_sweep(const char *path, td_err *err);
/* Appends the whole file to out. LIMIT if larger than limit; only regular files. */
TD_MUST_USE td_code td_file_read(const char *path, size_t limit, td_str *out, td_err *err);
/* mkdir -p with mode for what is made; each made folder's parent is fsynced. */
TD_MUST_USE td_code td_folder_make(const char *path, mode_t mode, td_err *err);
TD_MUST_USE td_code td_folder_sync(const char *path, td_err *err);
/* rm -r, not following symbolic links; a path that is not there is OK. */
TD_MUST_USE td_code td_folder_remove(const char *path, td_err *err);
TD_MUST_USE td_code td_write_all(int fd, const void *data, size_t size, td_err *err);
bool td_path_exists(const char *path);
/* Joins with one '/'; LIMIT when it does not fit PATH_MAX. */
TD_MUST_USE td_code td_path_join(char out[4096], const char *folder, const char *name, td_err *err);
/* Names of files inside a version or bundle: [A-Za-z0-9._/-]{1,200}, relative, no empty, "." or ".." part. INVALID. */
TD_MUST_USE td_code td_check_file_name(const char *name, size_t length, td_err *err);

void td_close_fd(int *fd); /* TD_CLEANUP: closes if >= 0 and sets -1 */

#endif
