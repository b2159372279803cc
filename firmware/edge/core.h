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

#define TDE_TOPIC_MAX 128             /* prefix, device and the rest, with the zero */
#define TDE_PROBATION_BOOTS_MAX 3     /* restarts during one probation before it counts as a crash loop */
#define TDE_PIECE_TRIES_MAX 3         /* a piece that comes wrong this often ends the transfer */
#define TDE_IO_TRIES_MAX 5            /* storage errors in a row before a step gives up */
#define TDE_RETRY_FIRST_MS 2000u      /* back-off of unanswered requests: doubles up to … */
#define TDE_RETRY_LAST_MS 60000u
#define TDE_DEFER_MAX_MS 600000u      /* the longest that a server may put us off */
#define TDE_RECEIPT_FIRST_MS 30000u   /* unsettled messages are sent again after this, doubling up to … */
#define TDE_RECEIPT_LAST_MS 600000u
#define TDE_OUTBOX_FLIGHT 32u         /* messages sent and not settled at once */
#define TDE_PROGRESS_EVERY_MS 2000u   /* unkept progress reports while fetching */
#define TDE_LEASE_DEFAULT_S 300u      /* probation when the directive does not say */
#define TDE_FETCH_DEFAULT_S 86400u
#define TDE_KEYSET_WAIT_MS 600000u    /* a directive waits this long for the keyset that it names */
#define TDE_CLOCK_SLACK_MS 86400000u  /* a signed time may run ahead of our own clock by a day, not more */
#define TDE_POLL_LAST_MS 60000u

/* ---- Durable -------------------------------------------------------------------------------------------------------- */

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
    uint64_t settled;            /* lags behind the outbox's: sending again is harmless */
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

/* ---- Of this boot ---------------------------------------------------------------------------------------------------- */

typedef struct tde_log {
    uint32_t offset;  /* of the first of two areas */
    uint32_t area;    /* bytes of each, a multiple of the erase size */
    uint32_t entry;   /* bytes of an entry, header included */
    uint32_t newest;  /* offset of the newest valid entry */
    uint32_t next;    /* where to look for room for the next entry */
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
    uint64_t ask_at;   /* monotonic: ask (again) then */
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
    uint32_t bad;            /* pieces in a row that did not match */
    uint32_t verify_file;    /* VERIFYING: file and offset */
    uint64_t verify_offset;
    uint64_t counted_at;     /* monotonic: up to when `spent_ms` counts */
    uint64_t spent_ms;       /* connected time that this transfer took */
    uint64_t progress_at;    /* next progress report */
} tde_fetch;
#define TDE_NO_SLOT 0xFFFFFFFFu

/* What an application did with a slot since the switch; for probation. */
typedef struct tde_trial {
    uint64_t since, renewed_at; /* monotonic */
    uint32_t inferences, errors;
    bool renewed;
    uint8_t failures;   /* storage errors in a row */
    uint64_t retry_at;
    bool untidy;        /* places may have to be removed */
} tde_trial;

typedef struct tde_pending {
    size_t size;       /* of the directive in memory.directive; 0: none */
    uint64_t retry_at; /* monotonic: after a storage error */
    uint64_t since;    /* monotonic */
    bool verified;     /* by the keyset that we hold */
    bool keyset;       /* a newer keyset comes first */
    uint8_t keyset_digest[TDE_DIGEST_SIZE];
    uint32_t keyset_size;
} tde_pending;

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
    tde_pending pending;
    uint32_t message_slot;  /* slot whose checked envelope is in memory.message, or TDE_NO_SLOT */
    tde_bytes manifest;     /* its manifest, inside memory.message */
    uint64_t now, boot_id, nonce, accepted_at;
    uint64_t refused_sequence; /* of the last refusal that was reported, with its reason */
    uint8_t refused_reason;
    uint32_t transfer_id, largest_block, refused, hold;
    uint64_t server_epoch;
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

/* ---- bytes.c -------------------------------------------------------------------------------------------------------- */

void tde_put32(uint8_t *at, uint32_t value);
void tde_put64(uint8_t *at, uint64_t value);
uint32_t tde_get32(const uint8_t *at);
uint64_t tde_get64(const uint8_t *at);
uint32_t tde_crc32(uint32_t crc, const void *data, size_t size); /* start with 0 */
bool tde_is_zero(const uint8_t *digest);
bool tde_is_slot_name(const char *name);
bool tde_is_file_name(const char *name);
uint32_t tde_round_up(uint32_t value, uint32_t unit);

/* ---- flashlog.c: two areas of fixed entries; the newest valid one counts ----------------------------------------------- */

#define TDE_LOG_HEADER 16u
int tde_log_open(tde *core, tde_log *log, uint32_t offset, uint32_t area, uint32_t payload);
/* Reads the newest payload; TDE_NOT_FOUND. */
int tde_log_read(tde *core, const tde_log *log, void *payload, size_t size);
/* Appends. `entry` has log->entry bytes: payload at TDE_LOG_HEADER, the rest is filled in here. */
int tde_log_append(tde *core, tde_log *log, uint8_t *entry);

/* ---- record.c: the durable record and the arrows ----------------------------------------------------------------------- */

#define TDE_RECORD_SIZE (1128u + 337u * TDE_SLOTS_MAX) /* bytes, as fields() in record.c lays them out */
int tde_record_load(tde *core);
/* Writes core->record; when that fails the record is read back, so that memory never runs ahead of storage. */
int tde_record_store(tde *core);
int tde_progress_load(tde *core);
int tde_progress_store(tde *core);
/* Makes sure that the journal does not speak of this content, before it is removed. */
int tde_progress_drop(tde *core, const uint8_t *digest);
/* Marks an arrow in memory, for a caller that stores several at once; TDE_DENIED: there is no such arrow. */
int tde_mark(tde *core, uint32_t slot, int state, int reason);
/* One arrow: state and reason of the slot (its other fields as they stand), durably, then its report. */
int tde_move(tde *core, uint32_t slot, int state, int reason);
int tde_slot_find(const tde *core, const char *name); /* index or TDE_NOT_FOUND */
/* What applications should run: candidate once switched, else running. */
const uint8_t *tde_slot_current(const tde_slot *slot);
void tde_say(tde *core, tde_log_level level, const char *slot, const char *text);

