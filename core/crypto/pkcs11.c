/*
 * pkcs11.c: a key pair in a token: its public half read out, its private half asked to sign.
 *
 * The halves belong together by their id (CKA_ID). Nothing is believed about that: each signature is verified under the
 * public half before it leaves, which also catches a token that computes wrongly.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/crypto/pkcs11.h"

#include "core/crypto/mbed.h"
#include "core/crypto/pkcs11_session.h"

#include <stdio.h>
#include <string.h>

#define FOUND_MAX 16 /* keys that one search looks at */
#define ID_MAX 128
#define PARAMS_MAX 16
#define POINT_MAX (TD_EC_POINT_MAX + 3)

/* ---- objects ---- */

static td_code find(td_pkcs11__session *session, CK_ATTRIBUTE *wanted, size_t wanted_count,
                    CK_OBJECT_HANDLE found[FOUND_MAX], size_t *count_out, td_err *err)
{
    CK_ULONG count = 0;
    CK_RV answer = session->module->C_FindObjectsInit(session->handle, wanted, wanted_count);
    if (answer == CKR_OK) {
        answer = session->module->C_FindObjects(session->handle, found, FOUND_MAX, &count);
        (void)session->module->C_FindObjectsFinal(session->handle);
    }
    if (answer != CKR_OK) {
        return td_pkcs11__fail(session, answer, "looking for the key", err);
    }
    *count_out = count < FOUND_MAX ? count : FOUND_MAX;
    return TD_OK;
}

/* Size 0: the object does not have it, or does not show it. */
static td_code read_attribute(td_pkcs11__session *session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *attribute,
                              td_err *err)
{
    CK_ULONG room = attribute->ulValueLen;
    CK_RV answer = session->module->C_GetAttributeValue(session->handle, object, attribute, 1);
    if (answer == CKR_ATTRIBUTE_TYPE_INVALID || answer == CKR_ATTRIBUTE_SENSITIVE ||
        attribute->ulValueLen == CK_UNAVAILABLE_INFORMATION) {
        attribute->ulValueLen = 0;
        return TD_OK;
    }
    if (answer != CKR_OK && answer != CKR_BUFFER_TOO_SMALL) {
        return td_pkcs11__fail(session, answer, "reading the key's description", err);
    }
    if (answer != CKR_OK || attribute->ulValueLen > room) {
        return td_fail(err, TD_CORRUPT, "the token %s gives %lu bytes for attribute 0x%lx of the key, at most %lu are "
                                        "expected", session->label, attribute->ulValueLen, attribute->type, room);
    }
    return TD_OK;
}

/* The URI's own label and id behind the class; returns how many attributes that makes. */
static size_t take_wanted(td_pkcs11__session *session, CK_OBJECT_CLASS *class, CK_ATTRIBUTE wanted[3])
{
    size_t count = 0;
    wanted[count++] = (CK_ATTRIBUTE){CKA_CLASS, class, sizeof *class};
    CK_ATTRIBUTE *label = p11_kit_uri_get_attribute(session->uri, CKA_LABEL);
    CK_ATTRIBUTE *id = p11_kit_uri_get_attribute(session->uri, CKA_ID);
    if (label != NULL) {
        wanted[count++] = *label;
    }
    if (id != NULL) {
        wanted[count++] = *id;
    }
    return count;
}

/* ---- errors that name what is there ---- */

static void name_keys(td_pkcs11__session *session, CK_OBJECT_CLASS class, char *out, size_t room)
{
    CK_ATTRIBUTE wanted = {CKA_CLASS, &class, sizeof class};
    CK_OBJECT_HANDLE found[FOUND_MAX];
    size_t count = 0, used = 0;
    *out = '\0';
    if (find(session, &wanted, 1, found, &count, NULL) != TD_OK) {
        return;
    }
    for (size_t i = 0; i < count && used < room; i++) {
        uint8_t label[64];
        char text[sizeof label + 1];
        CK_ATTRIBUTE attribute = {CKA_LABEL, label, sizeof label};
        if (read_attribute(session, found[i], &attribute, NULL) == TD_OK) {
            td_pkcs11__text(label, attribute.ulValueLen, text, sizeof text);
            used += (size_t)snprintf(out + used, room - used, "%s%s", used > 0 ? ", " : "", text);
        }
    }
}

