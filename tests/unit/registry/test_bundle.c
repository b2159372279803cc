/*
 * test_bundle.c: packings are reproducible, exports verify offline, and each way to tamper has an error of its own.
 *
 * Hostile archives are written with libarchive directly, because our own writer cannot make them.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/registry/fixture.h"

#include "registry/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>

/* ---- an approved version and its export ---- */

typedef struct exported {
    td_version version;
    td_str manifest, envelope, keyset, model_sig;
    td_str pem;
    char path[256];
} exported;

static void exported_done(exported *e)
{
    td_str_done(&e->manifest);
    td_str_done(&e->envelope);
    td_str_done(&e->keyset);
    td_str_done(&e->model_sig);
    td_str_done(&e->pem);
}

static td_code to_str(void *context, const void *data, size_t size, td_err *err)
{
    td_str_append(context, data, size);
    return td_str_check(context, err);
}

static void add_signature(fixture *f, exported *e)
{
    td_err err = {0};
    td_manifest m;
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    must(td_manifest_read(e->manifest.data, e->manifest.size, &f->arena, &m, &err), &err);
    must(td_modelsig_of_manifest(&m, f->publisher, &e->model_sig, &err), &err);
    (void)td_key_public(f->publisher, public_key);
    must(td_public_pem(TD_KEY_P256, public_key, &e->pem, &err), &err);
}

static exported make_export(fixture *f)
{
    td_err err = {0};
    exported e = {.path = ""};
    td_trust trust;
    (void)make_approved(f, "pump", "the weights of the model");
    e.version = find(f, "pump/1");
    td_str_append(&e.manifest, e.version.manifest, e.version.manifest_size);
    must(td_version_envelope(f->db, "default", "pump/1", NULL, &e.envelope, &err), &err);
    must(td_trust_current(f->db, &f->arena, &trust, &err), &err);
    td_str_append(&e.keyset, trust.envelope, trust.envelope_size);
    add_signature(f, &e);
    const td_attest attests[] = {{"model.sig", e.model_sig.data, e.model_sig.size},
                                 {"approvals.pb", e.envelope.data, e.envelope.size},
                                 {"keyset.pb", e.keyset.data, e.keyset.size},
                                 {"approval.proof", "proof", 5}};
    td_export export = {.attests = attests, .attest_count = 4};
    memcpy(export.bundle_digest, e.version.bundle_digest, TD_DIGEST_SIZE);
    TD_CLEANUP(td_str_done) td_str tar = {0};
    must(td_bundle_export(f->content, &export, to_str, &tar, &err), &err);
    snprintf(e.path, sizeof e.path, "%s", write_file(f, "export.tar", tar.data, tar.size));
    return e;
}

/* ---- building ---- */

static void bundle__two_packings_are_identical(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_bundle_info first;
    td_bundle_info second;
    TD_CLEANUP(exported_done) exported e = make_export(f);
    must(td_bundle_build(f->content, e.manifest.data, e.manifest.size, &first, &err), &err);
    fixture_now_ms += 86400000;
    must(td_bundle_build(f->content, e.manifest.data, e.manifest.size, &second, &err), &err);
    assert_memory_equal(&first.digest, &second.digest, TD_DIGEST_SIZE);
    assert_memory_equal(&first.tar_digest, &second.tar_digest, TD_DIGEST_SIZE);
    assert_memory_equal(&first.digest, e.version.bundle_digest, TD_DIGEST_SIZE);
}

/* What another reader sees: the entries in order, regular, with neither times nor owners. */
static void list_entries(const char *path, td_str *out)
{
    struct archive_entry *entry;
    struct archive *archive = archive_read_new();
    archive_read_support_format_tar(archive);
    archive_read_support_filter_zstd(archive);
    assert_int_equal(archive_read_open_filename(archive, path, 65536), ARCHIVE_OK);
    while (archive_read_next_header(archive, &entry) == ARCHIVE_OK) {
        td_str_addf(out, "%o %lld/%lld %lld %s%s\n", (unsigned)archive_entry_mode(entry),
                    (long long)archive_entry_uid(entry), (long long)archive_entry_gid(entry),
                    (long long)archive_entry_mtime(entry), archive_entry_uname(entry), archive_entry_pathname(entry));
    }
    archive_read_free(archive);
}

