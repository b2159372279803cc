/*
 * link.h: the server's side of MQTT: what devices say goes to the records, what they are to run goes out.
 *
 * Paho's callback copies a message and queues it: requests for content go to the block thread, which answers them from
 * disk at once and also publishes directives; everything else goes to the ingest thread, which writes what has gathered
 * in one closure and, only after COMMIT, sends receipts. A full queue drops the message: the missing receipt brings it
 * back.
 * Threads: functions here from any thread but the link's own.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_LINK_H
#define TD_SERVER_LINK_H

#include "fleet/fleet.h"
#include "fleet/uplink.h"
#include "monitor/windows.h"
#include "server/internal.h"

#define TD_LINK_QUEUE_MAX 8192 /* messages that wait to be recorded */
#define TD_LINK_LAG_KEPT_MS 60000 /* how long the lag of the last batch is told when no other follows */
#define TD_LINK_GETS_MAX 4096  /* requests for content that wait */
#define TD_LINK_BATCH 512      /* messages in one transaction */

/* Does not wait for the broker. `port`: of the child broker; 0: take mqtt.url. INVALID: mqtt.url. */
TD_MUST_USE td_code td_link_start(td_server *server, int port, td_link **out, td_err *err);
void td_link_stop(td_link **link);
/* There may be directives to publish. */
void td_link_kick(td_link *link);
/* After an enrolment or a revocation. */
TD_MUST_USE td_code td_link_keys_reload(td_link *link, td_db *db, td_err *err);
/* {"connected":…,"broker":"127.0.0.1:1883","received":{…},"dropped":{…},"windows":{…},"content":{…},"why":…} */
TD_MUST_USE td_code td_link_status_json(td_link *link, json_t **out, td_err *err);
typedef struct td_link_counts {
    bool connected;
    uint64_t windows[TD_WINDOW_VERDICTS], dropped[TD_DROP_COUNT];
    uint64_t queue_full, failed;
    uint64_t content_bytes;
    size_t queued;
    int64_t lag_ms; /* of the last minute's newest batch from coming in to COMMIT, or of one that waits longer */
} td_link_counts;
/* For /metrics. `link` NULL: all zero. */
void td_link_counts_read(const td_link *link, td_link_counts *out);
/* Where devices connect to. */
TD_MUST_USE td_code td_link_address(td_server *server, char host_out[256], int *port_out, td_err *err);

#endif
