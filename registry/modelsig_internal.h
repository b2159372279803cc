/*
 * modelsig_internal.h: the constants of OpenSSF Model Signing that making and reading share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_MODELSIG_INTERNAL_H
#define TD_REGISTRY_MODELSIG_INTERNAL_H

#include "registry/modelsig.h"

#define TD_MODELSIG__MEDIA "application/vnd.dev.sigstore.bundle.v0.3+json"
#define TD_MODELSIG__PAYLOAD "application/vnd.in-toto+json"
#define TD_MODELSIG__STATEMENT "https://in-toto.io/Statement/v1"
#define TD_MODELSIG__PREDICATE "https://model_signing/signature/v1.0"

/* SHA-256 of the raw digests in the given order. */
td_code td_modelsig__root(const td_modelsig_file *files, size_t count, uint8_t out[TD_DIGEST_SIZE], td_err *err);
void td_modelsig__hint(const char *pem, char out[TD_DIGEST_TEXT]);

#endif
