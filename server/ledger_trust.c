/*
 * ledger_trust.c: keysets and approvals: what root and people signed, verified again.
 *
 * Whoever holds every key of the server can write a record that ben approved; he cannot write ben's signature.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/manifest.h"
#include "registry/trust.h"
#include "server/ledger_internal.h"

#include <stdlib.h>
#include <string.h>

#define KEYS_MAX 4096

typedef struct trust {
    td_keyset previous;
    uint8_t approvers[KEYS_MAX][TD_P256_PUBLIC_SIZE]; /* of all keysets, each once */
    size_t approver_count;
    td_ledger *ledger;
    td_ledger_verdict *verdict;
} trust;

static void trust_free(trust **self)
{
    free(*self);
}

static bool is_approver(const trust *self, const uint8_t *public_key)
{
    for (size_t i = 0; i < self->approver_count; i++) {
        if (memcmp(self->approvers[i], public_key, TD_P256_PUBLIC_SIZE) == 0) {
            return true;
        }
    }
    return false;
}

static td_code add_approvers(trust *self, const td_keyset *keyset, td_err *err)
{
    for (size_t i = 0; i < keyset->key_count; i++) {
        const td_signer_key *key = &keyset->keys[i];
        if (key->role != TD_SIGNER_APPROVER || is_approver(self, key->public_key)) {
            continue;
        }
        if (self->approver_count == KEYS_MAX) {
            return td_fail(err, TD_LIMIT, "more than %d keys of approvers in all keysets", KEYS_MAX);
        }
        memcpy(self->approvers[self->approver_count++], key->public_key, TD_P256_PUBLIC_SIZE);
    }
    return TD_OK;
}

static td_code take_keyset(void *context, const td_ledger_keyset *row, td_err *err)
{
    trust *self = context;
    td_keyset keyset;
    const td_keyset *previous = self->verdict->keysets > 0 ? &self->previous : NULL;
    if (td_keyset_open(row->envelope, row->size, previous, NULL, &keyset, err) != TD_OK ||
        keyset.version != (uint32_t)row->version || (previous == NULL && keyset.version != 1)) {
        return td_fail(err, TD_CORRUPT, "keyset %lld: root did not sign it as the follower of the one before",
                       (long long)row->version);
    }
    self->previous = keyset;
    self->verdict->keysets++;
    return add_approvers(self, &keyset, err);
}

static td_code forged(const trust *self, const td_ledger_approval *row, const char *why, td_err *err)
{
    self->ledger->record = row->seq;
    return td_fail(err, TD_CORRUPT, "record %lld (approve.version %s): %s's approval is forged: %s",
                   (long long)row->seq, row->version, row->user, why);
}

static td_code take_approval(void *context, const td_ledger_approval *row, td_err *err)
{
    trust *self = context;
    uint8_t digest[TD_DIGEST_SIZE];
    TD_CLEANUP(td_str_done) td_str pae = {0};
    if (row->public_key == NULL || !is_approver(self, row->public_key)) {
        return forged(self, row, "the key is an approver's in no keyset that root signed", err);
    }
    td_sha256_of(row->public_key, TD_P256_PUBLIC_SIZE, digest);
    if (memcmp(digest, row->key_id, TD_KEY_ID_SIZE) != 0 || row->manifest == NULL) {
        return forged(self, row, "it names another key, or there is no manifest", err);
    }
    TD_TRY(td_dsse_pae(TD_MANIFEST_TYPE, row->manifest, row->manifest_size, &pae, err));
    if (td_p256_verify(row->public_key, pae.data, pae.size, row->signature, NULL) != TD_OK) {
        return forged(self, row, "the signature is not one of that key over the manifest", err);
    }
    self->verdict->approvals++;
    return TD_OK;
}

td_code td_ledger__trust(td_ledger *ledger, td_db *db, td_ledger_verdict *verdict, td_err *err)
{
    TD_CLEANUP(trust_free) trust *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to verify keysets");
    }
    self->ledger = ledger;
    self->verdict = verdict;
    TD_TRY(td_ledger__keysets(db, take_keyset, self, err));
    return td_ledger__approvals(db, take_approval, self, err);
}
