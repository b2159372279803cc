/*
 * doctor_server.c: the server that runs, or does not, and its broker.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "server/doctor_internal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The process that run/pid names lives. */
static bool process_lives(const td_doctor *doctor)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    char path[4096];
    td_err ignored;
    int64_t pid = 0;
    td_doctor__path(doctor, "run/pid", path);
    if (td_file_read(path, 32, &text, &ignored) != TD_OK) {
        return false;
    }
    char digits[32];
    snprintf(digits, sizeof digits, "%.*s", (int)strcspn(td_str_text(&text), "\n"), td_str_text(&text));
    return td_parse_int(digits, "pid", 1, INT32_MAX, &pid, &ignored) == TD_OK && kill((pid_t)pid, 0) == 0;
}

static void examine_server(const td_doctor *doctor)
{
    const char *version = json_string_value(json_object_get(doctor->options->status, "version"));
    if (!version && process_lives(doctor)) {
        td_doctor__say(doctor, "server", TD_FINDING_BAD,
                       "ask as its owner or root; if it hangs: journalctl -u tidemark, then systemctl restart tidemark",
                       "a process is there but does not answer: %s", doctor->options->why);
    } else if (!version) {
        td_doctor__say(doctor, "server", TD_FINDING_WARNING,
                       "start it: systemctl start tidemark, or `tidemark serve`; what it says when it ends is why",
                       "it does not run");
    } else if (strcmp(version, TD_VERSION) != 0) {
        td_doctor__say(doctor, "versions", TD_FINDING_WARNING,
                       "restart the server if it was updated (systemctl restart tidemark), else update this program",
                       "the server is %s, this program %s", version, TD_VERSION);
    } else {
        td_doctor__say(doctor, "server", TD_FINDING_WELL, "", "%s runs and answers", version);
    }
}

/* A program by path, or by name along $PATH. */
static bool program_exists(const char *program)
{
    if (strchr(program, '/')) {
        return access(program, X_OK) == 0;
    }
    const char *folders = getenv("PATH");
    for (; folders && *folders; folders += *folders == ':') {
        char path[4096];
        size_t length = strcspn(folders, ":");
        snprintf(path, sizeof path, "%.*s/%s", (int)(length < 2048 ? length : 2048), folders, program);
        if (access(path, X_OK) == 0) {
            return true;
        }
        folders += length;
    }
    return access("/usr/sbin/mosquitto", X_OK) == 0 && strcmp(program, "mosquitto") == 0;
}

static const char *broker_advice(bool child)
{
    return child ? "install it (apt-get install mosquitto) or name it in mqtt.mosquitto; see that its port in "
                   "run/mqtt.port is free; the server's log has its last words"
                 : "see that the broker at mqtt.url runs, that mqtt.ca_file fits its certificate, and that it lets "
                   "`_server` in (docs/server.md)";
}

static void examine_connection(const td_doctor *doctor, const json_t *broker)
{
    bool child = strcmp(td_json_text(broker, "kind", "external"), "child") == 0;
    const char *why = td_json_text(broker, "child_why", td_json_text(broker, "why", "not connected yet"));
    if (json_is_true(json_object_get(broker, "connected"))) {
        td_doctor__say(doctor, "broker", TD_FINDING_WELL, "", "connected to %s", td_json_text(broker, "broker", "it"));
    } else {
        td_doctor__say(doctor, "broker", TD_FINDING_BAD, broker_advice(child), "the server is not connected: %s", why);
    }
}

static void examine_broker(const td_doctor *doctor)
{
    const json_t *broker = json_object_get(doctor->options->status, "broker");
    if (broker) {
        examine_connection(doctor, broker);
        return;
    }
    const char *url = doctor->config ? td_config_text(doctor->config, "mqtt.url") : "";
    const char *program = doctor->config ? td_config_text(doctor->config, "mqtt.mosquitto") : "mosquitto";
    if (*url) {
        td_doctor__say(doctor, "broker", TD_FINDING_WELL, "",
                       "%s; whether it can be reached is told when the server runs", url);
    } else if (!program_exists(program)) {
        td_doctor__say(doctor, "broker", TD_FINDING_BAD, broker_advice(true), "the program \"%s\" is not there",
                       program);
    } else {
        td_doctor__say(doctor, "broker", TD_FINDING_WELL, "", "%s will be the server's child", program);
    }
}

void td_doctor__running(const td_doctor *doctor)
{
    examine_server(doctor);
    examine_broker(doctor);
}
