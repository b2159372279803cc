/*
 * pump_sim.h: a pump station's bearings as an accelerometer sees them, made up from physics and a seed.
 *
 * Each call synthesises 0.16 s of vibration (shaft harmonics, pump vanes, impacts at the bearing's defect frequencies
 * ringing the housing's resonance, noise), and extracts eight features from it, as a device would. A station scans many
 * bearings in turn, so that consecutive observations are of different bearings; about one in three has a spall.
 *
 * Two regimes: 0 is how the station was commissioned; 1 is after a refit: a roller bearing instead of a ball bearing,
 * and drives that run faster. The feature extraction keeps looking where the first bearing's defects rang, as real ones
 * do when nobody updates the asset list: a model trained on regime 0 really loses accuracy in regime 1. The physics is
 * written up in examples/pump/README.md. Threads: a pump_sim belongs to one thread. SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_EXAMPLES_PUMP_SIM_H
#define TD_EXAMPLES_PUMP_SIM_H

#include <stdint.h>

#define PUMP_FEATURES 8
#define PUMP_SAMPLES 2048 /* a measurement at PUMP_RATE_HZ */
#define PUMP_RATE_HZ 12800.0
#define PUMP_PLANTS 2
#define PUMP_REGIMES 2

/* rms, kurtosis, crest_factor, bpfo_energy, bpfi_energy, shaft_1x, temperature, speed_rpm; columns of the CSV, in
 * order. */
extern const char *const pump_feature_names[PUMP_FEATURES];
/* "oslo", "bergen": the group of an observation. */
extern const char *const pump_plant_names[PUMP_PLANTS];

typedef struct pump_sim {
    uint64_t random[4]; /* xoshiro256** */
    unsigned plant, regime;
} pump_sim;

/* plant < PUMP_PLANTS, regime < PUMP_REGIMES (both asserted). The same arguments give the same stream. */
void pump_sim_init(pump_sim *sim, uint64_t seed, unsigned plant, unsigned regime);
/* The refit happens between two observations; the random stream goes on. */
void pump_sim_set_regime(pump_sim *sim, unsigned regime);
/* The next observation. *label_out: 1 the bearing is damaged, 0 it is sound (what an inspection would find). */
void pump_sim_next(pump_sim *sim, float features_out[PUMP_FEATURES], int *label_out);
/* The index of a plant's name, or -1. */
int pump_plant_find(const char *name);

#endif
