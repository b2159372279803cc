/*
 * status.h: what the agent says about itself: JSON from the running agent, and that JSON shown to people.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FIRMWARE_LINUX_STATUS_H
#define TD_FIRMWARE_LINUX_STATUS_H

#include "firmware/edge/edge.h"
#include "firmware/linux/apps.h"
#include "firmware/linux/identity.h"

/* Writes one TM_RECORD_STATUS_IS record; returns its size, 0 on failure. */
size_t td_status_reply(const tde_core *core, const td_apps *apps, const td_identity *identity, uint8_t *out,
                       size_t room);
/* Asks the agent of a state folder and prints to stdout, as JSON or for people. NOT_FOUND: no agent runs there. */
TD_MUST_USE td_code td_status_print(const char *state, bool json, td_err *err);

#endif
