/*
 * test_approval.c: four eyes, one person one vote, the right key over the right bytes, and nothing approved without
 * all of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/registry/fixture.h"

static td_code approve(fixture *f, const person *who, const char *reference, const td_approval *approval, td_err *err)
{
    td_version_state state;
    return TRY_WRITE(f, td_version_approve(f->db, &who->actor, "default", reference, approval, &state, err));
}

static void set_threshold(fixture *f, uint32_t threshold)
{
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str envelope = {0};
    td_trust_change change = {.approver_threshold = threshold};
    must(td_trust_draft(f->db, &change, f->root, &envelope, &err), &err);
    must(td_trust_publish(f->db, &td_actor_system, envelope.data, envelope.size, NULL, "regulated", &err), &err);
}

static void submit__freezes_and_names_content(void **state)
{
    fixture *f = *state;
    TD_CLEANUP(td_str_done) td_str manifest = {0};
    uint8_t digest[TD_DIGEST_SIZE];
    (void)make_version(f, "pump", "weights");
    submit(f, "pump/1", &manifest);
    td_version version = find(f, "pump/1");
    td_sha256_of(manifest.data, manifest.size, digest);
    assert_int_equal(version.state, TD_VERSION_PENDING);
    assert_memory_equal(version.manifest_digest, digest, sizeof digest);
    assert_int_equal(version.manifest_size, manifest.size);
    assert_int_equal(version.device_bytes, 7); /* the card stays at home */
    assert_true(td_content_exists(f->content, version.bundle_digest, NULL));
    assert_int_equal(count_records(f, "submit.version"), 1);
    td_version again;
    td_err err = {0};
    must(td_version_of_manifest(f->db, digest, &f->arena, &again, &err), &err);
    assert_string_equal(again.label, "pump/1");
}

static void submit__twice_is_a_conflict(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_packed packed;
    TD_CLEANUP(td_str_done) td_str manifest = {0};
    (void)make_version(f, "pump", "a");
    submit(f, "pump/1", NULL);
    td_version version = find(f, "pump/1");
    refused(td_bundle_pack(f->db, f->content, &version, NULL, 0, &manifest, &packed, &err), &err, TD_CONFLICT,
            "pump/1");
}

static void submit__manifest_of_another_version_is_refused(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_packed packed;
    TD_CLEANUP(td_str_done) td_str manifest = {0};
    (void)make_version(f, "pump", "a");
    (void)make_version(f, "pump", "b");
    td_version first = find(f, "pump/1");
    must(td_bundle_pack(f->db, f->content, &first, NULL, 0, &manifest, &packed, &err), &err);
    refused(TRY_WRITE(f, td_version_submit(f->db, &f->ana.actor, "default", "pump/2", &packed, NULL, &err)), &err,
            TD_CONFLICT, "was made for pump/1");
}

/* Everything in the head is right, but a file was exchanged. */
static void submit__manifest_with_another_file_is_refused(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    (void)make_version(f, "pump", "a");
    td_version v = find(f, "pump/1");
    td_version_file other = put_file(f, "model/net.onnx", TD_FILE_MODEL, "evil", 4);
    td_manifest_file file = {.name = other.name, .size = other.size, .role = TD_FILE_MODEL};
    memcpy(file.digest, other.digest, sizeof file.digest);
    td_manifest m = {.project = v.project,
                     .model = v.model,
                     .version = 1,
                     .security_counter = v.security_counter,
                     .format = v.format,
                     .hardware = "",
                     .created_ms = (uint64_t)v.created_ms,
                     .files = &file,
                     .file_count = 1};
    must(td_manifest_build(&m, f->content, &bytes, &err), &err);
    td_packed packed = {.manifest = bytes.data, .manifest_size = bytes.size};
    refused(TRY_WRITE(f, td_version_submit(f->db, &f->ana.actor, "default", "pump/1", &packed, NULL, &err)), &err,
            TD_CONFLICT, "model/net.onnx");
}

