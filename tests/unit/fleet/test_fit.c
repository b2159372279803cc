/*
 * test_fit.c: which device can take which version: every rule alone, and what a rollout makes of the answer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/fit.h"
#include "tests/unit/fleet/fleet_fixture.h"

/* A draft of `model` that asks for that; facts as JSON text. */
static void make(fleet *self, const char *model, const char *facts, td_version_options options)
{
    td_err err = {0};
    int64_t number;
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    td_version_file file = put_file(self->f, "net.onnx", TD_FILE_MODEL, model, strlen(model));
    must(td_json_parse(facts, strlen(facts), "facts", &json, &err), &err);
    options.model = model;
    options.create_model = true;
    options.files = &file;
    options.file_count = 1;
    options.format = options.format != NULL ? options.format : "onnx";
    options.facts = json;
    must(td_version_create(self->f->db, &self->f->ana.actor, "default", &options, &number, &err), &err);
}

static void approve(fleet *self, const char *reference)
{
    td_err err = {0};
    td_version_state state;
    submit(self->f, reference, NULL);
    td_approval approval = sign_approval(self->f, reference, &self->f->ben);
    must(td_version_approve(self->f->db, &self->f->ben.actor, "default", reference, &approval, &state, &err), &err);
}

/* The device is born with up to three runtimes, separated by spaces. */
static void born(fleet *self, const char *name, const char *runtimes, uint64_t ram, uint64_t storage)
{
    td_err err = {0};
    tidemark_Birth birth = tidemark_Birth_init_zero;
    const device *d = named(self, name);
    snprintf(birth.device, sizeof birth.device, "%s", name);
    snprintf(birth.hardware, sizeof birth.hardware, "test-board");
    birth.boot_id = 8;
    birth.contact_every_s = 10;
    birth.ram_bytes = ram;
    birth.storage_free = storage;
    birth.directive_sequence = d->directive;
    birth.runtimes_count = (pb_size_t)sscanf(runtimes, "%32s %32s %32s", birth.runtimes[0], birth.runtimes[1],
                                             birth.runtimes[2]);
    birth.runtimes_count = runtimes[0] == '\0' ? 0 : birth.runtimes_count;
    must(td_fleet_birth(self->f->db, d->id, &birth, &err), &err);
}

/* "no hardware ram", "yes": the answer and the codes of its reasons. */
static const char *fit_of(fleet *self, const char *reference, const char *name)
{
    static char text[200];
    td_err err = {0};
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    td_fit_query query = {.device = name};
    must(td_fit_json(self->f->db, "default", reference, &query, &answer, &err), &err);
    const json_t *row = json_array_get(json_object_get(answer, "devices"), 0);
    size_t length = (size_t)snprintf(text, sizeof text, "%s", td_json_text(row, "fit", "?"));
    const json_t *reasons = json_object_get(row, "reasons");
    for (size_t i = 0; i < json_array_size(reasons); i++) {
        length += (size_t)snprintf(text + length, sizeof text - length, " %s",
                                   td_json_text(json_array_get(reasons, i), "code", "?"));
    }
    return text;
}

static void fit__every_rule(void **state)
{
    fleet *self = *state;
    enrol(self, "pump", 1, "oslo");
    make(self, "plain", "{}", (td_version_options){.format = "opaque"});
    make(self, "board", "{}", (td_version_options){.hardware = "other-board"});
    make(self, "memory", "{}", (td_version_options){.ram_bytes = 2000});
    make(self, "runtime", "{}", (td_version_options){.runtimes = {"tflite", "tflm"}});
    make(self, "lite", "{}", (td_version_options){.format = "tflite"});
    make(self, "new", "{\"opsets\":{\"ai.onnx\":18}}", (td_version_options){.runtimes = {"onnx"}});
    make(self, "own", "{\"operators\":[{\"name\":\"A\",\"domain\":\"com.acme\",\"custom\":true},{\"name\":\"B\","
                      "\"domain\":\"ai.onnx\",\"custom\":false}]}", (td_version_options){.runtimes = {"onnx"}});
    make(self, "heavy", "{\"parameter_bytes\":3000}", (td_version_options){.format = "opaque"});
    born(self, "pump-01", "", 1000, 3);
    assert_string_equal(fit_of(self, "plain/1", "pump-01"), "unsure storage");
    born(self, "pump-01", "onnx", 1000, 0);
    assert_string_equal(fit_of(self, "plain/1", "pump-01"), "yes");
    assert_string_equal(fit_of(self, "board/1", "pump-01"), "no hardware");
    assert_string_equal(fit_of(self, "memory/1", "pump-01"), "no ram");
    assert_string_equal(fit_of(self, "runtime/1", "pump-01"), "no runtime");
    assert_string_equal(fit_of(self, "lite/1", "pump-01"), "unsure format");
    assert_string_equal(fit_of(self, "heavy/1", "pump-01"), "unsure weights");
    assert_string_equal(fit_of(self, "new/1", "pump-01"), "yes"); /* it says nothing of operator sets */
    assert_string_equal(fit_of(self, "own/1", "pump-01"), "unsure operators");
    born(self, "pump-01", "onnx onnx-opset17 tflm", 5000, 5000);
    assert_string_equal(fit_of(self, "new/1", "pump-01"), "no opset");
    assert_string_equal(fit_of(self, "lite/1", "pump-01"), "yes");
    assert_string_equal(fit_of(self, "runtime/1", "pump-01"), "yes");
    assert_string_equal(fit_of(self, "memory/1", "pump-01"), "yes");
    assert_string_equal(fit_of(self, "heavy/1", "pump-01"), "yes");
    born(self, "pump-01", "onnx onnx-opset18 onnx-domain-com.acme", 5000, 5000);
    assert_string_equal(fit_of(self, "new/1", "pump-01"), "yes");
    assert_string_equal(fit_of(self, "own/1", "pump-01"), "yes");
}

