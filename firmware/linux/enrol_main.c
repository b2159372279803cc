/*
 * enrol_main.c: tidemark-agent-enrol: lets a device in, once, with a code; its private key never leaves it.
 *
 * The idea: each step leaves a file that the next run finds, and device.json comes last. So running it again after a
 * cut goes on where it stopped: the same key is used, and an answer that arrived is never asked for twice.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/clock.h"
#include "core/base/fs.h"
#include "core/crypto/x509.h"
#include "firmware/linux/enrol_code.h"
#include "firmware/linux/enrol_http.h"
#include "firmware/linux/identity.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PENDING "enrolment.part" /* the server's answer until it is unpacked */

static const char help[] = "tidemark-agent enrol: lets this device in, once.\n"
                           "\n"
                           "usage: tidemark-agent enrol --server URL --code CODE --id DEVICE\n"
                           "                            --state DIR [options]\n"
                           "\n"
                           "  --server URL     https://HOST:PORT of the server's device listener\n"
                           "  --code CODE      from tidemark device enrol-code; works once\n"
                           "  --id DEVICE      the identifier to propose: 1 to 64 of a-z, 0-9, '-'\n"
                           "  --state DIR      the device's folder; made if need be (mode 0711)\n"
                           "  --hardware NAME  what a version may require\n"
                           "  --runtime NAME   what can run models here; may be repeated\n"
                           "  --tag KEY=VALUE  a tag to propose; may be repeated; the code's win\n"
                           "\n"
                           "Safe to run again after a cut: the same key is used again.\n";

typedef struct enrolment_run {
    const char *server, *code, *device, *state, *hardware;
    json_t *runtimes, *tags;
    char folder[3072];
    td_enrol_secret secret;
    td_key *key;
} enrolment_run;

static void enrolment_done(enrolment_run *enrolment)
{
    json_decref(enrolment->runtimes);
    json_decref(enrolment->tags);
    td_key_free(&enrolment->key);
    td_wipe(&enrolment->secret, sizeof enrolment->secret);
}

static td_code add_tag(enrolment_run *enrolment, const char *text, td_err *err)
{
    char key[65];
    const char *equals = strchr(text, '=');
    size_t length = equals != NULL ? (size_t)(equals - text) : 0;
    if (length < 1 || length >= sizeof key) {
        return td_fail(err, TD_INVALID, "--tag %s: expected KEY=VALUE", text);
    }
    memcpy(key, text, length);
    key[length] = 0;
    return json_object_set_new(enrolment->tags, key, json_string(equals + 1)) == 0
               ? TD_OK
               : td_fail(err, TD_INVALID, "--tag %s: not UTF-8", text);
}

static td_code set_option(enrolment_run *enrolment, const char *name, const char *value, td_err *err)
{
    const struct {
        const char *name;
        const char **out;
    } texts[] = {{"--server", &enrolment->server},
                 {"--code", &enrolment->code},
                 {"--id", &enrolment->device},
                 {"--state", &enrolment->state},
                 {"--hardware", &enrolment->hardware}};
    for (size_t i = 0; i < TD_COUNT_OF(texts); i++) {
        if (strcmp(name, texts[i].name) == 0) {
            *texts[i].out = value;
            return TD_OK;
        }
    }
    if (strcmp(name, "--runtime") == 0) {
        return json_array_append_new(enrolment->runtimes, json_string(value)) == 0
                   ? TD_OK
                   : td_fail(err, TD_INVALID, "--runtime %s: not UTF-8", value);
    }
    if (strcmp(name, "--tag") == 0) {
        return add_tag(enrolment, value, err);
    }
    static const char *const known[] = {"--server",   "--code",    "--id",  "--state",
                                        "--hardware", "--runtime", "--tag", NULL};
    const char *near = td_nearest(name, known);
    return td_fail(err, TD_INVALID, "unknown option %s; did you mean %s?", name, near != NULL ? near : "--help");
}

static td_code parse_arguments(enrolment_run *enrolment, char **argv, td_err *err)
{
    for (char **at = argv; *at != NULL; at += 2) {
        if (at[1] == NULL) {
            return td_fail(err, TD_INVALID, "%s needs a value (tidemark-agent enrol --help)", *at);
        }
        TD_TRY(set_option(enrolment, at[0], at[1], err));
    }
    const struct {
        const char *name, *value;
    } needed[] = {{"--server", enrolment->server},
                  {"--code", enrolment->code},
                  {"--id", enrolment->device},
                  {"--state", enrolment->state}};
    for (size_t i = 0; i < TD_COUNT_OF(needed); i++) {
        if (needed[i].value == NULL) {
            return td_fail(err, TD_INVALID, "%s is missing (tidemark-agent enrol --help)", needed[i].name);
        }
    }
    if (!td_identity_name_is_good(enrolment->device)) {
        return td_fail(err, TD_INVALID, "--id %s: expected 1 to 64 of a-z, 0-9 and '-'", enrolment->device);
    }
    return td_enrol_code_parse(enrolment->code, &enrolment->secret, err);
}