static void approve__at_the_threshold(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_version_state became;
    uint8_t digest[TD_DIGEST_SIZE];
    TD_CLEANUP(td_str_done) td_str envelope = {0};
    (void)make_version(f, "pump", "a");
    submit(f, "pump/1", NULL);
    td_approval approval = sign_approval(f, "pump/1", &f->ben);
    must(td_version_envelope(f->db, "default", "pump/1", &approval, &envelope, &err), &err);
    must(td_content_put_bytes(f->content, envelope.data, envelope.size, digest, &err), &err);
    approval.envelope_digest = digest;
    must(td_version_approve(f->db, &f->ben.actor, "default", "pump/1", &approval, &became, &err), &err);
    assert_int_equal(became, TD_VERSION_APPROVED);
    td_version version = find(f, "pump/1");
    assert_int_equal(version.state, TD_VERSION_APPROVED);
    assert_true(version.has_envelope);
    assert_memory_equal(version.envelope_digest, digest, sizeof digest);
    assert_int_equal(version.envelope_size, envelope.size);
    assert_true(version.approval_seq >= 0);
    assert_int_equal(version.decided_ms, fixture_now_ms);
    assert_int_equal(count_records(f, "approve.version"), 1);
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    must(td_version_json(f->db, "default", "pump/1", &json, &err), &err);
    assert_string_equal(td_json_text(json_array_get(json_object_get(json, "approvals"), 0), "user", ""), "ben");
    assert_int_equal(json_array_size(json_object_get(json, "moves")), 2);
}

static void approve__two_people_at_threshold_two(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_version_state became;
    set_threshold(f, 2);
    (void)make_version(f, "pump", "a");
    submit(f, "pump/1", NULL);
    td_approval ben = sign_approval(f, "pump/1", &f->ben);
    must(td_version_approve(f->db, &f->ben.actor, "default", "pump/1", &ben, &became, &err), &err);
    assert_int_equal(became, TD_VERSION_PENDING);
    refused(approve(f, &f->ben, "pump/1", &ben, &err), &err, TD_CONFLICT, "one person counts once");
    td_approval carl = sign_approval(f, "pump/1", &f->carl);
    must(td_version_approve(f->db, &f->carl.actor, "default", "pump/1", &carl, &became, &err), &err);
    assert_int_equal(became, TD_VERSION_APPROVED);
    TD_CLEANUP(td_str_done) td_str envelope = {0};
    td_signed_message message;
    td_trust trust;
    must(td_version_envelope(f->db, "default", "pump/1", NULL, &envelope, &err), &err);
    must(td_signed_message_decode(envelope.data, envelope.size, &message, &err), &err);
    must(td_trust_current(f->db, &f->arena, &trust, &err), &err);
    must(td_keyset_verify(&trust.keyset, TD_SIGNER_APPROVER, &message, TD_MANIFEST_TYPE, &err), &err);
}

/* The same person with a second key is still one person. */
static void approve__second_key_of_one_person_does_not_count(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_version_state became;
    person again = f->ben;
    add_approver(f, &again);
    set_threshold(f, 2);
    (void)make_version(f, "pump", "a");
    submit(f, "pump/1", NULL);
    td_approval first = sign_approval(f, "pump/1", &f->ben);
    td_approval second = sign_approval(f, "pump/1", &again);
    must(td_version_approve(f->db, &f->ben.actor, "default", "pump/1", &first, &became, &err), &err);
    refused(approve(f, &f->ben, "pump/1", &second, &err), &err, TD_CONFLICT, "one person counts once");
    assert_int_equal(find(f, "pump/1").state, TD_VERSION_PENDING);
    td_key_free(&again.key);
}

static void approve__own_version_is_denied(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    int64_t number;
    td_version_file file = put_file(f, "net.onnx", TD_FILE_MODEL, "d", 1);
    td_version_options options = {
        .model = "pump", .create_model = true, .files = &file, .file_count = 1, .format = "onnx"};
    must(td_version_create(f->db, &f->dora.actor, "default", &options, &number, &err), &err);
    submit(f, "pump/1", NULL);
    td_approval approval = sign_approval(f, "pump/1", &f->dora);
    refused(approve(f, &f->dora, "pump/1", &approval, &err), &err, TD_DENIED, "dora registered pump/1");
    assert_int_equal(find(f, "pump/1").state, TD_VERSION_PENDING);
    assert_int_equal(count_records(f, "approve.version"), 0);
}

