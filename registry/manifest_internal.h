/*
 * manifest_internal.h: what building and reading of manifests share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_MANIFEST_INTERNAL_H
#define TD_REGISTRY_MANIFEST_INTERNAL_H

#include "registry/manifest.h"

/* The grammar of file names, and the folder of the role. INVALID. */
td_code td_manifest__name_check(const char *name, size_t length, td_file_role role, td_err *err);

#endif
