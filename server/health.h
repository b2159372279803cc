/*
 * health.h: what a rollout asks the monitor (fleet may not know the monitor; the server joins them).
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_HEALTH_H
#define TD_SERVER_HEALTH_H

#include "fleet/rollout.h"

/* A td_health_fn. Fails a version with an open alert, with more than 5 % errors, or whose accuracy is certainly (95 %
 * intervals apart) below that of the version it came from on the devices that still run that one. Waits until there is
 * telemetry. */
td_rollout_health td_rollout_health_ask(void *context, td_db *db, const char *rollout, const char *project,
                                        const char *model, int64_t version, char text_out[160]);

#endif