static void approve__editor_is_denied(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    (void)make_version(f, "pump", "a");
    must(td_version_set_tag(f->db, &f->dora.actor, "default", "pump/1", "k", "v", &err), &err);
    submit(f, "pump/1", NULL);
    td_approval approval = sign_approval(f, "pump/1", &f->dora);
    refused(approve(f, &f->dora, "pump/1", &approval, &err), &err, TD_DENIED, "dora edited the metadata");
}

static void approve__without_the_role_is_denied(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    (void)make_version(f, "pump", "a");
    submit(f, "pump/1", NULL);
    td_approval approval = sign_approval(f, "pump/1", &f->ben);
    assert_int_equal(approve(f, &f->ana, "pump/1", &approval, &err), TD_DENIED);
    assert_int_equal(approve(f, &f->robo, "pump/1", &approval, &err), TD_DENIED);
    must(td_role_revoke(f->db, &td_actor_system, "ben", "default", TD_ROLE_APPROVER, "left the team", &err), &err);
    assert_int_equal(approve(f, &f->ben, "pump/1", &approval, &err), TD_DENIED);
    td_version_state became;
    assert_int_equal(
        TRY_WRITE(f, td_version_approve(f->db, &td_actor_system, "default", "pump/1", &approval, &became, &err)),
        TD_DENIED); /* the server itself never approves */
}

static void approve__with_somebody_elses_key_is_denied(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    (void)make_version(f, "pump", "a");
    submit(f, "pump/1", NULL);
    td_approval approval = sign_approval(f, "pump/1", &f->carl);
    refused(approve(f, &f->ben, "pump/1", &approval, &err), &err, TD_DENIED, "is not ben's");
    person stranger = f->ben;
    must(td_key_generate(TD_KEY_P256, &stranger.key, &err), &err);
    approval = sign_approval(f, "pump/1", &stranger);
    refused(approve(f, &f->ben, "pump/1", &approval, &err), &err, TD_DENIED, "in no keyset");
    td_key_free(&stranger.key);
}

static void approve__wrong_signature_is_corrupt(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    (void)make_version(f, "pump", "a");
    (void)make_version(f, "pump", "b");
    submit(f, "pump/1", NULL);
    submit(f, "pump/2", NULL);
    td_approval of_two = sign_approval(f, "pump/2", &f->ben);
    refused(approve(f, &f->ben, "pump/1", &of_two, &err), &err, TD_CORRUPT, "over the manifest of pump/1");
    td_approval flipped = sign_approval(f, "pump/1", &f->ben);
    flipped.signature[10] ^= 1;
    assert_int_equal(approve(f, &f->ben, "pump/1", &flipped, &err), TD_CORRUPT);
    assert_int_equal(count_records(f, "approve.version"), 0);
}

/* A signature over the bare bytes, or over another type, is not an approval. */
static void approve__signature_over_another_type_is_corrupt(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_signature signature;
    (void)make_version(f, "pump", "a");
    submit(f, "pump/1", NULL);
    td_version version = find(f, "pump/1");
    td_approval approval = sign_approval(f, "pump/1", &f->ben);
    must(td_signed_payload_sign(TD_DIRECTIVE_TYPE, version.manifest, version.manifest_size, f->ben.key, &signature,
                                &err),
         &err);
    memcpy(approval.signature, signature.signature, sizeof approval.signature);
    assert_int_equal(approve(f, &f->ben, "pump/1", &approval, &err), TD_CORRUPT);
}

static void approve__removed_key_is_denied(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str envelope = {0};
    (void)make_version(f, "pump", "a");
    submit(f, "pump/1", NULL);
    td_trust_change change = {.remove_approver = f->ben.public_key};
    must(td_trust_draft(f->db, &change, f->root, &envelope, &err), &err);
    must(td_trust_publish(f->db, &td_actor_system, envelope.data, envelope.size, NULL, "lost laptop", &err), &err);
    td_approval approval = sign_approval(f, "pump/1", &f->ben);
    refused(approve(f, &f->ben, "pump/1", &approval, &err), &err, TD_DENIED, "was removed");
}