/* ---- signed.c: signed messages ------------------------------------------------------------------------------------------ */

typedef struct tde_signature {
    const uint8_t *key_id; /* 16 bytes */
    const uint8_t *bytes;  /* 64 bytes */
} tde_signature;

typedef struct tde_signed {
    tde_bytes type, payload;
    uint32_t count;
    tde_signature signatures[TDE_SIGNATURES_MAX];
} tde_signed;

int tde_signed_parse(const uint8_t *message, size_t size, tde_signed *out);
/* Counts distinct keys of the role that signed; 0 when they reach the role's threshold, else TDE_CORRUPT. */
int tde_signed_check(tde *core, const tde_signed *message, const char *type, const tde_keyset *set, uint8_t role);
int tde_sha256(tde *core, const uint8_t *data, size_t size, uint8_t digest[TDE_DIGEST_SIZE]);

/* ---- trust.c: keysets and time ------------------------------------------------------------------------------------------ */

int tde_keyset_install(tde *core, const uint8_t *message, size_t size);
uint64_t tde_now_signed(const tde *core); /* best lower bound of the time: clock or floor */
void tde_time_seen(tde *core, uint64_t signed_ms);
bool tde_keyset_usable(const tde *core);  /* held and not expired */

/* ---- manifest.c ----------------------------------------------------------------------------------------------------------- */

/* Checks the signed manifest in memory.message (size bytes) against slot's goal; sets core->manifest and message_slot.
 * Returns 0 or the tidemark_Reason of refusal. */
int tde_manifest_check(tde *core, uint32_t slot, size_t size);
/* The index-th file that a device needs, from core->manifest; TDE_NOT_FOUND behind the last. */
int tde_manifest_file(const tde *core, uint32_t index, tde_file *out);

/* ---- directive.c ----------------------------------------------------------------------------------------------------------- */

/* Takes the waiting directive on when it can be; true while a keyset has to come first. */
bool tde_directive_step(tde *core);
int tde_slot_add(tde *core, const char *name); /* index or TDE_LIMIT; in memory only */
void tde_directive_keyset_done(tde *core, int result);

/* ---- transfer.c: pulling one content object ------------------------------------------------------------------------------- */

void tde_transfer_start(tde *core, tde_sink sink, const uint8_t *digest, uint64_t size, uint32_t piece_size,
                        uint32_t from_piece);
void tde_transfer_stop(tde *core);
void tde_transfer_step(tde *core);
int tde_transfer_block(tde *core, const uint8_t *payload, size_t size);
bool tde_transfer_has(const tde_transfer *transfer, uint32_t block);

/* ---- fetch.c: what is pulled, in which order, and where it goes ------------------------------------------------------------ */

void tde_fetch_step(tde *core, uint32_t slot);
void tde_fetch_begin(tde *core, uint32_t slot); /* makes slot the one that is worked on; reads the journal */
void tde_fetch_forget(tde *core);
int tde_fetch_store(tde *core, uint32_t block, const uint8_t *data, size_t size);
void tde_fetch_whole(tde *core);   /* all blocks of the object are here */
void tde_fetch_refused(tde *core); /* the server will not give it */
bool tde_fetch_budget(tde *core, size_t size); /* counts received bytes; false: spent (and rejected) */
uint64_t tde_fetch_done(const tde *core, uint32_t slot);
int tde_envelope_load(tde *core, uint32_t slot, int *reason_out);

/* ---- install.c: from verified to committed or back ------------------------------------------------------------------------- */

void tde_install_step(tde *core, uint32_t slot);
void tde_install_boot(tde *core, uint32_t slot);
void tde_tidy(tde *core, uint32_t slot);
tde_place tde_place_of(const tde *core, uint32_t slot);

/* ---- outbox.c, uplink.c ------------------------------------------------------------------------------------------------------ */

int tde_outbox_open(tde *core, uint32_t offset, uint32_t size);
/* Where to put a message that tde_outbox_keep() then keeps: it appends sequence and boot, and takes the next sequence. */
uint8_t *tde_outbox_body(tde *core, size_t *room_out);
int tde_outbox_keep(tde *core, tde_uplink kind, size_t size);
void tde_outbox_step(tde *core);
void tde_outbox_session(tde *core); /* a new session: send all again */
void tde_outbox_settle(tde *core, uint64_t settled);
uint64_t tde_outbox_oldest(const tde *core);

/* Writes the reports that a power cut or a full disk left out between an arrow and its report. */
void tde_report_repair(tde *core);
int tde_report_slot(tde *core, uint32_t slot, int state, int reason);
int tde_report_refusal(tde *core, uint64_t directive_sequence, int reason);
void tde_report_progress(tde *core, uint32_t slot);
int tde_send_birth(tde *core);
int tde_send_get(tde *core, const tde_transfer *transfer, uint64_t wanted, uint32_t credit);
/* Writes the topic with its zero (at most TDE_TOPIC_MAX) and returns their size. */
size_t tde_topic(const tde *core, tde_uplink kind, char *out);
/* memory.work holds the topic (head bytes) and then `size` bytes: appends the trailer. */
int tde_seal(tde *core, size_t head, size_t size);
int tde_seal_send(tde *core, tde_uplink kind, size_t head, size_t size);

#endif
