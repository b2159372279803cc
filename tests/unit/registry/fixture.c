/*
 * fixture.c: the workspace of the registry's tests.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/registry/fixture.h"

#include "registry/content.h"

int64_t fixture_now_ms;

static int64_t fake_wall(const td_clock *clock)
{
    (void)clock;
    return fixture_now_ms;
}

static const td_clock fake_clock = {.wall_ms = fake_wall, .monotonic_ms = fake_wall};

void must(td_code code, const td_err *err)
{
    if (code != TD_OK) {
        fail_msg("%s: %s", td_code_lookup(code)->name, err != NULL ? err->text : "");
    }
}

void refused(td_code code, const td_err *err, td_code want, const char *part)
{
    if (code != want || strstr(err->text, part) == NULL) {
        fail_msg("expected %s with \"%s\", got %s: %s", td_code_lookup(want)->name, part, td_code_lookup(code)->name,
                 code != TD_OK ? err->text : "");
    }
}

static void make_person(fixture *f, person *who, const char *name, bool service, int role_a, int role_b)
{
    td_err err = {0};
    int64_t user_id;
    td_user_options options = {.name = name, .service = service};
    must(td_user_create(f->db, &td_actor_system, &options, &user_id, &err), &err);
    must(td_role_grant(f->db, &td_actor_system, name, "default", (td_role)role_a, "test", &err), &err);
    if (role_b >= 0) {
        must(td_role_grant(f->db, &td_actor_system, name, "default", (td_role)role_b, "test", &err), &err);
    }
    who->actor = (td_actor){.kind = service ? TD_ACTOR_SERVICE : TD_ACTOR_USER,
                            .user_id = user_id,
                            .name = name,
                            .authentication = "token",
                            .role = td_role_name((td_role)role_a),
                            .request_id = ""};
}

void add_approver(fixture *f, person *who)
{
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str envelope = {0};
    must(td_key_generate(TD_KEY_P256, &who->key, &err), &err);
    (void)td_key_public(who->key, who->public_key);
    td_trust_change change = {.add_approver = who->public_key};
    td_key_owner owner = {.user_id = who->actor.user_id, .user = who->actor.name};
    must(td_trust_draft(f->db, &change, f->root, &envelope, &err), &err);
    must(td_trust_publish(f->db, &td_actor_system, envelope.data, envelope.size, &owner, "new approver", &err), &err);
}

static void make_trust(fixture *f)
{
    td_err err = {0};
    uint8_t director[TD_P256_PUBLIC_SIZE];
    TD_CLEANUP(td_str_done) td_str envelope = {0};
    must(td_key_generate(TD_KEY_P256, &f->root, &err), &err);
    must(td_key_generate(TD_KEY_P256, &f->director, &err), &err);
    must(td_key_generate(TD_KEY_P256, &f->publisher, &err), &err);
    (void)td_key_public(f->root, f->root_public);
    (void)td_key_public(f->director, director);
    must(td_trust_draft_first(director, 1, f->root, &envelope, &err), &err);
    must(td_trust_publish(f->db, &td_actor_system, envelope.data, envelope.size, NULL, "first keyset", &err), &err);
    add_approver(f, &f->ben);
    add_approver(f, &f->carl);
    add_approver(f, &f->dora);
}

int fixture_setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    td_err err = {0};
    char path[128];
    const td_migration *const lists[] = {td_audit_migrations, td_access_migrations, td_registry_migrations, NULL};
    fixture_now_ms = 1767225600000; /* 2026-01-01 */
    snprintf(f->folder, sizeof f->folder, "/tmp/td-registry-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    must(td_crypto_setup(&err), &err);
    snprintf(path, sizeof path, "%s/t.db", f->folder);
    must(td_db_open(path, TD_DB_WRITE, &fake_clock, &f->db, &err), &err);
    must(td_db_migrate(f->db, lists, &err), &err);
    snprintf(path, sizeof path, "%s/content", f->folder);
    must(td_content_open(path, &f->content, &err), &err);
    must(td_txn_begin(f->db, &f->txn, &err), &err);
    make_person(f, &f->ana, "ana", false, TD_ROLE_DATA_SCIENTIST, -1);
    make_person(f, &f->ben, "ben", false, TD_ROLE_APPROVER, -1);
    make_person(f, &f->carl, "carl", false, TD_ROLE_APPROVER, -1);
    make_person(f, &f->dora, "dora", false, TD_ROLE_APPROVER, TD_ROLE_DATA_SCIENTIST);
    make_person(f, &f->robo, "robo", true, TD_ROLE_TRAINER, -1);
    make_trust(f);
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    fixture *f = *state;
    td_txn_done(&f->txn);
    td_db_close(f->db);
    td_content_close(f->content);
    td_arena_done(&f->arena);
    td_key_free(&f->root);
    td_key_free(&f->director);
    td_key_free(&f->publisher);
    td_key_free(&f->ben.key);
    td_key_free(&f->carl.key);
    td_key_free(&f->dora.key);
    assert_int_equal(td_folder_remove(f->folder, NULL), TD_OK);
    free(f);
    return 0;
}

