/*
 * test_enrol.c: who gets in, who does not, and what is kept of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/fleet/fleet_fixture.h"

#include "core/crypto/x509.h"

static void enrol__lets_a_device_in_once(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    uint8_t secret[TD_ENROL_SECRET_SIZE];
    TD_CLEANUP(td_json_done) json_t *tags = json_pack("{s:s}", "site", "oslo");
    make_code(self, tags, 0, 0, secret);
    must(try_enrol(self, "pump-01", secret, &err), &err);
    TD_CLEANUP(td_json_done) json_t *shown = NULL;
    must(td_device_json(self->f->db, "default", "pump-01", &shown, &err), &err);
    assert_string_equal(td_json_text(shown, "presence", ""), "never");
    assert_string_equal(td_json_text(json_object_get(shown, "tags"), "site", ""), "oslo");
    refused(try_enrol(self, "pump-02", secret, &err), &err, TD_DENIED, "spent");
    assert_int_equal(count_records(self->f, "enrol.device"), 1);
    assert_int_equal(td_uplink_keys_count(self->keys), 1);
}

static void enrol__refuses_foreign_expired_and_taken(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    uint8_t secret[TD_ENROL_SECRET_SIZE], foreign[TD_ENROL_SECRET_SIZE] = {1, 2, 3};
    refused(try_enrol(self, "pump-01", foreign, &err), &err, TD_DENIED, "not one of this server's");
    make_code(self, NULL, 60000, 5, secret);
    must(try_enrol(self, "pump-01", secret, &err), &err);
    refused(try_enrol(self, "pump-01", secret, &err), &err, TD_CONFLICT, "taken");
    fixture_now_ms += 61000;
    refused(try_enrol(self, "pump-02", secret, &err), &err, TD_DENIED, "expired at 2026-01-01T00:01:00");
    assert_int_equal(self->count, 1);
}

static void enrol__the_writer_checks_again(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    uint8_t secret[TD_ENROL_SECRET_SIZE];
    make_code(self, NULL, 0, 1, secret);
    td_enrol_grant grant = {0};
    td_enrol_request one = {.device = "a"}, two = {.device = "b"};
    memcpy(one.secret, secret, sizeof secret);
    memcpy(two.secret, secret, sizeof secret);
    must(td_enrol_check(self->f->db, &one, &err), &err);
    must(td_enrol_check(self->f->db, &two, &err), &err); /* both were told yes */
    must(TRY_WRITE(self->f, td_enrol_device(self->f->db, &one, &grant, &err)), &err);
    refused(TRY_WRITE(self->f, td_enrol_device(self->f->db, &two, &grant, &err)), &err, TD_DENIED, "spent");
}

static void enrol__the_request_must_be_for_the_same_name(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_str_done) td_str csr = {0};
    TD_CLEANUP(td_enrol_grant_done) td_enrol_grant grant = {0};
    must(td_key_generate(TD_KEY_P256, &key, &err), &err);
    must(td_x509_make_request(key, "pump-01", &csr, &err), &err);
    td_enrol_authority authority = {.ca_key = self->ca_key, .ca_pem = td_str_text(&self->ca_pem)};
    td_enrol_request request = {.device = "pump-02", .csr_pem = csr.data, .csr_size = csr.size};
    refused(td_enrol_certify(&request, &authority, fixture_now_ms, &grant, &err), &err, TD_INVALID, "must be the same");
    request.device = "Pump_1";
    refused(td_enrol_certify(&request, &authority, fixture_now_ms, &grant, &err), &err, TD_INVALID, "identifier");
    csr.data[csr.size / 2] ^= 1;
    request.device = "pump-01";
    assert_int_not_equal(td_enrol_certify(&request, &authority, fixture_now_ms, &grant, &err), TD_OK);
    csr.data[csr.size / 2] ^= 1;
    must(td_enrol_certify(&request, &authority, fixture_now_ms, &grant, &err), &err);
    td_x509_facts facts;
    must(td_x509_read(td_str_text(&grant.certificate_pem), grant.certificate_pem.size, &facts, &err), &err);
    assert_string_equal(facts.common_name, "pump-01");
    assert_true(facts.not_after_ms > fixture_now_ms + (int64_t)3600 * 24 * 3600 * 1000); /* ten years */
}

