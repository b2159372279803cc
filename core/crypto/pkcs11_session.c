/*
 * pkcs11_session.c: from a URI to an open session with the one token that it names.
 *
 * A module is code of the token's maker that runs inside of this program; what it answers is checked like other bytes
 * from outside. Where more than one token fits, none is taken: signing by chance is worse than not signing.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/crypto/pkcs11_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_ROOM 120 /* of an error's text */

void td_pkcs11__text(const uint8_t *bytes, size_t size, char *out, size_t room)
{
    size_t used = 0;
    while (size > 0 && (bytes[size - 1] == ' ' || bytes[size - 1] == '\0')) {
        size--;
    }
    for (; used < size && used < room - 1; used++) {
        out[used] = (char)(bytes[used] >= ' ' && bytes[used] < 0x7f ? bytes[used] : '?');
    }
    out[used] = '\0';
}

/* ---- what a token's answers mean ---- */

td_code td_pkcs11__fail(const td_pkcs11__session *session, CK_RV answer, const char *what, td_err *err)
{
    const char *token = session->label;
    switch (answer) {
    case CKR_HOST_MEMORY:
        return td_fail(err, TD_NOMEM, "no memory for %s", what);
    case CKR_DEVICE_REMOVED:
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_TOKEN_NOT_RECOGNIZED:
    case CKR_SESSION_CLOSED:
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_OBJECT_HANDLE_INVALID:
    case CKR_KEY_HANDLE_INVALID:
        return td_fail(err, TD_IO, "the token %s went away at %s; put it back and start again", token, what);
    case CKR_PIN_LOCKED:
        return td_fail(err, TD_DENIED, "the token %s is locked after too many wrong PINs; its security officer unlocks "
                                       "it", token);
    case CKR_PIN_EXPIRED:
        return td_fail(err, TD_DENIED, "the PIN of the token %s has expired; set a new one with its own program",
                       token);
    case CKR_USER_NOT_LOGGED_IN:
        return td_fail(err, TD_DENIED, "the token %s wants its PIN for %s", token, what);
    case CKR_FUNCTION_CANCELED:
    case CKR_CANCEL:
        return td_fail(err, TD_DENIED, "%s was cancelled at the token %s", what, token);
    case CKR_MECHANISM_INVALID:
    case CKR_KEY_FUNCTION_NOT_PERMITTED:
    case CKR_KEY_TYPE_INCONSISTENT:
        return td_fail(err, TD_INVALID, "the token %s does not sign by ECDSA with this key (%s)", token,
                       p11_kit_strerror(answer));
    default:
        return td_fail(err, TD_IO, "the token %s failed at %s: %s (0x%lx)", token, what, p11_kit_strerror(answer),
                       answer);
    }
}

/* ---- modules ---- */

static td_code load_one(td_pkcs11__session *session, const char *path, td_err *err)
{
    CK_FUNCTION_LIST *module = p11_kit_module_load(path, 0);
    if (module == NULL) {
        const char *why = p11_kit_message();
        return td_fail(err, TD_NOT_FOUND,
                       "the PKCS#11 module %s cannot be loaded; is the token's software installed? (%s)", path,
                       why != NULL ? why : "no reason was given");
    }
    CK_RV answer = p11_kit_module_initialize(module);
    if (answer != CKR_OK) {
        p11_kit_module_release(module);
        return td_fail(err, TD_IO, "the PKCS#11 module %s does not start: %s (0x%lx)", path, p11_kit_strerror(answer),
                       answer);
    }
    session->single[0] = module;
    session->modules = session->single;
    return TD_OK;
}

static td_code load_modules(td_pkcs11__session *session, td_err *err)
{
    const char *path = p11_kit_uri_get_module_path(session->uri);
    if (path != NULL) {
        return load_one(session, path, err);
    }
    session->modules = p11_kit_modules_load_and_initialize(0);
    if (session->modules == NULL || session->modules[0] == NULL) {
        return td_fail(err, TD_NOT_FOUND, "no PKCS#11 module is registered on this machine; add ?module-path=FILE to "
                                          "the key's URI");
    }
    return TD_OK;
}

static void unload_modules(td_pkcs11__session *session)
{
    if (session->modules == session->single) {
        (void)p11_kit_module_finalize(session->single[0]);
        p11_kit_module_release(session->single[0]);
    } else if (session->modules != NULL) {
        p11_kit_modules_finalize_and_release(session->modules);
    }
    session->modules = NULL;
}

