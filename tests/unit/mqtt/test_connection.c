/*
 * test_connection.c: the connection against a real Mosquitto: it comes up, comes back, keeps its promises, says why
 * not.
 *
 * Every wait is for an event that a callback signals; a minute without it fails the test.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/mqtt/broker.h"

#include "core/base/fs.h"
#include "core/crypto/crypto.h"

#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define PATIENCE_S 60

typedef struct seen {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int connected, disconnected, messages, done_ok, done_failed, retained;
    size_t bytes;
    char topic[256], payload[256];
    td_err why;
} seen;

static void seen_init(seen *self)
{
    memset(self, 0, sizeof *self);
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->changed, NULL);
}

static void note(seen *self, int *counter)
{
    pthread_mutex_lock(&self->mutex);
    (*counter)++;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}

static void wait_for(seen *self, const int *counter, int at_least)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    int late = 0;
    pthread_mutex_lock(&self->mutex);
    while (*counter < at_least && late == 0) {
        late = pthread_cond_timedwait(&self->changed, &self->mutex, &until);
    }
    pthread_mutex_unlock(&self->mutex);
    assert_int_equal(late, 0);
}

static void on_connected(void *context, bool present)
{
    (void)present;
    seen *self = context;
    note(self, &self->connected);
}

static void on_disconnected(void *context, const td_err *why)
{
    seen *self = context;
    pthread_mutex_lock(&self->mutex);
    self->why = *why;
    pthread_mutex_unlock(&self->mutex);
    note(self, &self->disconnected);
}

static void on_message(void *context, const td_mqtt_message *message)
{
    seen *self = context;
    pthread_mutex_lock(&self->mutex);
    snprintf(self->topic, sizeof self->topic, "%s", message->topic);
    snprintf(self->payload, sizeof self->payload, "%.*s", (int)(message->size < 255 ? message->size : 255),
             (const char *)message->payload);
    self->bytes += message->size;
    self->retained += message->retained;
    pthread_mutex_unlock(&self->mutex);
    note(self, &self->messages);
}

static void on_done(void *context, td_code code, const td_err *err)
{
    seen *self = context;
    assert_true((code == TD_OK) == (err == NULL));
    note(self, code == TD_OK ? &self->done_ok : &self->done_failed);
}

static td_mqtt_options options_for(const broker *b, seen *s, const char *id)
{
    td_mqtt_options options = {.host = "127.0.0.1",
                               .port = b->port,
                               .client_id = id,
                               .clean_start = true,
                               .backoff_min_ms = 20,
                               .backoff_max_ms = 200,
                               .context = s,
                               .connected = on_connected,
                               .disconnected = on_disconnected,
                               .message = on_message};
    return options;
}

static td_mqtt *start(const td_mqtt_options *options)
{
    td_err err;
    td_mqtt *mqtt = NULL;
    td_code code = td_mqtt_start(options, &mqtt, &err);
    if (code != TD_OK) {
        fail_msg("%s", err.text);
    }
    return mqtt;
}

static td_code publish(td_mqtt *mqtt, seen *s, const char *topic, const char *text, bool retain)
{
    td_err err;
    td_mqtt_publication publication = {.topic = topic,
                                       .payload = text,
                                       .size = strlen(text),
                                       .qos = 1,
                                       .retain = retain,
                                       .done = on_done,
                                       .done_context = s};
    return td_mqtt_publish(mqtt, &publication, &err);
}

static void mqtt__delivers_messages_and_tells_when(void **state)
{
    broker *b = *state;
    seen s;
    seen_init(&s);
    td_mqtt_subscription subscriptions[] = {{"a/+/x", 1}, {"b/#", 0}, {NULL, 0}};
    td_mqtt_options options = options_for(b, &s, "one");
    options.subscriptions = subscriptions;
    td_mqtt *mqtt = start(&options);
    wait_for(&s, &s.connected, 1);
    assert_true(td_mqtt_connected(mqtt));
    assert_int_equal(publish(mqtt, &s, "a/1/x", "hello", false), TD_OK);
    assert_int_equal(publish(mqtt, &s, "c", "not subscribed", false), TD_OK);
    wait_for(&s, &s.messages, 1);
    wait_for(&s, &s.done_ok, 2);
    assert_string_equal(s.topic, "a/1/x");
    assert_string_equal(s.payload, "hello");
    assert_int_equal(td_mqtt_inflight(mqtt), 0);
    td_err err;
    assert_int_equal(td_mqtt_subscribe(mqtt, "late", 1, &err), TD_OK);
    assert_int_equal(publish(mqtt, &s, "late", "too", false), TD_OK);
    wait_for(&s, &s.messages, 2);
    td_mqtt_stop(mqtt, 1000);
    assert_int_equal(s.disconnected, 0); /* our own stop is no loss */
}