static void enrol__codes_commit_to_ca_and_keyset(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    uint8_t one[TD_ENROL_DIGEST_SIZE], two[TD_ENROL_DIGEST_SIZE], three[TD_ENROL_DIGEST_SIZE];
    must(td_enrol_trust_digest(td_str_text(&self->ca_pem), "keyset", 6, one, &err), &err);
    must(td_enrol_trust_digest(td_str_text(&self->ca_pem), "keyseT", 6, two, &err), &err);
    assert_memory_not_equal(one, two, sizeof one);
    refused(td_enrol_trust_digest("no pem", "keyset", 6, three, &err), &err, TD_INVALID, "PEM");
    td_enrol_code_options options = {.count = 3};
    memcpy(options.trust_digest, one, sizeof one);
    TD_CLEANUP(td_json_done) json_t *made = NULL;
    must(td_enrol_code_create(self->f->db, &td_actor_system, &options, &made, &err), &err);
    json_t *codes = json_object_get(made, "codes");
    assert_int_equal(json_array_size(codes), 3);
    const char *a = json_string_value(json_array_get(codes, 0)), *b = json_string_value(json_array_get(codes, 1));
    assert_int_equal(strlen(a), 52);     /* 26 bytes: 42 symbols in groups of four */
    assert_string_equal(a + 20, b + 20); /* from the 17th symbol on: the digest */
    assert_string_not_equal(a, b);
    td_stmt *stmt; /* the secret itself is nowhere in the table */
    uint8_t secret[TD_ENROL_SECRET_SIZE], hash[TD_DIGEST_SIZE];
    secret_of(a, secret);
    td_sha256_of(secret, sizeof secret, hash);
    must(td_db_prepare(self->f->db, "SELECT secret_hash FROM enrol_code ORDER BY code_id LIMIT 1", &stmt, &err), &err);
    must(td_step_one(stmt, &err, "code"), &err);
    size_t size = 0;
    assert_memory_equal(td_column_blob(stmt, "secret_hash", &size), hash, TD_DIGEST_SIZE);
    td_reset(stmt);
}

static void enrol__options_have_limits(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    json_t *out = NULL;
    td_enrol_code_options options = {.count = 1001};
    assert_int_equal(td_enrol_code_create(self->f->db, &td_actor_system, &options, &out, &err), TD_INVALID);
    options.count = 1;
    options.ttl_ms = TD_ENROL_TTL_MAX_MS + 1;
    assert_int_equal(td_enrol_code_create(self->f->db, &td_actor_system, &options, &out, &err), TD_INVALID);
    options.ttl_ms = 0;
    TD_CLEANUP(td_json_done) json_t *tags = json_pack("{s:s}", "ram_mb", "1");
    options.tags = tags;
    refused(td_enrol_code_create(self->f->db, &td_actor_system, &options, &out, &err), &err, TD_INVALID, "ram_mb");
    options.tags = NULL;
    refused(td_enrol_code_create(self->f->db, &self->f->ana.actor, &options, &out, &err), &err, TD_DENIED, "");
    assert_null(out);
}

static void device__tags_and_revocation(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    enrol(self, "pump", 2, "oslo");
    TD_CLEANUP(td_json_done) json_t *change = json_pack("{s:s, s:n}", "line", "b", "site");
    must(td_device_tag(self->f->db, &td_actor_system, "default", "pump-01", change, &err), &err);
    TD_CLEANUP(td_json_done) json_t *list = NULL;
    must(td_device_list_json(self->f->db, "default", "line=b and not site", &(td_page){.limit = 0}, &list, &err), &err);
    assert_int_equal(json_array_size(json_object_get(list, "devices")), 1);
    refused(td_device_revoke(self->f->db, &td_actor_system, "default", "pump-09", "lost", &err), &err, TD_NOT_FOUND,
            "pump-09");
    must(td_device_revoke(self->f->db, &td_actor_system, "default", "pump-02", "stolen", &err), &err);
    refused(td_device_revoke(self->f->db, &td_actor_system, "default", "pump-02", "stolen", &err), &err, TD_CONFLICT,
            "already");
    TD_CLEANUP(td_json_done) json_t *all = NULL, *revoked = NULL, *by_state = NULL;
    must(td_device_list_json(self->f->db, "default", NULL, &(td_page){.limit = 0}, &all, &err), &err);
    assert_int_equal(json_array_size(json_object_get(all, "devices")), 1);
    must(td_device_list_json(self->f->db, "default", "state=revoked", &(td_page){.limit = 0}, &by_state, &err), &err);
    assert_int_equal(json_array_size(json_object_get(by_state, "devices")), 1);
    must(td_device_revoked_json(self->f->db, &revoked, &err), &err);
    assert_string_equal(json_string_value(json_array_get(revoked, 0)), "pump-02");
    refused(td_enrol_check(self->f->db, &(td_enrol_request){.device = "pump-02"}, &err), &err, TD_DENIED, "");
}

