/*
 * baseline.h: turns reference data (CSV) into the Baseline message that ships, signed, with a version.
 *
 * Two passes over the data: the first finds edges (quantiles of at most TD_BASELINE_SAMPLE rows a column, exact below
 * that), categories, classes and groups; the second counts with the very code that devices count with
 * (firmware/edge/bins.h), so that reference and production can never disagree about a boundary. Memory: 256 KiB a
 * numeric column, plus one line.
 *
 * Degenerate columns are handled on purpose: ties lose their duplicate edges and become atoms (a bin of their own), so
 * a constant or two-valued column still notices when another value appears.
 * Threads: any; nothing is shared.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_MONITOR_BASELINE_H
#define TD_MONITOR_BASELINE_H

#include "core/base/json.h"
#include "core/base/str.h"
#include "core/crypto/crypto.h"

#define TD_BASELINE_SAMPLE 65536     /* rows a numeric column whose quantiles are taken */
#define TD_BASELINE_COLUMNS_MAX 1024 /* columns of a CSV file */
#define TD_BASELINE_FEATURES_MAX 256
#define TD_BASELINE_LINE_MAX 1048576 /* bytes of one record */
#define TD_BASELINE_VALUES_MAX 65536 /* different texts of one categorical column that are told apart */

/* Where the CSV comes from. `read` as read(2): bytes, 0 at the end, -1 on failure with errno set; `rewind` starts it
 * again (0, or -1 with errno). */
typedef struct td_csv_source {
    long (*read)(void *context, void *out, size_t room);
    int (*rewind)(void *context);
    void *context;
    const char *name; /* for messages: "reference.csv" */
} td_csv_source;

/* A source over an open, seekable file. `fd_storage` outlives the source. */
td_csv_source td_csv_source_fd(int *fd_storage, const char *name);

/* What the columns are, as JSON (also taken as YAML by the CLI); docs/monitoring.md, "Columns". All keys are optional:
 *
 *    "features": ["speed", {"name": "bearing", "type": "categorical"}, …]   default: all columns not named otherwise
 *    "categorical": ["bearing"]               short form
 *    "ignore": ["time"]
 *    "prediction": "prediction"
 *    "prediction_type": "class" | "value"     default: class, unless there is no score and the column has more than 31
 *                                             different numbers
 *    "classes": ["ok","fault"]                order of class indices; default: sorted
 *    "score": "score", "label": "label", "group": "plant"
 *    "decision_threshold": 0.5
 *    "positive_class": "fault"                default: the last class when there are two
 *
 * Checks the form only (unknown keys, types); messages begin with `name`, and the line if `lines` are given (NULL:
 * none). INVALID. */
TD_MUST_USE td_code td_baseline_check_columns(const json_t *columns, const char *name, const td_yaml_lines *lines,
                                              td_err *err);

typedef struct td_baseline {
    td_str bytes;                         /* the Baseline message */
    uint8_t digest[TD_DIGEST_SIZE];       /* SHA-256 of bytes */
    uint8_t edges_digest[TD_DIGEST_SIZE]; /* docs/spec/baseline.md; goes into the manifest */
    json_t *summary;                      /* rows, features[…], prediction, groups[…], accuracy, warnings[…] */
} td_baseline;
void td_baseline_done(td_baseline *baseline); /* TD_CLEANUP; zeroed is fine */

/* Builds a baseline. INVALID: missing column (naming the nearest), text in a numeric column ("reference.csv:17: column
 * \"speed\": expected a number, found \"fast\""), ragged line, no rows, bad columns spec. LIMIT: see above. Warnings (a
 * constant column, many missing values, more than 31 categories, no labels) are in summary["warnings"], an array of
 * strings. */
TD_MUST_USE td_code td_baseline_build(const td_csv_source *source, const json_t *columns, td_baseline *out,
                                      td_err *err);

/* Reads any Baseline message (hostile ones too) into JSON for people and APIs: features with edges, counts, categories.
 * CORRUPT, LIMIT. */
TD_MUST_USE td_code td_baseline_json(const void *data, size_t size, json_t **out, td_err *err);
/* The edges digest of any Baseline message. CORRUPT, LIMIT. */
TD_MUST_USE td_code td_baseline_edges_digest(const void *data, size_t size, uint8_t out[TD_DIGEST_SIZE], td_err *err);

#endif
