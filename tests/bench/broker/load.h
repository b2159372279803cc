/*
 * load.h: the three jobs of broker-load: make devices and their windows, publish them, be the loop to compare with.
 *
 * The windows lie in one file, in the order in which they go out: a record is u32 length of the topic, topic, u32
 * length of the payload, payload (this machine's byte order). SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_BENCH_BROKER_LOAD_H
#define TD_BENCH_BROKER_LOAD_H

#include "core/base/err.h"

#define LOAD_PREFIX "tm/v1"
#define LOAD_RAW_PREFIX "rw/v1" /* as long as the other: the raw loop's messages differ in nothing else */

/* Enrols the devices into a workspace whose server does not run, and writes `windows` windows of theirs, in turns. */
TD_MUST_USE td_code load_make(const char *workspace, const char *file, int64_t devices, int64_t windows, td_err *err);

/* Publishes windows first … first + count - 1 of the file with QoS 1 and prints the monotonic seconds at which it began
 * and at which the broker had them all. */
TD_MUST_USE td_code load_publish(int port, const char *file, int64_t first, int64_t count, bool raw, td_err *err);

/* Subscribes, prints "ready", then stores what comes until it is killed; after each COMMIT prints rows so far and the
 * time. */
TD_MUST_USE td_code load_raw(int port, const char *database, td_err *err);

double load_seconds(void);

#endif
