/*
 * reason.c: turns what Paho, OpenSSL and the broker say into one sentence that names the broker, the cause and the way
 * on.
 *
 * Three sources speak about one failure: MQTT 5 reason codes (the broker refused us), OpenSSL's error lines (a
 * certificate, ours or theirs), and Paho's own codes (the rest: no such host, nothing listens).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/mqtt/internal.h"

#include <string.h>

typedef struct td_mqtt_reason {
    int reason; /* MQTT 5, 3.2.2.2 and 3.14.2.1 */
    td_code code;
    const char *text;
} td_mqtt_reason;

static const td_mqtt_reason reasons[] = {
    {0x81, TD_CORRUPT, "malformed packet"},
    {0x82, TD_CORRUPT, "protocol error"},
    {0x84, TD_INVALID, "it does not speak MQTT 5"},
    {0x85, TD_DENIED, "our client identifier is refused"},
    {0x86, TD_DENIED, "bad user name or password"},
    {0x87, TD_DENIED, "not authorised"},
    {0x88, TD_BUSY, "the broker is unavailable"},
    {0x89, TD_BUSY, "the broker is busy"},
    {0x8A, TD_DENIED, "we are banned"},
    {0x8B, TD_BUSY, "the broker is shutting down"},
    {0x8C, TD_DENIED, "bad authentication method"},
    {0x8D, TD_IO, "keep-alive ran out"},
    {0x8E, TD_CONFLICT, "another client took over our identifier; give every client its own"},
    {0x8F, TD_INVALID, "a topic filter is refused"},
    {0x90, TD_INVALID, "a topic name is refused"},
    {0x93, TD_LIMIT, "more messages at once than the broker takes"},
    {0x95, TD_LIMIT, "a packet larger than the broker takes"},
    {0x96, TD_LIMIT, "more messages a second than the broker takes"},
    {0x97, TD_LIMIT, "a quota of the broker is used up"},
    {0x98, TD_DENIED, "closed by the broker's administrator"},
    {0x9F, TD_BUSY, "more connections a second than the broker takes"},
};

/* Needles in OpenSSL's error lines, most telling first. An "alert" is the broker's opinion of us. */
typedef struct td_tls_reason {
    const char *needle, *text;
} td_tls_reason;

static const td_tls_reason tls_reasons[] = {
    {"alert certificate expired", "it says that our certificate has expired; renew it"},
    {"alert certificate revoked", "it says that our certificate is revoked"},
    {"alert unknown ca", "it does not know the authority that signed our certificate"},
    {"alert bad certificate", "it refuses our certificate"},
    {"alert certificate required", "it demands a client certificate and we sent none"},
    {"alert handshake failure", "TLS hand-shake refused: our certificate is missing or no cipher is shared"},
    {"alert", "it refused the TLS hand-shake"},
    {"certificate verify failed",
     "its certificate is not one of our authority's, or has expired, or names another host"},
    {"wrong version number", "it does not speak TLS on this port"},
    {"no start line", "a certificate or key file is no PEM"},
    {"key values mismatch", "our key does not belong to our certificate"},
};

static const char *explain_tls(const char *tls)
{
    for (size_t i = 0; i < TD_COUNT_OF(tls_reasons); i++) {
        if (strcasestr(tls, tls_reasons[i].needle) != NULL) {
            return tls_reasons[i].text;
        }
    }
    return NULL;
}

void td_mqtt__explain(td_err *err, const char *broker, int code, int reason, const char *tls)
{
    for (size_t i = 0; i < TD_COUNT_OF(reasons); i++) {
        if (reasons[i].reason == reason) {
            (void)td_fail(err, reasons[i].code, "MQTT broker %s: %s (reason 0x%02x)", broker, reasons[i].text,
                          (unsigned)reason);
            return;
        }
    }
    if (reason >= 0x80) {
        (void)td_fail(err, TD_IO, "MQTT broker %s: reason code 0x%02x", broker, (unsigned)reason);
        return;
    }
    const char *why = tls[0] != '\0' ? explain_tls(tls) : NULL;
    if (why != NULL) {
        (void)td_fail(err, TD_DENIED, "MQTT broker %s: %s (%.80s)", broker, why, tls);
    } else if (tls[0] != '\0') {
        (void)td_fail(err, TD_IO, "MQTT broker %s: TLS failed: %.120s", broker, tls);
    } else {
        (void)td_fail(err, TD_IO,
                      "MQTT broker %s is unreachable or closed the connection (code %d); is it running, and does it "
                      "accept our certificate?",
                      broker, code);
    }
}
