/*
 * witness_internal.h: what the thread of witnesses knows of each of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_WITNESS_INTERNAL_H
#define TD_SERVER_WITNESS_INTERNAL_H

#include "audit/witness.h"
#include "core/http/batch.h"
#include "server/internal.h"

#define TD_WITNESS_BACKOFF_MAX_MS 300000

typedef enum td_witness_state {
    TD_WITNESS_NEW,         /* not asked yet since the start */
    TD_WITNESS_GOOD,        /* its last answer was a cosignature */
    TD_WITNESS_FAILING,     /* no answer, or none that is worth anything */
    TD_WITNESS_REFUSING,    /* it does not know the log, or the log's key */
    TD_WITNESS_CONTRADICTS, /* it has seen another tree */
    TD_WITNESS_UNASKED,     /* the policy has no url for it */
} td_witness_state;

/* Of one witness. `state` to `error` are under the lock of td_witnesses; the rest is the thread's. */
typedef struct td_witness_peer {
    td_witnesses *owner;
    size_t index; /* in the policy */
    char url[TD_POLICY_URL_MAX + 20];
    int64_t old_size; /* what it has seen last, as far as we know */
    int64_t next_ms;  /* monotonic: not before */
    int failures;     /* in a row */
    bool again;       /* a 409 told its size: ask once more at once */
    td_str body;
    td_witness_state state;
    int64_t size; /* cosigned */
    int64_t time_s;
    char error[200];
} td_witness_peer;

struct td_witnesses {
    td_server *server;
    td_db *db;
    td_policy *policy;
    td_str vkey;
    td_http_batch *batch;
    td_witness_peer peers[TD_POLICY_WITNESSES_MAX];
    size_t count;
    td_log_root root; /* of the round: newest signed checkpoint */
    td_str note;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* of what follows, and of the peers' state */
    pthread_cond_t changed;
    bool work, stopping;
};

/* One round: every witness that is due and behind is asked; *next_ms_out: monotonic, when the next is due, INT64_MAX:
 * not before there is something new. */
td_code td_witness__round(td_witnesses *witnesses, int64_t *next_ms_out, td_err *err);

#endif
