/*
 * csv.h: reads CSV (RFC 4180) record by record, in bounded memory, and knows the line of each.
 *
 * Private to monitor/. Fields may be quoted, quoted fields may hold commas, doubled quotes and line ends; lines end in
 * LF or CRLF; a byte order mark is skipped, blank lines are skipped, NUL bytes are refused.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_MONITOR_CSV_H
#define TD_MONITOR_CSV_H

#include "monitor/baseline.h"

typedef struct td_csv td_csv;

/* Starts at the beginning of the source (which is rewound). */
TD_MUST_USE td_code td_csv_open(const td_csv_source *source, td_csv **out, td_err *err);
void td_csv_close(td_csv **csv); /* TD_CLEANUP */
/* Reads one record. INVALID: a stray quote, an unfinished one, NUL; LIMIT: TD_BASELINE_COLUMNS_MAX,
 * TD_BASELINE_LINE_MAX. */
TD_MUST_USE td_code td_csv_next(td_csv *csv, bool *row_out, td_err *err);
size_t td_csv_count(const td_csv *csv);                    /* fields of the record */
const char *td_csv_field(const td_csv *csv, size_t index); /* NUL-terminated; borrowed until td_csv_next */
int64_t td_csv_line(const td_csv *csv);                    /* where the record begins, from 1 */
const char *td_csv_name(const td_csv *csv);

#endif
