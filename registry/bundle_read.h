/*
 * bundle_read.h: a bundle streamed against its manifest; shared by verify and inspect.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_BUNDLE_READ_H
#define TD_REGISTRY_BUNDLE_READ_H

#include "registry/hasher.h"
#include "registry/tar.h"

/* Everything that was read. */
typedef struct td_bundle__contents {
    td_arena arena;
    td_hasher *hasher;
    td_str manifest_bytes; /* the signed ones if known beforehand, else the bundle's own manifest.pb */
    bool manifest_known;
    td_manifest manifest;
    bool seen[TD_MANIFEST_FILES_MAX];
    bool text_seen; /* manifest.json */
    bool pb_seen;   /* manifest.pb */
    uint64_t files, bytes;
    td_str lineage, card; /* meta/lineage.json and meta/card.md, if there and small */
    struct {
        char name[TD_FILE_NAME_MAX + 1]; /* without "attest/" */
        td_str data;
    } attests[TD_BUNDLE_ATTEST_MAX];
    size_t attest_count;
} td_bundle__contents;

void td_bundle__contents_free(td_bundle__contents **contents); /* TD_CLEANUP */
/* The attestation of that name, or NULL. */
const td_str *td_bundle__attest(const td_bundle__contents *contents, const char *name);

/* Called when everything under attest/ is known, before the first byte of the bundle: sets the manifest to hold it
 * against (see td_bundle__expect), or leaves it open. */
typedef td_code (*td_bundle__trust_fn)(void *context, td_bundle__contents *contents, td_err *err);
TD_MUST_USE td_code td_bundle__expect(td_bundle__contents *contents, const void *manifest, size_t size, td_err *err);

/* Reads the file at path, a bundle or an export. */
TD_MUST_USE td_code td_bundle__read(const char *path, td_bundle__trust_fn trust, void *context,
                                    td_bundle__contents **contents_out, td_err *err);

#endif
