/*
 * device_main.c: pump-device: the application on a pump's gateway. Runs the model that the agent keeps current on a
 * live stream of measurements, says what it saw, and says later what was true.
 *
 * The idea: the application knows a folder and a slot, nothing of servers or brokers. It loads `current`, goes on with
 * it for as long as it is current, and reports through tidemark_client.h.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/clock.h"
#include "core/base/fs.h"
#include "core/base/str.h"
#include "examples/pump/common/pump_sim.h"
#include "examples/pump/device/onnx_run.h"
#include "firmware/linux/client/tidemark_client.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define WAITING_MAX 65536 /* observations whose label has not come yet */
#define RETRY_MS 200      /* between two looks for a first model */
#define LATE_MAX_MS 2000  /* a stream that is further behind than this skips ahead */

static const char help[] = "pump-device: runs a bearing-fault model on a live stream.\n"
                           "\n"
                           "usage: pump-device --state DIR [options]\n"
                           "\n"
                           "  --state DIR        the agent's folder\n"
                           "  --slot NAME        default pump\n"
                           "  --plant NAME       oslo or bergen; default oslo\n"
                           "  --seed N           of the stream; default 1\n"
                           "  --rate N           observations a second, 1 to 1000; default 10\n"
                           "  --label-delay TIME until an inspection says what was true; default\n"
                           "                     1s; 0: never\n"
                           "  --threshold P      at this score a bearing is called damaged; 0.5\n"
                           "  --regime N         0: as commissioned, 1: after the refit; default 0\n"
                           "  --refit-after TIME the refit happens then; SIGUSR1: it happens now\n"
                           "  --report TIME      between two lines about accuracy; default 5s\n"
                           "  --count N          stop after N observations\n"
                           "  --json             one JSON object a line\n";

typedef struct late_label {
    uint64_t id;
    int64_t due_ms;
    int label;
} late_label;

typedef struct device_run {
    const char *state, *slot, *plant;
    int64_t seed, rate, label_delay_ms, refit_after_ms, report_ms, count, regime;
    double threshold;
    bool json;

    tm_client *client;
    pump_onnx *model;
    pump_sim sim;
    int signal_fd;
    bool stop, said_waiting;
    uint64_t next_id, observed, labelled;
    uint64_t correct_all, seen, correct; /* seen and correct: since the last report */
    late_label *labels;
    size_t first_label, label_count;
} device_run;

static void device_done(device_run *device)
{
    pump_onnx_free(&device->model);
    tm_close(device->client);
    td_close_fd(&device->signal_fd);
    free(device->labels);
}

static int64_t now_ms(void)
{
    return td_clock_system.monotonic_ms(&td_clock_system);
}

/* ---- Arguments ----------------------------------------------------------------------------------------------------
 */

static td_code set_option(device_run *device, const char *name, const char *value, td_err *err)
{
    const struct {
        const char *name;
        const char **text;
        int64_t *number, minimum, maximum;
        int64_t *duration;
    } options[] = {
        {.name = "--state", .text = &device->state},
        {.name = "--slot", .text = &device->slot},
        {.name = "--plant", .text = &device->plant},
        {.name = "--seed", .number = &device->seed, .minimum = 0, .maximum = INT64_MAX},
        {.name = "--rate", .number = &device->rate, .minimum = 1, .maximum = 1000},
        {.name = "--regime", .number = &device->regime, .minimum = 0, .maximum = PUMP_REGIMES - 1},
        {.name = "--count", .number = &device->count, .minimum = 1, .maximum = INT64_MAX},
        {.name = "--label-delay", .duration = &device->label_delay_ms},
        {.name = "--refit-after", .duration = &device->refit_after_ms},
        {.name = "--report", .duration = &device->report_ms},
    };
    if (strcmp(name, "--threshold") == 0) {
        return td_parse_double(value, name, &device->threshold, err);
    }
    for (size_t i = 0; i < TD_COUNT_OF(options); i++) {
        if (strcmp(name, options[i].name) != 0) {
            continue;
        }
        if (options[i].text != NULL) {
            *options[i].text = value;
            return TD_OK;
        }
        return options[i].number != NULL
                   ? td_parse_int(value, name, options[i].minimum, options[i].maximum, options[i].number, err)
                   : td_parse_duration(value, options[i].duration, err);
    }
    return td_fail(err, TD_INVALID, "unknown option %s (pump-device --help)", name);
}

