/*
 * pkcs11.h: private keys that stay in a token (smart card, security module), used through its PKCS#11 module.
 *
 * Such a key is named by a URI (RFC 7512) wherever a file with a key could be named:
 * pkcs11:token=plant;object=approver?module-path=/usr/lib/softhsm/libsofthsm2.so. Without module-path all modules are
 * asked that are registered on the machine (p11-kit). A PIN is tried once: tokens lock after a few wrong ones.
 * Threads: a key belongs to the thread that uses it; keys of one token share its login.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_CRYPTO_PKCS11_H
#define TD_CORE_CRYPTO_PKCS11_H

#include "core/crypto/ec.h"

#define TD_PKCS11_URI_MAX 2048
#define TD_PKCS11_PIN_MAX 255
#define TD_PKCS11_SLOTS_MAX 64 /* tokens that one module may show */

/* Is it such a URI (and no path of a file)? */
bool td_pkcs11_named(const char *name);

/* What the PIN is wanted for; all text is borrowed. */
typedef struct td_pkcs11_question {
    const char *token; /* its label, printable */
    const char *file;  /* the URI's pin-source, or NULL */
    bool last_try;     /* one more wrong PIN locks the token */
} td_pkcs11_question;

/* Where PINs come from. `ask` appends the PIN to `out`, which is wiped afterwards. A key that wants the PIN for each
 * signature asks again; context must live as long as the key. */
typedef struct td_pkcs11_pin {
    td_code (*ask)(void *context, const td_pkcs11_question *question, td_str *out, td_err *err);
    void *context;
} td_pkcs11_pin;

/* Opens the key that the URI names; it signs inside of the token, and each signature is verified before it is given
 * out. P-256 fits td_key_sign; all three curves td_key_ec_sign. NOT_FOUND: module, token or key; INVALID: the URI, more
 * than one token or key fits, or a key of another kind; DENIED: the PIN; IO: the token. */
TD_MUST_USE td_code td_pkcs11_key(const char *uri, const td_pkcs11_pin *pin, td_key **out, td_err *err);
/* The public half alone, which tokens show without a PIN. */
TD_MUST_USE td_code td_pkcs11_public(const char *uri, td_ec_public *out, td_err *err);
/* Checks a URI without looking for its token. INVALID: not RFC 7512, or with a part that is not taken here: pin-value,
 * a pin-source that is no file, a type other than a key's. LIMIT. */
TD_MUST_USE td_code td_pkcs11_uri_check(const char *uri, td_err *err);

#endif
