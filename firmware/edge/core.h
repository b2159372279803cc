/*
 * core.h: what is inside a tde_core: the durable record, and what is only of this boot. Private to firmware/edge.
 *
 * Everything below `record` can be thrown away at any moment: a power cut does just that.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TDE_CORE_H
#define TDE_CORE_H

#include "firmware/edge/edge.h"
#include "firmware/edge/machine.h"
#include "firmware/wire/tidemark.pb.h"

#define TDE_TOPIC_MAX 128         /* prefix, device and the rest, with the zero */
#define TDE_PROBATION_BOOTS_MAX 3 /* restarts during one probation before it counts as a crash loop */
#define TDE_PIECE_TRIES_MAX 3     /* a piece that comes wrong this often ends the transfer */
#define TDE_IO_TRIES_MAX 5        /* storage errors in a row before a step gives up */
#define TDE_RETRY_FIRST_MS 2000u  /* back-off of unanswered requests: doubles up to … */
#define TDE_RETRY_LAST_MS 60000u
#define TDE_DEFER_MAX_MS 600000u    /* the longest that a server may put us off */
#define TDE_RECEIPT_FIRST_MS 30000u /* unsettled messages are sent again after this, doubling up to … */
#define TDE_RECEIPT_LAST_MS 600000u
#define TDE_OUTBOX_FLIGHT 32u       /* messages sent and not settled at once */
#define TDE_PROGRESS_EVERY_MS 2000u /* unkept progress reports while fetching */
#define TDE_LEASE_DEFAULT_S 300u    /* probation when the directive does not say */
#define TDE_FETCH_DEFAULT_S 86400u
#define TDE_KEYSET_WAIT_MS 600000u   /* a directive waits this long for the keyset that it names */
#define TDE_CLOCK_SLACK_MS 86400000u /* a signed time may run ahead of our own clock by a day, not more */
#define TDE_POLL_LAST_MS 60000u

/* ---- Durable ---- */

typedef struct tde_key {
    uint8_t role; /* tidemark_Role */
    uint8_t bytes[TDE_PUBLIC_KEY_SIZE];
} tde_key;

#define TDE_ROLES 4 /* indices: tidemark_Role */

typedef struct tde_keyset {
    uint32_t version; /* 0: none, or the birth roots */
    uint32_t count;
    uint64_t expires_ms;
    uint32_t threshold[TDE_ROLES];
    tde_key keys[TDE_KEYS_MAX];
} tde_keyset;

typedef struct tde_slot {
    char name[TDE_SLOT_NAME_SIZE];
    uint8_t state, reason; /* as in the proto */
    uint8_t attached;      /* an application has attached at some time */
    uint8_t boots;         /* boots in this probation */
    uint8_t running[TDE_DIGEST_SIZE], previous[TDE_DIGEST_SIZE];
    uint8_t candidate[TDE_DIGEST_SIZE]; /* in a resting state: what the state is about, if not running */
    uint8_t envelope_digest[TDE_DIGEST_SIZE];
    uint32_t envelope_size;
    uint32_t counter_floor;     /* security counter of what was committed, the highest ever */
    uint32_t counter_candidate; /* known once the manifest is checked */
    uint32_t counter_min;       /* the directive's own demand */
    uint32_t seconds, inferences_min, errors_max, lease_seconds; /* probation */
    uint32_t window_seconds;
    uint64_t total_size, byte_budget;
    uint64_t directive_sequence, not_after_ms;
    uint64_t report_sequence; /* outbox sequence of the report on `state`: written after the record, so maybe missing */
} tde_slot;

typedef struct tde_record {
    uint64_t directive_sequence; /* highest accepted */
    uint64_t time_floor_ms;
    uint64_t settled; /* lags behind the outbox's: sending again is harmless */
    uint32_t contact_every_s;
    uint32_t dropped;
    uint32_t slots_count;
    tde_keyset keyset;
    tde_slot slots[TDE_SLOTS_MAX];
} tde_record;

/* How far the one transfer has come: small and appended after each piece. */
typedef struct tde_progress {
    uint8_t place[8];  /* first bytes of the candidate's digest; zeros: none */
    uint32_t file;     /* index among the files that a device needs */
    uint32_t piece;    /* all pieces of it below are verified and durable */
    uint64_t pieces;   /* bit i: so is piece + i */
    uint64_t used;     /* bytes received, towards the budget */
    uint64_t sequence; /* of the directive whose budget that is */
} tde_progress;

/* ---- Of this boot ---- */

