/*
 * pump_sim.c: one observation = draw the bearing's condition, synthesise the vibration, extract the features.
 *
 * Sources: defect frequencies of a rolling bearing with n elements, ratio r = d/D of element to pitch diameter and
 * contact angle 0: BPFO = n/2·(1 − r)·f, BPFI = n/2·(1 + r)·f, f the shaft's frequency. A spall strikes once a passage
 * and rings the housing's resonance; on the inner race it wanders through the load zone once a turn, which modulates it
 * (R. B. Randall, "Vibration-based Condition Monitoring", 2nd ed., ch. 2 and 5). The envelope's line at the defect
 * frequency is what analysts look at; kurtosis and crest factor are what is left when nobody knows the bearing.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "examples/pump/common/pump_sim.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#define TWO_PI 6.283185307179586
#define DAMAGED_SHARE 0.35
#define VANES 6
#define RING_SAMPLES 96
#define SLIP 0.01 /* rolling elements slip: each strike is up to 1 % early or late */

const char *const pump_feature_names[PUMP_FEATURES] = {"rms",         "kurtosis", "crest_factor", "bpfo_energy",
                                                       "bpfi_energy", "shaft_1x", "temperature",  "speed_rpm"};
const char *const pump_plant_names[PUMP_PLANTS] = {"oslo", "bergen"};

typedef struct bearing {
    int elements;
    double ratio;
} bearing;

static const struct regime {
    bearing fitted;          /* what is really in the pump */
    double rpm_min, rpm_max; /* what the drive does */
    double resonance_hz;     /* of the housing with this bearing */
    double noise;            /* m/s², at 1,500 rpm */
    double strike;           /* typical strength of a strike, m/s² */
    double warm_celsius;     /* friction of a sound bearing above that of the ball bearing */
} regimes[PUMP_REGIMES] = {
    {{8, 0.26}, 1320, 1500, 3300, 0.50, 3.0, 0.0},  /* deep-groove ball bearing, mains-like speed */
    {{14, 0.19}, 1620, 1920, 2700, 0.55, 3.4, 5.0}, /* cylindrical roller bearing, faster drive */
};

static const struct plant {
    double load_mean, load_spread; /* share of the pump's rated flow */
    double ambient_celsius;
    double noise; /* the building's */
} plants[PUMP_PLANTS] = {{0.70, 0.10, 18, 1.0}, {0.78, 0.12, 13, 1.08}};

static uint64_t rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