static void fit__what_nobody_knows_is_unsure(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    uint8_t secret[TD_ENROL_SECRET_SIZE];
    make_code(self, NULL, 0, 1, secret);
    must(try_enrol(self, "mute", secret, &err), &err);
    make(self, "board", "{}", (td_version_options){.hardware = "other-board"});
    assert_string_equal(fit_of(self, "board/1", "mute"), "unsure unheard");
    must(td_device_revoke(self->f->db, &td_actor_system, "default", "mute", "stolen", &err), &err);
    assert_string_equal(fit_of(self, "board/1", "mute"), "no revoked unheard");
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    td_fit_query nobody = {.device = "nobody"};
    refused(td_fit_json(self->f->db, "default", "board/1", &nobody, &answer, &err), &err, TD_NOT_FOUND, "nobody");
}

static void fit__all_are_counted_and_the_worst_come_first(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    enrol(self, "oslo", 3, "oslo");
    make(self, "pump", "{\"parameter_bytes\":2000}", (td_version_options){.runtimes = {"onnx"}, .format = "opaque"});
    born(self, "oslo-01", "onnx", 1000, 0);
    born(self, "oslo-02", "tflm", 5000, 0);
    born(self, "oslo-03", "onnx", 5000, 0);
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    td_fit_query query = {.to = "site=oslo"};
    must(td_fit_json(self->f->db, "default", "pump/1", &query, &answer, &err), &err);
    const json_t *counts = json_object_get(answer, "counts"), *devices = json_object_get(answer, "devices");
    assert_int_equal(td_json_int(counts, "yes", 0), 1);
    assert_int_equal(td_json_int(counts, "unsure", 0), 1);
    assert_int_equal(td_json_int(counts, "no", 0), 1);
    assert_int_equal(json_array_size(devices), 2);
    assert_string_equal(td_json_text(json_array_get(devices, 0), "device", ""), "oslo-02");
    assert_string_equal(td_json_text(json_array_get(devices, 1), "device", ""), "oslo-01");
}

static td_code try_roll_out(fleet *self, const char *spec, td_err *err)
{
    char id[TD_ROLLOUT_ID_TEXT];
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    must(td_json_parse(spec, strlen(spec), "spec", &json, err), err);
    return TRY_WRITE(self->f, td_rollout_create(self->f->db, &td_actor_system, "default", json, id, err));
}

static void rollout__unfit_devices_are_refused_skipped_or_tried(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    enrol(self, "oslo", 3, "oslo");
    make(self, "pump", "{}", (td_version_options){.runtimes = {"onnx"}});
    approve(self, "pump/1");
    refused(try_roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\",\"unfit\":\"skip\"}", &err), &err,
            TD_CONFLICT, "none of the 3 devices can take pump/1 (oslo-01: it needs onnx");
    born(self, "oslo-01", "onnx", 1 << 20, 0);
    born(self, "oslo-02", "onnx", 1 << 20, 0);
    refused(try_roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\"}", &err), &err, TD_CONFLICT,
            "1 of the devices cannot take pump/1 (oslo-03: it needs onnx, which the device does not have)");
    const char *id = roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\",\"unfit\":\"skip\"}");
    tick(self);
    assert_int_equal(count_of(self, id, "devices"), 2);
    assert_string_equal(part_of(self, id, "oslo-03"), "not in it");
    born(self, "oslo-03", "onnx", 1 << 20, 0); /* it got the runtime: now it joins */
    tick(self);
    assert_int_equal(count_of(self, id, "devices"), 3);
    must(td_rollout_abort(self->f->db, &td_actor_system, "default", id, "enough", &err), &err);
    live(self, 5);
    born(self, "oslo-03", "tflm", 1 << 20, 0);
    id = roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\",\"unfit\":\"try\"}");
    tick(self);
    assert_int_equal(count_of(self, id, "devices"), 3);
}

static void rollout__a_preview_lists_who_cannot_take_it(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    enrol(self, "oslo", 2, "oslo");
    make(self, "pump", "{}", (td_version_options){.runtimes = {"onnx"}});
    approve(self, "pump/1");
    born(self, "oslo-01", "onnx", 1 << 20, 0);
    TD_CLEANUP(td_json_done) json_t *spec = json_pack("{s:s, s:s}", "model_version", "pump/1", "to", "all");
    TD_CLEANUP(td_json_done) json_t *preview = NULL;
    must(td_rollout_preview_json(self->f->db, "default", spec, &preview, &err), &err);
    assert_int_equal(td_json_int(preview, "devices", 0), 1);
    assert_int_equal(td_json_int(preview, "unfit", 0), 1);
    const json_t *row = json_array_get(json_object_get(preview, "not_fitting"), 0);
    assert_string_equal(td_json_text(row, "device", ""), "oslo-02");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FLEET_CASE(fit__every_rule),
        FLEET_CASE(fit__what_nobody_knows_is_unsure),
        FLEET_CASE(fit__all_are_counted_and_the_worst_come_first),
        FLEET_CASE(rollout__unfit_devices_are_refused_skipped_or_tried),
        FLEET_CASE(rollout__a_preview_lists_who_cannot_take_it),
    };
    return cmocka_run_group_tests_name("fit", tests, NULL, NULL);
}
