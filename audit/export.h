/*
 * export.h: the names inside an export, and reading one forward.
 *
 * Private to audit.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_AUDIT_EXPORT_H
#define TD_AUDIT_EXPORT_H

#include "audit/log.h"

#define TD_EXPORT_FORMAT "tidemark-audit-export"
#define TD_EXPORT_FORMAT_FILE "format.json"
#define TD_EXPORT_CHECKPOINT "checkpoint"
#define TD_EXPORT_RECORDS "records/%012lld.jsonl"
#define TD_EXPORT_LEAVES "leaves/%012lld.bin"
#define TD_EXPORT_ERASED "erased"
#define TD_EXPORT_CHUNK 1024 /* records a file */

typedef struct td_export_head {
    int64_t size;
    uint8_t submitter[TD_ED25519_PUBLIC_SIZE];
    char vkey[512];
    td_str checkpoint;
} td_export_head;

typedef struct td_export_reader td_export_reader;
/* From a file, or (path NULL) from memory, which must outlive the reader. Reads the head. CORRUPT, NOT_FOUND. */
TD_MUST_USE td_code td_export_open(const char *path, const void *data, size_t size, td_export_reader **out,
                                   td_err *err);
void td_export_close(td_export_reader **reader); /* TD_CLEANUP */
const td_export_head *td_export_head_of(const td_export_reader *reader);
/* The next record; *more_out false at the end, when nothing else may follow. body NULL: erased. Borrowed until the
 * next call. */
TD_MUST_USE td_code td_export_next(td_export_reader *reader, bool *more_out, const char **body_out, size_t *size_out,
                                   const uint8_t **leaf_out, td_err *err);
/* Leaves that lie behind each other from the one that was handed out last, it included: the rest of its file. */
size_t td_export_leaves_ahead(const td_export_reader *reader);

#endif