static void mqtt__comes_back_and_subscribes_again(void **state)
{
    broker *b = *state;
    seen s;
    seen_init(&s);
    td_mqtt_subscription subscriptions[] = {{"again", 1}, {NULL, 0}};
    td_mqtt_options options = options_for(b, &s, "two");
    options.subscriptions = subscriptions;
    td_mqtt *mqtt = start(&options);
    wait_for(&s, &s.connected, 1);
    broker_kill(b);
    wait_for(&s, &s.disconnected, 1);
    assert_non_null(strstr(s.why.text, "127.0.0.1"));
    assert_int_equal(publish(mqtt, &s, "again", "lost", false), TD_BUSY);
    wait_for(&s, &s.disconnected, 3); /* it keeps trying while nobody listens */
    assert_int_equal(s.why.code, TD_IO);
    assert_non_null(strstr(s.why.text, "unreachable"));
    broker_start(b);
    wait_for(&s, &s.connected, 2);
    assert_int_equal(publish(mqtt, &s, "again", "found", false), TD_OK);
    wait_for(&s, &s.messages, 1);
    assert_string_equal(s.payload, "found");
    td_mqtt_stop(mqtt, 1000);
}

static void mqtt__start_does_not_need_a_broker(void **state)
{
    broker *b = *state;
    seen s;
    seen_init(&s);
    broker_kill(b);
    td_mqtt_options options = options_for(b, &s, "three");
    td_mqtt *mqtt = start(&options);
    wait_for(&s, &s.disconnected, 2);
    td_err err;
    assert_int_equal(td_mqtt_wait(mqtt, 10, &err), TD_IO);
    assert_non_null(strstr(err.text, "127.0.0.1"));
    broker_start(b);
    assert_int_equal(td_mqtt_wait(mqtt, PATIENCE_S * 1000, &err), TD_OK);
    td_mqtt_stop(mqtt, 0);
}

static void mqtt__refuses_more_than_its_bound(void **state)
{
    broker *b = *state;
    seen s;
    seen_init(&s);
    td_mqtt_options options = options_for(b, &s, "four");
    options.inflight_max = 8;
    td_mqtt *mqtt = start(&options);
    wait_for(&s, &s.connected, 1);
    int sent = 0, busy = 0;
    for (int i = 0; i < 200; i++) {
        td_code code = publish(mqtt, &s, "flood", "x", false);
        assert_true(code == TD_OK || code == TD_BUSY);
        assert_true(td_mqtt_inflight(mqtt) <= 8);
        *(code == TD_OK ? &sent : &busy) += 1;
    }
    assert_true(busy > 0);
    wait_for(&s, &s.done_ok, sent);
    assert_int_equal(publish(mqtt, &s, "flood", "room again", false), TD_OK);
    td_mqtt_stop(mqtt, 1000);
    assert_int_equal(s.done_ok + s.done_failed, sent + 1); /* each message's fate is told, once */
}

typedef struct ordered {
    seen *seen;
    int next, wrong;
} ordered;

static void on_ordered(void *context, const td_mqtt_message *message)
{
    ordered *self = context;
    self->wrong += strtol((const char *)message->payload, NULL, 10) != self->next;
    self->next++;
    note(self->seen, &self->seen->messages);
}

