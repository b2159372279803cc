/*
 * version_move.h: one move of a version, as submit, approve and reject share it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_VERSION_MOVE_H
#define TD_REGISTRY_VERSION_MOVE_H

#include "registry/registry.h"

typedef struct td_registry__move {
    const td_version *version; /* as it is now */
    const td_actor *actor;
    td_version_state to;
    const char *action;    /* of the audit record */
    const char *reason;    /* or NULL */
    const uint8_t *digest; /* of the manifest, or NULL */
} td_registry__move;

/* Checks the arrow, changes the state, and keeps the move; `seq` is its audit record. */
td_code td_registry__move_row(td_db *db, const td_registry__move *move, int64_t seq, td_err *err);
td_code td_registry__move_record(td_db *db, const td_registry__move *move, int64_t *seq_out, td_err *err);
/* Stamps the time of approval or rejection. */
td_code td_registry__decided(td_db *db, int64_t version_id, td_err *err);

#endif
