/*
 * peer.h: a server's side of the wire for the agent's tests: makes keys and versions, says hostile things on demand.
 *
 * The real server never signs wrongly, tampers or falls silent when told to; this one does. It has no HTTP and no
 * database.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_TESTS_E2E_AGENT_PEER_H
#define TD_TESTS_E2E_AGENT_PEER_H

#include "core/base/fs.h"
#include "core/crypto/x509.h"
#include "registry/content.h"
#include "registry/manifest.h"
#include "registry/trust.h"

#include <stdio.h>

/* One version that was released: what a directive needs to name it. */
typedef struct peer_version {
    uint8_t manifest_digest[TD_DIGEST_SIZE], envelope_digest[TD_DIGEST_SIZE];
    uint32_t envelope_size, counter;
    uint64_t total_size;
} peer_version;

typedef struct peer_keys {
    char folder[2048];
    td_key *ca, *root, *approver, *director, *stranger;
    td_str ca_pem, keyset;
    td_content *content;
    peer_version versions[16];
    size_t version_count;
} peer_keys;

void peer_path(const peer_keys *peer, const char *name, char out[4096]);
/* Makes CA, broker certificate, the server's own client certificate, role keys, keyset.bin. */
td_code peer_init(const char *folder, td_err *err);
td_code peer_open(const char *folder, peer_keys *out, td_err *err);
void peer_close(peer_keys *peer);
/* A certificate for a request (PEM file), written to `out`; `days` from now, negative: expired. */
td_code peer_issue(const char *folder, const char *csr_path, const char *out, int64_t days, td_err *err);
/* Prints the text of an enrolment code with a fixed secret. */
td_code peer_code(const char *folder, td_err *err);
/* Builds, signs and keeps a version; `forged`: signed by somebody who is no approver. */
td_code peer_release(peer_keys *peer, const char *model, const char *baseline_csv, uint32_t counter, bool forged,
                     td_err *err);
/* Reads commands from stdin, prints events to stdout as JSON lines. */
td_code peer_serve(const char *folder, int port, const char *device, td_err *err);

#endif
