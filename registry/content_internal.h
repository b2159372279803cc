/*
 * content_internal.h: what the files of the content store share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_CONTENT_INTERNAL_H
#define TD_REGISTRY_CONTENT_INTERNAL_H

#include "registry/content.h"

#define TD_CONTENT_PATH_MAX 4096
#define TD_CONTENT_ROOT_MAX (TD_CONTENT_PATH_MAX - 512)

struct td_content {
    char root[TD_CONTENT_ROOT_MAX];
};

void td_content__free(td_content **content);
void td_content__object_path(const td_content *content, const uint8_t digest[TD_DIGEST_SIZE],
                             char out[TD_CONTENT_PATH_MAX]);
void td_content__damaged_path(const td_content *content, const uint8_t digest[TD_DIGEST_SIZE],
                              char out[TD_CONTENT_PATH_MAX]);
/* NOT_FOUND, or CORRUPT when it was moved to damaged/. */
td_code td_content__missing(const td_content *content, const uint8_t digest[TD_DIGEST_SIZE], td_err *err);

#endif
