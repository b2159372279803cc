/*
 * fleet_fixture.h: the registry's workspace with a fleet in it: enrolled devices that obey directives the way they were
 * told to.
 *
 * A simulated device does what the device core does, in one step: reads its newest directive, checks the director's
 * signature, and sends sealed uplinks that go through td_uplink_read. Time is fixture_now_ms.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_TESTS_UNIT_FLEET_FIXTURE_H
#define TD_TESTS_UNIT_FLEET_FIXTURE_H

#include "tests/unit/registry/fixture.h"

#include "fleet/fleet.h"
#include "lineage/lineage.h"

#define FLEET_MAX 40

typedef enum behaviour {
    OBEYS,      /* installs and commits */
    FAILS,      /* tries and rolls back */
    GOES_QUIET, /* says that it has begun, then nothing */
    SLOW,       /* fetches and fetches */
    OFFLINE     /* never answers */
} behaviour;

typedef struct device {
    char name[TD_DEVICE_ID_MAX + 1];
    int64_t id;
    uint8_t key[TD_UPLINK_KEY_SIZE];
    behaviour does;
    uint64_t sequence, directive; /* of its reports; highest directive that it accepted */
    uint8_t running[TD_DIGEST_SIZE], before[TD_DIGEST_SIZE];
    bool runs, kept;
} device;

typedef struct fleet {
    fixture *f;
    td_key *ca_key;
    td_str ca_pem;
    td_uplink_keys *keys;
    td_uplink_reader *reader;
    device devices[FLEET_MAX];
    size_t count;
    int directives_seen; /* that devices took */
    td_rollout_tick_options tick;
} fleet;

int fleet_setup(void **state);
int fleet_teardown(void **state);
#define FLEET_CASE(name) cmocka_unit_test_setup_teardown(name, fleet_setup, fleet_teardown)

/* Enrols `count` devices NAME-01 … with a tag site=SITE. */
void enrol(fleet *self, const char *name, size_t count, const char *site);
void secret_of(const char *code, uint8_t out[TD_ENROL_SECRET_SIZE]);
/* One code as text; NULL tags. */
void make_code(fleet *self, const json_t *tags, int64_t ttl_ms, int64_t uses, uint8_t secret_out[TD_ENROL_SECRET_SIZE]);
/* A request for `name` with that secret, certified; the caller frees the grant. */
td_code try_enrol(fleet *self, const char *name, const uint8_t *secret, td_err *err);
device *named(fleet *self, const char *name);

void send_birth(fleet *self, device *d);
/* Sends a report and returns what is settled then. */
uint64_t send_report(fleet *self, device *d, int state, int reason, const uint8_t *digest);
/* The newest directive if the device has not seen it; its director's signature must be good and it must be for this
 * device. */
bool newest_directive(fleet *self, device *d, tidemark_Directive *out);
/* Every device that is not OFFLINE looks at its newest directive and acts. */
void devices_act(fleet *self);
/* A tick of the server, then the devices, `times` times, a second each. */
void live(fleet *self, int times);
void tick(fleet *self);

/* spec: JSON text. Returns the id in static storage. */
const char *roll_out(fleet *self, const char *spec);
json_t *show(fleet *self, const char *id); /* the caller frees it */
const char *state_of(fleet *self, const char *id);
int64_t count_of(fleet *self, const char *id, const char *part_state);
const char *part_of(fleet *self, const char *id, const char *device_name);

#endif
