/*
 * signer_wire.c: requests to the log's signer and its replies as bytes, read strictly.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/signer_wire.h"

#include "audit/merkle.h"

#include <stdio.h>
#include <string.h>

static const char magic[4] = "TDS1";

/* ---- writing ---- */

static void add_integer(td_str *out, uint64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--) {
        td_str_add_char(out, (char)(uint8_t)(value >> (8 * i)));
    }
}

static void add_root(td_str *out, const td_log_root *root)
{
    add_integer(out, (uint64_t)root->size, 8);
    td_str_append(out, root->hash, sizeof root->hash);
}

td_code td_signer_request_write(const td_signer_request *request, td_str *out, td_err *err)
{
    size_t length = strnlen(request->origin, sizeof request->origin);
    td_str_append(out, magic, sizeof magic);
    add_integer(out, (uint64_t)request->op, 1);
    add_integer(out, length, 1);
    td_str_append(out, request->origin, length);
    if (request->op == TD_SIGNER_SIGN) {
        add_root(out, &request->last);
        add_root(out, &request->next);
        add_integer(out, request->proof.count, 1);
        td_str_append(out, request->proof.hashes, request->proof.count * TD_DIGEST_SIZE);
    }
    return td_str_check(out, err);
}

td_code td_signer_reply_write(const td_signer_reply *reply, td_str *out, td_err *err)
{
    size_t length = strnlen(reply->text, sizeof reply->text - 1);
    td_str_append(out, magic, sizeof magic);
    add_integer(out, (uint64_t)reply->code, 1);
    add_root(out, &reply->root);
    add_integer(out, length, 2);
    td_str_append(out, reply->text, length);
    return td_str_check(out, err);
}

/* ---- reading ---- */

typedef struct reader {
    const uint8_t *at;
    size_t left;
    bool bad; /* sticky */
} reader;

static void take(reader *in, void *out, size_t size)
{
    if (in->bad || in->left < size) {
        in->bad = true;
        memset(out, 0, size);
        return;
    }
    if (size > 0) {
        memcpy(out, in->at, size);
    }
    in->at += size;
    in->left -= size;
}

static uint64_t take_integer(reader *in, int bytes)
{
    uint8_t room[8];
    uint64_t value = 0;
    take(in, room, (size_t)bytes);
    for (int i = 0; i < bytes; i++) {
        value = value << 8 | room[i];
    }
    return value;
}

static void take_root(reader *in, td_log_root *out)
{
    uint64_t size = take_integer(in, 8);
    in->bad = in->bad || size > (uint64_t)TD_MERKLE_SIZE_MAX;
    out->size = in->bad ? 0 : (int64_t)size;
    take(in, out->hash, sizeof out->hash);
}

/* Text of `length` bytes without NUL into a room that holds one more. */
static void take_text(reader *in, size_t length, char *out, size_t room)
{
    in->bad = in->bad || length >= room;
    take(in, out, in->bad ? 0 : length);
    out[in->bad ? 0 : length] = '\0';
    in->bad = in->bad || strlen(out) != length;
}

static void take_magic(reader *in)
{
    char start[sizeof magic];
    take(in, start, sizeof start);
    in->bad = in->bad || memcmp(start, magic, sizeof magic) != 0;
}

td_code td_signer_request_read(const void *data, size_t size, td_signer_request *out, td_err *err)
{
    reader in = {.at = data, .left = size};
    td_signer_request request = {.op = TD_SIGNER_LOOK};
    take_magic(&in);
    uint64_t op = take_integer(&in, 1);
    take_text(&in, (size_t)take_integer(&in, 1), request.origin, sizeof request.origin);
    if (op == TD_SIGNER_SIGN) {
        request.op = TD_SIGNER_SIGN;
        take_root(&in, &request.last);
        take_root(&in, &request.next);
        request.proof.count = (size_t)take_integer(&in, 1);
        in.bad = in.bad || request.proof.count > TD_LOG_PROOF_MAX;
        take(&in, request.proof.hashes, in.bad ? 0 : request.proof.count * TD_DIGEST_SIZE);
    }
    if (in.bad || in.left > 0 || (op != TD_SIGNER_LOOK && op != TD_SIGNER_SIGN)) {
        return td_fail(err, TD_CORRUPT, "%zu bytes are no request to a log's signer", size);
    }
    *out = request;
    return TD_OK;
}

td_code td_signer_reply_read(const void *data, size_t size, td_signer_reply *out, td_err *err)
{
    reader in = {.at = data, .left = size};
    td_signer_reply reply;
    take_magic(&in);
    uint64_t code = take_integer(&in, 1);
    take_root(&in, &reply.root);
    take_text(&in, (size_t)take_integer(&in, 2), reply.text, sizeof reply.text);
    if (in.bad || in.left > 0 || code >= TD_CODE_COUNT) {
        return td_fail(err, TD_CORRUPT, "%zu bytes are no reply of a log's signer", size);
    }
    reply.code = (td_code)code;
    *out = reply;
    return TD_OK;
}
