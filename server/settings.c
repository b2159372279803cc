/*
 * settings.c: the table of settings.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/config.h"

#define MIB (1024 * 1024)

static const char *const profiles[] = {"demo", "team", "regulated", NULL};
static const char *const tls_modes[] = {"auto", "off", "workspace", "files", NULL};
static const char *const access_logs[] = {"off", "errors", "all", NULL};
static const char *const levels[] = {"debug", "info", "warn", "error", NULL};

const td_setting td_settings[] = {
    {"profile", TD_SETTING_CHOICE, "team", 0, 0, profiles, false,
     "how much trust rests on this machine: demo, team or regulated; change it with `tidemark profile raise`"},
    {"log.level", TD_SETTING_CHOICE, "info", 0, 0, levels, true, "least important level that is logged"},
    {"log.json", TD_SETTING_BOOLEAN, "false", 0, 0, NULL, false, "log lines as JSON objects"},
    {"log.access", TD_SETTING_CHOICE, "off", 0, 0, access_logs, false,
     "a line for each request: off, errors (status 400 and above) or all; never its query, body or token"},
    {"log.access_per_second", TD_SETTING_INTEGER, "100", 1, 100000, NULL, false,
     "such lines in a second; what is left out is counted"},
    {"audit.signer_state", TD_SETTING_TEXT, "", 0, 1000, NULL, false,
     "file of the log signer's memory, best on a disk that is not set back with this one; empty: keys/log.state"},
    {"audit.signer_url", TD_SETTING_TEXT, "", 0, 1000, NULL, false,
     "the log's signer where it is a service (tidemark signer serve): unix:/PATH of its socket, or tls://HOST:PORT on "
     "another host; empty: the server starts one"},
    {"audit.signer_ca_file", TD_SETTING_TEXT, "", 0, 1000, NULL, false,
     "PEM certificates that vouch for the signer at tls://…; empty: the workspace's CA"},
    {"audit.signer_cert_file", TD_SETTING_TEXT, "", 0, 1000, NULL, false,
     "PEM certificate that the server shows to that signer; empty: keys/mqtt.crt.pem"},
    {"audit.signer_key_file", TD_SETTING_TEXT, "", 0, 1000, NULL, false, "its PEM key; empty: keys/mqtt.key.pem"},
    {"metrics.public", TD_SETTING_BOOLEAN, "false", 0, 0, NULL, false,
     "let programs on this machine read /metrics without a token, unless a proxy forwards them"},
    {"audit.signer_patience", TD_SETTING_DURATION, "10m", 1000, INT64_C(30) * 24 * 3600 * 1000, NULL, false,
     "how long the log's signer may be away before new rollouts are refused"},
    {"audit.public", TD_SETTING_BOOLEAN, "false", 0, 0, NULL, false,
     "let anybody who reaches the API read the log's checkpoint and tiles (/log/…, hashes alone) without a token"},
    {"http.host", TD_SETTING_TEXT, "127.0.0.1", 1, 255, NULL, false,
     "address of the API; on loopback it speaks plain HTTP unless http.tls says otherwise"},
    {"http.port", TD_SETTING_INTEGER, "7070", 0, 65535, NULL, false,
     "port of the API; 0 picks a free one (run/http.port)"},
    {"http.hosts", TD_SETTING_TEXT, "", 0, 1000, NULL, false,
     "further names, separated by commas, that the Host header may carry (and http.tls: workspace certifies)"},
    {"http.tls", TD_SETTING_CHOICE, "auto", 0, 0, tls_modes, false,
     "certificate of the API: workspace (issued by the workspace's CA), files (http.cert_file and http.key_file), off "
     "(plain HTTP, whatever the address: only behind a TLS proxy), auto (off on loopback, else workspace)"},
    {"http.cert_file", TD_SETTING_TEXT, "", 0, 1000, NULL, false,
     "PEM certificate and its chain for http.tls: files; SIGHUP reads it again"},
    {"http.key_file", TD_SETTING_TEXT, "", 0, 1000, NULL, false,
     "its PEM key (mode 0600, or root's and 0640); SIGHUP reads it again"},
    {"http.workers", TD_SETTING_INTEGER, "8", 1, 64, NULL, false, "threads that answer requests"},
    {"http.connections_max", TD_SETTING_INTEGER, "512", 8, 10000, NULL, false, "connections a listener admits"},
    {"http.body_bytes_max", TD_SETTING_INTEGER, "1048576", 1024, 64 * MIB, NULL, false, "largest JSON body"},
    {"http.upload_bytes_max", TD_SETTING_INTEGER, "8589934592", 1024, INT64_C(1) << 44, NULL, false,
     "largest uploaded file"},
    {"http.uploads_unfinished_bytes_max", TD_SETTING_INTEGER, "34359738368", 1024, INT64_C(1) << 44, NULL, false,
     "announced sizes of all unfinished resumable uploads together"},
    {"http.upload_keep", TD_SETTING_DURATION, "24h", 1000, INT64_C(366) * 24 * 3600 * 1000, NULL, false,
     "how long an unfinished upload waits for its next byte"},
    {"http.streams_max", TD_SETTING_INTEGER, "64", 0, 10000, NULL, false, "event streams that may be open at a time"},
    {"http.stream_heartbeat", TD_SETTING_DURATION, "15s", 50, 600000, NULL, false,
     "silence on an event stream after which a comment is sent"},
    {"http.rate_per_token", TD_SETTING_INTEGER, "0", 0, 1000000, NULL, false,
     "requests a second of one token, twice that in a burst; 0: no limit"},
    {"http.rate_per_address", TD_SETTING_INTEGER, "1000", 0, 1000000, NULL, false,
     "requests a second from one address (IPv6: /64), twice that in a burst; 0: no limit"},
    {"http.rate_on_loopback", TD_SETTING_BOOLEAN, "false", 0, 0, NULL, false,
     "http.rate_per_address also counts 127.0.0.0/8 and ::1, from where a TLS proxy would come"},
    {"http.timeout", TD_SETTING_DURATION, "20s", 1000, 600000, NULL, false,
     "silence, or time for a request's headers, after which a connection is closed"},
    {"audit.policy_file", TD_SETTING_TEXT, "", 0, 1000, NULL, false,
     "witness policy (docs/witness-policy.md): its witnesses are asked to cosign each checkpoint, which is published "
     "when the quorum has; a relative path starts in the workspace; empty: checkpoints are published as they are "
     "signed"},
    {"audit.witness_interval", TD_SETTING_DURATION, "2s", 50, 3600000, NULL, false,
     "witnesses are asked at most so often; one that fails is asked again after this, then after twice as long, up to "
     "five minutes"},
    {"audit.witness_timeout", TD_SETTING_DURATION, "5s", 100, 60000, NULL, false,
     "how long a witness may take to answer"},
    {"device.host", TD_SETTING_TEXT, "127.0.0.1", 1, 255, NULL, false, "address of the HTTPS listener for enrolment"},
    {"device.port", TD_SETTING_INTEGER, "0", 0, 65535, NULL, false, "its port; 0 picks a free one (run/device.port)"},
    {"mqtt.url", TD_SETTING_TEXT, "", 0, 400, NULL, false,
     "broker to use, as mqtts://host:port or mqtt://host:port; empty: run Mosquitto as a child"},
    {"mqtt.ca_file", TD_SETTING_TEXT, "", 0, 1000, NULL, false,
     "CA of an own broker's certificate; empty: the workspace's CA"},
    {"mqtt.host", TD_SETTING_TEXT, "127.0.0.1", 1, 255, NULL, false, "address on which the child broker listens"},
    {"mqtt.port", TD_SETTING_INTEGER, "0", 0, 65535, NULL, false,
     "its port; 0 picks a free one once and keeps it (run/mqtt.port)"},
    {"mqtt.public_host", TD_SETTING_TEXT, "", 0, 255, NULL, false,
     "what devices are told to connect to; empty: mqtt.host, or this machine's name when that is 0.0.0.0"},
    {"mqtt.prefix", TD_SETTING_TEXT, "tm/v1", 1, 64, NULL, false, "first levels of every topic"},
    {"mqtt.mosquitto", TD_SETTING_TEXT, "mosquitto", 1, 1000, NULL, false, "the broker's program: a name or a path"},
    {"scheduler.interval", TD_SETTING_DURATION, "1s", 50, 60000, NULL, false,
     "how often rollouts and alerts are looked at"},
    {"monitor.interval", TD_SETTING_DURATION, "2s", 50, 3600000, NULL, false, "how often signals are evaluated"},
    {"webhooks.private_networks", TD_SETTING_TEXT, "", 0, 1000, NULL, false,
     "networks and addresses, separated by commas, that webhooks may reach although they are not public "
     "(10.1.0.0/16,127.0.0.1); plain http:// goes to these alone"},
    {"webhooks.ca_file", TD_SETTING_TEXT, "", 0, 1000, NULL, false,
     "PEM certificates that vouch for the receivers of webhooks; empty: those of the system"},
    {"retraining.auto_submit", TD_SETTING_BOOLEAN, "true", 0, 0, NULL, false,
     "submit a retrained version for approval when its gate has passed"},
    {"retraining.auto_approve_by_gate", TD_SETTING_TEXT, "", 0, 64, NULL, false,
     "profile demo only: the approver whose key signs a retrained version when its gate has passed; empty: nobody"},
    {NULL, TD_SETTING_TEXT, NULL, 0, 0, NULL, false, NULL},
};
