/*
 * fleet.h: devices, how they come in, what they are told to run, and what they say about it.
 *
 * One signed, numbered, retained directive a device states everything that it should run; a rollout is the careful
 * writing of such directives, wave by wave. The database holds goal and presence; the broker is a cache that may be
 * wiped.
 *
 *   device.h     devices: list, show, tags, revocation, the selector grammar
 *   enrol.h      one-time codes and the admission of a device
 *   rollout.h    rollouts: create, show, tick, abort, revert
 *   uplink.h     what devices send: authenticity, decoding, births, reports, settled sequences
 *   downlink.h   what goes to devices: topics, receipts, directives to publish, the server's state, content blocks
 *
 * Writing functions run on the writing connection inside the caller's transaction and append audit records and lineage.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FLEET_FLEET_H
#define TD_FLEET_FLEET_H

#include "fleet/device.h"
#include "fleet/downlink.h"
#include "fleet/enrol.h"
#include "fleet/rollout.h"
#include "fleet/uplink.h"

#endif
