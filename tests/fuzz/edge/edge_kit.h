/*
 * edge_kit.h: what the fuzz targets of the device core share: a simulated device that believes every signature.
 *
 * A fuzzer cannot sign, so verification says yes and the bytes behind the signatures are reached. The first byte of an
 * input says whether the rest is a whole signed message (0) or only a payload, which is then wrapped into one (else).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGE_KIT_H
#define EDGE_KIT_H

#include "tests/fault/edge/sim.h"

#define EDGE_KIT_MAX 8192 /* longer inputs are cut: the core refuses them by size alone */

sim *edge_kit_new(void); /* booted and connected */
/* The message that the input stands for, at most EDGE_KIT_MAX + 256 bytes; returns its size. */
size_t edge_kit_message(sim *s, const uint8_t *data, size_t size, const char *type, const td_key *key, uint8_t *out);
/* A few turns of the loop. */
void edge_kit_turn(sim *s, int turns);

#endif