/* ---- Steps --------------------------------------------------------------------------------------------------------
 */

static void path_of(const enrolment_run *enrolment, const char *name, char out[4096])
{
    snprintf(out, 4096, "%s/%s", enrolment->folder, name);
}

static td_code save(const enrolment_run *enrolment, const char *name, const void *data, size_t size, td_err *err)
{
    char path[4096];
    path_of(enrolment, name, path);
    return td_file_replace(path, data, size, 0600, err);
}

static td_code open_folder(enrolment_run *enrolment, td_err *err)
{
    char path[4096];
    TD_TRY(td_folder_make(enrolment->state, 0711, err));
    TD_CLEANUP(td_free_text) char *absolute = realpath(enrolment->state, NULL);
    if (absolute == NULL || strlen(absolute) >= sizeof enrolment->folder) {
        return td_fail(err, TD_LIMIT, "--state %s: the path is too long", enrolment->state);
    }
    snprintf(enrolment->folder, sizeof enrolment->folder, "%s", absolute);
    path_of(enrolment, "device.json", path);
    if (td_path_exists(path)) {
        return td_fail(err, TD_CONFLICT,
                       "%s holds an enrolled device already: start it with tidemark-agent run --state %s, or "
                       "enrol into another folder",
                       enrolment->state, enrolment->state);
    }
    return TD_OK;
}

static td_code open_key(enrolment_run *enrolment, td_err *err)
{
    char path[4096];
    path_of(enrolment, "device.key", path);
    if (td_path_exists(path)) {
        return td_key_read(path, NULL, &enrolment->key, err);
    }
    TD_TRY(td_key_generate(TD_KEY_P256, &enrolment->key, err));
    return td_key_write(enrolment->key, path, NULL, err);
}

/* Fetches CA and keyset from whoever answers; keeps them only if they are those of the code. */
static td_code fetch_trust(const enrolment_run *enrolment, td_err *err)
{
    const td_enrol_http http = {.server = enrolment->server};
    TD_CLEANUP(td_json_done) json_t *trust = NULL;
    TD_TRY(td_enrol_request_json(&http, "/enrol/v1/trust", NULL, &trust, err));
    const char *ca = td_json_text(trust, "ca_pem", "");
    const char *keyset = td_json_text(trust, "keyset", "");
    TD_CLEANUP(td_free_text) char *bytes = malloc(TD_IDENTITY_KEYSET_MAX);
    size_t size = 0;
    if (bytes == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for the keyset");
    }
    if (td_base64_decode(keyset, strlen(keyset), bytes, TD_IDENTITY_KEYSET_MAX, &size, err) != TD_OK) {
        return td_wrap(err, "the keyset of %s", enrolment->server);
    }
    TD_TRY(td_enrol_code_check(&enrolment->secret, ca, bytes, size, err));
    TD_TRY(save(enrolment, "ca.pem", ca, strlen(ca), err));
    return save(enrolment, "keyset.bin", bytes, size, err);
}

static td_code make_request(const enrolment_run *enrolment, json_t **out, td_err *err)
{
    char secret[2 * TD_CODE_SECRET_SIZE + 1];
    TD_CLEANUP(td_str_done) td_str csr = {0};
    TD_TRY(td_x509_make_request(enrolment->key, enrolment->device, &csr, err));
    td_hex_encode(enrolment->secret.secret, TD_CODE_SECRET_SIZE, secret);
    *out = json_pack("{s:s,s:s,s:s,s:s,s:O,s:O}", "code_secret", secret, "device", enrolment->device, "csr_pem",
                     td_str_text(&csr), "hardware", enrolment->hardware != NULL ? enrolment->hardware : "", "runtimes",
                     enrolment->runtimes, "tags", enrolment->tags);
    td_wipe(secret, sizeof secret);
    return *out != NULL ? TD_OK : td_fail(err, TD_INVALID, "--hardware or --server: not UTF-8");
}

/* The one request that spends the code. Its answer is on the disk before anything is done with it. */
static td_code ask_in(const enrolment_run *enrolment, td_err *err)
{
    char ca[4096];
    TD_CLEANUP(td_json_done) json_t *request = NULL;
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    TD_CLEANUP(td_str_done) td_str text = {0};
    path_of(enrolment, "ca.pem", ca);
    const td_enrol_http http = {.server = enrolment->server, .ca_path = ca};
    TD_TRY(make_request(enrolment, &request, err));
    TD_TRY(td_enrol_request_json(&http, "/enrol/v1/device", request, &answer, err));
    TD_TRY(td_json_write(answer, &text, err));
    td_code code = save(enrolment, PENDING, text.data, text.size, err);
    td_wipe(text.data, text.size);
    return code;
}

