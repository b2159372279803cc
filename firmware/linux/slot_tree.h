/*
 * slot_tree.h: what slot_files.c needs done to whole folders: measure, find a file by digest, make durable, prune.
 *
 * Nothing here follows a symbolic link; depth is bounded by TD_TREE_DEPTH_MAX.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FIRMWARE_LINUX_SLOT_TREE_H
#define TD_FIRMWARE_LINUX_SLOT_TREE_H

#include "core/base/err.h"
#include "core/crypto/crypto.h"

#include <limits.h>

#define TD_TREE_DEPTH_MAX 101 /* a name of 200 bytes has at most 100 parts */

/* Bytes of the disk that the regular files below a folder take; 0 if it is not there. */
uint64_t td_tree_bytes(const char *folder);
/* The path of a regular file of that size and digest in any version folder of the slot but `but_id`. */
bool td_tree_find(const char *slot_folder, const char *but_id, const uint8_t digest[TD_DIGEST_SIZE], uint64_t size,
                  char found_out[PATH_MAX]);
/* Copies `size` bytes of the file at `path` to fd, from its start, and makes them durable. 0 or a tde_error. */
int td_tree_copy(const char *path, int fd, uint64_t size);
/* Makes all files below read-only and everything durable: files, then folders from the leaves up. */
TD_MUST_USE td_code td_tree_settle(const char *folder, td_err *err);
/* Removes each child folder whose name is a place id (32 hexadecimal digits) not among the digests'. */
TD_MUST_USE td_code td_tree_keep(const char *folder, const uint8_t (*digests)[TD_DIGEST_SIZE], size_t count,
                                 td_err *err);

#endif
