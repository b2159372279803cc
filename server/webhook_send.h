/*
 * webhook_send.h: one signed POST to an address that somebody else chose.
 *
 * Headers are MLflow's, in the form of Standard Webhooks: X-MLflow-Delivery-Id, X-MLflow-Timestamp (unix seconds) and
 * X-MLflow-Signature "v1,BASE64(HMAC-SHA256(secret, ID.TIMESTAMP.BODY))". The address that is connected to must be
 * public, or in webhooks.private_networks; plain HTTP goes to the latter alone. No redirect, no proxy, ten seconds.
 * Threads: any; libcurl is loaded with the first call.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_WEBHOOK_SEND_H
#define TD_SERVER_WEBHOOK_SEND_H

#include "server/internal.h"

#define TD_WEBHOOK_ANSWER_MAX 1024 /* bytes of an answer that are kept */

typedef struct td_post {
    const char *url, *delivery, *body;
    const void *secret; /* open, or NULL */
    size_t secret_size;
} td_post;

typedef struct td_posted {
    int status;          /* of the answer; 0: there was none */
    int64_t retry_ms;    /* what Retry-After asked for; 0: nothing */
    td_str body;         /* the beginning of the answer; td_str_done */
    char trouble[160];   /* why there was no answer, or "" */
} td_posted;

/* The value of X-MLflow-Signature, appended to out. */
void td_webhook_signature(const td_post *post, int64_t unix_seconds, td_str *out);
/* OK also when there was no answer (`trouble`). Else: libcurl or memory is missing. */
TD_MUST_USE td_code td_webhook_post(td_server *server, const td_post *post, td_posted *out, td_err *err);

/* ---- secrets at rest (webhook_secret.c): sealed under keys/secrets.key, which the first secret makes ---- */

TD_MUST_USE td_code td_webhook_seal(const td_server *server, const char *uuid, const char *secret, td_str *out,
                                    td_err *err);
TD_MUST_USE td_code td_webhook_unseal(const td_server *server, const char *uuid, const void *sealed, size_t size,
                                      td_str *out, td_err *err);

#endif
