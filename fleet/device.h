/*
 * device.h: who is in the fleet: identity, inventory, tags, presence, and what ran where from when to when.
 *
 * A device's identifier is unique in the workspace (it is its topic and its certificate's common name); a device
 * belongs to the project of the code that let it in. What it ran is kept as intervals that are closed, never
 * overwritten.
 *
 * Threads: as the connection that is passed in.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FLEET_DEVICE_H
#define TD_FLEET_DEVICE_H

#include "audit/audit.h"
#include "core/db/list.h"
#include "core/db/migrate.h"

#define TD_DEVICE_ID_MAX 64
#define TD_DEVICE_TAGS_MAX 32
#define TD_SELECTOR_TEXT_MAX 1024

extern const td_migration td_fleet_migrations[];

/* [a-z0-9-]{1,64}, no '-' at either end. INVALID, with the text of what is wrong. */
TD_MUST_USE td_code td_device_check_name(const char *name, td_err *err);

/*
 * The selector: which devices are meant, by tags and inventory.
 *
 *     all
 *     site=oslo                                a tag
 *     site = 'oslo' and ram_mb >= 512          inventory: device hardware runtime ram_mb storage_mb state online model
 *     (line in (a, b) or not battery) and hardware != 'rpi-4'
 *
 * A bare name asks whether the tag exists. `runtime = x` holds if the device has that runtime among others, `model =
 * pump/3` if it runs that version, `model = pump` any version. Numbers compare as numbers. `and`, `or`, `not`, `=`,
 * `!=`, `<`, `<=`,
 * `>`, `>=`, `in (…)`, parentheses (at most 16 deep). A name is [A-Za-z0-9_.:/-]{1,64}, other values go in '…'.
 */
TD_MUST_USE td_code td_selector_check(const char *selector,
                                      td_err *err); /* INVALID: names the column and what was expected */

/* {"devices":[…],"next_cursor"?}, in order of name, or as the page says. selector NULL or "": all. Revoked devices only
 * when the selector or the filter speaks of `state`. INVALID, LIMIT. */
TD_MUST_USE td_code td_device_list_json(td_db *db, const char *project, const char *selector, const td_page *page,
                                        json_t **out, td_err *err);
/* {"runs":[…],"next_cursor"?} of one device, newest first, or as the page says. NOT_FOUND, INVALID, LIMIT. */
TD_MUST_USE td_code td_device_run_list_json(td_db *db, const char *project, const char *device, const td_page *page,
                                            json_t **out, td_err *err);
/* Everything about one device: inventory, tags, presence, slots, goals, last directive, runs. NOT_FOUND. */
TD_MUST_USE td_code td_device_json(td_db *db, const char *project, const char *device, json_t **out, td_err *err);
/* Counts for status pages: {"devices":n,"online":n,"revoked":n}. */
TD_MUST_USE td_code td_device_counts_json(td_db *db, const char *project, json_t **out, td_err *err);

/* Sets tags from an object {key: text}; a null value removes. Keys [a-z0-9_.-]{1,32}, values up to 64 bytes. */
TD_MUST_USE td_code td_device_tag(td_db *db, const td_actor *actor, const char *project, const char *device,
                                  const json_t *tags, td_err *err);
/* For ever: the device's uplinks are dropped from now on, its goals are taken away. The caller updates the broker's
 * list and calls td_uplink_keys_load. CONFLICT when revoked already. */
TD_MUST_USE td_code td_device_revoke(td_db *db, const td_actor *actor, const char *project, const char *device,
                                     const char *reason, td_err *err);
/* Names of the revoked (for the broker's access list): a JSON array of strings. */
TD_MUST_USE td_code td_device_revoked_json(td_db *db, json_t **out, td_err *err);

/* What ran where: intervals of one version (model, number) or one device (the other NULL), newest first:
 * [{"device","model","version","slot","manifest","started_at","ended_at"|null}]. */
TD_MUST_USE td_code td_device_runs_json(td_db *db, const char *project, const char *device, const char *model,
                                        int64_t version, json_t **out, td_err *err);

#endif