/* xoshiro256** 1.0, D. Blackman and S. Vigna, public domain. */
static uint64_t next_bits(pump_sim *sim)
{
    uint64_t *s = sim->random;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

static double uniform(pump_sim *sim, double low, double high)
{
    return low + (high - low) * (double)(next_bits(sim) >> 11) * 0x1.0p-53;
}

/* Box and Muller; the second deviate is dropped. */
static double normal(pump_sim *sim)
{
    double u = 1.0 - uniform(sim, 0, 1);
    double v = uniform(sim, 0, TWO_PI);
    return sqrt(-2.0 * log(u)) * cos(v);
}

/* Sum of four 16-bit uniforms: close to normal (kurtosis 2.7), and 2,048 of them are cheap. Mean 0, variance 1. */
static double near_normal(pump_sim *sim)
{
    uint64_t bits = next_bits(sim);
    int64_t sum = (int64_t)(bits & 0xFFFF) + (int64_t)((bits >> 16) & 0xFFFF) + (int64_t)((bits >> 32) & 0xFFFF) +
                  (int64_t)(bits >> 48);
    return ((double)sum - 131070.0) / 37837.2;
}

void pump_sim_set_regime(pump_sim *sim, unsigned regime)
{
    assert(regime < PUMP_REGIMES);
    sim->regime = regime;
}

void pump_sim_init(pump_sim *sim, uint64_t seed, unsigned plant, unsigned regime)
{
    assert(plant < PUMP_PLANTS && regime < PUMP_REGIMES);
    *sim = (pump_sim){.plant = plant, .regime = regime};
    uint64_t state = seed * 31 + plant;
    for (int i = 0; i < 4; i++) { /* splitmix64, as the authors of xoshiro advise */
        state += UINT64_C(0x9E3779B97F4A7C15);
        uint64_t z = state;
        z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
        sim->random[i] = z ^ (z >> 31);
    }
}

int pump_plant_find(const char *name)
{
    for (int i = 0; i < PUMP_PLANTS; i++) {
        if (strcmp(name, pump_plant_names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static double outer_order(bearing b)
{
    return 0.5 * b.elements * (1.0 - b.ratio);
}

static double inner_order(bearing b)
{
    return 0.5 * b.elements * (1.0 + b.ratio);
}

/* signal += amplitude · sin(2π f t + phase), by the two-term recurrence of a sine. */
static void add_tone(double *signal, double hz, double amplitude, double phase)
{
    double w = TWO_PI * hz / PUMP_RATE_HZ;
    double factor = 2.0 * cos(w);
    double before = amplitude * sin(phase - w);
    double now = amplitude * sin(phase);
    for (int i = 0; i < PUMP_SAMPLES; i++) {
        signal[i] += now;
        double next = factor * now - before;
        before = now;
        now = next;
    }
}

/* One strike: the housing rings, decaying by e about every 14 samples. */
static void add_strike(double *signal, double at, double amplitude, double resonance_hz)
{
    int first = (int)ceil(at);
    double w = TWO_PI * resonance_hz / PUMP_RATE_HZ;
    for (int i = first; i < first + RING_SAMPLES && i < PUMP_SAMPLES; i++) {
        if (i >= 0) {
            double age = i - at;
            signal[i] += amplitude * exp(-age / 14.0) * sin(w * age);
        }
    }
}

static void add_spall(pump_sim *sim, double *signal, double shaft_hz, double load)
{
    const struct regime *regime = &regimes[sim->regime];
    bool inner = uniform(sim, 0, 1) < 0.5;
    double order = inner ? inner_order(regime->fitted) : outer_order(regime->fitted);
    double period = PUMP_RATE_HZ / (order * shaft_hz);
    double size = exp(0.42 * normal(sim)); /* spalls differ */
    double strength = regime->strike * size * (0.6 + 0.5 * load) * (shaft_hz / 25.0);
    double turn = uniform(sim, 0, TWO_PI);
    for (double at = uniform(sim, -period, 0); at < PUMP_SAMPLES; at += period * (1.0 + uniform(sim, -SLIP, SLIP))) {
        double zone = inner ? 0.35 + 0.65 * fmax(0, cos(TWO_PI * shaft_hz * at / PUMP_RATE_HZ + turn)) : 1.0;
        add_strike(signal, at, strength * zone * uniform(sim, 0.75, 1.25), regime->resonance_hz);
    }
}

static void synthesise(pump_sim *sim, double *signal, double shaft_hz, double load, bool damaged)
{
    const struct regime *regime = &regimes[sim->regime];
    double speed = shaft_hz / 25.0;
    double noise = regime->noise * plants[sim->plant].noise * speed * exp(0.18 * normal(sim));
    for (int i = 0; i < PUMP_SAMPLES; i++) {
        signal[i] = noise * near_normal(sim);
    }
    double imbalance = 0.55 * speed * speed * exp(0.25 * normal(sim)); /* grows with the square of speed */
    add_tone(signal, shaft_hz, imbalance, uniform(sim, 0, TWO_PI));
    add_tone(signal, 2 * shaft_hz, 0.35 * imbalance, uniform(sim, 0, TWO_PI));
    add_tone(signal, VANES * shaft_hz, 0.6 * load * speed, uniform(sim, 0, TWO_PI));
    /* now and then cavitation or a passing lorry: strikes without a period, also on sound bearings */
    for (int knocks = uniform(sim, 0, 1) < 0.08 ? 3 : 0; knocks > 0; knocks--) {
        add_strike(signal, uniform(sim, 0, PUMP_SAMPLES), uniform(sim, 2, 5), regime->resonance_hz);
    }
    if (damaged) {
        add_spall(sim, signal, shaft_hz, load);
    }
}

/* Amplitude of the line at hz (Goertzel), of data with its mean removed. */
static double line_at(const double *data, double mean, double hz)
{
    double factor = 2.0 * cos(TWO_PI * hz / PUMP_RATE_HZ);
    double s1 = 0, s2 = 0;
    for (int i = 0; i < PUMP_SAMPLES; i++) {
        double s0 = data[i] - mean + factor * s1 - s2;
        s2 = s1;
        s1 = s0;
    }
    double power = s1 * s1 + s2 * s2 - factor * s1 * s2;
    return 2.0 / PUMP_SAMPLES * sqrt(fmax(power, 0));
}

/* rms, kurtosis, crest factor: the shape of the signal itself. */
static void extract_shape(const double *signal, float *out)
{
    double mean = 0, m2 = 0, m4 = 0, peak = 0;
    for (int i = 0; i < PUMP_SAMPLES; i++) {
        mean += signal[i] / PUMP_SAMPLES;
    }
    for (int i = 0; i < PUMP_SAMPLES; i++) {
        double d = signal[i] - mean;
        m2 += d * d / PUMP_SAMPLES;
        m4 += d * d * d * d / PUMP_SAMPLES;
        peak = fmax(peak, fabs(d));
    }
    out[0] = (float)sqrt(m2);
    out[1] = (float)(m4 / (m2 * m2));
    out[2] = (float)(peak / sqrt(m2));
}

/* Lines of the envelope at the defect frequencies of the bearing that was fitted at commissioning, relative to the
 * envelope's mean: high-pass by difference, rectify. */
static void extract_envelope(const double *signal, double shaft_hz, float *out)
{
    double envelope[PUMP_SAMPLES];
    double mean = 0;
    envelope[0] = 0;
    for (int i = 1; i < PUMP_SAMPLES; i++) {
        envelope[i] = fabs(signal[i] - signal[i - 1]);
        mean += envelope[i] / PUMP_SAMPLES;
    }
    bearing expected = regimes[0].fitted;
    double outer = outer_order(expected) * shaft_hz;
    double inner = inner_order(expected) * shaft_hz;
    out[3] = (float)((line_at(envelope, mean, outer) + line_at(envelope, mean, 2 * outer)) / mean);
    out[4] = (float)((line_at(envelope, mean, inner) + line_at(envelope, mean, 2 * inner)) / mean);
}

void pump_sim_next(pump_sim *sim, float features_out[PUMP_FEATURES], int *label_out)
{
    const struct regime *regime = &regimes[sim->regime];
    const struct plant *plant = &plants[sim->plant];
    double signal[PUMP_SAMPLES];
    bool damaged = uniform(sim, 0, 1) < DAMAGED_SHARE;
    double rpm = uniform(sim, regime->rpm_min, regime->rpm_max);
    double load = fmin(1.2, fmax(0.2, plant->load_mean + plant->load_spread * normal(sim)));
    synthesise(sim, signal, rpm / 60.0, load, damaged);
    extract_shape(signal, features_out);
    extract_envelope(signal, rpm / 60.0, features_out);
    features_out[5] = (float)line_at(signal, 0, rpm / 60.0);
    double warm = plant->ambient_celsius + 14.0 + 18.0 * load + 6.0 * rpm / 1500.0 + regime->warm_celsius;
    features_out[6] = (float)(warm + (damaged ? uniform(sim, 0, 5) : 0) + 1.5 * normal(sim));
    features_out[7] = (float)(rpm + 2.0 * normal(sim));
    *label_out = damaged ? 1 : 0;
}