/* Paho alone would hand out a window a second: 1,000 messages in windows of 4 would take four minutes. */
static void mqtt__a_full_window_neither_stalls_nor_reorders(void **state)
{
    broker *b = *state;
    seen s, receiver;
    seen_init(&s);
    seen_init(&receiver);
    ordered order = {.seen = &receiver};
    td_mqtt_subscription subscriptions[] = {{"many", 1}, {NULL, 0}};
    td_mqtt_options listen = options_for(b, &receiver, "receiver"), talk = options_for(b, &s, "sender");
    listen.subscriptions = subscriptions;
    listen.context = &order;
    listen.connected = NULL;
    listen.disconnected = NULL;
    listen.message = on_ordered;
    talk.window = 4;
    td_err err;
    td_mqtt *r = start(&listen), *mqtt = start(&talk);
    assert_int_equal(td_mqtt_wait(r, PATIENCE_S * 1000, &err), TD_OK);
    wait_for(&s, &s.connected, 1);
    for (int i = 0; i < 1000; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d\n", i);
        assert_int_equal(publish(mqtt, &s, "many", text, false), TD_OK);
    }
    wait_for(&receiver, &receiver.messages, 1000);
    assert_int_equal(order.wrong, 0);
    td_mqtt_stop(mqtt, 1000);
    td_mqtt_stop(r, 0);
}

static void mqtt__tells_the_fate_of_what_was_under_way_when_the_broker_died(void **state)
{
    broker *b = *state;
    seen s;
    seen_init(&s);
    td_mqtt_options options = options_for(b, &s, "five");
    td_mqtt *mqtt = start(&options);
    wait_for(&s, &s.connected, 1);
    int sent = 0;
    for (int i = 0; i < 500; i++) {
        sent += publish(mqtt, &s, "x", "y", false) == TD_OK;
        if (i == 250) {
            broker_kill(b);
        }
    }
    td_mqtt_stop(mqtt, 0);
    assert_int_equal(s.done_ok + s.done_failed, sent);
    broker_start(b);
}

static void mqtt__will_is_sent_by_abandon_and_not_by_stop(void **state)
{
    broker *b = *state;
    seen watcher, s;
    seen_init(&watcher);
    seen_init(&s);
    td_mqtt_subscription subscriptions[] = {{"will/#", 1}, {NULL, 0}};
    td_mqtt_options watch = options_for(b, &watcher, "watcher");
    watch.subscriptions = subscriptions;
    td_mqtt *w = start(&watch);
    wait_for(&watcher, &watcher.connected, 1);
    td_mqtt_options options = options_for(b, &s, "mortal");
    options.will_topic = "will/mortal";
    options.will_payload = "gone";
    options.will_size = 4;
    td_mqtt *mqtt = start(&options);
    wait_for(&s, &s.connected, 1);
    td_mqtt_stop(mqtt, 0);
    mqtt = start(&options);
    wait_for(&s, &s.connected, 2);
    assert_int_equal(publish(mqtt, &s, "will/marker", "alive", false), TD_OK);
    wait_for(&watcher, &watcher.messages, 1);
    assert_string_equal(watcher.payload, "alive"); /* so the stop before sent no will */
    td_mqtt_abandon(mqtt);
    wait_for(&watcher, &watcher.messages, 2);
    assert_string_equal(watcher.topic, "will/mortal");
    assert_string_equal(watcher.payload, "gone");
    td_mqtt_stop(w, 0);
}

static void mqtt__retained_messages_are_marked(void **state)
{
    broker *b = *state;
    seen s;
    seen_init(&s);
    td_mqtt_options options = options_for(b, &s, "six");
    td_mqtt *mqtt = start(&options);
    wait_for(&s, &s.connected, 1);
    td_err err;
    td_mqtt_publication publication = {.topic = "keep",
                                       .payload = "kept",
                                       .size = 4,
                                       .qos = 1,
                                       .retain = true,
                                       .expiry_s = 600,
                                       .done = on_done,
                                       .done_context = &s};
    assert_int_equal(td_mqtt_publish(mqtt, &publication, &err), TD_OK);
    wait_for(&s, &s.done_ok, 1);
    assert_int_equal(td_mqtt_subscribe(mqtt, "keep", 1, &err), TD_OK);
    wait_for(&s, &s.messages, 1);
    assert_int_equal(s.retained, 1);
    td_mqtt_stop(mqtt, 0);
}

