/*
 * sim.h: one simulated device around the real core: flash and slots that lose power, a clock that tests move, a server.
 *
 * Every operation that changes storage is counted; at the chosen one the power goes: nothing of it, half of it or all
 * of it has happened, and slot data that was not synced is gone. The run then jumps back to sim_run's caller, which
 * boots again. The server is scripted in this process and signs real messages with real keys.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_H
#define SIM_H

#include "core/crypto/crypto.h"
#include "firmware/edge/edge.h"
#include "firmware/wire/tidemark.pb.h"

#include <setjmp.h>

#define SIM_FLASH (64u * 1024)
#define SIM_PLACES 6
#define SIM_OBJECTS 12
#define SIM_OBJECT_MAX (1536u * 1024)
#define SIM_CONTENT 48
#define SIM_INBOX 256
#define SIM_REPORTS 256
#define SIM_START_MS 1780000000000u /* unix time at monotonic 0 */

typedef enum sim_cut { SIM_CUT_BEFORE, SIM_CUT_HALF, SIM_CUT_AFTER, SIM_CUTS } sim_cut;

typedef struct sim_object {
    bool used, on_disk;
    tde_object_kind kind;
    char name[201];
    uint8_t *cache, *disk; /* SIM_OBJECT_MAX grows on demand */
    size_t cache_size, disk_size;
} sim_object;

typedef struct sim_place {
    bool used, committed;
    char slot[TDE_SLOT_NAME_SIZE];
    uint8_t digest[TDE_DIGEST_SIZE];
    sim_object objects[SIM_OBJECTS];
} sim_place;

typedef struct sim_content {
    uint8_t digest[TDE_DIGEST_SIZE];
    uint8_t *bytes;
    size_t size;
    bool refuse, corrupt; /* how the server serves it */
} sim_content;

typedef struct sim_message {
    int kind; /* 0 directive, 1 block, 2 receipt, 3 server */
    uint8_t *bytes;
    size_t size;
} sim_message;

typedef struct sim_report {
    uint64_t sequence, oldest_kept, directive_sequence;
    char slot[TDE_SLOT_NAME_SIZE];
    uint8_t digest[TDE_DIGEST_SIZE];
    tidemark_DeviceState state;
    tidemark_Reason reason;
    uint64_t bytes_done, bytes_total;
} sim_report;

/* The keys of all roles; [0] is the usual one, the others are for thresholds and thieves. */
typedef struct sim_keys {
    td_key *root[3], *approver[3], *director[2], *stranger;
} sim_keys;

typedef struct sim_version {
    uint8_t manifest_digest[TDE_DIGEST_SIZE], envelope_digest[TDE_DIGEST_SIZE];
    uint8_t envelope[4096];
    size_t envelope_size;
    uint64_t total_size;
    uint8_t model_digest[TDE_DIGEST_SIZE];
} sim_version;

typedef struct sim {
    /* The device. */
    tde_core core;
    tde_config config;
    tde_memory memory;
    tde_ports ports;
    uint8_t message[8192], directive_memory[4096], work[16384];
    uint8_t flash[SIM_FLASH];
    sim_place places[SIM_PLACES];
    uint8_t current[2][TDE_DIGEST_SIZE]; /* by slot: [0] "pump", [1] any other */
    bool has_current[2];
    uint64_t room; /* free bytes for content */
    uint64_t now, unix_base;
    uint64_t random_state;
    td_sha256 *hash;
    bool connected;
    /* Power and faults. */
    uint64_t operations; /* so far in this run */
    uint64_t cut_at;     /* 0: never */
    sim_cut cut_mode;
    jmp_buf powerless;
    bool dark;        /* the power is gone: nothing may touch storage */
    uint32_t fail_io; /* this many of the next slot operations fail with TDE_IO */
    int self_test;    /* what the golden test says */
    /* The application on slot "pump". */
    bool app;
    uint32_t app_inferences, app_errors; /* a step */
    bool app_silent;
    /* The server and the network. */
    sim_keys keys;
    sim_content content[SIM_CONTENT];
    size_t contents;
    uint8_t directive[4096], keyset[4096];
    size_t directive_size, keyset_size;
    sim_message inbox[SIM_INBOX];
    size_t inbox_count;
    uint8_t *delivering; /* freed when the power goes in the middle */
    uint32_t drop_percent, double_percent, shuffle_percent;
    uint32_t defer_next; /* this many gets are put off */
    bool mute;           /* the server answers nothing */
    uint64_t slow_ms;    /* one block each so many milliseconds, and only one a get */
    bool receipts;
    bool full_queue; /* send() says TDE_AGAIN */
    sim_report reports[SIM_REPORTS];
    size_t reports_count;
    uint64_t settled, windows, births, gets;
    uint64_t block_bytes; /* content bytes delivered to the device */
    bool bad_mac;         /* an uplink did not verify */
    uint8_t uplink_key[32];
    char last_topic[160];
    tidemark_Birth birth;
    uint8_t last_transfer[4]; /* as the last get said */
} sim;

