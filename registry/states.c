/*
 * states.c: the life of a version: draft → pending → approved | rejected, approved → deprecated → retired.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/registry_internal.h"

const char *const td_registry__version_state_names[] = {"draft",    "pending",    "approved",
                                                       "rejected", "deprecated", "retired", NULL};

static const td_arrow state_arrows[] = {
    {TD_VERSION_DRAFT, TD_VERSION_PENDING},      {TD_VERSION_PENDING, TD_VERSION_APPROVED},
    {TD_VERSION_PENDING, TD_VERSION_REJECTED},   {TD_VERSION_APPROVED, TD_VERSION_DEPRECATED},
    {TD_VERSION_DEPRECATED, TD_VERSION_RETIRED},
};

const td_states td_version_states = {
    .noun = "version",
    .names = td_registry__version_state_names,
    .arrows = state_arrows,
    .arrow_count = TD_COUNT_OF(state_arrows),
};
