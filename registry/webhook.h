/*
 * webhook.h: who wants to hear of changes in a project, and the outbox of what still has to be told.
 *
 * The transaction that changes a model also queues what has to be told of it: a change without its delivery, or a
 * delivery without its change, is never on disk. Deliveries of one webhook go out in order; each has an identifier that
 * stays the same at every attempt. Names of events and the shape of a body are MLflow's (3.17: mlflow/webhooks).
 * Writing functions run inside the caller's transaction and append to the audit log; the secret is no part of a record.
 * Threads: as the td_db that is passed.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_WEBHOOK_H
#define TD_REGISTRY_WEBHOOK_H

#include "access/access.h"
#include "core/base/arena.h"
#include "core/base/json.h"
#include "core/db/db.h"

#define TD_WEBHOOKS_MAX 100        /* of one project */
#define TD_WEBHOOK_UUID_SIZE 33
#define TD_WEBHOOK_NAME_MAX 256
#define TD_WEBHOOK_DESCRIPTION_MAX 1000
#define TD_WEBHOOK_URL_MAX 2048
#define TD_WEBHOOK_SECRET_MAX 1000 /* bytes, before it is sealed */
#define TD_WEBHOOK_QUEUE_MAX 10000 /* deliveries that wait for one webhook; more are counted as lost */
#define TD_WEBHOOK_PAUSE_MAX_MS (INT64_C(3600) * 1000) /* between two attempts; a longer one is a clock that jumped */
#define TD_WEBHOOK_KEEP_MS (INT64_C(24) * 3600 * 1000) /* how long a delivery is tried */

typedef enum td_event {
    TD_EVENT_MODEL_CREATED,
    TD_EVENT_VERSION_CREATED,
    TD_EVENT_MODEL_TAG_SET, /* of prompts only: MLflow has no such event of models */
    TD_EVENT_MODEL_TAG_DELETED,
    TD_EVENT_VERSION_TAG_SET,
    TD_EVENT_VERSION_TAG_DELETED,
    TD_EVENT_ALIAS_CREATED,
    TD_EVENT_ALIAS_DELETED,
    TD_EVENT_COUNT
} td_event;

/* "model_version.created" of a model or a prompt; NULL: there is no such event. */
const char *td_event_name(td_event event, bool prompt);

/* What is given is set, what is NULL stays as it is (or is empty in a new one). */
typedef struct td_webhook_edit {
    const char *name, *url, *description;
    const json_t *events;  /* array of names */
    const void *secret;    /* sealed */
    size_t secret_size;
    const bool *active;
    const char *uuid;      /* of a new one: the caller has made it, because the secret is sealed under it */
} td_webhook_edit;

/* INVALID; LIMIT. Needs TD_MAY_MANAGE_USER in the project. */
TD_MUST_USE td_code td_webhook_create(td_db *db, const td_actor *actor, const char *project,
                                      const td_webhook_edit *edit, td_err *err);
/* NOT_FOUND. */
TD_MUST_USE td_code td_webhook_update(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                                      const td_webhook_edit *edit, td_err *err);
/* What waits goes with it. NOT_FOUND. */
TD_MUST_USE td_code td_webhook_delete(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                                      td_err *err);
/* MLflow's fields, and "last_delivery": {"at", "answer", "waiting", "lost"}. */
TD_MUST_USE td_code td_webhook_json(td_db *db, const char *project, const char *uuid, json_t **out, td_err *err);
/* {"webhooks":[…],"next_page_token"?}, oldest first, behind the token of the page before. */
TD_MUST_USE td_code td_webhook_list_json(td_db *db, const char *project, int64_t limit, const char *token,
                                         json_t **out, td_err *err);

/* ---- the outbox ---- */

/* Where something is sent; text and blobs in the arena. */
typedef struct td_delivery {
    int64_t delivery_id, webhook_id; /* delivery_id 0: nothing is due */
    const char *webhook, *url, *uuid, *body;
    const void *secret; /* sealed, or NULL */
    size_t secret_size;
    int64_t created_ms, failures;
} td_delivery;

/* The next that is due. If nothing is, *due_ms_out says when something will be (INT64_MAX: nothing waits). */
TD_MUST_USE td_code td_webhook_next(td_db *db, td_arena *arena, td_delivery *out, int64_t *due_ms_out, td_err *err);
/* As td_webhook_next, of one webhook whatever its state; no delivery: url and secret alone. NOT_FOUND. */
TD_MUST_USE td_code td_webhook_target(td_db *db, const char *project, const char *uuid, td_arena *arena,
                                      td_delivery *out, td_err *err);

typedef struct td_delivered {
    int64_t delivery_id, webhook_id;
    bool done;         /* it need not be tried again */
    bool lost;         /* … because it was given up */
    int64_t retry_ms;  /* else: not before */
    const char *answer;
} td_delivered;
/* Notes what came of an attempt. A delivery that is gone since (its webhook was deleted) is no error. */
TD_MUST_USE td_code td_webhook_note(td_db *db, const td_delivered *delivered, td_err *err);

/* Counts what this process has queued, so that whoever sends sees at a glance whether there is anything new. */
uint64_t td_webhook_queued(void);

#endif
