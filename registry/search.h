/*
 * search.h: what may be asked of models and versions (docs/search.md), for every list that shows them.
 *
 * The SQL of the tables stands on the aliases `m` (model) and `v` (version).
 * Threads: constants. SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_SEARCH_H
#define TD_REGISTRY_SEARCH_H

#include "core/db/list.h"

/* Tags, by value; metrics, parameters. */
extern const td_filter_family td_model_families[], td_version_families[];
/* Versions of a whole project, newest first; those of one model, highest number first. */
extern const td_filter_table td_model_table, td_version_table, td_model_version_table;

#endif
