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
/* A put that goes on in a file with `size` bytes, which stays where it is until td_content_put_finish. Takes fd and
 * hash (of those bytes; NULL: the file is hashed at the end) on OK. */
td_code td_content__put_adopt(td_content *content, const char *path, int fd, uint64_t size, uint64_t size_max,
                              td_sha256 *hash, td_content_put **out, td_err *err);
/* Lets go of such a put: its file stays. hash_out: as above. */
void td_content__put_release(td_content_put **put, td_sha256 **hash_out);
uint64_t td_content__put_size(const td_content_put *put);
int td_content__put_fd(const td_content_put *put);
/* NOT_FOUND, or CORRUPT when it was moved to damaged/. */
td_code td_content__missing(const td_content *content, const uint8_t digest[TD_DIGEST_SIZE], td_err *err);

#endif