static void approve__needs_submit_and_reason(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    (void)make_version(f, "pump", "a");
    td_approval blank = {.reason = "fine"};
    refused(approve(f, &f->ben, "pump/1", &blank, &err), &err, TD_CONFLICT, "pump/1 is draft; it can move to pending");
    submit(f, "pump/1", NULL);
    td_approval silent = sign_approval(f, "pump/1", &f->ben);
    silent.reason = "  ";
    refused(approve(f, &f->ben, "pump/1", &silent, &err), &err, TD_INVALID, "reason");
}

static void approve__other_envelope_is_busy(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    uint8_t stale[TD_DIGEST_SIZE] = {9};
    (void)make_version(f, "pump", "a");
    submit(f, "pump/1", NULL);
    td_approval approval = sign_approval(f, "pump/1", &f->ben);
    approval.envelope_digest = stale;
    refused(approve(f, &f->ben, "pump/1", &approval, &err), &err, TD_BUSY, "try again");
    assert_int_equal(find(f, "pump/1").state, TD_VERSION_PENDING);
}

static void approve__raises_the_security_floor(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    int64_t number;
    td_version_state became;
    td_version_file file = put_file(f, "net.onnx", TD_FILE_MODEL, "d", 1);
    td_version_options options = {.model = "pump",
                                  .create_model = true,
                                  .files = &file,
                                  .file_count = 1,
                                  .format = "onnx",
                                  .security_counter = 5};
    must(td_version_create(f->db, &f->ana.actor, "default", &options, &number, &err), &err);
    submit(f, "pump/1", NULL);
    td_approval approval = sign_approval(f, "pump/1", &f->ben);
    must(td_version_approve(f->db, &f->ben.actor, "default", "pump/1", &approval, &became, &err), &err);
    options.security_counter = 4;
    refused(TRY_WRITE(f, td_version_create(f->db, &f->ana.actor, "default", &options, &number, &err)), &err, TD_INVALID,
            "security counter 4");
    options.security_counter = 0;
    must(td_version_create(f->db, &f->ana.actor, "default", &options, &number, &err), &err);
    assert_int_equal(find(f, "pump/2").security_counter, 5);
}

static void reject__is_final(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    (void)make_version(f, "pump", "a");
    submit(f, "pump/1", NULL);
    refused(TRY_WRITE(f, td_version_reject(f->db, &f->ben.actor, "default", "pump/1", NULL, &err)), &err, TD_INVALID,
            "reason");
    assert_int_equal(TRY_WRITE(f, td_version_reject(f->db, &f->ana.actor, "default", "pump/1", "no", &err)), TD_DENIED);
    must(td_version_reject(f->db, &f->ben.actor, "default", "pump/1", "drifts", &err), &err);
    td_approval approval = sign_approval(f, "pump/1", &f->carl);
    refused(approve(f, &f->carl, "pump/1", &approval, &err), &err, TD_CONFLICT, "rejected, which is final");
    assert_int_equal(count_records(f, "reject.version"), 1);
}

static void move__only_along_the_table(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    const td_actor *ana = &f->ana.actor;
    (void)make_approved(f, "pump", "a");
    refused(TRY_WRITE(f, td_version_move(f->db, ana, "default", "pump/1", TD_VERSION_RETIRED, "old", &err)), &err,
            TD_CONFLICT, "it can move to deprecated, not to retired");
    refused(TRY_WRITE(f, td_version_move(f->db, ana, "default", "pump/1", TD_VERSION_DRAFT, "old", &err)), &err,
            TD_INVALID, "");
    must(td_version_move(f->db, ana, "default", "pump/1", TD_VERSION_DEPRECATED, "pump/2 is better", &err), &err);
    must(td_version_move(f->db, ana, "default", "pump/1", TD_VERSION_RETIRED, "a year has passed", &err), &err);
    refused(TRY_WRITE(f, td_version_move(f->db, ana, "default", "pump/1", TD_VERSION_DEPRECATED, "?", &err)), &err,
            TD_CONFLICT, "final");
    assert_int_equal(count_records(f, "deprecate.version") + count_records(f, "retire.version"), 2);
}