static void bundle__entries_are_plain_and_in_order(void **state)
{
    fixture *f = *state;
    char path[4096];
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str listed = {0};
    TD_CLEANUP(exported_done) exported e = make_export(f);
    must(td_content_path(f->content, e.version.bundle_digest, path, &err), &err);
    list_entries(path, &listed);
    assert_string_equal(td_str_text(&listed), "100644 0/0 0 manifest.pb\n100644 0/0 0 manifest.json\n"
                                              "100644 0/0 0 meta/card.md\n100644 0/0 0 model/net.onnx\n");
}

static void bundle__damaged_content_is_not_packed(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_bundle_info info;
    char path[4096];
    uint8_t digest[TD_DIGEST_SIZE];
    TD_CLEANUP(exported_done) exported e = make_export(f);
    td_sha256_of("the weights of the model", 24, digest);
    must(td_content_path(f->content, digest, path, &err), &err);
    must(td_file_replace(path, "the weights of the modem", 24, 0444, &err), &err);
    assert_int_equal(td_bundle_build(f->content, e.manifest.data, e.manifest.size, &info, &err), TD_CORRUPT);
    refused(td_bundle_build(f->content, e.manifest.data, e.manifest.size, &info, &err), &err, TD_CORRUPT,
            "model/net.onnx");
}

/* ---- verifying ---- */

static void bundle__export_verifies_by_root_alone(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_json_done) json_t *report = NULL;
    TD_CLEANUP(exported_done) exported e = make_export(f);
    td_bundle_trust trust = {.root = f->root_public, .publisher_pem = td_str_text(&e.pem)};
    must(td_bundle_verify(e.path, &trust, &report, &err), &err);
    assert_string_equal(td_json_text(report, "model", ""), "pump");
    assert_int_equal(td_json_int(report, "files", 0), 2);
    assert_string_equal(td_json_text(report, "model_sig", ""), "verified");
    const json_t *approval = json_array_get(json_object_get(report, "approvals"), 0);
    assert_true(td_json_bool(approval, "good", false));
}

static void bundle__bare_bundle_needs_approvals(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    char path[4096];
    TD_CLEANUP(exported_done) exported e = make_export(f);
    must(td_content_path(f->content, e.version.bundle_digest, path, &err), &err);
    td_bundle_trust trust = {.keyset = e.keyset.data, .keyset_size = e.keyset.size};
    refused(td_bundle_verify(path, &trust, NULL, &err), &err, TD_CORRUPT, "approvals.pb");
    trust.approvals = e.envelope.data;
    trust.approvals_size = e.envelope.size;
    must(td_bundle_verify(path, &trust, NULL, &err), &err);
}

static void bundle__wrong_trust_is_refused(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    uint8_t other[TD_P256_PUBLIC_SIZE];
    TD_CLEANUP(exported_done) exported e = make_export(f);
    (void)td_key_public(f->publisher, other);
    td_bundle_trust wrong_root = {.root = other};
    td_bundle_trust none = {.root = NULL};
    refused(td_bundle_verify(e.path, &wrong_root, NULL, &err), &err, TD_CORRUPT, "not signed by the given root key");
    refused(td_bundle_verify(e.path, &none, NULL, &err), &err, TD_INVALID, "nothing to check against");
    refused(td_bundle_verify("/nonexistent.tar", &wrong_root, NULL, &err), &err, TD_NOT_FOUND, "/nonexistent.tar");
    TD_CLEANUP(td_str_done) td_str pem = {0};
    must(td_public_pem(TD_KEY_P256, f->root_public, &pem, &err), &err);
    td_bundle_trust wrong_publisher = {.root = f->root_public, .publisher_pem = td_str_text(&pem)};
    refused(td_bundle_verify(e.path, &wrong_publisher, NULL, &err), &err, TD_CORRUPT, "another key");
}