static void mqtt__session_keeps_messages_while_away(void **state)
{
    broker *b = *state;
    seen s, other;
    seen_init(&s);
    seen_init(&other);
    td_mqtt_subscription subscriptions[] = {{"queued", 1}, {NULL, 0}};
    td_mqtt_options options = options_for(b, &s, "sleeper");
    options.subscriptions = subscriptions;
    options.session_expiry_s = 3600;
    td_mqtt *mqtt = start(&options);
    wait_for(&s, &s.connected, 1);
    td_mqtt_stop(mqtt, 0);
    td_mqtt_options talk = options_for(b, &other, "talker");
    td_mqtt *talker = start(&talk);
    wait_for(&other, &other.connected, 1);
    assert_int_equal(publish(talker, &other, "queued", "while you slept", false), TD_OK);
    wait_for(&other, &other.done_ok, 1);
    options.clean_start = false;
    mqtt = start(&options);
    wait_for(&s, &s.messages, 1);
    assert_string_equal(s.payload, "while you slept");
    td_mqtt_stop(mqtt, 0);
    td_mqtt_stop(talker, 0);
}

static void mqtt__obeys_the_brokers_packet_limit(void **state)
{
    (void)state;
    broker b;
    broker_init(&b);
    snprintf(b.extra, sizeof b.extra, "max_packet_size 2000\n");
    broker_start(&b);
    seen s;
    seen_init(&s);
    td_mqtt_options options = options_for(&b, &s, "seven");
    td_mqtt *mqtt = start(&options);
    wait_for(&s, &s.connected, 1);
    size_t most = td_mqtt_payload_max(mqtt, "t");
    assert_true(most > 1900 && most < 2000);
    char payload[2000] = {0};
    td_err err;
    td_mqtt_publication publication = {
        .topic = "t", .payload = payload, .size = most + 1, .qos = 1, .done = on_done, .done_context = &s};
    assert_int_equal(td_mqtt_publish(mqtt, &publication, &err), TD_LIMIT);
    publication.size = most;
    publication.retain = true;
    publication.expiry_s = 60;
    assert_int_equal(td_mqtt_publish(mqtt, &publication, &err), TD_OK);
    wait_for(&s, &s.done_ok, 1);
    assert_int_equal(s.disconnected, 0);
    td_mqtt_stop(mqtt, 0);
    broker_done(&b);
}

static void try_tls(broker *b, const char *name, const char *ca, seen *s, td_mqtt **out)
{
    char certificate[128], key[128];
    snprintf(certificate, sizeof certificate, "%s.pem", name);
    snprintf(key, sizeof key, "%s.key", name);
    td_mqtt_options options = options_for(b, s, name);
    options.tls = true;
    options.ca_path = ca;
    options.certificate_path = broker_path(b, certificate);
    options.key_path = broker_path(b, key);
    *out = start(&options);
}

