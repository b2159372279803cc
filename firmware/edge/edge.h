/*
 * edge.h: the device core: decides what a device may run, fetches it, installs it safely and reports until receipted.
 *
 * No allocation, no OS, no clock of its own, no floating point: the caller hands over all memory and three ports
 * (ports.h). One durable record decides everything; each arrow of the state machine is one durable write, so after a
 * power cut at any moment a device runs the old or the new model, never neither, and fetches at most one piece again.
 *
 * Use: tde_start() once a boot, tde_poll() in a loop (it never blocks and does a bounded amount of work), tde_on_*()
 * for what arrives, all from one thread. Bytes given to tde_on_*() are only read during the call.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TDE_EDGE_H
#define TDE_EDGE_H

#include "firmware/edge/ports.h"

#ifndef TDE_SLOTS_MAX
#define TDE_SLOTS_MAX 4 /* slots (models) a device; also the most goals of a directive */
#endif
#define TDE_KEYS_MAX 16        /* keys of a keyset */
#define TDE_SLOT_NAME_SIZE 129 /* with the zero */
#define TDE_FILES_MAX 256      /* files of a manifest */
#define TDE_SIGNATURES_MAX 16  /* signatures of a signed message */

/* Storage of the core; what is inside is private (firmware/edge/core.h). Sizes are asserted there and listed in
 * docs/footprint.md. */
#define TDE_CORE_SIZE (2304 + 400 * TDE_SLOTS_MAX)
typedef struct tde_core {
    uint64_t space[TDE_CORE_SIZE / 8];
} tde_core;

/* Memory that the caller hands over for ever. No overlap. */
typedef struct tde_memory {
    uint8_t *message;      /* one signed manifest or keyset while it is fetched and used; longer ones are refused */
    size_t message_size;   /* at least 1024; Linux: 65536 */
    uint8_t *directive;    /* one directive while it waits for a safe point */
    size_t directive_size; /* at least 512; Linux: 8192 */
    uint8_t *work;         /* outgoing messages, the durable record while it is written, reading files */
    size_t work_size;      /* at least TDE_WORK_MIN and outbox_cell + 512; reads files in steps of this; Linux: 65536 */
} tde_memory;
#define TDE_WORK_MIN 4096

/* Strings and arrays are borrowed for ever. */
typedef struct tde_config {
    const char *device;          /* identifier: [a-z0-9-]{1,64} */
    const char *prefix;          /* of topics: "tm/v1" */
    const char *agent;           /* "tidemark-agent 0.1.0", at most 64 */
    const char *hardware;        /* at most 64 */
    const char *const *runtimes; /* "onnx", … at most 8 of at most 32 characters */
    size_t runtimes_count;
    uint64_t ram_bytes;
    uint64_t build_ms; /* time of the build: the time floor is never below */
    uint64_t size_max; /* largest content of a version; 0: whatever fits */
    uint32_t contact_every_s;
    uint32_t block_size;  /* power of two, 512 … 32768 */
    uint32_t credit;      /* blocks that may be on their way at once, 1 … 64 */
    uint32_t outbox_cell; /* largest window that is kept, at least 384; with 72 bytes around it, in whole erase_sizes */
    uint32_t fetch_seconds_max; /* time connected that one transfer may take (slow retrieval); 0: 24 hours */
} tde_config;

typedef struct tde_ports {
    tde_state_port state;
    tde_slots_port slots;
    tde_world_port world;
} tde_ports;

/* Bytes of durable state for an outbox of `cells` messages (at least 4); every port->size at or above a minimum works,
 * what is more becomes outbox. */
uint32_t tde_state_size(uint32_t erase_size, uint32_t program_size, uint32_t outbox_cell, uint32_t cells);

/*
 * Starts a boot: reads the durable record (a blank or unknown state is a new device), makes boot id and nonce, repairs
 * what is switched on to match the record, and goes on where the last boot stopped. Copies config, memory and ports.
 * TDE_INVALID (a value above is out of its range), TDE_LIMIT (state too small), TDE_IO.
 */
int tde_start(tde_core *core, const tde_config *config, const tde_memory *memory, const tde_ports *ports);

/* ---- Trust ---- */

/* Pins the first keyset (a SignedMessage, as fetched and checked at enrolment). Needs its own root threshold; and the
 * birth keys' threshold if tde_trust_birth() came before. A second call with the same or an older version is TDE_DENIED
 * and changes nothing; a newer one must be signed by the old root threshold too. TDE_INVALID, TDE_CORRUPT. */
int tde_trust_pin(tde_core *core, const uint8_t *message, size_t size);
/* Root keys that a device is made with: `count` raw keys of 65 bytes. Only while no keyset is held, else TDE_DENIED. */
int tde_trust_birth(tde_core *core, const uint8_t (*roots)[TDE_PUBLIC_KEY_SIZE], size_t count, uint32_t threshold);
uint32_t tde_keyset_version(const tde_core *core); /* 0: none yet */