static void bundle__inspect_tells_without_trust(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_CLEANUP(exported_done) exported e = make_export(f);
    must(td_bundle_inspect_json(e.path, &json, &err), &err);
    assert_string_equal(td_json_text(json_object_get(json, "manifest"), "model", ""), "pump");
    assert_int_equal(json_array_size(json_object_get(json, "attest")), 4);
    assert_int_equal(json_array_size(json_object_get(json, "approvals")), 1);
    assert_string_equal(td_json_text(json, "card", ""), "# card\n");
}

static void bundle__every_cut_is_refused(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str tar = {0};
    TD_CLEANUP(exported_done) exported e = make_export(f);
    must(td_file_read(e.path, 1 << 20, &tar, &err), &err);
    td_bundle_trust trust = {.root = f->root_public};
    size_t end = tar.size - 1024; /* the two empty blocks that end a tar */
    for (size_t size = 0; size < end; size += 97) {
        const char *path = write_file(f, "cut.tar", tar.data, size);
        td_code code = td_bundle_verify(path, &trust, NULL, &err);
        if (code != TD_CORRUPT) {
            fail_msg("cut at %zu of %zu: %s", size, end, code == TD_OK ? "accepted" : err.text);
        }
    }
}

static void bundle__changed_bytes_never_verify_as_something_else(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str tar = {0};
    TD_CLEANUP(exported_done) exported e = make_export(f);
    char path[4096];
    must(td_content_path(f->content, e.version.bundle_digest, path, &err), &err);
    must(td_file_read(path, 1 << 20, &tar, &err), &err);
    td_bundle_trust trust = {.keyset = e.keyset.data,
                             .keyset_size = e.keyset.size,
                             .approvals = e.envelope.data,
                             .approvals_size = e.envelope.size};
    for (size_t i = 4; i < tar.size; i += 5) {
        TD_CLEANUP(td_json_done) json_t *report = NULL;
        tar.data[i] = (char)(tar.data[i] ^ 0x10);
        td_code code = td_bundle_verify(write_file(f, "flip", tar.data, tar.size), &trust, &report, &err);
        tar.data[i] = (char)(tar.data[i] ^ 0x10);
        /* A flip in padding or in a header field that nobody uses may pass; then every listed byte was still right. */
        assert_true(code == TD_CORRUPT || (code == TD_OK && td_json_int(report, "files", 0) == 2));
    }
}

/* ---- hostile archives ---- */

typedef struct hostile {
    const char *name;
    const char *data;
    int64_t size;     /* what the header says */
    int type;         /* 0: AE_IFREG */
    const char *link; /* symbolic or hard (type -1) */
} hostile;

static void add_hostile(struct archive *archive, const hostile *h)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, h->name);
    archive_entry_set_filetype(entry, h->type > 0 ? (unsigned)h->type : AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, h->size);
    if (h->type == AE_IFLNK) {
        archive_entry_set_symlink(entry, h->link);
    } else if (h->type < 0) {
        archive_entry_set_hardlink(entry, h->link);
    }
    assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
    if (h->type == 0 && h->data != NULL) {
        (void)archive_write_data(archive, h->data, (size_t)h->size);
    }
    archive_entry_free(entry);
}

/* A bundle with the right manifest and these entries. */
static const char *write_hostile(fixture *f, const exported *e, const hostile *entries, size_t count)
{
    static char path[256];
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    must(td_manifest_text(e->manifest.data, e->manifest.size, &text, &err), &err);
    snprintf(path, sizeof path, "%s/hostile.tar.zst", f->folder);
    struct archive *archive = archive_write_new();
    archive_write_set_format_pax_restricted(archive);
    archive_write_add_filter_zstd(archive);
    assert_int_equal(archive_write_open_filename(archive, path), ARCHIVE_OK);
    const hostile pb = {.name = "manifest.pb", .data = e->manifest.data, .size = (int64_t)e->manifest.size};
    const hostile json = {.name = "manifest.json", .data = text.data, .size = (int64_t)text.size};
    add_hostile(archive, &pb);
    add_hostile(archive, &json);
    for (size_t i = 0; i < count; i++) {
        add_hostile(archive, &entries[i]);
    }
    archive_write_close(archive);
    archive_write_free(archive);
    return path;
}

