/*
 * faulty_module.c: a PKCS#11 module that hands calls on to the real one (TD_REAL_MODULE), and breaks as TD_FAULT says.
 *
 * Each login leaves a byte in the file TD_LOGINS, so that a test can count the tries.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <p11-kit/pkcs11.h>

static CK_FUNCTION_LIST *real;
static CK_FUNCTION_LIST ours;

static bool broken(const char *name)
{
    const char *fault = getenv("TD_FAULT");
    return fault != NULL && strcmp(fault, name) == 0;
}

static CK_RV get_slot_list(CK_BBOOL present, CK_SLOT_ID *slots, CK_ULONG *count)
{
    CK_RV answer = real->C_GetSlotList(present, slots, count);
    if (broken("slots")) {
        *count = 1000000;
    }
    return answer;
}

static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    CK_RV answer = real->C_GetTokenInfo(slot, info);
    info->flags |= broken("last-try") ? CKF_USER_PIN_FINAL_TRY : 0;
    info->flags |= broken("locked") ? CKF_USER_PIN_LOCKED : 0;
    info->flags |= broken("pad") || broken("pad-cancel") ? CKF_PROTECTED_AUTHENTICATION_PATH : 0;
    if (broken("no-pin")) {
        info->flags &= ~(CK_FLAGS)CKF_USER_PIN_INITIALIZED;
    }
    if (broken("label")) {
        memset(info->label, 0x1b, sizeof info->label);
    }
    return answer;
}

/* A reader with keys of its own asks for no PIN; the person types 1234. */
static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG size)
{
    const char *counter = getenv("TD_LOGINS");
    FILE *file = counter != NULL ? fopen(counter, "a") : NULL;
    if (file != NULL) {
        (void)fputc('x', file);
        (void)fclose(file);
    }
    if (broken("pad-cancel")) {
        return CKR_FUNCTION_CANCELED;
    }
    if (broken("locks-now")) {
        return CKR_PIN_LOCKED;
    }
    if (broken("pad")) {
        static CK_UTF8CHAR typed[] = "1234";
        return pin == NULL ? real->C_Login(session, user, typed, 4) : CKR_ARGUMENTS_BAD;
    }
    return real->C_Login(session, user, pin, size);
}

static CK_RV find_objects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *found, CK_ULONG room, CK_ULONG *count)
{
    CK_RV answer = real->C_FindObjects(session, found, room, count);
    if (broken("objects")) {
        *count = 1000000;
    }
    return answer;
}

static CK_RV get_attribute_value(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *wanted,
                                 CK_ULONG count)
{
    if (broken("long") && wanted->type == CKA_EC_POINT) {
        wanted->ulValueLen = 1000000;
        return CKR_OK;
    }
    CK_RV answer = real->C_GetAttributeValue(session, object, wanted, count);
    if (answer == CKR_OK && wanted->type == CKA_EC_POINT) {
        unsigned char *bytes = wanted->pValue;
        if (broken("off-curve")) {
            bytes[wanted->ulValueLen - 1] ^= 1;
        } else if (broken("raw-point")) { /* of P-256: without the head of an OCTET STRING */
            memmove(bytes, bytes + 2, wanted->ulValueLen -= 2);
        } else if (broken("compressed")) {
            wanted->ulValueLen = 33;
        }
    }
    if (answer == CKR_OK && wanted->type == CKA_EC_PARAMS && broken("other-curve")) {
        ((unsigned char *)wanted->pValue)[wanted->ulValueLen - 1] ^= 1;
    }
    return answer;
}

static CK_RV sign_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return broken("no-ecdsa") ? CKR_MECHANISM_INVALID : real->C_SignInit(session, mechanism, key);
}

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG size, CK_BYTE *out, CK_ULONG *out_size)
{
    if (broken("removed")) {
        return CKR_DEVICE_REMOVED;
    }
    if (broken("strange")) {
        return 0x80000123;
    }
    CK_RV answer = real->C_Sign(session, data, size, out, out_size);
    if (broken("wrong-signature")) {
        out[5] ^= 1;
    }
    if (broken("short-signature")) {
        *out_size = 7;
    }
    return answer;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **out)
{
    void *module = dlopen(getenv("TD_REAL_MODULE"), RTLD_NOW | RTLD_LOCAL);
    CK_C_GetFunctionList get = module != NULL ? (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList") : NULL;
    if (get == NULL || get(&real) != CKR_OK) {
        return CKR_GENERAL_ERROR;
    }
    ours = *real;
    ours.C_GetSlotList = get_slot_list;
    ours.C_GetTokenInfo = get_token_info;
    ours.C_Login = login;
    ours.C_FindObjects = find_objects;
    ours.C_GetAttributeValue = get_attribute_value;
    ours.C_SignInit = sign_init;
    ours.C_Sign = sign;
    *out = &ours;
    return CKR_OK;
}