static td_code not_one(td_pkcs11__session *session, CK_OBJECT_CLASS class, size_t count, td_err *err)
{
    const char *half = class == CKO_PRIVATE_KEY ? "private" : "public";
    char names[100];
    name_keys(session, class, names, sizeof names);
    if (count == 0) {
        return td_fail(err, TD_NOT_FOUND, "the token %s has no %s key of this object and id; it has: %s",
                       session->label, half, *names != '\0' ? names : "none");
    }
    return td_fail(err, TD_INVALID, "%zu %s keys of the token %s fit the URI; name one with object= or id=; it has: %s",
                   count, half, session->label, names);
}

static const char *kind_name(CK_KEY_TYPE type)
{
    static const struct {
        CK_KEY_TYPE type;
        const char *name;
    } kinds[] = {{CKK_RSA, "an RSA"}, {CKK_DSA, "a DSA"}, {CKK_DH, "a Diffie-Hellman"},
                 {CKK_EC_EDWARDS, "an Ed25519"}};
    for (size_t i = 0; i < TD_COUNT_OF(kinds); i++) {
        if (kinds[i].type == type) {
            return kinds[i].name;
        }
    }
    return "another kind of";
}

static td_code check_kind(td_pkcs11__session *session, CK_OBJECT_HANDLE object, td_err *err)
{
    CK_KEY_TYPE type = CKK_EC;
    CK_ATTRIBUTE attribute = {CKA_KEY_TYPE, &type, sizeof type};
    TD_TRY(read_attribute(session, object, &attribute, err));
    if (type != CKK_EC) {
        return td_fail(err, TD_INVALID, "the token %s holds %s key there; one of P-256, P-384 or P-521 is needed",
                       session->label, kind_name(type));
    }
    return TD_OK;
}

/* ---- the public half ---- */

/* CKA_EC_POINT is an OCTET STRING in DER; some modules give the point itself. */
static bool take_point(const uint8_t *bytes, size_t size, td_ec_public *out)
{
    size_t expected = 1 + 2 * td_curve_scalar(out->curve);
    size_t head = expected < 0x80 ? 2 : 3;
    if (size == expected + head && bytes[0] == 0x04 && bytes[head - 1] == expected &&
        (head == 2 || bytes[1] == 0x81)) {
        bytes += head;
        size -= head;
    }
    if (size != expected || bytes[0] != 0x04) {
        return false;
    }
    memcpy(out->point, bytes, size);
    out->size = size;
    return true;
}

static td_code read_public(td_pkcs11__session *session, CK_OBJECT_HANDLE object, td_ec_public *out, td_err *err)
{
    uint8_t params[PARAMS_MAX], point[POINT_MAX];
    CK_ATTRIBUTE curve = {CKA_EC_PARAMS, params, sizeof params};
    CK_ATTRIBUTE coordinates = {CKA_EC_POINT, point, sizeof point};
    td_ec_public key = {.size = 0};
    TD_TRY(check_kind(session, object, err));
    TD_TRY(read_attribute(session, object, &curve, err));
    TD_TRY(td_curve_of_oid(params, curve.ulValueLen, &key.curve, err));
    TD_TRY(read_attribute(session, object, &coordinates, err));
    if (!take_point(point, coordinates.ulValueLen, &key)) {
        return td_fail(err, TD_CORRUPT, "the token %s gives no uncompressed point of %s (%lu bytes) as the public key",
                       session->label, td_curve_name(key.curve), coordinates.ulValueLen);
    }
    TD_TRY(td_ec__check_point(&key, err));
    *out = key;
    return TD_OK;
}

/* The one whose id, and where that is not enough whose label, the private key has. */
static td_code find_partner(td_pkcs11__session *session, td_err *err)
{
    uint8_t id[ID_MAX], label[ID_MAX];
    CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
    CK_OBJECT_HANDLE found[FOUND_MAX];
    CK_ATTRIBUTE wanted[3] = {
        {CKA_CLASS, &class, sizeof class}, {CKA_ID, id, sizeof id}, {CKA_LABEL, label, sizeof label}};
    size_t count = 0;
    TD_TRY(read_attribute(session, session->private_key, &wanted[1], err));
    TD_TRY(read_attribute(session, session->private_key, &wanted[2], err));
    TD_TRY(find(session, wanted, 2, found, &count, err));
    if (count > 1) {
        TD_TRY(find(session, wanted, 3, found, &count, err));
    }
    if (count != 1) {
        return td_fail(err, count == 0 ? TD_NOT_FOUND : TD_INVALID,
                       "the token %s holds %zu public keys with the private key's id; exactly one is needed, beside it",
                       session->label, count);
    }
    return read_public(session, found[0], &session->public_key, err);
}

