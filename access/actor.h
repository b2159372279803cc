/*
 * actor.h: who does something: what every change of a record is done on behalf of, and what the audit log keeps of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_ACCESS_ACTOR_H
#define TD_ACCESS_ACTOR_H
/* The type lives in audit/ because access stands above it. */
#include "audit/audit.h"
#endif
