/*
 * ports.h: the three small ports through which the device core sees the world.
 *
 * A port is a struct of functions and one context pointer that is handed back to each of them. The core never blocks on
 * a port, never calls one from two threads, and calls none of them outside tde_*() calls. All functions return 0 (or a
 * positive value where said) or a negative tde_error. A port must never call back into the core.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TDE_PORTS_H
#define TDE_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TDE_DIGEST_SIZE 32
#define TDE_PUBLIC_KEY_SIZE 65 /* 0x04, x, y */
#define TDE_SIGNATURE_SIZE 64  /* raw r, s */
#define TDE_MAC_SIZE 16        /* trailer of each uplink */

typedef enum tde_error {
    TDE_OK = 0,
    TDE_AGAIN = -1,    /* not now; ask again later */
    TDE_INVALID = -2,  /* the bytes or arguments make no sense */
    TDE_LIMIT = -3,    /* larger than the memory or the count that was handed over */
    TDE_NO_SPACE = -4, /* the storage is full */
    TDE_IO = -5,       /* the storage failed */
    TDE_CORRUPT = -6,  /* a digest, checksum or signature does not match */
    TDE_DENIED = -7,   /* understood and refused */
    TDE_NOT_FOUND = -8
} tde_error;

typedef struct tde_bytes {
    const uint8_t *data;
    size_t size;
} tde_bytes;

/*
 * The durable state: NOR-like storage in one address range from 0 to size. Erased bytes read 0xFF. The core erases
 * whole multiples of erase_size, then programs each byte at most once until the next erase, in aligned multiples of
 * program_size. On Linux: one preallocated file (erase writes 0xFF).
 */
typedef struct tde_state_port {
    void *context;
    uint32_t size;         /* bytes in all, at least tde_state_size(...) */
    uint32_t erase_size;   /* power of two, 256 and up; 4096 on Linux */
    uint32_t program_size; /* power of two, 1 … 64; 1 on Linux */
    int (*read)(void *context, uint32_t offset, void *data, size_t size);
    /* Durable when it returns (and so are all erases before it). */
    int (*program)(void *context, uint32_t offset, const void *data, size_t size);
    int (*erase)(void *context, uint32_t offset, uint32_t size);
} tde_state_port;

/* One place that holds the content of one version: named by the slot and the digest of the manifest's bytes. */
typedef struct tde_place {
    const char *slot;      /* name of the slot: [A-Za-z0-9][A-Za-z0-9._-]{0,127} */
    const uint8_t *digest; /* 32 bytes */
} tde_place;

typedef enum tde_object_kind {
    TDE_OBJECT_FILE = 0,     /* a file of the manifest, by name */
    TDE_OBJECT_ENVELOPE = 1, /* the signed manifest as received (name "") */
    TDE_OBJECT_TABLE = 2     /* the piece table of the file `name`; may vanish after commit() */
} tde_object_kind;

typedef struct tde_object {
    tde_object_kind kind;
    /* "model/pump.onnx": already checked: [A-Za-z0-9._/-]{1,200}, no empty, "." or ".." part, not absolute. */
    const char *name;
} tde_object;

/*
 * The slots: content of models. write() may lie in a cache until sync(); everything else that changes anything is
 * durable when it returns. Any number of places may exist in a slot; the core keeps at most three.
 */
