/*
 * agent.h: the Linux agent: files, clocks, MQTT and the applications' socket around the device core of firmware/edge.
 *
 * One loop owns everything; it waits in poll() for the session's queue, the socket, signals, and the next time that the
 * core or a window wants to be called.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FIRMWARE_LINUX_AGENT_H
#define TD_FIRMWARE_LINUX_AGENT_H

#include "core/base/err.h"

#define TD_AGENT_OUTBOX_CELL 16352u /* largest window; with its header a multiple of the erase size */
#define TD_AGENT_OUTBOX_MIB_DEFAULT 4
#define TD_AGENT_OUTBOX_MIB_MAX 1024

typedef struct td_agent_options {
    const char *state;    /* folder */
    const char *hardware; /* NULL: as enrolled */
    const char *runtimes; /* "onnx,tflite"; NULL: as enrolled */
    const char *group;    /* Unix group that may use the socket; NULL: the agent's own user only */
    uint32_t contact_s;   /* how often the server hears from us at least; 0: 300 */
    uint32_t outbox_mib;  /* of a new state; 0: TD_AGENT_OUTBOX_MIB_DEFAULT */
} td_agent_options;

/* Runs until SIGTERM or SIGINT. BUSY: another agent runs on this folder. */
TD_MUST_USE td_code td_agent_run(const td_agent_options *options, td_err *err);

#endif