/* ---- keysets ---- */

static void keyset__is_shown_with_its_people(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_CLEANUP(td_json_done) json_t *keys = NULL;
    must(td_trust_json(f->db, &json, &err), &err);
    assert_int_equal(td_json_int(json, "version", 0), 4);
    assert_int_equal(json_array_size(json_object_get(json, "keys")), 5);
    must(td_approver_keys_json(f->db, "ben", &keys, &err), &err);
    assert_int_equal(json_array_size(keys), 1);
    assert_non_null(strstr(td_json_text(json_array_get(keys, 0), "public_key", ""), "BEGIN PUBLIC KEY"));
}

static void keyset__must_follow_and_be_signed_by_root(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str first = {0};
    TD_CLEANUP(td_str_done) td_str second = {0};
    TD_CLEANUP(td_str_done) td_str unsigned_one = {0};
    TD_CLEANUP(td_str_done) td_str by_ben = {0};
    td_trust_change change = {.approver_threshold = 2};
    must(td_trust_draft(f->db, &change, f->root, &first, &err), &err);
    must(td_trust_draft(f->db, &change, f->root, &second, &err), &err);
    must(td_trust_draft(f->db, &change, NULL, &unsigned_one, &err), &err);
    must(td_envelope_sign(unsigned_one.data, unsigned_one.size, f->ben.key, &by_ben, &err), &err);
    const td_actor *system = &td_actor_system;
    refused(TRY_WRITE(f, td_trust_publish(f->db, system, unsigned_one.data, unsigned_one.size, NULL, "r", &err)), &err,
            TD_CORRUPT, "0 good signatures by root");
    refused(TRY_WRITE(f, td_trust_publish(f->db, system, by_ben.data, by_ben.size, NULL, "r", &err)), &err, TD_CORRUPT,
            "0 good signatures by root");
    must(td_trust_publish(f->db, system, first.data, first.size, NULL, "r", &err), &err);
    refused(TRY_WRITE(f, td_trust_publish(f->db, system, second.data, second.size, NULL, "r", &err)), &err, TD_CONFLICT,
            "cannot follow");
}

/* A thief of the server who makes himself a root cannot publish: the old root must sign too. */
static void keyset__new_root_alone_cannot_take_over(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_trust trust;
    TD_CLEANUP(td_str_done) td_str payload = {0};
    TD_CLEANUP(td_str_done) td_str envelope = {0};
    must(td_trust_current(f->db, &f->arena, &trust, &err), &err);
    trust.keyset.version++;
    (void)td_key_public(f->publisher, trust.keyset.keys[0].public_key);
    must(td_keyset_encode(&trust.keyset, &payload, &err), &err);
    must(td_signed_message_make(TD_KEYSET_TYPE, payload.data, payload.size, f->publisher, &envelope, &err), &err);
    refused(TRY_WRITE(f, td_trust_publish(f->db, &td_actor_system, envelope.data, envelope.size, NULL, "r", &err)),
            &err, TD_CORRUPT, "predecessor's root");
}

/* As a device or an offline verifier sees it: no version may be left out. */
static void keyset__versions_cannot_be_skipped(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_trust trust;
    td_keyset out;
    must(td_trust_current(f->db, &f->arena, &trust, &err), &err);
    td_keyset before = trust.keyset;
    before.version -= 1;
    must(td_keyset_open(trust.envelope, trust.envelope_size, &before, f->root_public, &out, &err), &err);
    before.version -= 1;
    refused(td_keyset_open(trust.envelope, trust.envelope_size, &before, NULL, &out, &err), &err, TD_CORRUPT,
            "does not follow");
    refused(td_keyset_open(trust.envelope, trust.envelope_size, &trust.keyset, NULL, &out, &err), &err, TD_CORRUPT,
            "does not follow");
}