sim *sim_new(void); /* a blank device "pump-07", connected to nothing, with keys and a keyset of version 1 */
void sim_free(sim *s);

/* ---- Device ---- */
int sim_boot(sim *s);        /* tde_start, and connects */
void sim_lose_power(sim *s); /* what was not synced is gone; the core's memory too */
/* Runs until the condition holds; false: not within the time. Returns false also when the power went (s->dark). */
typedef bool (*sim_until)(sim *s);
bool sim_run(sim *s, sim_until until, uint64_t limit_ms);
tde_slot_view sim_slot(sim *s); /* of slot "pump"; zeros if there is none */
bool sim_is_committed(sim *s);
bool sim_is_rolled_back(sim *s);
bool sim_is_rejected(sim *s);
bool sim_is_idle(sim *s); /* nothing on its way and all reported */
/* The content that is switched on is there, whole, on disk, byte for byte what the server published. */
bool sim_current_is_whole(sim *s);
bool sim_current_is(sim *s, const uint8_t *digest); /* NULL: nothing is switched on */
size_t sim_count_reports(sim *s, tidemark_DeviceState state, tidemark_Reason reason);

/* ---- Server ---- */
typedef struct sim_keyset_options {
    uint32_t version, root_threshold, approver_threshold, director_threshold;
    uint32_t roots, approvers, first_director; /* how many of the keys; which director */
    uint64_t expires_ms;
    td_key *signers[4];
} sim_keyset_options;
#define SIM_KEYSET(v)                                                                                                  \
    {                                                                                                                  \
        .version = (v), .root_threshold = 1, .approver_threshold = 1, .director_threshold = 1, .roots = 1,             \
        .approvers = 1                                                                                                 \
    }
/* Makes s->keyset; content too. Signs with signers, or with the thresholds' first roots. */
void sim_make_keyset(sim *s, const sim_keyset_options *options);

typedef struct sim_version_options {
    uint32_t number, counter;
    uint32_t model_size, seed; /* the model's bytes follow from the seed */
    const char *hardware, *runtime;
    td_key *approvers[3]; /* none: keys.approver[0] */
    const char *bad_name; /* lists one more file of that name */
    bool twice;           /* signs twice with the first approver */
} sim_version_options;
void sim_make_version(sim *s, const sim_version_options *options, sim_version *out);

typedef struct sim_directive_options {
    uint64_t sequence;
    const sim_version *version; /* NULL: no goal */
    const char *device, *slot;
    td_key *director;
    uint64_t issued_ms, not_after_ms, nonce, byte_budget, total_size;
    uint32_t min_inferences, max_errors, lease_seconds, seconds, min_counter;
    bool cancel, names_keyset;
    const uint8_t *revoked;
    const char *payload_type;
} sim_directive_options;
void sim_make_directive(sim *s, const sim_directive_options *options);
void sim_publish(sim *s); /* delivers the retained directive */
sim_content *sim_find_content(sim *s, const uint8_t *digest);
sim_content *sim_add_content(sim *s, const uint8_t *bytes, size_t size);
/* Encodes a SignedMessage into out (size at least 4096). */
size_t sim_sign(const char *type, const uint8_t *payload, size_t size, td_key *const *signers, size_t count,
                uint8_t *out);
void sim_deliver(sim *s, int kind, const uint8_t *bytes, size_t size);
/* Between the files of the simulator. */
void sim_wire_ports(sim *s);
void sim_drop_object(sim_object *object);
void sim_drop_place(sim_place *place);
void sim_grow(uint8_t **bytes, size_t *size, size_t to);
void sim_server_take(sim *s, tde_uplink kind, const char *topic, const uint8_t *payload, size_t size);

#endif
