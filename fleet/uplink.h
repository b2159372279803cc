/*
 * uplink.h: what devices say: proved, decoded, recorded once.
 *
 * Every uplink ends in 16 bytes of HMAC-SHA-256(device key, topic ‖ 0x00 ‖ message); what does not verify, does not
 * parse or exceeds a limit is dropped and counted by reason. Reports and windows carry one durable sequence a device;
 * recording one twice changes nothing, and the receipt names the highest sequence below which nothing is missing.
 *
 * Threads: td_uplink_keys from any thread; a td_uplink_reader belongs to one thread (its counters may be read from
 * any); td_fleet_* as the connection.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FLEET_UPLINK_H
#define TD_FLEET_UPLINK_H

#include "core/db/db.h"
#include "fleet/device.h"
#include "fleet/enrol.h"
#include "firmware/wire/tidemark.pb.h"

#define TD_UPLINK_MAC_SIZE 16
#define TD_UPLINK_BYTES_MAX ((size_t)64 * 1024)
#define TD_TOPIC_PREFIX "tm/v1"
#define TD_TOPIC_PREFIX_MAX 64

/* ---- Keys of all devices, in memory
 * ---------------------------------------------------------------------------------- */

typedef struct td_uplink_keys td_uplink_keys;
TD_MUST_USE td_code td_uplink_keys_new(td_uplink_keys **out, td_err *err);
void td_uplink_keys_free(td_uplink_keys *keys);
/* Replaces the whole table from the database (any connection): at start and after each enrolment or revocation. */
TD_MUST_USE td_code td_uplink_keys_load(td_uplink_keys *keys, td_db *db, td_err *err);
size_t td_uplink_keys_count(td_uplink_keys *keys);

/* ---- Reading
 * --------------------------------------------------------------------------------------------------------- */

typedef enum td_uplink_kind {
    TD_UPLINK_BIRTH,
    TD_UPLINK_DEATH,
    TD_UPLINK_REPORT,
    TD_UPLINK_GET,
    TD_UPLINK_WINDOW,
    TD_UPLINK_KIND_COUNT
} td_uplink_kind;

typedef struct td_uplink {
    td_uplink_kind kind;
    int64_t device_id; /* row of table device */
    char device[TD_DEVICE_ID_MAX + 1];
    char project[129];
    union {
        tidemark_Birth birth;
        tidemark_Death death;
        tidemark_Report report;
        tidemark_Get get;
    } as;
    /* The message without its MAC, borrowed from the payload: a window is decoded by the monitor from these bytes. Its
     * sequence and oldest_kept are read here, for td_fleet_settle. */
    const uint8_t *message;
    size_t message_size;
    uint64_t sequence, oldest_kept; /* of a report or window; 0 otherwise */
} td_uplink;

typedef enum td_uplink_drop {
    TD_DROP_TOPIC,
    TD_DROP_SIZE,
    TD_DROP_UNKNOWN_DEVICE,
    TD_DROP_REVOKED,
    TD_DROP_MAC,
    TD_DROP_FORM,
    TD_DROP_COUNT
} td_uplink_drop;
extern const char *const td_uplink_drop_names[TD_DROP_COUNT + 1]; /* "topic", "size", … NULL */

typedef struct td_uplink_reader td_uplink_reader;
/* prefix: "tm/v1"; copied. `keys` must outlive the reader. */
TD_MUST_USE td_code td_uplink_reader_new(td_uplink_keys *keys, const char *prefix, td_uplink_reader **out, td_err *err);
void td_uplink_reader_free(td_uplink_reader *reader);
/* INVALID, DENIED or LIMIT: dropped, and counted by reason. *out is only written on success. */
TD_MUST_USE td_code td_uplink_read(td_uplink_reader *reader, const char *topic, const void *payload, size_t size,
                                   td_uplink *out, td_err *err);
uint64_t td_uplink_dropped(const td_uplink_reader *reader, td_uplink_drop why);
uint64_t td_uplink_accepted(const td_uplink_reader *reader, td_uplink_kind kind);

/* The topic filters that the server subscribes: PREFIX/+/up/birth …; for kind WINDOW with QoS 1, GET with QoS 0. */
TD_MUST_USE td_code td_uplink_filter(const char *prefix, td_uplink_kind kind, char *out, size_t room, td_err *err);
/* The other side, for simulators and tests: appends message and MAC to `out`. */
TD_MUST_USE td_code td_uplink_seal(const uint8_t key[TD_UPLINK_KEY_SIZE], const char *topic, const void *message,
                                   size_t size, td_str *out, td_err *err);

/* ---- Recording (writing connection)
 * ---------------------------------------------------------------------------------- */

/* Inventory, presence, slots, acknowledged directive. A birth that is older than what is known changes nothing. */
TD_MUST_USE td_code td_fleet_birth(td_db *db, int64_t device_id, const tidemark_Birth *birth, td_err *err);
/* The will of session boot_id; one of an older session changes nothing. */
TD_MUST_USE td_code td_fleet_death(td_db *db, int64_t device_id, uint64_t boot_id, td_err *err);
/* Settles the report's sequence, and if it is new moves the device's part of its rollout and what it runs. */
TD_MUST_USE td_code td_fleet_report(td_db *db, int64_t device_id, const tidemark_Report *report, uint64_t *settled_out,
                                    td_err *err);
/* Records that `sequence` was received (committed or rejected for good) in the caller's transaction. *fresh_out false:
 * it was settled before, do not count it again. *settled_out: for the receipt. Also notes that the device was heard of.
 * BUSY: too far ahead of what is missing (TD_SETTLE_AHEAD_MAX): forget it, the device will send it again. */
#define TD_SETTLE_AHEAD_MAX 4096
TD_MUST_USE td_code td_fleet_settle(td_db *db, int64_t device_id, uint64_t sequence, uint64_t oldest_kept,
                                    bool *fresh_out, uint64_t *settled_out, td_err *err);

#endif