static void device__presence_is_derived(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    enrol(self, "pump", 1, "oslo");
    TD_CLEANUP(td_json_done) json_t *now = NULL, *later = NULL, *dead = NULL;
    must(td_device_counts_json(self->f->db, "default", &now, &err), &err);
    assert_int_equal(td_json_int(now, "online", -1), 1);
    fixture_now_ms += 31000; /* three contacts of 10 s missed */
    must(td_device_counts_json(self->f->db, "default", &later, &err), &err);
    assert_int_equal(td_json_int(later, "online", -1), 0);
    send_birth(self, &self->devices[0]);
    must(td_fleet_death(self->f->db, self->devices[0].id, 6, &err), &err); /* the will of an older boot */
    must(td_device_list_json(self->f->db, "default", "online", &(td_page){.limit = 0}, &dead, &err), &err);
    assert_int_equal(json_array_size(json_object_get(dead, "devices")), 1);
    must(td_fleet_death(self->f->db, self->devices[0].id, 7, &err), &err);
    json_decref(dead);
    dead = NULL;
    must(td_device_list_json(self->f->db, "default", "online", &(td_page){.limit = 0}, &dead, &err), &err);
    assert_int_equal(json_array_size(json_object_get(dead, "devices")), 0);
}

/* Names of the devices that the filter finds, last one first. */
static void asked(fleet *self, const char *filter, const char *names)
{
    td_err err = {0};
    TD_CLEANUP(td_json_done) json_t *list = NULL;
    TD_CLEANUP(td_str_done) td_str got = {0};
    td_page page = {.filter = filter, .order = "device DESC"};
    must(td_device_list_json(self->f->db, "default", NULL, &page, &list, &err), &err);
    json_t *devices = json_object_get(list, "devices");
    for (size_t i = 0; i < json_array_size(devices); i++) {
        td_str_addf(&got, "%s%s", i > 0 ? " " : "", td_json_text(json_array_get(devices, i), "device", "?"));
    }
    assert_string_equal(td_str_text(&got), names);
}

static void device__lists_take_a_filter(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    enrol(self, "pump", 3, "oslo");
    TD_CLEANUP(td_json_done) json_t *change = json_pack("{s:s}", "line", "b");
    must(td_device_tag(self->f->db, &td_actor_system, "default", "pump-02", change, &err), &err);
    must(td_device_revoke(self->f->db, &td_actor_system, "default", "pump-03", "stolen", &err), &err);
    asked(self, NULL, "pump-02 pump-01");
    asked(self, "tags.site = 'oslo'", "pump-02 pump-01");
    asked(self, "tags.line = 'b' AND online = true", "pump-02");
    asked(self, "tags.line IS NULL", "pump-01");
    asked(self, "state = 'revoked'", "pump-03");
    asked(self, "state IN ('revoked', 'enrolled') AND name LIKE 'pump%'", "pump-03 pump-02 pump-01");
    asked(self, "running = 'pump/1'", "");
    asked(self, "runtime != 'none' AND last_contact_at > '2000-01-01'", "pump-02 pump-01");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FLEET_CASE(enrol__lets_a_device_in_once),         FLEET_CASE(enrol__refuses_foreign_expired_and_taken),
        FLEET_CASE(enrol__the_writer_checks_again),       FLEET_CASE(enrol__the_request_must_be_for_the_same_name),
        FLEET_CASE(enrol__codes_commit_to_ca_and_keyset), FLEET_CASE(enrol__options_have_limits),
        FLEET_CASE(device__tags_and_revocation),          FLEET_CASE(device__presence_is_derived),
          FLEET_CASE(device__lists_take_a_filter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
