/*
 * apps.h: what applications say about the models they run: counted into the running version's bins, closed into
 * windows.
 *
 * A slot has one counter a version: when `current` moves, what was counted for the old version becomes its last window
 * and the new version's baseline lays out new bins (its edges may differ). What an application saw with another version
 * than the current one is not counted, but it renews the application's lease.
 * Threads: belongs to the agent's loop.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FIRMWARE_LINUX_APPS_H
#define TD_FIRMWARE_LINUX_APPS_H

#include "core/base/json.h"
#include "firmware/edge/bins.h"
#include "firmware/edge/edge.h"
#include "firmware/linux/local.h"
#include "firmware/linux/world.h"

#define TD_APP_PENDING 4096      /* predictions of a slot that wait for their labels */
#define TD_APP_WINDOW_SECONDS 60 /* when the directive does not say */

/* Counting for one slot. */
typedef struct td_app {
    char slot[TDE_SLOT_NAME_SIZE]; /* "" free */
    uint8_t digest[TDE_DIGEST_SIZE];
    bool counting; /* bins are laid out */
    tde_bins bins;
    void *memory;
    tde_pending *pending;
    uint8_t edges_digest[TDE_DIGEST_SIZE];
    int64_t began_ms;  /* monotonic */
    uint64_t start_ms; /* wall, 0: not known */
    uint32_t window_seconds;
    bool attached;                 /* the core knows that there is an application */
    bool renewed;                  /* something came since the core was told last */
    bool current_seen;             /* of that, something by the current version */
    uint32_t inferences, failures; /* of the current version, since the core was told last */
    uint64_t observed, labelled, unmatched, failed, stale, windows; /* since the start, for people */
} td_app;

typedef struct td_apps {
    tde_core *core;
    const td_world *world;
    const char *slots_root; /* <state>/slots */
    td_app apps[TDE_SLOTS_MAX];
    uint64_t datagrams, refused;
    float features[TM_LOCAL_FEATURES_MAX];
    uint8_t *window; /* one encoded window */
    size_t window_room;
} td_apps;

TD_MUST_USE td_code td_apps_open(td_apps *apps, tde_core *core, const td_world *world, const char *slots_root,
                                 size_t window_room, td_err *err);
/* Closes what is counted into last windows (durable in the outbox), frees. */
void td_apps_close(td_apps *apps);

/* One datagram of an application. *reply_out is the type of answer that it asks for (TM_RECORD_ATTACHED or
 * TM_RECORD_STATUS_IS), or 0. INVALID: a bad datagram; its good records before the bad one were taken. */
TD_MUST_USE td_code td_apps_datagram(td_apps *apps, const uint8_t *datagram, size_t size, unsigned *reply_out,
                                     td_err *err);
/* The answer to an attach, for the slot that the datagram names; returns its size (0: none). */
size_t td_apps_attached_reply(const td_apps *apps, const uint8_t *datagram, size_t size, uint8_t *out, size_t room);

/* Follows the core's slots, tells it of leases and counts, closes windows that are due. Returns ms until the next. */
uint32_t td_apps_tick(td_apps *apps);
/* The counters of one slot as JSON, or NULL. */
json_t *td_apps_json(const td_apps *apps, const char *slot);

#endif
