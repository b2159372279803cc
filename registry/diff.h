/*
 * diff.h: what differs between two versions, from what the API shows of each (td_version_json).
 *
 * Every part has one shape: {"added": [element…], "removed": [element…], "changed": [{"name", "from", "to"}…],
 * "same": number}; an element is what the version's JSON has, or {"name", "value"} of a map. In order of the list that
 * holds it, maps by name.
 *
 * Threads: any; nothing is shared. SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_DIFF_H
#define TD_REGISTRY_DIFF_H

#include "core/base/json.h"

/* Of two arrays of objects that are told apart by the text at `key`; NULL counts as empty. Elements are shared. */
TD_MUST_USE td_code td_diff_lists(const json_t *from, const json_t *to, const char *key, json_t **out, td_err *err);
/* Of two objects. */
TD_MUST_USE td_code td_diff_maps(const json_t *from, const json_t *to, json_t **out, td_err *err);
/* Is nothing added, removed or changed? */
bool td_diff_empty(const json_t *part);

/* {"from": head, "to": head, "files", "facts", "inputs", "outputs", "operators", "metrics", "params", "tags": parts,
 *  "compatible": do the inputs and outputs stay as they were?, "warnings": [text…]}. A head is {"label", "state",
 * "format", "content_id", "created_by", "created_at"}. Of files that both have, digest and size count. */
TD_MUST_USE td_code td_version_diff(const json_t *from, const json_t *to, json_t **out, td_err *err);

#endif