static bool module_fits(const td_pkcs11__session *session, CK_FUNCTION_LIST *module)
{
    const char *wanted = p11_kit_uri_get_module_name(session->uri);
    CK_INFO info;
    if (wanted != NULL && session->modules != session->single) {
        char *name = p11_kit_module_get_name(module);
        bool same = name != NULL && strcmp(name, wanted) == 0;
        free(name);
        if (!same) {
            return false;
        }
    }
    memset(&info, 0, sizeof info);
    return module->C_GetInfo(&info) == CKR_OK && p11_kit_uri_match_module_info(session->uri, &info) != 0;
}

/* ---- the token ---- */

typedef struct search {
    td_pkcs11__session *session;
    size_t found;
    char others[NAMES_ROOM]; /* labels of tokens that do not fit */
} search;

static void add_name(char *names, size_t room, const char *name)
{
    size_t used = strlen(names);
    (void)snprintf(names + used, room - used, "%s%s", used > 0 ? ", " : "", name);
}

static void look_at_slot(search *s, CK_FUNCTION_LIST *module, CK_SLOT_ID slot)
{
    td_pkcs11__session *session = s->session;
    CK_TOKEN_INFO token;
    char label[TD_PKCS11__LABEL];
    memset(&token, 0, sizeof token);
    if (module->C_GetTokenInfo(slot, &token) != CKR_OK || (token.flags & CKF_TOKEN_INITIALIZED) == 0) {
        return; /* an empty reader, a blank card */
    }
    td_pkcs11__text(token.label, sizeof token.label, label, sizeof label);
    CK_SLOT_ID wanted = p11_kit_uri_get_slot_id(session->uri);
    if (p11_kit_uri_match_token_info(session->uri, &token) == 0 || (wanted != (CK_SLOT_ID)-1 && wanted != slot)) {
        add_name(s->others, sizeof s->others, label);
        return;
    }
    if (s->found++ == 0) {
        session->module = module;
        session->slot = slot;
        memcpy(session->label, label, sizeof label);
    }
}

static void look_at_module(search *s, CK_FUNCTION_LIST *module)
{
    CK_SLOT_ID slots[TD_PKCS11_SLOTS_MAX];
    CK_ULONG count = TD_PKCS11_SLOTS_MAX;
    if (!module_fits(s->session, module) || module->C_GetSlotList(CK_TRUE, slots, &count) != CKR_OK) {
        return;
    }
    for (CK_ULONG i = 0; i < count && i < TD_PKCS11_SLOTS_MAX; i++) {
        look_at_slot(s, module, slots[i]);
    }
}

static td_code find_token(td_pkcs11__session *session, td_err *err)
{
    search s = {.session = session};
    for (size_t i = 0; session->modules[i] != NULL; i++) {
        look_at_module(&s, session->modules[i]);
    }
    if (s.found == 0) {
        return td_fail(err, TD_NOT_FOUND, "no token fits the key's URI; %s%s",
                       *s.others != '\0' ? "there are: " : "none is there", s.others);
    }
    if (s.found > 1) {
        return td_fail(err, TD_INVALID,
                       "%zu tokens fit the key's URI (one is %s); name one with token=, serial= or module-path=",
                       s.found, session->label);
    }
    return TD_OK;
}

td_code td_pkcs11__open(const char *uri, const td_pkcs11_pin *pin, td_pkcs11__session **out, td_err *err)
{
    TD_CLEANUP(td_pkcs11__close) td_pkcs11__session *session = calloc(1, sizeof *session);
    if (session == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a session with a token");
    }
    if (pin != NULL) {
        session->pin = *pin;
    }
    TD_TRY(td_pkcs11__uri_read(uri, &session->uri, err));
    TD_TRY(load_modules(session, err));
    TD_TRY(find_token(session, err));
    CK_RV answer =
        session->module->C_OpenSession(session->slot, CKF_SERIAL_SESSION, NULL, NULL, &session->handle);
    if (answer != CKR_OK) {
        return td_pkcs11__fail(session, answer, "opening a session", err);
    }
    session->opened = true;
    *out = session;
    session = NULL;
    return TD_OK;
}

