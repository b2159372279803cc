/*
 * downlink.h: what goes out to devices: topics, receipts, directives, the server's own state, blocks of content.
 *
 * Nothing here writes the database: the broker is a cache, and after a restart or a reconnect whatever a device has not
 * acknowledged is published again, at a bounded rate.
 *
 * Threads: a td_publisher and a td_content_server each belong to one thread, except where a function says otherwise.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FLEET_DOWNLINK_H
#define TD_FLEET_DOWNLINK_H

#include "core/db/db.h"
#include "core/mqtt/mqtt.h"
#include "firmware/wire/tidemark.pb.h"
#include "fleet/uplink.h"
#include "registry/content.h"

#define TD_TOPIC_MAX 192
#define TD_BLOCK_HEADER_SIZE 12
#define TD_BLOCK_SIZE_MIN 512
#define TD_BLOCK_SIZE_MAX 32768

/* "PREFIX/DEVICE/down/NAME", "PREFIX/_/NAME" with device "_". INVALID when it does not fit. */
TD_MUST_USE td_code td_topic_down(const char *prefix, const char *device, const char *name, char out[TD_TOPIC_MAX],
                                  td_err *err);
/* A Receipt message; out has room for 16 bytes. Returns its size. */
size_t td_receipt_encode(uint64_t settled, uint8_t out[16]);
/* Appends a SignedMessage {payload_type, payload, one signature by key}. */
TD_MUST_USE td_code td_downlink_sign(const td_key *key, const char *payload_type, const void *payload, size_t size,
                                     td_str *out, td_err *err);
/* The signed ServerState for PREFIX/_/server (retained; online false is the will's payload). */
TD_MUST_USE td_code td_server_state_message(const td_key *director, bool online, uint64_t epoch, int64_t now_ms,
                                            td_str *out, td_err *err);

/* How messages leave: td_mqtt_publish behind a td_sender, or a test's own. Same contract as td_mqtt_publish (BUSY …).
 */
typedef struct td_sender {
    void *context;
    td_code (*publish)(void *context, const td_mqtt_publication *publication, td_err *err);
} td_sender;
td_sender td_sender_mqtt(td_mqtt *mqtt);

/* ---- Directives
 * ------------------------------------------------------------------------------------------------------ */

typedef struct td_publisher td_publisher;
/* `db`: a reading connection of this thread. */
TD_MUST_USE td_code td_publisher_new(td_db *db, td_sender sender, const char *prefix, td_publisher **out, td_err *err);
void td_publisher_free(td_publisher *publisher);
/* Publishes (QoS 1, retained, message expiry) at most `most` of the directives that are newer than the last one sent or
 * pending since td_publisher_restart. *more_out: call again soon (more waits, or the sender was busy). */
TD_MUST_USE td_code td_publisher_run(td_publisher *publisher, int64_t most, int64_t *sent_out, bool *more_out,
                                     td_err *err);
/* From any thread, on each (re)connect: everything unacknowledged goes out again. */
void td_publisher_restart(td_publisher *publisher);

/* ---- Content
 * --------------------------------------------------------------------------------------------------------- */

typedef struct td_content_server_options {
    td_db *db;                 /* a reading connection of this thread */
    const td_content *content; /* the store */
    td_sender sender;
    const char *prefix;
    size_t memory_max;  /* bytes handed to the sender and not yet delivered; 0: 16 MiB */
    size_t device_max;  /* of those, for one device; 0: 1 MiB */
    size_t payload_max; /* largest MQTT payload the broker takes (td_mqtt_payload_max); 0: 64 KiB */
} td_content_server_options;

typedef struct td_content_server td_content_server;
TD_MUST_USE td_code td_content_server_new(const td_content_server_options *options, td_content_server **out,
                                          td_err *err);
/* Deliveries that are still under way must have been finished or abandoned by the sender (td_mqtt_stop). */
void td_content_server_free(td_content_server *server);
/* Answers one Get: data blocks within credit and memory, `defer` when memory is short, `refused` when the device's
 * newest directive does not refer to the object, the object is gone, or the request is malformed. Errors are the
 * server's own (IO …). */
TD_MUST_USE td_code td_content_server_get(td_content_server *server, int64_t device_id, const char *device,
                                          const tidemark_Get *get, td_err *err);

typedef struct td_content_stats {
    uint64_t blocks, bytes, deferred, refused;
    size_t memory, memory_peak; /* bytes under way now, and the most there ever were */
} td_content_stats;
void td_content_server_stats(td_content_server *server, td_content_stats *out); /* any thread */

#endif
