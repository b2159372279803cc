/*
 * parts.h: what each file of the core offers to the others. Private to firmware/edge.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TDE_PARTS_H
#define TDE_PARTS_H

#include "firmware/edge/core.h"

/* ---- bytes.c ---- */

void tde_put32(uint8_t *at, uint32_t value);
void tde_put64(uint8_t *at, uint64_t value);
uint32_t tde_get32(const uint8_t *at);
uint64_t tde_get64(const uint8_t *at);
uint32_t tde_crc32(uint32_t crc, const void *data, size_t size); /* start with 0 */
bool tde_is_zero(const uint8_t *digest);
bool tde_is_slot_name(const char *name);
bool tde_is_file_name(const char *name);
uint32_t tde_round_up(uint32_t value, uint32_t unit);

/* ---- flashlog.c: two areas of fixed entries; the newest valid one counts ---- */

#define TDE_LOG_HEADER 16u
int tde_log_open(tde *core, tde_log *log, uint32_t offset, uint32_t area, uint32_t payload);
/* Reads the newest payload; TDE_NOT_FOUND. */
int tde_log_read(tde *core, const tde_log *log, void *payload, size_t size);
/* Appends. `entry` has log->entry bytes: payload at TDE_LOG_HEADER, the rest is filled in here. */
int tde_log_append(tde *core, tde_log *log, uint8_t *entry);

/* ---- record.c: the durable record and the arrows ---- */

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

/* ---- signed.c: signed messages ---- */

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

/* ---- trust.c: keysets and time ---- */

int tde_keyset_install(tde *core, const uint8_t *message, size_t size);
uint64_t tde_now_signed(const tde *core); /* best lower bound of the time: clock or floor */
void tde_time_seen(tde *core, uint64_t signed_ms);
bool tde_keyset_usable(const tde *core); /* held and not expired */

/* ---- manifest.c ---- */

/* Checks the signed manifest in memory.message (size bytes) against slot's goal; sets core->manifest and message_slot.
 * Returns 0 or the tidemark_Reason of refusal. */
int tde_manifest_check(tde *core, uint32_t slot, size_t size);
/* The index-th file that a device needs, from core->manifest; TDE_NOT_FOUND behind the last. */
int tde_manifest_file(const tde *core, uint32_t index, tde_file *out);

/* ---- directive.c ---- */

/* Takes the waiting directive on when it can be; true while a keyset has to come first. */
bool tde_directive_step(tde *core);
int tde_slot_add(tde *core, const char *name); /* index or TDE_LIMIT; in memory only */
void tde_directive_keyset_done(tde *core, int result);

/* ---- transfer.c: pulling one content object ---- */

void tde_transfer_start(tde *core, tde_sink sink, const uint8_t *digest, uint64_t size, uint32_t piece_size,
                        uint32_t from_piece);
void tde_transfer_stop(tde *core);
void tde_transfer_step(tde *core);
int tde_transfer_block(tde *core, const uint8_t *payload, size_t size);
bool tde_transfer_has(const tde_transfer *transfer, uint32_t block);

/* ---- fetch.c: what is pulled, in which order, and where it goes ---- */

void tde_fetch_step(tde *core, uint32_t slot);
void tde_fetch_begin(tde *core, uint32_t slot); /* makes slot the one that is worked on; reads the journal */
void tde_fetch_forget(tde *core);
int tde_fetch_store(tde *core, uint32_t block, const uint8_t *data, size_t size);
void tde_fetch_whole(tde *core);               /* all blocks of the object are here */
void tde_fetch_refused(tde *core);             /* the server will not give it */
bool tde_fetch_budget(tde *core, size_t size); /* counts received bytes; false: spent (and rejected) */
uint64_t tde_fetch_done(const tde *core, uint32_t slot);
int tde_envelope_load(tde *core, uint32_t slot, int *reason_out);

void tde_fetch_failed(tde *core, int rc); /* a port failed: later again, a few times */
void tde_fetch_bad(tde *core);            /* what came does not match: again, a few times */
tde_object tde_fetch_object(const tde *core, tde_object_kind kind);

/* ---- pieces.c: the pieces of the current file */

void tde_pull_pieces(tde *core);
bool tde_table_is_good(tde *core);
int tde_file_done(tde *core);

/* ---- install.c: from verified to committed or back ---- */

void tde_install_step(tde *core, uint32_t slot);
void tde_install_boot(tde *core, uint32_t slot);
void tde_tidy(tde *core, uint32_t slot);
tde_place tde_place_of(const tde *core, uint32_t slot);

/* ---- outbox.c, uplink.c ---- */

int tde_outbox_open(tde *core, uint32_t offset, uint32_t size);
/* Where to put a message that tde_outbox_keep() then keeps: it appends sequence and boot, and takes the next sequence.
 */
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