static void mqtt__tls_names_the_reason(void **state)
{
    (void)state;
    broker b, foreign;
    broker_init(&b);
    broker_init(&foreign);
    const char *const clients[] = {"good", "expired-one", NULL}, *const strangers[] = {"stranger", NULL};
    broker_with_tls(&b, clients);
    broker_with_tls(&foreign, strangers);
    broker_start(&b);
    seen good, expired, wrong_ca;
    seen_init(&good);
    seen_init(&expired);
    seen_init(&wrong_ca);
    td_mqtt *mqtt;
    try_tls(&b, "good", broker_path(&b, "ca.pem"), &good, &mqtt);
    wait_for(&good, &good.connected, 1);
    td_mqtt_stop(mqtt, 0);
    try_tls(&b, "expired-one", broker_path(&b, "ca.pem"), &expired, &mqtt);
    wait_for(&expired, &expired.disconnected, 1);
    td_mqtt_stop(mqtt, 0);
    assert_int_equal(expired.why.code, TD_DENIED);
    assert_non_null(strstr(expired.why.text, "expired"));
    try_tls(&b, "good", broker_path(&foreign, "ca.pem"), &wrong_ca, &mqtt);
    wait_for(&wrong_ca, &wrong_ca.disconnected, 1);
    td_mqtt_stop(mqtt, 0);
    assert_int_equal(wrong_ca.why.code, TD_DENIED);
    assert_non_null(strstr(wrong_ca.why.text, "its certificate"));
    broker_done(&b);
    broker_done(&foreign);
}

static void mqtt__not_authorised_is_said(void **state)
{
    (void)state;
    broker b;
    broker_init(&b);
    snprintf(b.extra, sizeof b.extra, "allow_anonymous false\n");
    broker_start(&b);
    seen s;
    seen_init(&s);
    td_mqtt_options options = options_for(&b, &s, "eight");
    td_mqtt *mqtt = start(&options);
    wait_for(&s, &s.disconnected, 1);
    assert_int_equal(s.why.code, TD_DENIED);
    assert_non_null(strstr(s.why.text, "not authorised"));
    td_mqtt_stop(mqtt, 0);
    broker_done(&b);
}

static void mqtt__bad_options_are_refused(void **state)
{
    (void)state;
    td_err err;
    td_mqtt *mqtt = NULL;
    td_mqtt_options options = {.host = "127.0.0.1", .port = 1, .client_id = "x"};
    options.port = 70000;
    assert_int_equal(td_mqtt_start(&options, &mqtt, &err), TD_INVALID);
    options.port = 1883;
    options.client_id = "";
    assert_int_equal(td_mqtt_start(&options, &mqtt, &err), TD_INVALID);
    options.client_id = "x";
    options.tls = true;
    assert_int_equal(td_mqtt_start(&options, &mqtt, &err), TD_INVALID);
    options.ca_path = "/nowhere/ca.pem";
    assert_int_equal(td_mqtt_start(&options, &mqtt, &err), TD_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nowhere/ca.pem"));
    options.ca_path = "/dev/null";
    options.certificate_path = "/dev/null";
    assert_int_equal(td_mqtt_start(&options, &mqtt, &err), TD_INVALID);
    assert_null(mqtt);
}

/* Paho 1.3.12 forgets the publications of a client that is destroyed while its broker is down: outside our reach, once
 * an end. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libpaho-mqtt3as";
}

static int set_up(void **state)
{
    static broker b;
    td_err err;
    if (td_crypto_setup(&err) != TD_OK || !broker_available()) {
        return -1;
    }
    broker_init(&b);
    broker_start(&b);
    *state = &b;
    return 0;
}

static int tear_down(void **state)
{
    broker_done(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mqtt__delivers_messages_and_tells_when),
        cmocka_unit_test(mqtt__comes_back_and_subscribes_again),
        cmocka_unit_test(mqtt__start_does_not_need_a_broker),
        cmocka_unit_test(mqtt__refuses_more_than_its_bound),
        cmocka_unit_test(mqtt__a_full_window_neither_stalls_nor_reorders),
        cmocka_unit_test(mqtt__tells_the_fate_of_what_was_under_way_when_the_broker_died),
        cmocka_unit_test(mqtt__will_is_sent_by_abandon_and_not_by_stop),
        cmocka_unit_test(mqtt__retained_messages_are_marked),
        cmocka_unit_test(mqtt__session_keeps_messages_while_away),
        cmocka_unit_test(mqtt__obeys_the_brokers_packet_limit),
        cmocka_unit_test(mqtt__tls_names_the_reason),
        cmocka_unit_test(mqtt__not_authorised_is_said),
        cmocka_unit_test(mqtt__bad_options_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
