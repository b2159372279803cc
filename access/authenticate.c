/*
 * authenticate.c: from what a client shows to a principal, by a table of authenticators.
 *
 * A secret's first bytes say of which kind it is, so that a further kind (an identity provider's signed token, say) is
 * one more row here, and no handler hears of it. Strangers learn nothing at the door: unknown, expired and revoked
 * tokens, disabled users and names that do not own the token all get the same sentence.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/internal.h"

#include <string.h>
#include <strings.h>

#define REFUSED "this token is not valid here: unknown, expired or revoked (make one with `tidemark token create`)"
#define WANTED "this route needs a login: send Authorization: Bearer tmk_…"
/* A name and a secret with a colon between them, in base64. */
#define BASIC_MAX ((size_t)(TD_USER_NAME_MAX + 1 + TD_CREDENTIAL_MAX))

typedef struct authenticator {
    const char *prefix; /* what each secret of this kind begins with; no prefix begins another */
    /* DENIED: refused, for whatever reason. A reading connection is enough; it must not block on a network. */
    td_code (*authenticate)(td_db *db, const char *secret, size_t length, td_principal *out, td_err *err);
} authenticator;

/* ---- tokens of our own ---- */

static td_code parse_token(const char *token, size_t length, uint8_t digest[TD_DIGEST_SIZE], td_err *err)
{
    uint8_t secret[32];
    size_t prefix = strlen(TD_TOKEN_PREFIX);
    if (length != TD_TOKEN_TEXT_SIZE - 1 ||
        td_hex_decode(token + prefix, length - prefix, secret, sizeof secret, NULL) != TD_OK) {
        return td_fail(err, TD_DENIED, "%s", REFUSED);
    }
    td_sha256_of(secret, sizeof secret, digest);
    td_wipe(secret, sizeof secret);
    return TD_OK;
}

static td_code authenticate_token(td_db *db, const char *token, size_t length, td_principal *out, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    TD_TRY(parse_token(token, length, digest, err));
    td_access__token row;
    td_code code = td_access__token_by_digest(db, digest, &row, err);
    if (code == TD_NOT_FOUND ||
        (code == TD_OK && (row.revoked || row.user.disabled || row.expires_ms <= td_db_now_ms(db)))) {
        return td_fail(err, TD_DENIED, "%s", REFUSED);
    }
    TD_TRY(code);
    td_principal principal = {
        .kind = row.user.service ? TD_ACTOR_SERVICE : TD_ACTOR_USER,
        .user_id = row.user.user_id,
        .authentication = "token",
        .token_id = row.token_id,
        .token_expires_ms = row.expires_ms,
        .token_used_ms = row.used_ms,
        .token_restricted = row.roles != 0 || row.project_id != 0,
        .token_project_id = row.project_id,
    };
    memcpy(principal.name, row.user.name, sizeof principal.name);
    TD_TRY(td_access__load_grants(db, row.roles == 0 ? UINT32_MAX : row.roles, row.project_id, &principal, err));
    *out = principal;
    return TD_OK;
}

static const authenticator authenticators[] = {
    {TD_TOKEN_PREFIX, authenticate_token},
};

td_code td_access_authenticate(td_db *db, const char *secret, size_t length, td_principal *out, td_err *err)
{
    for (size_t i = 0; i < TD_COUNT_OF(authenticators); i++) {
        size_t prefix = strlen(authenticators[i].prefix);
        if (length >= prefix && length <= TD_CREDENTIAL_MAX && memcmp(secret, authenticators[i].prefix, prefix) == 0) {
            return authenticators[i].authenticate(db, secret, length, out, err);
        }
    }
    return td_fail(err, TD_DENIED, "%s", REFUSED);
}

/* ---- the header ---- */

/* RFC 7617: base64 of "name:password"; the password is a token, and the name must be its owner's. */
static td_code authenticate_basic(td_db *db, const char *text, td_principal *out, td_err *err)
{
    char pair[BASIC_MAX + 1];
    size_t size;
    if (td_base64_decode(text, strlen(text), pair, BASIC_MAX, &size, NULL) != TD_OK) {
        return td_fail(err, TD_DENIED, "%s", REFUSED);
    }
    td_principal principal;
    const char *colon = memchr(pair, ':', size);
    size_t name = colon == NULL ? 0 : (size_t)(colon - pair);
    td_code code = colon == NULL ? td_fail(err, TD_DENIED, "%s", REFUSED)
                                 : td_access_authenticate(db, colon + 1, size - name - 1, &principal, err);
    bool owner = code == TD_OK && strlen(principal.name) == name && memcmp(principal.name, pair, name) == 0;
    td_wipe(pair, sizeof pair);
    TD_TRY(code);
    if (!owner) {
        return td_fail(err, TD_DENIED, "%s", REFUSED);
    }
    *out = principal;
    return TD_OK;
}

/* The rest of the header after its scheme, or NULL. */
static const char *after_scheme(const char *header, const char *scheme)
{
    size_t length = strlen(scheme);
    if (strncasecmp(header, scheme, length) != 0 || header[length] != ' ') {
        return NULL;
    }
    return header + length + strspn(header + length, " ");
}

td_code td_access_log_in(td_db *db, const char *header, td_principal *out, td_err *err)
{
    const char *bearer = header == NULL ? NULL : after_scheme(header, "Bearer");
    const char *basic = header == NULL ? NULL : after_scheme(header, "Basic");
    if (bearer != NULL) {
        return td_access_authenticate(db, bearer, strlen(bearer), out, err);
    }
    return basic != NULL ? authenticate_basic(db, basic, out, err) : td_fail(err, TD_DENIED, "%s", WANTED);
}
