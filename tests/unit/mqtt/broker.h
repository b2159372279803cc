/*
 * broker.h: a real Mosquitto as a child of the test, on a free port of 127.0.0.1, in a folder of its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_TESTS_UNIT_MQTT_BROKER_H
#define TD_TESTS_UNIT_MQTT_BROKER_H

#include "core/mqtt/mqtt.h"

#include <sys/types.h>

typedef struct broker {
    char folder[64]; /* mkdtemp; removed by broker_done */
    int port;
    pid_t pid;        /* 0: not running */
    char extra[2048]; /* lines added to its configuration */
} broker;

/* Makes the folder and takes a port. */
void broker_init(broker *self);
/* Starts and waits until it accepts connections; fails the test otherwise. */
void broker_start(broker *self);
/* SIGKILL, and waits for the end. */
void broker_kill(broker *self);
void broker_reload(broker *self); /* SIGHUP */
void broker_done(broker *self);
/* True if there is a mosquitto to start. */
bool broker_available(void);
/* Writes ca.pem, server.pem/.key and NAME.pem/.key for each client (NULL-terminated) into the folder, and adds the
 * lines for TLS with client certificates. A name that begins with "expired-" gets a certificate that has expired. */
void broker_with_tls(broker *self, const char *const *clients);
/* The folder's file, in static storage that the next 16 calls leave alone. */
const char *broker_path(const broker *self, const char *name);

#endif
