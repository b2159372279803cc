/*
 * verify_store.h: the stored checkpoints, one after another.
 *
 * Private to audit.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_AUDIT_VERIFY_STORE_H
#define TD_AUDIT_VERIFY_STORE_H

#include "audit/log.h"

typedef struct td_checkpoint_row {
    int64_t size; /* -1: there is none */
    char *note;   /* owned */
} td_checkpoint_row;

/* Replaces *row by the first stored checkpoint with more than `size` leaves. */
TD_MUST_USE td_code td_checkpoint__after(td_db *db, int64_t size, td_checkpoint_row *row, td_err *err);
void td_checkpoint__done(td_checkpoint_row *row);

#endif