static td_code check_certificate(const enrolment_run *enrolment, const json_t *answer, td_err *err)
{
    td_x509_facts facts;
    uint8_t own[TD_P256_PUBLIC_SIZE];
    const char *pem = td_json_text(answer, "certificate_pem", "");
    TD_TRY(td_x509_read(pem, strlen(pem), &facts, err));
    td_key_public(enrolment->key, own);
    if (strcmp(facts.common_name, enrolment->device) != 0 || memcmp(facts.public_key, own, sizeof own) != 0) {
        return td_fail(err, TD_CORRUPT,
                       "the certificate that the server made is not for this device's key and identifier");
    }
    return TD_OK;
}

/* "https://host:port/…" -> host, for a server that does not say where its broker is. */
static void host_of(const char *url, char out[256])
{
    const char *from = strstr(url, "://");
    from = from != NULL ? from + 3 : url;
    size_t length = from[0] == '[' ? strcspn(from, "]") : strcspn(from, ":/");
    from += from[0] == '[';
    snprintf(out, 256, "%.*s", (int)length, from);
}

static td_code device_json(const enrolment_run *enrolment, const json_t *answer, td_str *out, td_err *err)
{
    char host[256], at[32];
    const json_t *mqtt = json_object_get(answer, "mqtt");
    int64_t port = td_json_int(mqtt, "port", 0);
    host_of(enrolment->server, host);
    td_format_time(td_now_ms(&td_clock_system), at);
    const char *named = td_json_text(mqtt, "host", "");
    if (port < 1 || port > 65535) {
        return td_fail(err, TD_CORRUPT, "the server's answer names no broker");
    }
    TD_CLEANUP(td_json_done)
    json_t *json = json_pack("{s:s,s:s,s:{s:s,s:I,s:s},s:s,s:O,s:s}", "device", enrolment->device, "server",
                             enrolment->server, "mqtt", "host", named[0] != 0 ? named : host, "port", (json_int_t)port,
                             "prefix", td_json_text(mqtt, "prefix", "tm/v1"), "hardware",
                             enrolment->hardware != NULL ? enrolment->hardware : "", "runtimes", enrolment->runtimes,
                             "enrolled_at", at);
    return json != NULL ? td_json_write(json, out, err) : td_fail(err, TD_NOMEM, "no memory for device.json");
}

static td_code unpack(const enrolment_run *enrolment, td_err *err)
{
    char path[4096];
    uint8_t uplink_key[TD_IDENTITY_UPLINK_KEY];
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_str_done) td_str device = {0};
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    path_of(enrolment, PENDING, path);
    TD_TRY(td_file_read(path, TD_ENROL_ANSWER_MAX, &text, err));
    TD_TRY(td_json_parse(text.data, text.size, PENDING, &answer, err));
    const char *name = td_json_text(answer, "device", enrolment->device);
    if (strcmp(name, enrolment->device) != 0) {
        return td_fail(err, TD_CONFLICT, "%s holds the unfinished enrolment of %s: use --id %s", enrolment->state, name,
                       name);
    }
    TD_TRY(check_certificate(enrolment, answer, err));
    const char *key = td_json_text(answer, "uplink_key", "");
    TD_TRY(td_hex_decode(key, strlen(key), uplink_key, sizeof uplink_key, err));
    TD_TRY(device_json(enrolment, answer, &device, err));
    const char *pem = td_json_text(answer, "certificate_pem", "");
    TD_TRY(save(enrolment, "device.crt", pem, strlen(pem), err));
    TD_TRY(save(enrolment, "uplink.key", uplink_key, sizeof uplink_key, err));
    td_wipe(uplink_key, sizeof uplink_key);
    TD_TRY(save(enrolment, "device.json", device.data, device.size, err));
    (void)unlink(path);
    return TD_OK;
}

static td_code enrol(enrolment_run *enrolment, td_err *err)
{
    char path[4096];
    TD_TRY(open_folder(enrolment, err));
    TD_TRY(open_key(enrolment, err));
    path_of(enrolment, PENDING, path);
    if (!td_path_exists(path)) {
        TD_TRY(fetch_trust(enrolment, err));
        TD_TRY(ask_in(enrolment, err));
    }
    return unpack(enrolment, err);
}

int main(int argc, char **argv)
{
    td_err err = {0};
    TD_CLEANUP(enrolment_done) enrolment_run enrolment = {.runtimes = json_array(), .tags = json_object()};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            return 0;
        }
    }
    td_code code = parse_arguments(&enrolment, argv + (argc > 0), &err);
    if (code == TD_OK) {
        code = td_crypto_setup(&err);
    }
    if (code == TD_OK && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        code = td_fail(&err, TD_INTERNAL, "libcurl does not start");
    }
    if (code == TD_OK) {
        code = enrol(&enrolment, &err);
    }
    if (code != TD_OK) {
        fprintf(stderr, "tidemark-agent enrol: %s\n", err.text);
        return td_code_lookup(code)->exit_code;
    }
    printf("%s is enrolled; start it with: tidemark-agent run --state %s\n", enrolment.device, enrolment.state);
    curl_global_cleanup();
    return 0;
}
