/*
 * identity.c: see identity.h. device.json is written last at enrolment, so its presence says that all the rest is
 * there.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/linux/identity.h"

#include "core/base/clock.h"
#include "core/base/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const td_json_field mqtt_fields[] = {
    {.name = "host", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = 255},
    {.name = "port", .type = TD_JSON_INTEGER, .required = true, .minimum = 1, .maximum = 65535},
    {.name = "prefix", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = 64},
    {.name = NULL},
};

static const td_json_field device_fields[] = {
    {.name = "device", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = 64},
    {.name = "server", .type = TD_JSON_STRING, .required = true},
    {.name = "mqtt", .type = TD_JSON_OBJECT, .required = true, .fields = mqtt_fields},
    {.name = "hardware", .type = TD_JSON_STRING, .minimum = 0, .maximum = 64},
    {.name = "runtimes",
     .type = TD_JSON_ARRAY,
     .item_type = TD_JSON_STRING,
     .minimum = 0,
     .maximum = TD_IDENTITY_RUNTIMES_MAX},
    {.name = "enrolled_at", .type = TD_JSON_STRING},
    {.name = NULL},
};

bool td_identity_name_is_good(const char *device)
{
    size_t length = strspn(device, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return length >= 1 && length <= 64 && device[length] == 0;
}

void td_identity_path(const td_identity *identity, const char *name, char out[4096])
{
    snprintf(out, 4096, "%s/%s", identity->folder, name);
}

static td_code add_runtime(td_identity *identity, const char *name, size_t length, td_err *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    char *out = identity->runtimes[identity->runtime_count];
    if (identity->runtime_count == TD_IDENTITY_RUNTIMES_MAX) {
        return td_fail(err, TD_INVALID, "more than %d runtimes", TD_IDENTITY_RUNTIMES_MAX);
    }
    if (length < 1 || length > 32 || strspn(name, letters) < length) {
        return td_fail(err, TD_INVALID, "runtime \"%.*s\": expected 1 to 32 of letters, digits, '.', '_' and '-'",
                       (int)(length < 40 ? length : 40), name);
    }
    memcpy(out, name, length);
    out[length] = 0;
    identity->runtime_count++;
    return TD_OK;
}

td_code td_identity_set_runtimes(td_identity *identity, const char *list, td_err *err)
{
    identity->runtime_count = 0;
    for (const char *at = list; *at != 0;) {
        size_t length = strcspn(at, ",");
        TD_TRY(add_runtime(identity, at, length, err));
        at += length + (at[length] == ',' ? 1 : 0);
    }
    return TD_OK;
}

static td_code take_json(td_identity *identity, const json_t *json, td_err *err)
{
    const json_t *mqtt = json_object_get(json, "mqtt");
    snprintf(identity->device, sizeof identity->device, "%s", td_json_text(json, "device", ""));
    snprintf(identity->host, sizeof identity->host, "%s", td_json_text(mqtt, "host", ""));
    snprintf(identity->prefix, sizeof identity->prefix, "%s", td_json_text(mqtt, "prefix", ""));
    snprintf(identity->hardware, sizeof identity->hardware, "%s", td_json_text(json, "hardware", ""));
    identity->port = (int)td_json_int(mqtt, "port", 0);
    if (!td_identity_name_is_good(identity->device)) {
        return td_fail(err, TD_INVALID, "device.json: \"%s\" is no device identifier ([a-z0-9-]{1,64})",
                       identity->device);
    }
    size_t index;
    const json_t *runtime;
    json_array_foreach (json_object_get(json, "runtimes"), index, runtime) {
        const char *name = json_string_value(runtime);
        TD_TRY(add_runtime(identity, name, strlen(name), err));
    }
    return TD_OK;
}

static td_code read_device(td_identity *identity, td_err *err)
{
    char path[4096];
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    td_identity_path(identity, "device.json", path);
    if (!td_path_exists(path)) {
        return td_fail(
            err, TD_NOT_FOUND,
            "%s is not there, this device is not enrolled: tidemark-agent enrol --server https://… --code … --id …",
            path);
    }
    TD_TRY(td_file_read(path, 65536, &text, err));
    TD_TRY(td_json_parse(text.data, text.size, "device.json", &json, err));
    TD_TRY(td_json_check(json, device_fields, "device.json", NULL, err));
    return take_json(identity, json, err);
}

static void wipe_text(td_str *text)
{
    if (text->data != NULL) {
        td_wipe(text->data, text->size);
    }
    td_str_done(text);
}

static td_code read_uplink_key(td_identity *identity, td_err *err)
{
    char path[4096];
    TD_CLEANUP(wipe_text) td_str key = {0};
    td_identity_path(identity, "uplink.key", path);
    TD_TRY(td_file_read(path, 1024, &key, err));
    if (key.size != sizeof identity->uplink_key) {
        return td_fail(err, TD_CORRUPT, "%s has %zu bytes, expected %zu: enrol this device again", path, key.size,
                       sizeof identity->uplink_key);
    }
    memcpy(identity->uplink_key, key.data, key.size);
    return TD_OK;
}

td_code td_identity_read(const char *folder, td_identity *out, td_err *err)
{
    char path[4096];
    TD_CLEANUP(td_identity_done) td_identity identity = {0};
    TD_CLEANUP(td_free_text) char *absolute = realpath(folder, NULL);
    if (absolute == NULL || strlen(absolute) >= sizeof identity.folder) {
        return td_fail(err, TD_NOT_FOUND, "%s is no folder: enrol first, or name the right one with --state", folder);
    }
    snprintf(identity.folder, sizeof identity.folder, "%s", absolute);
    TD_TRY(read_device(&identity, err));
    TD_TRY(read_uplink_key(&identity, err));
    td_identity_path(&identity, "keyset.bin", path);
    TD_TRY(td_file_read(path, TD_IDENTITY_KEYSET_MAX, &identity.keyset, err));
    *out = identity;
    identity = (td_identity){0};
    return TD_OK;
}

void td_identity_done(td_identity *identity)
{
    td_str_done(&identity->keyset);
    td_wipe(identity->uplink_key, sizeof identity->uplink_key);
}

td_code td_identity_check_certificate(const td_identity *identity, int64_t wall_ms, td_err *err)
{
    char path[4096], until[32];
    td_x509_facts facts;
    TD_CLEANUP(td_str_done) td_str pem = {0};
    td_identity_path(identity, "device.crt", path);
    TD_TRY(td_file_read(path, 65536, &pem, err));
    TD_TRY(td_x509_read(pem.data, pem.size, &facts, err));
    if (strcmp(facts.common_name, identity->device) != 0) {
        return td_fail(err, TD_INVALID, "%s is for \"%s\", but device.json says \"%s\": enrol this device again", path,
                       facts.common_name, identity->device);
    }
    td_format_time(facts.not_after_ms, until);
    if (wall_ms > facts.not_after_ms) {
        return td_fail(err, TD_DENIED,
                       "the certificate of %s expired at %s: brokers will refuse it; check the clock, or enrol again",
                       identity->device, until);
    }
    return TD_OK;
}