typedef struct tde_log {
    uint32_t offset;   /* of the first of two areas */
    uint32_t area;     /* bytes of each, a multiple of the erase size */
    uint32_t entry;    /* bytes of an entry, header included */
    uint32_t newest;   /* offset of the newest valid entry */
    uint32_t next;     /* where to look for room for the next entry */
    uint32_t sequence; /* of the newest; 0: there is none */
} tde_log;

typedef struct tde_outbox {
    uint32_t offset, cell, cells;
    uint32_t dropped;
    uint64_t next, settled;
    uint64_t cursor;    /* all below were sent in this session */
    uint64_t resend_at; /* monotonic: then what is unsettled goes out again */
    uint64_t send_at;   /* monotonic: not before, since the last attempt found no room */
    uint32_t backoff_ms;
} tde_outbox;

typedef enum tde_sink { TDE_SINK_NONE, TDE_SINK_KEYSET, TDE_SINK_ENVELOPE, TDE_SINK_TABLE, TDE_SINK_FILE } tde_sink;

/* The one content object that is being pulled. */
typedef struct tde_transfer {
    tde_sink sink;
    uint32_t id;
    uint8_t digest[TDE_DIGEST_SIZE];
    uint64_t size;
    uint32_t block_size, blocks;
    uint32_t base;     /* all blocks below are here */
    uint64_t have;     /* bit i: so is block base + i */
    uint32_t expected; /* blocks asked for and not yet here */
    uint32_t backoff_ms;
    uint64_t ask_at; /* monotonic: ask (again) then */
} tde_transfer;

typedef struct tde_file {
    char name[201];
    uint64_t size;
    uint64_t before; /* bytes of the needed files before this one */
    uint32_t piece_size, pieces;
    uint8_t digest[TDE_DIGEST_SIZE];
    uint8_t table_digest[TDE_DIGEST_SIZE]; /* if pieces > 1 */
} tde_file;

typedef enum tde_step { TDE_STEP_ENVELOPE, TDE_STEP_FILE, TDE_STEP_PULL } tde_step;

/* The one candidate that is being fetched or verified. */
typedef struct tde_fetch {
    uint32_t slot; /* index, or TDE_NO_SLOT */
    tde_step step;
    tde_file file;
    tde_progress progress;
    uint32_t bad;         /* pieces in a row that did not match */
    uint32_t verify_file; /* VERIFYING: file and offset */
    uint64_t verify_offset;
    uint64_t counted_at;  /* monotonic: up to when `spent_ms` counts */
    uint64_t spent_ms;    /* connected time that this transfer took */
    uint64_t progress_at; /* next progress report */
} tde_fetch;
#define TDE_NO_SLOT 0xFFFFFFFFu

/* What an application did with a slot since the switch; for probation. */
typedef struct tde_trial {
    uint64_t since, renewed_at; /* monotonic */
    uint32_t inferences, errors;
    bool renewed;
    uint8_t failures; /* storage errors in a row */
    uint64_t retry_at;
    bool untidy; /* places may have to be removed */
} tde_trial;

typedef struct tde_waiting {
    size_t size;       /* of the directive in memory.directive; 0: none */
    uint64_t retry_at; /* monotonic: after a storage error */
    uint64_t since;    /* monotonic */
    bool verified;     /* by the keyset that we hold */
    bool keyset;       /* a newer keyset comes first */
    uint8_t keyset_digest[TDE_DIGEST_SIZE];
    uint32_t keyset_size;
} tde_waiting;

typedef struct tde {
    tde_config config;
    tde_memory memory;
    tde_ports ports;
    tde_record record;
    tde_log records, journal;
    tde_outbox outbox;
    tde_transfer transfer;
    tde_fetch fetch;
    tde_trial trials[TDE_SLOTS_MAX];
    tde_waiting pending;
    uint32_t message_slot; /* slot whose checked envelope is in memory.message, or TDE_NO_SLOT */
    tde_bytes manifest;    /* its manifest, inside memory.message */
    uint64_t now, boot_id, nonce, accepted_at;
    uint64_t refused_sequence; /* of the last refusal that was reported, with its reason */
    uint8_t refused_reason;
    uint32_t transfer_id, largest_block, refused, hold;
    uint64_t server_epoch, server_said_ms; /* of its newest announcement that it is there */
    bool connected, birth_due, server_online, busy;
    tde_bytes checkpoint;
} tde;

_Static_assert(sizeof(tde) <= sizeof(tde_core), "TDE_CORE_SIZE in edge.h is too small");

static inline tde *tde_of(tde_core *core)
{
    return (tde *)(void *)core->space;
}

static inline const tde *tde_of_const(const tde_core *core)
{
    return (const tde *)(const void *)core->space;
}

#endif
