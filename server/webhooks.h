/*
 * webhooks.h: the thread that empties the outbox of webhooks.
 *
 * Each webhook gets its deliveries in order; one that fails waits longer and longer (1 s, 2 s … ten minutes, or as long
 * as Retry-After says) and holds up others by ten seconds an attempt
 * at most. A delivery is given up after a day, or at once when the receiver says
 * that it will never take it (4xx other than 408, 425 and 429). At least once: a server that dies between the answer
 * and the note sends it again, under the same X-MLflow-Delivery-Id.
 * Threads: td_webhooks_wake from any thread, short; the rest from the main thread.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_WEBHOOKS_H
#define TD_SERVER_WEBHOOKS_H

#include "server/internal.h"

/* INVALID: webhooks.private_networks. */
TD_MUST_USE td_code td_webhooks_start(td_server *server, td_webhooks **out, td_err *err);
/* Joins; what waits is sent after the next start. NULL is fine. */
void td_webhooks_stop(td_webhooks *webhooks);
void td_webhooks_free(td_webhooks **webhooks);
/* After a commit: is there anything new to tell? NULL is fine. */
void td_webhooks_wake(td_webhooks *webhooks);

#endif
