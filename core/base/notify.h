/*
 * notify.h: tells systemd how the service is (sd_notify(3)'s protocol: a datagram to $NOTIFY_SOCKET), without its
 * library.
 *
 * Outside systemd all of it does nothing.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_BASE_NOTIFY_H
#define TD_CORE_BASE_NOTIFY_H

#include "core/base/err.h"

/* "READY=1\nSTATUS=…", "WATCHDOG=1", "STOPPING=1". */
void td_notify(const char *state);
/* Milliseconds between two "WATCHDOG=1" that are enough (half of $WATCHDOG_USEC); 0: no watchdog. */
uint32_t td_notify_watchdog_ms(void);

#endif
