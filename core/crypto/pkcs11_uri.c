/*
 * pkcs11_uri.c: the names of keys in tokens (RFC 7512): p11-kit reads them, and here is what we refuse beyond.
 *
 * A PIN in the URI would stand in the list of processes, and a PIN from a command would run it: neither is taken.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/crypto/pkcs11_session.h"

#include <string.h>

#define SCHEME "pkcs11:"
#define EXAMPLE "pkcs11:token=NAME;object=NAME?module-path=FILE"

bool td_pkcs11_named(const char *name)
{
    return strncasecmp(name, SCHEME, strlen(SCHEME)) == 0;
}

void td_pkcs11__uri_free(P11KitUri **uri)
{
    if (*uri != NULL) {
        p11_kit_uri_free(*uri);
        *uri = NULL;
    }
}

const char *td_pkcs11__pin_file(const P11KitUri *uri)
{
    const char *source = p11_kit_uri_get_pin_source((P11KitUri *)(uintptr_t)uri);
    if (source != NULL && strncmp(source, "file:", 5) == 0) {
        source += 5;
        source += strncmp(source, "///", 3) == 0 ? 2 : 0; /* an empty host */
    }
    return source;
}

/* p11-kit would end a decoded value at a NUL; nothing that we name has control characters. */
static td_code check_text(const char *text, td_err *err)
{
    size_t size = strnlen(text, TD_PKCS11_URI_MAX + 1);
    if (size > TD_PKCS11_URI_MAX) {
        return td_fail(err, TD_LIMIT, "the key's URI is longer than %d bytes", TD_PKCS11_URI_MAX);
    }
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f) {
            return td_fail(err, TD_INVALID, "the key's URI has a blank or control character at byte %zu; write a blank "
                                            "as %%20 (" EXAMPLE ")", i + 1);
        }
    }
    return td_pkcs11_named(text) ? TD_OK : td_fail(err, TD_INVALID, "not a key's URI (" EXAMPLE ")");
}

static td_code check_pin(P11KitUri *uri, td_err *err)
{
    const char *file = td_pkcs11__pin_file(uri);
    if (p11_kit_uri_get_pin_value(uri) != NULL) {
        return td_fail(err, TD_INVALID,
                       "pin-value is not taken: everybody on this machine can read arguments; put the PIN into a file "
                       "of yours and say pin-source=file:/path, or leave it out to be asked");
    }
    if (file != NULL && (file[0] != '/' || file[1] == '/')) { /* //host/file is of another machine */
        return td_fail(err, TD_INVALID, "pin-source must be a file with its whole path: pin-source=file:/path");
    }
    return TD_OK;
}

/* Both halves of a key are looked for, whichever the URI was copied from. */
static td_code check_type(P11KitUri *uri, td_err *err)
{
    CK_ATTRIBUTE *type = p11_kit_uri_get_attribute(uri, CKA_CLASS);
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    if (type != NULL && type->ulValueLen == sizeof class) {
        memcpy(&class, type->pValue, sizeof class);
    }
    if (class != CKO_PRIVATE_KEY && class != CKO_PUBLIC_KEY) {
        return td_fail(err, TD_INVALID, "the key's URI names something that is no key pair; say type=private");
    }
    (void)p11_kit_uri_clear_attribute(uri, CKA_CLASS);
    return TD_OK;
}

td_code td_pkcs11__uri_read(const char *text, P11KitUri **out, td_err *err)
{
    TD_TRY(check_text(text, err));
    TD_CLEANUP(td_pkcs11__uri_free) P11KitUri *uri = p11_kit_uri_new();
    if (uri == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a key's URI");
    }
    int result = strcasestr(text, "%00") != NULL ? P11_KIT_URI_BAD_ENCODING
                                                 : p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, uri);
    if (result != P11_KIT_URI_OK) {
        return td_fail(err, TD_INVALID, "the key's URI cannot be read: %s (" EXAMPLE ")", p11_kit_uri_message(result));
    }
    if (p11_kit_uri_any_unrecognized(uri) != 0) {
        return td_fail(err, TD_INVALID,
                       "the key's URI has a part that is not known; known are token, manufacturer, model, serial, "
                       "object, id, type, slot-id, library-…, module-path, module-name and pin-source");
    }
    TD_TRY(check_pin(uri, err));
    TD_TRY(check_type(uri, err));
    *out = uri;
    uri = NULL;
    return TD_OK;
}

td_code td_pkcs11_uri_check(const char *text, td_err *err)
{
    TD_CLEANUP(td_pkcs11__uri_free) P11KitUri *uri = NULL;
    return td_pkcs11__uri_read(text, &uri, err);
}
