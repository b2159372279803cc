/*
 * identity.h: who this device is and whom it talks to: the files that enrolment leaves in the state folder.
 *
 *     device.json  device.key  device.crt  ca.pem  uplink.key  keyset.bin
 *
 * Threads: no state.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FIRMWARE_LINUX_IDENTITY_H
#define TD_FIRMWARE_LINUX_IDENTITY_H

#include "core/base/err.h"
#include "core/base/json.h"
#include "core/crypto/x509.h"

#define TD_IDENTITY_RUNTIMES_MAX 8
#define TD_IDENTITY_UPLINK_KEY 32
#define TD_IDENTITY_KEYSET_MAX ((size_t)65536)

typedef struct td_identity {
    char folder[3072];
    char device[65];
    char host[256]; /* of the broker */
    int port;
    char prefix[65];
    char hardware[65];
    char runtimes[TD_IDENTITY_RUNTIMES_MAX][33];
    size_t runtime_count;
    uint8_t uplink_key[TD_IDENTITY_UPLINK_KEY];
    td_str keyset; /* a SignedMessage */
} td_identity;

/* Reads and checks all of it. NOT_FOUND: not enrolled yet (the message says how to). INVALID, CORRUPT, IO, DENIED. Free
 * with td_identity_done, which wipes the key. */
TD_MUST_USE td_code td_identity_read(const char *folder, td_identity *out, td_err *err);
void td_identity_done(td_identity *identity);
/* "a,b,c" into the list of runtimes. INVALID: a name outside [A-Za-z0-9._-]{1,32}, more than eight. */
TD_MUST_USE td_code td_identity_set_runtimes(td_identity *identity, const char *list, td_err *err);
/* The absolute path of one of the files, e.g. "device.crt"; always fits. */
void td_identity_path(const td_identity *identity, const char *name, char out[4096]);
/* Says whether the device's certificate is usable at wall_ms. DENIED: expired, with the date and the way on. */
TD_MUST_USE td_code td_identity_check_certificate(const td_identity *identity, int64_t wall_ms, td_err *err);

/* Identifier of a device: [a-z0-9-]{1,64}. */
bool td_identity_name_is_good(const char *device);

#endif