#define CARD                                                                                                           \
    {                                                                                                                  \
        .name = "meta/card.md", .data = "# card\n", .size = 7                                                          \
    }
#define NET                                                                                                            \
    {                                                                                                                  \
        .name = "model/net.onnx", .data = "the weights of the model", .size = 24                                       \
    }

static void bundle__each_hostile_entry_has_its_error(void **state)
{
    fixture *f = *state;
    TD_CLEANUP(exported_done) exported e = make_export(f);
    td_bundle_trust trust = {.keyset = e.keyset.data,
                             .keyset_size = e.keyset.size,
                             .approvals = e.envelope.data,
                             .approvals_size = e.envelope.size};
    char longest[260];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    const struct {
        hostile entries[3];
        size_t count;
        const char *part;
    } cases[] = {
        {{CARD, NET, {.name = "../evil", .data = "x", .size = 1}}, 3, "climbs out of its folder"},
        {{CARD, NET, {.name = "model/../../evil", .data = "x", .size = 1}}, 3, "climbs out of its folder"},
        {{CARD, NET, {.name = "/etc/cron.d/evil", .data = "x", .size = 1}}, 3, "absolute path"},
        {{CARD, {.name = "model/net.onnx", .type = AE_IFLNK, .link = "/etc/passwd"}}, 2, "symbolic link"},
        {{CARD, {.name = "model/net.onnx", .type = -1, .link = "manifest.pb"}}, 2, "hard link"},
        {{CARD, {.name = "model", .type = AE_IFDIR}}, 2, "is a folder"},
        {{CARD, {.name = "model/net.onnx", .type = AE_IFIFO}}, 2, "device, pipe or socket"},
        {{CARD, {.name = "model/net.onnx", .type = AE_IFCHR}}, 2, "device, pipe or socket"},
        {{CARD, NET, NET}, 3, "is there twice"},
        {{CARD, NET, {.name = "model/extra", .data = "x", .size = 1}}, 3, "not listed in the manifest"},
        {{CARD, {.name = "model/net.onnx", .data = "the weights of the model+", .size = 25}},
         2,
         "more bytes than the manifest"},
        {{CARD, {.name = "model/net.onnx", .data = "the weights", .size = 11}}, 2, "fewer bytes than the manifest"},
        {{CARD, {.name = "model/net.onnx", .data = "the weights of the modem", .size = 24}}, 2, "was changed"},
        {{CARD}, 1, "lacks the file \"model/net.onnx\""},
        {{CARD, NET, {.name = "model/a\nb", .data = "x", .size = 1}}, 3, "name that is not allowed"},
        {{CARD, NET, {.name = "model/\x1b[31m", .data = "x", .size = 1}}, 3, "name that is not allowed"},
        {{CARD, NET, {.name = "model//x", .data = "x", .size = 1}}, 3, "name that is not allowed"},
        {{CARD, NET, {.name = longest, .data = "x", .size = 1}}, 3, "name that is not allowed"},
    };
    for (size_t i = 0; i < TD_COUNT_OF(cases); i++) {
        td_err err = {0};
        const char *path = write_hostile(f, &e, cases[i].entries, cases[i].count);
        refused(td_bundle_verify(path, &trust, NULL, &err), &err, TD_CORRUPT, cases[i].part);
        TD_CLEANUP(td_json_done) json_t *json = NULL;
        assert_int_equal(td_bundle_inspect_json(path, &json, &err), TD_CORRUPT);
    }
    td_err err = {0};
    const hostile good[] = {CARD, NET};
    must(td_bundle_verify(write_hostile(f, &e, good, 2), &trust, NULL, &err), &err); /* the frame itself is right */
}