static void keyset__service_account_gets_no_approver_key(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    TD_CLEANUP(td_str_done) td_str envelope = {0};
    (void)td_key_public(f->publisher, public_key);
    td_trust_change change = {.add_approver = public_key};
    td_key_owner owner = {.user_id = f->robo.actor.user_id, .user = "robo"};
    must(td_trust_draft(f->db, &change, f->root, &envelope, &err), &err);
    refused(TRY_WRITE(f, td_trust_publish(f->db, &td_actor_system, envelope.data, envelope.size, &owner, "r", &err)),
            &err, TD_DENIED, "service account");
    refused(TRY_WRITE(f, td_trust_publish(f->db, &td_actor_system, envelope.data, envelope.size, NULL, "r", &err)),
            &err, TD_INVALID, "whose it is");
    refused(TRY_WRITE(f, td_trust_publish(f->db, &f->ana.actor, envelope.data, envelope.size, &owner, "r", &err)), &err,
            TD_DENIED, "");
}

static void keyset__an_approver_brings_his_own_key_and_nothing_else(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    (void)td_key_public(f->publisher, public_key);
    td_key_owner own = {.user_id = f->ben.actor.user_id, .user = "ben", .project = "default"};
    td_key_owner named = {.user_id = f->ben.actor.user_id, .user = "ben"};
    const td_trust_change changes[] = {
        {.add_approver = public_key, .approver_threshold = 2},
        {.add_approver = public_key, .remove_approver = f->carl.public_key},
        {.add_approver = public_key},
    };
    for (size_t i = 0; i < TD_COUNT_OF(changes); i++) {
        TD_CLEANUP(td_str_done) td_str envelope = {0};
        must(td_trust_draft(f->db, &changes[i], f->root, &envelope, &err), &err);
        const td_actor *ben = &f->ben.actor, *ana = &f->ana.actor;
        const void *bytes = envelope.data;
        size_t size = envelope.size;
        refused(TRY_WRITE(f, td_trust_publish(f->db, ben, bytes, size, &named, "r", &err)), &err, TD_DENIED, "");
        refused(TRY_WRITE(f, td_trust_publish(f->db, ana, bytes, size, &own, "r", &err)), &err, TD_DENIED, "");
        td_code code = TRY_WRITE(f, td_trust_publish(f->db, ben, bytes, size, &own, "r", &err));
        assert_int_equal(code, i < 2 ? TD_DENIED : TD_OK);
    }
}

static void keyset__same_key_twice_is_a_conflict(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str envelope = {0};
    td_trust_change change = {.add_approver = f->ben.public_key};
    refused(td_trust_draft(f->db, &change, f->root, &envelope, &err), &err, TD_CONFLICT, "already");
    change = (td_trust_change){.add_approver = f->root_public}; /* no key has two roles */
    refused(td_trust_draft(f->db, &change, f->root, &envelope, &err), &err, TD_CONFLICT, "already");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(submit__freezes_and_names_content),
        CASE(submit__twice_is_a_conflict),
        CASE(submit__manifest_of_another_version_is_refused),
        CASE(submit__manifest_with_another_file_is_refused),
        CASE(approve__at_the_threshold),
        CASE(approve__two_people_at_threshold_two),
        CASE(approve__second_key_of_one_person_does_not_count),
        CASE(approve__own_version_is_denied),
        CASE(approve__editor_is_denied),
        CASE(approve__without_the_role_is_denied),
        CASE(approve__with_somebody_elses_key_is_denied),
        CASE(approve__wrong_signature_is_corrupt),
        CASE(approve__signature_over_another_type_is_corrupt),
        CASE(approve__removed_key_is_denied),
        CASE(approve__needs_submit_and_reason),
        CASE(approve__other_envelope_is_busy),
        CASE(approve__raises_the_security_floor),
        CASE(reject__is_final),
        CASE(move__only_along_the_table),
        CASE(keyset__is_shown_with_its_people),
        CASE(keyset__must_follow_and_be_signed_by_root),
        CASE(keyset__new_root_alone_cannot_take_over),
        CASE(keyset__versions_cannot_be_skipped),
        CASE(keyset__service_account_gets_no_approver_key),
        CASE(keyset__an_approver_brings_his_own_key_and_nothing_else),
        CASE(keyset__same_key_twice_is_a_conflict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
