/*
 * import_watch.c: `tidemark import mlflow --watch`: again and again, at a pace that the other server does not feel.
 *
 * A pass asks for lists; only what differs from the pass before is asked for one by one. The wait grows with the work
 * (a pass may not take more than a tenth of the time) and with failures, up to ten minutes. Once an hour everything is
 * looked at as if it were the first time.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/import.h"

#include "core/base/clock.h"

#include <poll.h>

#define WAIT_MAX_MS ((int64_t)600 * 1000) /* unless --every is longer */
#define WAIT_PER_WORK 10
#define ANEW_EVERY_MS ((int64_t)3600 * 1000)
#define DOUBLINGS_MAX 10

/* How long to wait after a pass that took `took_ms`, or after so many failures in a row. */
static int64_t wait_ms(int64_t every_ms, int64_t took_ms, int failures)
{
    int64_t wait = every_ms << (failures < DOUBLINGS_MAX ? failures : DOUBLINGS_MAX);
    int64_t most = every_ms > WAIT_MAX_MS ? every_ms : WAIT_MAX_MS;
    if (failures == 0 && took_ms * WAIT_PER_WORK > wait) {
        wait = took_ms * WAIT_PER_WORK;
    }
    return wait < most ? wait : most;
}

static int64_t now_ms(void)
{
    return td_clock_system.monotonic_ms(&td_clock_system);
}

td_code td_import__watch(td_import *im, int64_t every_ms, td_err *err)
{
    int failures = 0;
    int64_t anew_ms = now_ms();
    for (;;) {
        int64_t began_ms = now_ms();
        if (began_ms - anew_ms >= ANEW_EVERY_MS) {
            (void)json_object_clear(im->whole);
            anew_ms = began_ms;
        }
        td_code code = td_import__pass(im, err);
        if (code != TD_OK && code != TD_IO && code != TD_BUSY && code != TD_INTERNAL) {
            return code;
        }
        failures = code == TD_OK ? 0 : failures + 1;
        if (code != TD_OK) {
            td_import__note(im, "%s; trying again", err->text);
        }
        td_import__report(im);
        td_arena_done(&im->from.arena); /* nothing of a pass outlives it */
        td_arena_done(&im->cli->arena);
        (void)poll(NULL, 0, (int)wait_ms(every_ms, now_ms() - began_ms, failures));
    }
}