void td_pkcs11__close(td_pkcs11__session **pointer)
{
    td_pkcs11__session *session = *pointer;
    if (session == NULL) {
        return;
    }
    if (session->opened) {
        (void)session->module->C_CloseSession(session->handle); /* the last one logs out */
    }
    unload_modules(session);
    td_pkcs11__uri_free(&session->uri);
    free(session);
    *pointer = NULL;
}

/* ---- the PIN ---- */

static void wipe_pin(td_str *pin)
{
    if (pin->data != NULL) {
        td_wipe(pin->data, pin->room);
    }
    td_str_done(pin);
}

static td_code ask_pin(td_pkcs11__session *session, const CK_TOKEN_INFO *token, td_str *out, td_err *err)
{
    td_pkcs11_question question = {.token = session->label,
                                   .file = td_pkcs11__pin_file(session->uri),
                                   .last_try = (token->flags & CKF_USER_PIN_FINAL_TRY) != 0};
    if (session->pin.ask == NULL) {
        return td_fail(err, TD_DENIED, "the token %s wants its PIN", session->label);
    }
    TD_TRY(session->pin.ask(session->pin.context, &question, out, err));
    if (out->size == 0 || out->size > TD_PKCS11_PIN_MAX) {
        return td_fail(err, TD_INVALID, "the PIN of the token %s must have 1 to %d bytes", session->label,
                       TD_PKCS11_PIN_MAX);
    }
    return td_str_check(out, err);
}

/* What is left after a wrong PIN; the token counts. */
static td_code wrong_pin(const td_pkcs11__session *session, td_err *err)
{
    CK_TOKEN_INFO token;
    const char *rest = "it was tried once; most tokens lock after a few wrong PINs";
    memset(&token, 0, sizeof token);
    if (session->module->C_GetTokenInfo(session->slot, &token) == CKR_OK) {
        rest = (token.flags & CKF_USER_PIN_LOCKED) != 0      ? "it is LOCKED now; its security officer unlocks it"
               : (token.flags & CKF_USER_PIN_FINAL_TRY) != 0 ? "ONE more wrong PIN locks the token"
               : (token.flags & CKF_USER_PIN_COUNT_LOW) != 0 ? "it was tried once; a few more lock the token"
                                                             : rest;
    }
    return td_fail(err, TD_DENIED, "the PIN of the token %s is wrong; %s", session->label, rest);
}

/* Locked, or without a PIN: not even one try. */
static td_code check_token(const td_pkcs11__session *session, CK_TOKEN_INFO *out, td_err *err)
{
    memset(out, 0, sizeof *out);
    CK_RV answer = session->module->C_GetTokenInfo(session->slot, out);
    if (answer != CKR_OK) {
        return td_pkcs11__fail(session, answer, "reading the state of its PIN", err);
    }
    if ((out->flags & CKF_USER_PIN_LOCKED) != 0) {
        return td_pkcs11__fail(session, CKR_PIN_LOCKED, "", err);
    }
    if ((out->flags & (CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED)) == CKF_LOGIN_REQUIRED) {
        return td_fail(err, TD_DENIED, "the token %s has no PIN yet; set one with its own program", session->label);
    }
    return TD_OK;
}

td_code td_pkcs11__login(td_pkcs11__session *session, CK_USER_TYPE user, td_err *err)
{
    TD_CLEANUP(wipe_pin) td_str pin = {0};
    CK_TOKEN_INFO token;
    CK_RV answer;
    TD_TRY(check_token(session, &token, err));
    if (user == CKU_USER && (token.flags & CKF_LOGIN_REQUIRED) == 0) {
        return TD_OK;
    }
    if ((token.flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0) { /* the reader has keys of its own */
        answer = session->module->C_Login(session->handle, user, NULL, 0);
    } else {
        TD_TRY(ask_pin(session, &token, &pin, err));
        answer = session->module->C_Login(session->handle, user, (CK_UTF8CHAR *)pin.data, pin.size);
    }
    if (answer == CKR_PIN_INCORRECT || answer == CKR_PIN_INVALID || answer == CKR_PIN_LEN_RANGE) {
        return wrong_pin(session, err);
    }
    return answer == CKR_OK || answer == CKR_USER_ALREADY_LOGGED_IN ? TD_OK
                                                                     : td_pkcs11__fail(session, answer, "the PIN", err);
}