static td_code parse_arguments(device_run *device, char **argv, td_err *err)
{
    for (char **at = argv; *at != NULL; at++) {
        if (strcmp(*at, "--json") == 0) {
            device->json = true;
        } else if (at[1] == NULL) {
            return td_fail(err, TD_INVALID, "%s needs a value (pump-device --help)", *at);
        } else {
            TD_TRY(set_option(device, at[0], at[1], err));
            at++;
        }
    }
    if (device->state == NULL) {
        return td_fail(err, TD_INVALID, "--state DIR is missing: the folder of the agent beside this application");
    }
    if (pump_plant_find(device->plant) < 0) {
        return td_fail(err, TD_INVALID, "--plant %s: expected %s or %s", device->plant, pump_plant_names[0],
                       pump_plant_names[1]);
    }
    return TD_OK;
}

/* ---- The model ----------------------------------------------------------------------------------------------------
 */

static void say(const device_run *device, const char *event, const char *text)
{
    if (device->json) {
        printf("{\"event\":\"%s\",\"model\":\"%s\",\"observations\":%" PRIu64 ",\"regime\":%u}\n", event,
               tm_model_digest(device->client), device->observed, device->sim.regime);
    } else {
        printf("%s: %s\n", event, text);
    }
    fflush(stdout);
}

/* Loads what is current now. A model that this runner lacks operators for is said once and counted as failed
 * inferences, so that the agent's probation sees it and goes back. */
static void load_model(device_run *device)
{
    td_err err;
    char path[TM_PATH_MAX];
    pump_onnx *fresh = NULL;
    int found = tm_model_path(device->client, NULL, path, sizeof path);
    if (found != TM_OK) {
        if (!device->said_waiting) {
            say(device, "waiting",
                found == TM_NO_MODEL ? "no model is installed yet" : "the model's file cannot be told");
            device->said_waiting = true;
        }
        return;
    }
    td_code code = pump_onnx_open(path, &fresh, &err);
    if (code == TD_OK && (pump_onnx_inputs(fresh) != PUMP_FEATURES || pump_onnx_outputs(fresh) != 1)) {
        code = td_fail(&err, TD_INVALID, "%s: %zu inputs and %zu outputs, expected %d and 1", path,
                       pump_onnx_inputs(fresh), pump_onnx_outputs(fresh), PUMP_FEATURES);
        pump_onnx_free(&fresh);
    }
    pump_onnx_free(&device->model);
    device->model = fresh;
    if (code != TD_OK) {
        fprintf(stderr, "pump-device: %s\n", err.text);
        say(device, "refused", "the model cannot be run here");
        return;
    }
    device->said_waiting = false;
    say(device, "model", path);
}

/* ---- The stream ---------------------------------------------------------------------------------------------------
 */

static void remember_label(device_run *device, uint64_t id, int label, int64_t now)
{
    if (device->label_delay_ms == 0 || device->label_count == WAITING_MAX) {
        return;
    }
    device->labels[(device->first_label + device->label_count) % WAITING_MAX] =
        (late_label){.id = id, .due_ms = now + device->label_delay_ms, .label = label};
    device->label_count++;
}

static void give_labels(device_run *device, int64_t now)
{
    while (device->label_count > 0 && device->labels[device->first_label].due_ms <= now) {
        const late_label *label = &device->labels[device->first_label];
        (void)tm_label_text(device->client, label->id, label->label != 0 ? "1" : "0");
        device->first_label = (device->first_label + 1) % WAITING_MAX;
        device->label_count--;
        device->labelled++;
    }
}

static uint32_t microseconds_since(const struct timespec *start)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    int64_t spent = (end.tv_sec - start->tv_sec) * INT64_C(1000000) + (end.tv_nsec - start->tv_nsec) / 1000;
    return spent < 1 ? 1 : spent > UINT32_MAX ? UINT32_MAX : (uint32_t)spent;
}

static void observe(device_run *device)
{
    float features[PUMP_FEATURES], score;
    int label;
    struct timespec start;
    pump_sim_next(&device->sim, features, &label);
    if (device->model == NULL) {
        (void)tm_error(device->client, 1);
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &start);
    pump_onnx_run(device->model, features, &score);
    int predicted = score >= (float)device->threshold;
    const tm_text class = {.feature = TM_IS_PREDICTION, .text = predicted != 0 ? "1" : "0"};
    const tm_observation observation = {.features = features,
                                        .feature_count = PUMP_FEATURES,
                                        .prediction = (float)predicted,
                                        .score = score,
                                        .group = device->plant,
                                        .id = ++device->next_id,
                                        .latency_us = microseconds_since(&start),
                                        .texts = &class,
                                        .text_count = 1};
    (void)tm_observe(device->client, &observation);
    remember_label(device, device->next_id, label, now_ms());
    device->observed++;
    device->seen++;
    device->correct += predicted == label;
    device->correct_all += predicted == label;
}

