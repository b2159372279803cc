/*
 * tar.h: reproducible tar out, guarded tar in; the only two files that know libarchive are tar_write.c and tar_read.c.
 *
 * Writing: regular files only, mode 0644, times, owners and devices zero, PAX headers only where the classic ones do
 * not do. Reading: tar only, uncompressed or zstd, regular files only, names of the grammar, nothing is ever written
 * to disk.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_TAR_H
#define TD_REGISTRY_TAR_H

#include "registry/bundle.h"

typedef struct td_tar_writer td_tar_writer;

/* level 0: plain tar; else zstd of that level, and tar_digest is known at the end. */
TD_MUST_USE td_code td_tar_writer_new(int level, td_sink_fn sink, void *context, td_tar_writer **out, td_err *err);
TD_MUST_USE td_code td_tar_entry(td_tar_writer *writer, const char *name, uint64_t size, td_err *err);
TD_MUST_USE td_code td_tar_data(td_tar_writer *writer, const void *data, size_t size, td_err *err);
/* An entry from memory. */
TD_MUST_USE td_code td_tar_bytes(td_tar_writer *writer, const char *name, const void *data, size_t size, td_err *err);
/* An entry out of content; its digest is checked on the way. */
TD_MUST_USE td_code td_tar_content(td_tar_writer *writer, const char *name, td_content *content,
                                   const uint8_t digest[TD_DIGEST_SIZE], uint64_t size, td_err *err);
/* Ends the archive; digest and size of the tar before compression (may be NULL). */
TD_MUST_USE td_code td_tar_finish(td_tar_writer *writer, uint8_t *tar_digest_out, uint64_t *tar_size_out, td_err *err);
void td_tar_writer_free(td_tar_writer **writer);

typedef struct td_tar_reader td_tar_reader;

/* Reads the next bytes: sets *data_out (valid until the next call) and *size_out; 0 at the end. */
typedef td_code (*td_source_fn)(void *context, const void **data_out, size_t *size_out, td_err *err);

TD_MUST_USE td_code td_tar_reader_new(bool zstd, td_source_fn source, void *context, td_tar_reader **out, td_err *err);
void td_tar_reader_free(td_tar_reader **reader);
/* The next entry; *name_out is NULL at the end. CORRUPT: no regular file, or a name that is not allowed. */
TD_MUST_USE td_code td_tar_next(td_tar_reader *reader, const char **name_out, uint64_t *size_out, td_err *err);
/* The entry's next bytes; 0 at its end. It never gives more than the size that td_tar_next told. */
TD_MUST_USE td_code td_tar_read(td_tar_reader *reader, const void **data_out, size_t *size_out, td_err *err);
/* The whole entry, appended. CORRUPT: more than limit. */
TD_MUST_USE td_code td_tar_read_all(td_tar_reader *reader, size_t limit, td_str *out, td_err *err);

#endif
