/*
 * plan.c: the specification of a rollout, read into numbers, and the arithmetic of waves.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/rollout_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const on_failure_choices[] = {"abort", "revert", NULL};
static const char *const unfit_choices[] = {"refuse", "skip", "try", NULL};
static const td_json_field probation_fields[] = {
    {.name = "seconds", .type = TD_JSON_INTEGER, .minimum = 0, .maximum = 604800},
    {.name = "min_inferences", .type = TD_JSON_INTEGER, .minimum = 0, .maximum = 1000000000},
    {.name = "max_errors", .type = TD_JSON_INTEGER, .minimum = 0, .maximum = 1000000000},
    {.name = "lease_seconds", .type = TD_JSON_INTEGER, .minimum = 0, .maximum = 86400},
    {0},
};
static const td_json_field spec_fields[] = {
    {.name = "model_version", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = 256},
    {.name = "to", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = TD_SELECTOR_TEXT_MAX},
    {.name = "waves", .type = TD_JSON_ANY},
    {.name = "canaries",
     .type = TD_JSON_ARRAY,
     .item_type = TD_JSON_STRING,
     .minimum = 0,
     .maximum = TD_ROLLOUT_CANARIES_MAX},
    {.name = "success", .type = TD_JSON_NUMBER, .minimum = 0, .maximum = 1},
    {.name = "stop_if", .type = TD_JSON_STRING},
    {.name = "min_sample", .type = TD_JSON_INTEGER, .minimum = 1, .maximum = 1000000},
    {.name = "soak", .type = TD_JSON_DURATION},
    {.name = "deadline", .type = TD_JSON_DURATION},
    {.name = "step_deadline", .type = TD_JSON_DURATION},
    {.name = "contact_wait", .type = TD_JSON_DURATION},
    {.name = "health_gate", .type = TD_JSON_BOOLEAN},
    {.name = "on_failure", .type = TD_JSON_STRING, .choices = on_failure_choices},
    {.name = "unfit", .type = TD_JSON_STRING, .choices = unfit_choices},
    {.name = "slot", .type = TD_JSON_STRING, .minimum = 1, .maximum = 128},
    {.name = "per_minute", .type = TD_JSON_INTEGER, .minimum = 0, .maximum = 1000000},
    {.name = "probation", .type = TD_JSON_OBJECT, .fields = probation_fields},
    {.name = "window", .type = TD_JSON_DURATION},
    {.name = "byte_budget", .type = TD_JSON_INTEGER, .minimum = 0, .maximum = 1e15},
    {0},
};

/* "5%" or "0.05" to 0.05; only (0, 1]. */
static td_code parse_share(const char *text, const char *what, double *out, td_err *err)
{
    char number[32];
    size_t length = strlen(text);
    bool percent = length > 0 && text[length - 1] == '%';
    length -= percent;
    double value = 0;
    if (length == 0 || length >= sizeof number) {
        return td_fail(err, TD_INVALID, "rollout: %s \"%.40s\" is no share like \"5%%\"", what, text);
    }
    memcpy(number, text, length);
    number[length] = '\0';
    if (td_parse_double(number, what, &value, err) != TD_OK || value < 0 || value > (percent ? 100 : 1)) {
        return td_fail(err, TD_INVALID, "rollout: %s \"%.40s\" is no share from 0%% to 100%%", what, text);
    }
    *out = percent ? value / 100 : value;
    return TD_OK;
}

static td_code add_wave(const char *text, td_plan *plan, td_err *err)
{
    if (plan->wave_count == TD_ROLLOUT_WAVES_MAX) {
        return td_fail(err, TD_LIMIT, "rollout: at most %d waves", TD_ROLLOUT_WAVES_MAX);
    }
    double share = 0, before = plan->wave_count > 0 ? plan->shares[plan->wave_count - 1] : 0;
    TD_TRY(parse_share(text, "wave", &share, err));
    if (share <= before) {
        return td_fail(err, TD_INVALID, "rollout: waves are cumulative and must grow; %s does not", text);
    }
    plan->shares[plan->wave_count++] = share;
    return TD_OK;
}

static td_code split_waves(const char *list, td_plan *plan, td_err *err)
{
    while (*list != '\0') {
        char item[32];
        list += strspn(list, " ,");
        size_t length = strcspn(list, " ,");
        if (length >= sizeof item) {
            return td_fail(err, TD_INVALID, "rollout: wave \"%.40s\" is no share like \"5%%\"", list);
        }
        memcpy(item, list, length);
        item[length] = '\0';
        if (length > 0) {
            TD_TRY(add_wave(item, plan, err));
        }
        list += length;
    }
    return TD_OK;
}

static td_code read_waves(const json_t *waves, td_plan *plan, td_err *err)
{
    if (waves == NULL) {
        TD_TRY(add_wave("100%", plan, err));
    } else if (json_is_string(waves)) {
        TD_TRY(split_waves(json_string_value(waves), plan, err));
    } else {
        for (size_t i = 0; i < json_array_size(waves); i++) {
            const char *text = json_string_value(json_array_get(waves, i));
            if (text == NULL) {
                return td_fail(err, TD_INVALID, "rollout: waves are texts like \"5%%\"");
            }
            TD_TRY(add_wave(text, plan, err));
        }
    }
    if (plan->wave_count == 0 || plan->shares[plan->wave_count - 1] != 1.0) {
        return td_fail(err, TD_INVALID, "rollout: the last wave must be 100%% (for example waves 5%%,50%%,100%%)");
    }
    return TD_OK;
}

