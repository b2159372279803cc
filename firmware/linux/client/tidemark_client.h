/*
 * tidemark_client.h: what an application needs to run a model that Tidemark delivers: where its file is, when it
 * changes, and how to say what it saw.
 *
 *     tm_client *tm;
 *     tm_open("/var/lib/tidemark-agent", "pump", &tm);
 *     char path[TM_PATH_MAX];
 *     tm_model_path(tm, NULL, path, sizeof path);            // load it
 *     for (;;) {
 *         if (tm_model_changed(tm)) { tm_model_path(…); … }  // load the new one
 *         tm_observe(tm, &(tm_observation){.features = x, .feature_count = 8, .prediction = y, .score = p, .id = n});
 *     }
 *
 * Nothing here blocks: what the agent does not take at once waits in a buffer of 16 KiB and goes with the next call;
 * what does not fit is dropped and counted. The agent may be absent, start later, or restart.
 * Plain C11 and the C library, no other dependency.
 * Threads: a tm_client belongs to one thread at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TIDEMARK_CLIENT_H
#define TIDEMARK_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TM_PATH_MAX 4096

/* Results: 0 or one of these. */
enum {
    TM_OK = 0,
    TM_INVALID = -1,   /* an argument: slot name, too many features, a text longer than 64 bytes */
    TM_NO_MODEL = -2,  /* the slot has no version yet: try again later */
    TM_AMBIGUOUS = -3, /* several files under model/: name the one you mean */
    TM_DROPPED = -4,   /* the agent does not take datagrams and the buffer is full */
    TM_SYSTEM = -5,    /* see errno */
};

typedef struct tm_client tm_client;

/* A class or category by name instead of by index. */
typedef struct tm_text {
    uint16_t feature; /* or TM_IS_PREDICTION */
    const char *text;
} tm_text;
#define TM_IS_PREDICTION 0xFFFFu

typedef struct tm_observation {
    const float *features; /* in the order of the baseline; NaN: missing; a category: its index, or see texts */
    uint32_t feature_count;
    float prediction;    /* class index, or the value */
    float score;         /* NaN: none */
    const char *group;   /* for fairness; NULL: none */
    uint64_t id;         /* chosen by the application, for a label that comes later; 0: none will */
    uint32_t latency_us; /* of the inference; 0: not measured */
    const tm_text *texts;
    uint32_t text_count;
} tm_observation;

/* `folder` is the agent's state folder, `slot` the slot's name (usually the model's). Does not need a running agent.
 * INVALID, SYSTEM (memory). The client is freed by tm_close. */
int tm_open(const char *folder, const char *slot, tm_client **out);
/* Sends what still waits, then frees. NULL is fine. */
void tm_close(tm_client *client);

/* The absolute path of a file of the version that is current now: `name` below model/, or NULL for the only file there.
 * The path stays valid for as long as the version is kept (until the next but one). From this call on observations are
 * marked as made by that version. NO_MODEL, AMBIGUOUS, INVALID (does not fit), SYSTEM. */
int tm_model_path(tm_client *client, const char *name, char *out, size_t room);
/* Whether another version is current than the one tm_model_path spoke of last. One readlink. */
bool tm_model_changed(tm_client *client);
/* First 16 bytes of the version's manifest digest, as 32 hexadecimal digits; "" before tm_model_path. */
const char *tm_model_digest(const tm_client *client);

/* Renews the application's lease without an observation: call it when idle, at least every lease_seconds / 3. */
int tm_attach(tm_client *client);
/* Counts one inference. INVALID, DROPPED, SYSTEM. */
int tm_observe(tm_client *client, const tm_observation *observation);
/* Tells what was true for the observation `id`: class index or value. */
int tm_label(tm_client *client, uint64_t id, float value);
/* The same with the class's name. */
int tm_label_text(tm_client *client, uint64_t id, const char *name);
/* Counts inferences that failed. */
int tm_error(tm_client *client, uint32_t count);
/* Tries again to hand over what waits. Calls above do so too. DROPPED: still waiting. */
int tm_flush(tm_client *client);
/* Records that were dropped since tm_open. */
uint64_t tm_dropped(const tm_client *client);

#ifdef __cplusplus
}
#endif

#endif
