/*
 * slot_files.h: versions of models as folders, and `current` as the one link that says which of them runs.
 *
 *     slots/<slot>/<id>/…             files of a version by their names in the manifest
 *     slots/<slot>/current -> <id>    switched by rename
 *     slots/<slot>/.meta/<id>/…       digest (64 digits), envelope, tables/…: not for applications
 *
 * <id> is 32 hexadecimal digits: the first half of the manifest's digest.
 *
 * Each step leaves either the old or the new on the disk; the core's record decides and repairs at start. The folders
 * are readable by all so that applications of other users may run the models; nothing secret is in them.
 * Threads: belongs to the agent's loop.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FIRMWARE_LINUX_SLOT_FILES_H
#define TD_FIRMWARE_LINUX_SLOT_FILES_H

#include "core/base/err.h"
#include "core/crypto/crypto.h"
#include "firmware/edge/ports.h"

#include <limits.h>

#define TD_PLACE_ID_TEXT 33                          /* 32 hexadecimal digits, NUL */
#define TD_SLOT_ROOM_RESERVE ((uint64_t)1024 * 1024) /* bytes that stay free on the disk besides a version */

typedef struct td_slot_files {
    char root[PATH_MAX - 640]; /* <state>/slots */
    int fd;                    /* the object written last stays open: blocks come in sequence */
    char open_path[PATH_MAX];
    /* Called before each step that changes the disk, with its name; for tests that cut the power there. May be NULL. */
    void (*step)(void *context, const char *what);
    void *step_context;
} td_slot_files;

/* Makes <state>/slots. */
TD_MUST_USE td_code td_slot_files_open(td_slot_files *files, const char *state_folder, td_err *err);
void td_slot_files_close(td_slot_files *files);
/* `files` must outlive the port. */
tde_slots_port td_slot_files_port(td_slot_files *files);

void td_place_id(const uint8_t digest[TD_DIGEST_SIZE], char out[TD_PLACE_ID_TEXT]);

#endif