td_code td_pkcs11_public(const char *uri, td_ec_public *out, td_err *err)
{
    TD_CLEANUP(td_pkcs11__close) td_pkcs11__session *session = NULL;
    CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
    CK_OBJECT_HANDLE found[FOUND_MAX];
    CK_ATTRIBUTE wanted[3];
    size_t count = 0;
    TD_TRY(td_pkcs11__open(uri, NULL, &session, err));
    TD_TRY(find(session, wanted, take_wanted(session, &class, wanted), found, &count, err));
    if (count != 1) {
        return not_one(session, class, count, err);
    }
    return read_public(session, found[0], out, err);
}

/* ---- the private half ---- */

static td_code find_private(td_pkcs11__session *session, td_err *err)
{
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_OBJECT_HANDLE found[FOUND_MAX];
    CK_ATTRIBUTE wanted[3];
    size_t count = 0;
    TD_TRY(find(session, wanted, take_wanted(session, &class, wanted), found, &count, err));
    if (count != 1) {
        return not_one(session, class, count, err);
    }
    session->private_key = found[0];
    TD_TRY(check_kind(session, found[0], err));
    CK_BBOOL may = CK_TRUE, always = CK_FALSE;
    CK_ATTRIBUTE sign = {CKA_SIGN, &may, sizeof may};
    CK_ATTRIBUTE again = {CKA_ALWAYS_AUTHENTICATE, &always, sizeof always};
    TD_TRY(read_attribute(session, found[0], &sign, err));
    TD_TRY(read_attribute(session, found[0], &again, err));
    session->always = always != CK_FALSE;
    if (may == CK_FALSE) {
        return td_fail(err, TD_INVALID, "the key in the token %s is not meant for signing (CKA_SIGN is false)",
                       session->label);
    }
    return TD_OK;
}

static td_code sign(void *context, const uint8_t *digest, size_t digest_size, uint8_t *raw_out, td_err *err)
{
    td_pkcs11__session *session = context;
    CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
    uint8_t raw[TD_EC_RAW_MAX];
    CK_ULONG size = sizeof raw, expected = 2 * td_curve_scalar(session->public_key.curve);
    CK_RV answer = session->module->C_SignInit(session->handle, &mechanism, session->private_key);
    if (answer == CKR_OK && session->always) {
        TD_TRY(td_pkcs11__login(session, CKU_CONTEXT_SPECIFIC, err));
    }
    if (answer == CKR_OK) {
        answer = session->module->C_Sign(session->handle, (CK_BYTE *)(uintptr_t)digest, digest_size, raw, &size);
    }
    if (answer != CKR_OK) {
        return td_pkcs11__fail(session, answer, "signing", err);
    }
    if (size != expected ||
        td_ec__verify_digest(&session->public_key, digest, digest_size, raw, NULL) != TD_OK) {
        return td_fail(err, TD_CORRUPT,
                       "the token %s made a signature that does not verify under the public key it shows with the same "
                       "id; nothing was signed", session->label);
    }
    memcpy(raw_out, raw, size);
    return TD_OK;
}

static void free_session(void *context)
{
    td_pkcs11__session *session = context;
    td_pkcs11__close(&session);
}

td_code td_pkcs11_key(const char *uri, const td_pkcs11_pin *pin, td_key **out, td_err *err)
{
    TD_CLEANUP(td_pkcs11__close) td_pkcs11__session *session = NULL;
    TD_TRY(td_pkcs11__open(uri, pin, &session, err));
    TD_TRY(td_pkcs11__login(session, CKU_USER, err));
    TD_TRY(find_private(session, err));
    TD_TRY(find_partner(session, err));
    td_ec_public public_key = session->public_key;
    td_key_outside outside = {.sign = sign, .free = free_session, .context = session};
    session = NULL;
    return td_key_of_outside(&public_key, &outside, out, err);
}
