/*
 * bench_fleet.h: the world that the fleet's benches share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_TESTS_BENCH_FLEET_H
#define TD_TESTS_BENCH_FLEET_H

#include "access/access.h"
#include "fleet/fleet.h"
#include "lineage/lineage.h"
#include "registry/registry.h"

#define BENCH_DEVICES 200

typedef struct bench_world {
    char folder[64];
    td_db *db;
    td_content *content;
    td_uplink_keys *keys;
} bench_world;

double bench_seconds(void);
void bench_print(const char *name, double figure, const char *unit, double reference, double ratio, const char *note);
TD_MUST_USE td_code bench_content(bench_world *w, td_err *err); /* content.c; needs mosquitto */

#endif