static void report(device_run *device)
{
    double recent = device->seen > 0 ? (double)device->correct / (double)device->seen : 0;
    double all = device->observed > 0 ? (double)device->correct_all / (double)device->observed : 0;
    if (device->json) {
        printf("{\"event\":\"report\",\"model\":\"%s\",\"observations\":%" PRIu64 ",\"recent\":%" PRIu64
               ",\"accuracy\":%.4f,\"accuracy_all\":%.4f,\"labels\":%" PRIu64 ",\"dropped\":%" PRIu64
               ",\"regime\":%u}\n",
               tm_model_digest(device->client), device->observed, device->seen, recent, all, device->labelled,
               tm_dropped(device->client), device->sim.regime);
    } else {
        printf("%" PRIu64 " observations, accuracy %.3f of the last %" PRIu64 " (%.3f of all), %" PRIu64
               " labels, %" PRIu64 " dropped\n",
               device->observed, recent, device->seen, all, device->labelled, tm_dropped(device->client));
    }
    fflush(stdout);
    device->seen = device->correct = 0;
}

static void refit(device_run *device)
{
    if (device->sim.regime != 1) {
        pump_sim_set_regime(&device->sim, 1);
        say(device, "refit", "new bearings, faster drives");
    }
}

static void take_signal(device_run *device)
{
    struct signalfd_siginfo info;
    while (read(device->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGUSR1) {
            refit(device);
        } else {
            device->stop = true;
        }
    }
}

/* Waits for a signal or for `until`. */
static void wait_until(device_run *device, int64_t until)
{
    struct pollfd fd = {.fd = device->signal_fd, .events = POLLIN};
    int64_t left = until - now_ms();
    if (poll(&fd, 1, left > 0 ? (int)left : 0) > 0) {
        take_signal(device);
    }
}

static void run(device_run *device)
{
    int64_t start = now_ms(), due = start, next_report = start + device->report_ms;
    int64_t sent = 0; /* observations since `start` of this stretch */
    while (!device->stop && (device->count == 0 || device->observed < (uint64_t)device->count)) {
        if (tm_model_changed(device->client) || tm_model_digest(device->client)[0] == 0) {
            load_model(device);
        }
        int64_t now = now_ms();
        bool ready = tm_model_digest(device->client)[0] != 0;
        if (ready) {
            observe(device);
            give_labels(device, now);
        } else {
            (void)tm_attach(device->client);
        }
        if (device->refit_after_ms > 0 && now - start >= device->refit_after_ms) {
            refit(device);
            device->refit_after_ms = 0;
        }
        if (now >= next_report) {
            report(device);
            next_report = now + device->report_ms;
        }
        sent++;
        due = ready ? due + (sent * 1000 / device->rate - (sent - 1) * 1000 / device->rate) : now + RETRY_MS;
        due = now - due > LATE_MAX_MS ? now : due;
        wait_until(device, due);
    }
    report(device);
}

static td_code start(device_run *device, td_err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    device->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    device->labels = calloc(WAITING_MAX, sizeof *device->labels);
    if (device->signal_fd < 0 || device->labels == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for the labels that wait");
    }
    if (tm_open(device->state, device->slot, &device->client) != TM_OK) {
        return td_fail(err, TD_INVALID, "--state %s --slot %s: not a folder and slot that an agent could have",
                       device->state, device->slot);
    }
    device->next_id = (uint64_t)td_now_ms(&td_clock_system) << 16; /* apart from those of an earlier process */
    pump_sim_init(&device->sim, (uint64_t)device->seed, (unsigned)pump_plant_find(device->plant),
                  (unsigned)device->regime);
    return TD_OK;
}

int main(int argc, char **argv)
{
    td_err err = {0};
    TD_CLEANUP(device_done)
    device_run device = {.slot = "pump",
                         .plant = "oslo",
                         .seed = 1,
                         .rate = 10,
                         .label_delay_ms = 1000,
                         .report_ms = 5000,
                         .threshold = 0.5,
                         .signal_fd = -1};
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        fputs(help, argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    td_code code = parse_arguments(&device, argv + 1, &err);
    if (code == TD_OK) {
        code = start(&device, &err);
    }
    if (code != TD_OK) {
        fprintf(stderr, "pump-device: %s\n", err.text);
        return td_code_lookup(code)->exit_code;
    }
    run(&device);
    return 0;
}