typedef struct tde_slots_port {
    void *context;
    /* Makes a place ready and checks that `size` bytes fit besides everything that is kept, before the first is
     * written. What is already in the place stays (a transfer goes on there). TDE_NO_SPACE. */
    int (*begin)(void *context, const tde_place *place, uint64_t size);
    /* Writes at offset; the object appears with its first write, folders on the way are made. A write of zero bytes at
     * offset 0 makes an empty object. TDE_NO_SPACE, TDE_IO. */
    int (*write)(void *context, const tde_place *place, const tde_object *object, uint64_t offset, const void *data,
                 size_t size);
    /* Reads exactly `size` bytes at offset; TDE_NOT_FOUND when the object or that range does not exist. */
    int (*read)(void *context, const tde_place *place, const tde_object *object, uint64_t offset, void *data,
                size_t size);
    /* All writes to the object so far are durable when it returns. */
    int (*sync)(void *context, const tde_place *place, const tde_object *object);
    /* Size of an object, to see that it has no more bytes than the manifest says; TDE_NOT_FOUND. */
    int (*size)(void *context, const tde_place *place, const tde_object *object, uint64_t *size_out);
    /* If a file of this digest and size is already held in the slot, makes it `object` of `place` (link or copy,
     * durable) and returns 1; else returns 0. The core verifies the digest of the result itself. May be NULL. */
    int (*reuse)(void *context, const tde_place *place, const tde_object *object, const uint8_t digest[TDE_DIGEST_SIZE],
                 uint64_t size);
    /* The content is complete and verified: sync all files and folders of the place; piece tables may go. */
    int (*commit)(void *context, const tde_place *place);
    /* Switches what applications run, atomically and durably; place->digest NULL: nothing runs. Idempotent. */
    int (*activate)(void *context, const tde_place *place);
    /* What is switched on now: returns 1 and the digest, or 0 when nothing is. */
    int (*current)(void *context, const char *slot, uint8_t digest_out[TDE_DIGEST_SIZE]);
    /* Removes every place of the slot whose digest is not among the `count` given. Idempotent. */
    int (*keep)(void *context, const char *slot, const uint8_t (*digests)[TDE_DIGEST_SIZE], size_t count);
    /* Runs the bundle's golden test on the place, if it has one. 0: passed or none; TDE_AGAIN: still running, call
     * again; TDE_DENIED: outputs differ. May be NULL. */
    int (*self_test)(void *context, const tde_place *place);
    /* Free bytes for content, for the birth message; 0 if unknown. May be NULL. */
    uint64_t (*room)(void *context);
} tde_slots_port;

typedef enum tde_uplink {
    TDE_UP_BIRTH,  /* QoS 1 */
    TDE_UP_DEATH,  /* QoS 1, the will */
    TDE_UP_REPORT, /* QoS 1 */
    TDE_UP_GET,    /* QoS 0 */
    TDE_UP_WINDOW  /* QoS 1 */
} tde_uplink;

typedef enum tde_log_level { TDE_LOG_DEBUG, TDE_LOG_INFO, TDE_LOG_WARNING, TDE_LOG_ERROR } tde_log_level;

typedef struct tde_world_port {
    void *context;
    uint64_t (*monotonic_ms)(void *context);
    uint64_t (*unix_ms)(void *context); /* 0: not known */
    /* Hands a finished payload (HMAC included) over for publishing at `topic`; copies it. TDE_AGAIN: not now (offline,
     * queue full): the core tries again. Neither retained. */
    int (*send)(void *context, tde_uplink kind, const char *topic, const uint8_t *payload, size_t size);
    int (*random)(void *context, void *out, size_t size);
    /* `text` is short and lives only during the call; slot may be NULL. */
    void (*log)(void *context, tde_log_level level, const char *slot, const char *text);
    /* SHA-256 of the parts in order, at once. */
    int (*sha256)(void *context, const tde_bytes *parts, size_t count, uint8_t digest[TDE_DIGEST_SIZE]);
    /* One running SHA-256, apart from sha256() above; start() forgets an unfinished one. */
    int (*hash_start)(void *context);
    int (*hash_update)(void *context, const void *data, size_t size);
    int (*hash_finish)(void *context, uint8_t digest[TDE_DIGEST_SIZE]);
    /* ECDSA P-256 over a SHA-256 digest; 0 when it verifies, TDE_CORRUPT when not. Strict: 0 < r, s < n; point on
     * curve. */
    int (*verify)(void *context, const uint8_t public_key[TDE_PUBLIC_KEY_SIZE], const uint8_t digest[TDE_DIGEST_SIZE],
                  const uint8_t signature[TDE_SIGNATURE_SIZE]);
    /* HMAC-SHA-256 under the device's uplink key (which the core never sees). */
    int (*hmac)(void *context, const void *data, size_t size, uint8_t mac[TDE_DIGEST_SIZE]);
} tde_world_port;

#endif
