/*
 * bundle.h: a version as one file that proves itself: a reproducible tar, compressed with zstd.
 *
 * Entries are sorted, times and owners are zero, and two packings of the same manifest are byte-identical:
 * manifest.pb, manifest.json and then the manifest's files. Approvals and other claims travel beside it in an export
 * (a plain tar):
 *
 *     attest/approvals.pb   the approvers' SignedMessage over manifest.pb
 *     attest/keyset.pb      the keyset (SignedMessage by root) whose approver keys signed
 *     attest/model.sig      OpenSSF Model Signing over model/
 *     attest/claims.jsonl   what is said of the version, signed (claims/claims.h)
 *     attest/…              what else the caller hands in (log proof, checkpoint)
 *     bundle.tar.zst
 *
 * Reading never writes to disk: entries are streamed against the manifest. libarchive's disk writer is not used
 * anywhere.
 * Threads: any; not the writer thread (packing hashes and compresses).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_BUNDLE_H
#define TD_REGISTRY_BUNDLE_H

#include "registry/content.h"
#include "registry/manifest.h"
#include "registry/registry.h"

#define TD_BUNDLE_BYTES_MAX ((uint64_t)1 << 40)
#define TD_BUNDLE_ATTEST_MAX 64                              /* entries under attest/ */
#define TD_BUNDLE_ATTEST_BYTES_MAX ((size_t)4 * 1024 * 1024) /* of one of them */
#define TD_BUNDLE_ZSTD_LEVEL 3

typedef struct td_bundle_info {
    uint8_t digest[TD_DIGEST_SIZE]; /* of the compressed file, as in content */
    uint64_t size;
    uint8_t tar_digest[TD_DIGEST_SIZE]; /* of the tar before compression: the same whatever zstd's version */
    uint64_t tar_size;
} td_bundle_info;

/* Packs the manifest's files out of content, into content. NOT_FOUND, CORRUPT: a file is missing or damaged. */
TD_MUST_USE td_code td_bundle_build(td_content *content, const void *manifest, size_t manifest_size,
                                    td_bundle_info *out, td_err *err);
/* The same to an open file or pipe. */
TD_MUST_USE td_code td_bundle_write(td_content *content, const void *manifest, size_t manifest_size, int fd,
                                    td_bundle_info *out, td_err *err);

/* All that submitting needs: reads the version and its files from db, adds `extras` (role meta: lineage.json, card.md,
 * already in content), builds the manifest and the bundle into content. manifest_out receives the bytes that packed_out
 * points to. */
TD_MUST_USE td_code td_bundle_pack(td_db *db, td_content *content, const td_version *version,
                                   const td_version_file *extras, size_t extra_count, td_str *manifest_out,
                                   td_packed *packed_out, td_err *err);

typedef struct td_bundle_trust {
    const uint8_t *root; /* pinned root key (65 bytes), or NULL */
    const void
        *keyset; /* a keyset's SignedMessage that is trusted as it is, or NULL: the export's own, checked by root */
    size_t keyset_size;
    const void *approvals; /* the envelope for a bundle without attest/, or NULL */
    size_t approvals_size;
    const char *log_vkey;      /* checks attest/approval.proof against the audit log of this key; NULL: only that the
                                  record beside it is of this version's approval */
    const char *publisher_pem; /* checks attest/model.sig against this key; NULL: model.sig is only reported */
} td_bundle_trust;

/* Verifies a bundle or an export, offline and streaming: keyset → approvals → manifest → every byte. report_out (may be
 * NULL) tells what was checked: {"model","version","content_id","approvals":[…],"files","bytes","model_sig":…,
 * "log_proof":…,"claims_unchecked":lines of claims.jsonl}. Each thing that can be wrong has its own message: CORRUPT
 * for content, signature, form; INVALID when no trust is given; NOT_FOUND: no such file. */
TD_MUST_USE td_code td_bundle_verify(const char *path, const td_bundle_trust *trust, json_t **report_out, td_err *err);
/* What a bundle or export says, its digests checked but no signature: {"manifest", "attest":[…], "lineage"?,
 * "approvals":[…]}. */
TD_MUST_USE td_code td_bundle_inspect_json(const char *path, json_t **out, td_err *err);

/* Appends an export's manifest and one of its attestations ("claims.jsonl"); digests are checked, no signature.
 * NOT_FOUND: it has none of that name. */
TD_MUST_USE td_code td_bundle_attest_read(const char *path, const char *name, td_str *manifest_out, td_str *attest_out,
                                          td_err *err);

typedef struct td_attest {
    const char *name; /* without "attest/": "approval.proof" */
    const void *data;
    size_t size;
} td_attest;

typedef struct td_export {
    uint8_t bundle_digest[TD_DIGEST_SIZE];
    const td_attest *attests; /* approvals.pb, keyset.pb, model.sig and others; any order, each name once */
    size_t attest_count;
} td_export;
/* Streams the outer tar to `write` (a sink that returns TD_OK to go on). */
typedef td_code (*td_sink_fn)(void *context, const void *data, size_t size, td_err *err);
TD_MUST_USE td_code td_bundle_export(td_content *content, const td_export *export, td_sink_fn sink, void *context,
                                     td_err *err);
/* The same into content (the server's download route): digest and size of the tar. */
TD_MUST_USE td_code td_bundle_export_content(td_content *content, const td_export *export,
                                             uint8_t digest_out[TD_DIGEST_SIZE], uint64_t *size_out, td_err *err);

#endif
