/*
 * workspace_internal.h: names of the files in a workspace, and the schema of all modules in order.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_WORKSPACE_INTERNAL_H
#define TD_SERVER_WORKSPACE_INTERNAL_H

#include "core/db/migrate.h"
#include "server/internal.h"

extern const td_migration *const td_workspace__migrations[];

#define TD_FILE_ROOT_DEMO "keys/root.pem"
#define TD_FILE_ROOT_OFFLINE "offline/root.pem"
#define TD_FILE_DIRECTOR "keys/director.pem"
#define TD_FILE_PUBLISHER "keys/publisher.pem"
#define TD_FILE_PUBLISHER_PUBLIC "keys/publisher.pub.pem"
#define TD_FILE_SUBMITTER "keys/submitter.pem"
#define TD_FILE_LOG "keys/log.pem"
#define TD_FILE_LOG_NEXT "keys/log.next.pem" /* while `log resume` is under way */
#define TD_FILE_LOG_VKEY "keys/log.vkey"
#define TD_FILE_LOG_STATE "keys/log.state"
#define TD_FILE_LOG_MOVING "keys/log.state.moving" /* while `signer adopt` is under way */
#define TD_FILE_CA_KEY "keys/ca.key.pem"
#define TD_FILE_CA "keys/ca.crt.pem"
#define TD_FILE_SERVER_KEY "keys/server.key.pem"
#define TD_FILE_SERVER "keys/server.crt.pem"
#define TD_FILE_MQTT_KEY "keys/mqtt.key.pem"
#define TD_FILE_MQTT "keys/mqtt.crt.pem"
#define TD_FILE_SECRETS_KEY "keys/secrets.key" /* made with the first secret of a webhook */
#define TD_FILE_KEYSET "keys/keyset.bin" /* the newest keyset, for offline verifiers */
#define TD_FILE_CONFIG "tidemark.yaml"
#define TD_CERTIFICATE_END_MS INT64_C(253402300799000) /* 9999-12-31T23:59:59Z */
#define TD_MQTT_IDENTITY "_server"                     /* outside the grammar of devices */

/* Where the log's signer keeps its memory: as configured, or in keys/. */
TD_MUST_USE td_code td_workspace__signer_state(const char *workspace, const td_config *config, char out[4096],
                                               td_err *err);
/* Puts the line "key: value" into tidemark.yaml, instead of such a line; the rest stays as its owner wrote it. INVALID:
 * another line contradicts it. */
TD_MUST_USE td_code td_workspace__setting_write(const char *workspace, const char *key, const char *value,
                                                td_err *err);
/* Loads the keys that a server needs. */
TD_MUST_USE td_code td_server_keys_load(const char *workspace, const char *profile, td_server_keys *out, td_err *err);
void td_server_keys_done(td_server_keys *keys);

#endif