/* A highly compressible file in place of a small one: refused by its header, not after gigabytes. */
static void bundle__bomb_is_refused_by_its_header(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(exported_done) exported e = make_export(f);
    char *zeros = calloc(1, 32 << 20);
    const hostile entries[] = {CARD, {.name = "model/net.onnx", .data = zeros, .size = 32 << 20}};
    td_bundle_trust trust = {.keyset = e.keyset.data,
                             .keyset_size = e.keyset.size,
                             .approvals = e.envelope.data,
                             .approvals_size = e.envelope.size};
    refused(td_bundle_verify(write_hostile(f, &e, entries, 2), &trust, NULL, &err), &err, TD_CORRUPT,
            "more bytes than the manifest lists (33554432, not 24)");
    free(zeros);
}

static void bundle__another_manifest_inside_is_refused(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    char path[4096];
    TD_CLEANUP(exported_done) exported e = make_export(f);
    (void)make_version(f, "pump", "second");
    submit(f, "pump/2", NULL);
    td_version second = find(f, "pump/2");
    must(td_content_path(f->content, second.bundle_digest, path, &err), &err);
    td_bundle_trust trust = {.keyset = e.keyset.data,
                             .keyset_size = e.keyset.size,
                             .approvals = e.envelope.data,
                             .approvals_size = e.envelope.size};
    refused(td_bundle_verify(path, &trust, NULL, &err), &err, TD_CORRUPT, "not the manifest that the approvers signed");
}

static void bundle__something_else_is_no_bundle(void **state)
{
    fixture *f = *state;
    td_bundle_trust trust = {.root = f->root_public};
    static const char *const others[] = {"", "hello", "\x28\xb5\x2f\xfd", "PK\003\004", "\x1f\x8b\x08"};
    for (size_t i = 0; i < TD_COUNT_OF(others); i++) {
        td_err err = {0};
        const char *path = write_file(f, "other", others[i], strlen(others[i]));
        assert_int_equal(td_bundle_verify(path, &trust, NULL, &err), TD_CORRUPT);
        TD_CLEANUP(td_json_done) json_t *json = NULL;
        assert_int_equal(td_bundle_inspect_json(path, &json, &err), TD_CORRUPT);
    }
    td_err err = {0};
    assert_int_equal(td_bundle_verify(f->folder, &trust, NULL, &err), TD_INVALID);
}

static void export__same_input_is_the_same_file(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    uint8_t a[TD_DIGEST_SIZE];
    uint8_t b[TD_DIGEST_SIZE];
    TD_CLEANUP(exported_done) exported e = make_export(f);
    td_attest attests[] = {{"keyset.pb", e.keyset.data, e.keyset.size},
                           {"approvals.pb", e.envelope.data, e.envelope.size}};
    td_export export = {.attests = attests, .attest_count = 2};
    memcpy(export.bundle_digest, e.version.bundle_digest, TD_DIGEST_SIZE);
    must(td_bundle_export_content(f->content, &export, a, NULL, &err), &err);
    td_attest first = attests[0];
    attests[0] = attests[1];
    attests[1] = first;
    must(td_bundle_export_content(f->content, &export, b, NULL, &err), &err);
    assert_memory_equal(a, b, sizeof a);
    attests[0].name = attests[1].name;
    refused(td_bundle_export_content(f->content, &export, b, NULL, &err), &err, TD_INVALID, "given twice");
    attests[0].name = "../../evil";
    assert_int_equal(td_bundle_export_content(f->content, &export, b, NULL, &err), TD_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(bundle__two_packings_are_identical),
        CASE(bundle__entries_are_plain_and_in_order),
        CASE(bundle__damaged_content_is_not_packed),
        CASE(bundle__export_verifies_by_root_alone),
        CASE(bundle__bare_bundle_needs_approvals),
        CASE(bundle__wrong_trust_is_refused),
        CASE(bundle__inspect_tells_without_trust),
        CASE(bundle__every_cut_is_refused),
        CASE(bundle__changed_bytes_never_verify_as_something_else),
        CASE(bundle__each_hostile_entry_has_its_error),
        CASE(bundle__bomb_is_refused_by_its_header),
        CASE(bundle__another_manifest_inside_is_refused),
        CASE(bundle__something_else_is_no_bundle),
        CASE(export__same_input_is_the_same_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
