/*
 * x509.h: the workspace's certificate authority, server and device certificates (mbedTLS, P-256).
 *
 * CA and server certificates start in 1970 and outlive the devices, because clocks on devices lie.
 * Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_CRYPTO_X509_H
#define TD_CORE_CRYPTO_X509_H

#include "core/crypto/crypto.h"

/* A self-signed CA, PEM appended to pem_out. */
TD_MUST_USE td_code td_x509_make_ca(const td_key *key, const char *common_name, td_str *pem_out, td_err *err);

typedef struct td_x509_leaf {
    const char *common_name;
    const char *const *dns_names;    /* NULL-terminated, may be NULL */
    const char *const *ip_addresses; /* text, NULL-terminated, may be NULL */
    bool server;                     /* serverAuth, else clientAuth */
    int64_t not_before_ms, not_after_ms;
} td_x509_leaf;

/* A leaf for a public key (65 bytes), signed by the CA; a random 128-bit serial. PEM appended. */
TD_MUST_USE td_code td_x509_issue(const td_key *ca_key, const char *ca_pem, const uint8_t *public_key,
                                  const td_x509_leaf *leaf, td_str *pem_out, uint8_t serial_out[16], td_err *err);
/* A PKCS#10 request, PEM appended. */
TD_MUST_USE td_code td_x509_make_request(const td_key *key, const char *common_name, td_str *pem_out, td_err *err);
/* Checks the request's own signature; only P-256. CORRUPT, INVALID. */
TD_MUST_USE td_code td_x509_read_request(const char *pem, size_t size, uint8_t public_key_out[TD_P256_PUBLIC_SIZE],
                                         char common_name_out[65], td_err *err);
/* Facts of the first certificate in a PEM. */
typedef struct td_x509_facts {
    char common_name[65];
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    uint8_t serial[20];
    size_t serial_size;
    int64_t not_before_ms, not_after_ms;
} td_x509_facts;
TD_MUST_USE td_code td_x509_read(const char *pem, size_t size, td_x509_facts *out, td_err *err);

#endif
