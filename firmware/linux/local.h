/*
 * local.h: reads the datagrams of applications (docs/spec/local-api.md) within bounds.
 *
 * The bytes come from any program that may open the socket: nothing of a datagram is used before its head was checked,
 * each record is checked before it is handed on, and the first bad record ends the datagram.
 * Threads: no state.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FIRMWARE_LINUX_LOCAL_H
#define TD_FIRMWARE_LINUX_LOCAL_H

#include "core/base/err.h"
#include "firmware/linux/client/tidemark_local.h"

typedef struct td_local_head {
    char slot[TM_LOCAL_SLOT_MAX + 1];
    uint8_t model[TM_LOCAL_MODEL_SIZE];
    bool any_model;         /* model is all zeros */
    const uint8_t *records; /* what follows the head */
    size_t records_size;
} td_local_head;

typedef struct td_local_text {
    uint16_t feature; /* or TM_LOCAL_PREDICTION */
    uint8_t length;
    const char *text; /* not NUL-terminated, in the datagram */
} td_local_text;

/* One record; pointers lead into the datagram or into `features`. */
typedef struct td_local_record {
    unsigned type;
    uint64_t id;
    uint32_t latency_us;
    float prediction, score; /* of an observation; the label's value is in prediction */
    float *features;
    uint16_t feature_count;
    const char *group; /* of an observation; the class name of a label */
    uint8_t group_length;
    uint8_t text_count; /* of an observation: read them with td_local_text_next */
    const uint8_t *texts;
    size_t texts_size;
    uint32_t errors;
} td_local_record;

/* INVALID: not a datagram of ours, another version, a slot name outside [A-Za-z0-9][A-Za-z0-9._-]{0,127}. */
TD_MUST_USE td_code td_local_read_head(const uint8_t *datagram, size_t size, td_local_head *out, td_err *err);
/* The next record from *at; *more_out is false at the end. `features` has room for TM_LOCAL_FEATURES_MAX. INVALID. */
TD_MUST_USE td_code td_local_read_record(const uint8_t **at, size_t *left, float *features, td_local_record *out,
                                         bool *more_out, td_err *err);
/* The next text of an observation that was read; false at the end. (The class name of a label is in its group.) */
bool td_local_text_next(td_local_record *record, td_local_text *out);

#endif
