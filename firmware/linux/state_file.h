/*
 * state_file.h: the core's durable state as one preallocated file that behaves like the flash of a board.
 *
 * The file is written in full when it is made, so that later writes need no room on a full disk. Programming is pwrite
 * and fdatasync; erasing writes 0xFF and is made durable by the next programming, as the port demands.
 * Threads: belongs to the agent's loop.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FIRMWARE_LINUX_STATE_FILE_H
#define TD_FIRMWARE_LINUX_STATE_FILE_H

#include "core/base/err.h"
#include "firmware/edge/ports.h"

#define TD_STATE_ERASE_SIZE 4096u

typedef struct td_state_file {
    int fd;
    uint32_t size;
} td_state_file;

/* Opens `path`, or makes it with `size` erased bytes (a multiple of TD_STATE_ERASE_SIZE), atomically. A file that
 * exists keeps its size. LIMIT: the disk is full. CORRUPT: its size is no multiple of TD_STATE_ERASE_SIZE. */
TD_MUST_USE td_code td_state_file_open(td_state_file *file, const char *path, uint32_t size, td_err *err);
void td_state_file_close(td_state_file *file);
/* `file` must outlive the port. */
tde_state_port td_state_file_port(td_state_file *file);

#endif
