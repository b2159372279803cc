/*
 * pkcs11_session.h: what the files of PKCS#11 share: a parsed URI, and an open session with the token it names.
 *
 * Private to core/crypto.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_CRYPTO_PKCS11_SESSION_H
#define TD_CORE_CRYPTO_PKCS11_SESSION_H

#include "core/crypto/pkcs11.h"

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>

#define TD_PKCS11__LABEL 33 /* 32 bytes, padded with blanks, in PKCS#11 */

typedef struct td_pkcs11__session {
    P11KitUri *uri;
    CK_FUNCTION_LIST **modules; /* of the machine, or `single` in room for two */
    CK_FUNCTION_LIST *single[2];
    CK_FUNCTION_LIST *module; /* the one with the token; borrowed */
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE handle;
    bool opened;
    char label[TD_PKCS11__LABEL]; /* of the token, printable */
    td_pkcs11_pin pin;
    CK_OBJECT_HANDLE private_key;
    bool always; /* the PIN is wanted for each signature */
    td_ec_public public_key;
} td_pkcs11__session;

/* INVALID: as td_pkcs11_uri_check. */
TD_MUST_USE td_code td_pkcs11__uri_read(const char *text, P11KitUri **out, td_err *err);
void td_pkcs11__uri_free(P11KitUri **uri); /* TD_CLEANUP */
/* The path in a checked URI's pin-source, or NULL. Borrowed. */
const char *td_pkcs11__pin_file(const P11KitUri *uri);

/* A session with the one token that the URI names; nobody is logged in yet. `pin` may be NULL. */
TD_MUST_USE td_code td_pkcs11__open(const char *uri, const td_pkcs11_pin *pin, td_pkcs11__session **out, td_err *err);
/* CKU_USER once a session, CKU_CONTEXT_SPECIFIC for each signature of some keys. One try. */
TD_MUST_USE td_code td_pkcs11__login(td_pkcs11__session *session, CK_USER_TYPE user, td_err *err);
void td_pkcs11__close(td_pkcs11__session **session); /* TD_CLEANUP */

/* Raises what a token's answer means to its owner. */
td_code td_pkcs11__fail(const td_pkcs11__session *session, CK_RV answer, const char *what, td_err *err);
/* Bytes of a token as text: what does not print becomes '?', blanks at the end go. */
void td_pkcs11__text(const uint8_t *bytes, size_t size, char *out, size_t room);

#endif