td_version_file put_file(fixture *f, const char *name, td_file_role role, const void *data, size_t size)
{
    td_err err = {0};
    td_version_file file = {.name = name, .role = role, .size = size};
    must(td_content_put_bytes(f->content, data, size, file.digest, &err), &err);
    return file;
}

int64_t make_version(fixture *f, const char *model, const char *text)
{
    td_err err = {0};
    int64_t number = 0;
    td_version_file file = put_file(f, "net.onnx", TD_FILE_MODEL, text, strlen(text));
    td_version_options options = {
        .model = model, .create_model = true, .files = &file, .file_count = 1, .format = "onnx"};
    must(td_version_create(f->db, &f->ana.actor, "default", &options, &number, &err), &err);
    return number;
}

td_version find(fixture *f, const char *reference)
{
    td_err err = {0};
    td_version version;
    must(td_version_find(f->db, "default", reference, &f->arena, &version, &err), &err);
    return version;
}

void submit(fixture *f, const char *reference, td_str *manifest)
{
    td_err err = {0};
    td_packed packed;
    TD_CLEANUP(td_str_done) td_str own = {0};
    td_str *bytes = manifest != NULL ? manifest : &own;
    td_version version = find(f, reference);
    td_version_file card = put_file(f, "meta/card.md", TD_FILE_META, "# card\n", 7);
    must(td_bundle_pack(f->db, f->content, &version, &card, 1, bytes, &packed, &err), &err);
    must(td_version_submit(f->db, &f->ana.actor, "default", reference, &packed, NULL, &err), &err);
}

td_approval sign_approval(fixture *f, const char *reference, const person *who)
{
    td_err err = {0};
    td_version version = find(f, reference);
    td_signature signature;
    td_approval approval = {.reason = "metrics are good"};
    must(td_signed_payload_sign(TD_MANIFEST_TYPE, version.manifest, version.manifest_size, who->key, &signature, &err),
         &err);
    memcpy(approval.key_id, signature.key_id, sizeof approval.key_id);
    memcpy(approval.signature, signature.signature, sizeof approval.signature);
    return approval;
}

int64_t make_approved(fixture *f, const char *model, const char *text)
{
    td_err err = {0};
    char reference[200];
    td_version_state state;
    int64_t number = make_version(f, model, text);
    snprintf(reference, sizeof reference, "%s/%lld", model, (long long)number);
    submit(f, reference, NULL);
    td_approval approval = sign_approval(f, reference, &f->ben);
    must(td_version_approve(f->db, &f->ben.actor, "default", reference, &approval, &state, &err), &err);
    assert_int_equal(state, TD_VERSION_APPROVED);
    return number;
}

int64_t count_records(fixture *f, const char *action)
{
    td_stmt *stmt;
    bool row;
    td_err err = {0};
    must(td_db_prepare(f->db, "SELECT count(*) AS n FROM audit_record WHERE action = :action", &stmt, &err), &err);
    td_bind_text(stmt, ":action", action);
    must(td_step(stmt, &row, &err), &err);
    int64_t count = td_column_int(stmt, "n");
    td_reset(stmt);
    return count;
}

const char *write_file(fixture *f, const char *name, const void *data, size_t size)
{
    static char path[256];
    td_err err = {0};
    snprintf(path, sizeof path, "%s/%s", f->folder, name);
    must(td_file_replace(path, data, size, 0600, &err), &err);
    return path;
}