/* "failed>2%" or "failed>3". */
static td_code read_stop_if(const char *text, td_plan *plan, td_err *err)
{
    const char *at = text + strspn(text, " ");
    bool ok = strncmp(at, "failed", 6) == 0;
    at += ok ? 6 : 0;
    at += strspn(at, " ");
    ok = ok && *at == '>';
    if (!ok) {
        return td_fail(err, TD_INVALID, "rollout: stop_if \"%.60s\" is not of the form failed>2%% or failed>3", text);
    }
    at += 1 + strspn(at + 1, " ");
    plan->failed_share = -1;
    plan->failed_count = -1;
    return strchr(at, '%') != NULL ? parse_share(at, "stop_if", &plan->failed_share, err)
                                   : td_parse_int(at, "stop_if", 0, 1000000, &plan->failed_count, err);
}

static td_code read_duration(const json_t *spec, const char *key, const char *fallback, int64_t most_ms, int64_t *out,
                             td_err *err)
{
    const json_t *value = json_object_get(spec, key);
    char number[24];
    const char *text = fallback;
    if (json_is_integer(value)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        text = number;
    } else if (json_is_string(value)) {
        text = json_string_value(value);
    }
    if (td_parse_duration(text, out, err) != TD_OK) {
        return td_wrap(err, "rollout: %s", key);
    }
    if (*out < 0 || *out > most_ms) {
        return td_fail(err, TD_INVALID, "rollout: %s %s is out of range", key, text);
    }
    return TD_OK;
}

td_code td_rollout_check_spec(const json_t *spec, const char *name, const td_yaml_lines *lines, td_err *err)
{
    return td_json_check(spec, spec_fields, name, lines, err);
}

td_code td_plan__read(const json_t *spec, td_plan *out, td_err *err)
{
    static const int64_t day = 24 * 3600 * (int64_t)1000;
    int64_t window_ms = 0;
    TD_TRY(td_rollout_check_spec(spec, "rollout", NULL, err));
    td_plan plan = {.success = td_json_number(spec, "success", 0.9),
                    .failed_share = 0.1,
                    .failed_count = -1,
                    .min_sample = td_json_int(spec, "min_sample", 1),
                    .health_gate = td_json_bool(spec, "health_gate", true),
                    .per_minute = td_json_int(spec, "per_minute", 0),
                    .byte_budget = (uint64_t)td_json_int(spec, "byte_budget", 0),
                    .unfit = *td_json_text(spec, "unfit", "refuse"),
                    .revert_on_failure = strcmp(td_json_text(spec, "on_failure", "abort"), "revert") == 0};
    TD_TRY(read_waves(json_object_get(spec, "waves"), &plan, err));
    TD_TRY(read_stop_if(td_json_text(spec, "stop_if", "failed>10%"), &plan, err));
    TD_TRY(read_duration(spec, "soak", "0s", 30 * day, &plan.soak_ms, err));
    TD_TRY(read_duration(spec, "deadline", "7d", 365 * day, &plan.deadline_ms, err));
    TD_TRY(read_duration(spec, "step_deadline", "1h", 30 * day, &plan.step_deadline_ms, err));
    TD_TRY(read_duration(spec, "contact_wait", "0s", 30 * day, &plan.contact_wait_ms, err));
    TD_TRY(read_duration(spec, "window", "0s", 7 * day, &window_ms, err));
    plan.window_s = (uint32_t)(window_ms / 1000);
    const json_t *probation = json_object_get(spec, "probation");
    plan.probation_s = (uint32_t)td_json_int(probation, "seconds", 60);
    plan.min_inferences = (uint32_t)td_json_int(probation, "min_inferences", 1);
    plan.max_errors = (uint32_t)td_json_int(probation, "max_errors", 0);
    plan.lease_s = (uint32_t)td_json_int(probation, "lease_seconds", 30);
    *out = plan;
    return TD_OK;
}

int64_t td_plan__place(const uint8_t salt[16], const char *device)
{
    uint8_t text[16 + TD_DEVICE_ID_MAX], digest[TD_DIGEST_SIZE];
    size_t length = strnlen(device, TD_DEVICE_ID_MAX);
    memcpy(text, salt, 16);
    memcpy(text + 16, device, length);
    td_sha256_of(text, 16 + length, digest);
    uint64_t place = 0;
    for (int i = 0; i < 8; i++) {
        place = place << 8 | digest[i];
    }
    return (int64_t)(place >> 1);
}

/* E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209, with z of 90 % one-sided. */
double td_plan__wilson(int64_t good, int64_t n)
{
    const double z = 1.2815515655446004;
    if (n <= 0) {
        return 0;
    }
    double count = (double)n, p = (double)good / count;
    double centre = p + z * z / (2 * count), spread = z * sqrt(p * (1 - p) / count + z * z / (4 * count * count));
    return (centre - spread) / (1 + z * z / count);
}