/* ---- The loop ---- */

/* One bounded step. Returns milliseconds until it wants to be called again: 0 at once; at most 60000. Call it also
 * after each tde_on_*() and tde_slot_*(). */
uint32_t tde_poll(tde_core *core);

/* The session is up: sends the birth, then everything unsettled. Call it again when the server asks for a birth. */
void tde_on_connected(tde_core *core);
void tde_on_disconnected(tde_core *core);
/* down/directive, down/block, down/receipt and <prefix>/_/server. Hostile bytes are refused, counted and logged; the
 * return value is for tests and logs only. */
int tde_on_directive(tde_core *core, const uint8_t *payload, size_t size);
int tde_on_block(tde_core *core, const uint8_t *payload, size_t size);
int tde_on_receipt(tde_core *core, const uint8_t *payload, size_t size);
int tde_on_server(tde_core *core, const uint8_t *payload, size_t size);

/* The will of this session: topic and payload, to be given to the MQTT client before it connects. TDE_LIMIT: too small
 * (256 bytes each are enough). */
int tde_death(tde_core *core, char *topic, size_t topic_size, uint8_t *payload, size_t payload_size, size_t *size_out);

/* Newest log checkpoint (text, at most 512 bytes, borrowed), echoed in the birth. */
void tde_set_checkpoint(tde_core *core, const uint8_t *text, size_t size);

/* Reasons of the device's own to wait. HOLD_FETCH: nothing new is fetched (metered, busy, battery): OFFERED becomes
 * DEFERRED, FETCHING becomes PAUSED. HOLD_ACTIVATE: a staged version waits (WAIT_WINDOW). 0 ends both. */
#define TDE_HOLD_FETCH 1u
#define TDE_HOLD_ACTIVATE 2u
void tde_set_hold(tde_core *core, uint32_t hold);

/* ---- Outbox ---- */

/* Keeps an encoded Window durably until the server's receipt settles it. The message must leave sequence, oldest_kept,
 * boot_id and dropped unset: the core appends them. The oldest message is dropped (and counted) when the outbox is
 * full. TDE_LIMIT: larger than outbox_cell. TDE_IO. */
int tde_outbox_add_window(tde_core *core, const uint8_t *window, size_t size);

typedef struct tde_outbox_status {
    uint64_t next;    /* sequence of the next message */
    uint64_t settled; /* highest sequence that the server settled */
    uint32_t kept;    /* messages that wait for a receipt */
    uint32_t dropped; /* messages dropped for want of room, in all */
} tde_outbox_status;
void tde_outbox_get_status(const tde_core *core, tde_outbox_status *out);

/* ---- Applications and slots ---- */

/* An application has attached to the slot (durable the first time; a slot that never saw one commits as "unproven").
 * It may come before any directive names the slot. TDE_INVALID: not a name; TDE_LIMIT: too many slots. */
int tde_slot_attached(tde_core *core, const char *slot);
/* Renews the application's lease and counts what it did since the last call. `digest`: the version that it runs (as it
 * saw `current`), or NULL for whatever is current; counts of another version only renew the lease. */
int tde_slot_observed(tde_core *core, const char *slot, const uint8_t *digest, uint32_t inferences, uint32_t errors);

typedef struct tde_slot_view {
    const char *name;
    uint8_t running[TDE_DIGEST_SIZE];   /* committed; zeros: none */
    uint8_t previous[TDE_DIGEST_SIZE];  /* kept for going back; zeros: none */
    uint8_t candidate[TDE_DIGEST_SIZE]; /* on its way or in probation; zeros: none */
    uint8_t current[TDE_DIGEST_SIZE];   /* what applications should run now */
    int state;                          /* tidemark_DeviceState */
    int reason;                         /* tidemark_Reason of that state */
    uint64_t bytes_done, bytes_total;   /* of the transfer */
    uint64_t directive_sequence;
    uint32_t security_counter; /* floor */
    uint32_t window_seconds;   /* length of a telemetry window that the directive asks for; 0: not said */
} tde_slot_view;
/* Slots 0 … tde_slot_count() - 1. Strings are borrowed until the next call that changes state. */
size_t tde_slot_count(const tde_core *core);
int tde_slot_get(const tde_core *core, size_t index, tde_slot_view *out);
const char *tde_state_name(int state);   /* "PROBATION" */
const char *tde_reason_name(int reason); /* "no_space" */

typedef struct tde_status {
    uint64_t boot_id, nonce;
    uint64_t directive_sequence; /* highest accepted */
    uint64_t time_floor_ms;
    uint32_t keyset_version;
    uint32_t contact_every_s; /* as the last directive says, else the configured */
    uint32_t refused;         /* hostile or useless messages since the boot */
    bool connected;
    bool server_online; /* as its signed state says; true until it says otherwise */
} tde_status;
void tde_get_status(const tde_core *core, tde_status *out);

#endif
