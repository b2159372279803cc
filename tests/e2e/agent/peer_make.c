/*
 * peer_make.c: keys, certificates, codes and versions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/e2e/agent/peer.h"

#include "core/base/clock.h"
#include "monitor/baseline.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define SECRET "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a"

void peer_path(const peer_keys *peer, const char *name, char out[4096])
{
    snprintf(out, 4096, "%s/%s", peer->folder, name);
}

static td_code make_key(const char *folder, const char *name, td_key **out, td_err *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    TD_TRY(td_key_generate(TD_KEY_P256, out, err));
    return td_key_write(*out, path, NULL, err);
}

static td_code make_leaf(const char *folder, const td_key *ca, const char *ca_pem, const char *name, bool server,
                         td_err *err)
{
    char path[4096], file[64];
    uint8_t serial[16], public_key[TD_P256_PUBLIC_SIZE];
    static const char *const dns[] = {"localhost", NULL}, *const ips[] = {"127.0.0.1", NULL};
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_str_done) td_str pem = {0};
    snprintf(file, sizeof file, "%s.key", name);
    TD_TRY(make_key(folder, file, &key, err));
    td_key_public(key, public_key);
    const td_x509_leaf leaf = {.common_name = name,
                               .dns_names = server ? dns : NULL,
                               .ip_addresses = server ? ips : NULL,
                               .server = server,
                               .not_after_ms = INT64_C(4102444800000)};
    TD_TRY(td_x509_issue(ca, ca_pem, public_key, &leaf, &pem, serial, err));
    snprintf(path, sizeof path, "%s/%s.crt", folder, name);
    return td_file_create(path, pem.data, pem.size, 0644, err);
}

static td_code make_keyset(const char *folder, const td_key *root, const td_key *approver, const td_key *director,
                           td_err *err)
{
    char path[4096];
    td_keyset keyset = {.version = 1,
                        .root_threshold = 1,
                        .approver_threshold = 1,
                        .director_threshold = 1,
                        .key_count = 3,
                        .keys = {{.role = TD_SIGNER_ROOT}, {.role = TD_SIGNER_APPROVER}, {.role = TD_SIGNER_DIRECTOR}}};
    TD_CLEANUP(td_str_done) td_str payload = {0};
    TD_CLEANUP(td_str_done) td_str message = {0};
    td_key_public(root, keyset.keys[0].public_key);
    td_key_public(approver, keyset.keys[1].public_key);
    td_key_public(director, keyset.keys[2].public_key);
    TD_TRY(td_keyset_encode(&keyset, &payload, err));
    TD_TRY(td_signed_message_make(TD_KEYSET_TYPE, payload.data, payload.size, root, &message, err));
    snprintf(path, sizeof path, "%s/keyset.bin", folder);
    return td_file_create(path, message.data, message.size, 0644, err);
}

td_code peer_init(const char *folder, td_err *err)
{
    char path[4096];
    TD_CLEANUP(td_key_free) td_key *ca = NULL;
    TD_CLEANUP(td_key_free) td_key *root = NULL;
    TD_CLEANUP(td_key_free) td_key *approver = NULL;
    TD_CLEANUP(td_key_free) td_key *director = NULL;
    TD_CLEANUP(td_str_done) td_str pem = {0};
    TD_TRY(make_key(folder, "ca.key", &ca, err));
    TD_TRY(td_x509_make_ca(ca, "test workspace", &pem, err));
    snprintf(path, sizeof path, "%s/ca.pem", folder);
    TD_TRY(td_file_create(path, pem.data, pem.size, 0644, err));
    TD_TRY(make_leaf(folder, ca, td_str_text(&pem), "broker", true, err));
    TD_TRY(make_leaf(folder, ca, td_str_text(&pem), "_server", false, err));
    TD_TRY(make_key(folder, "root.key", &root, err));
    TD_TRY(make_key(folder, "approver.key", &approver, err));
    TD_TRY(make_key(folder, "director.key", &director, err));
    return make_keyset(folder, root, approver, director, err);
}

static td_code read_file(const peer_keys *peer, const char *name, td_str *out, td_err *err)
{
    char path[4096];
    peer_path(peer, name, path);
    return td_file_read(path, 1 << 20, out, err);
}

static td_code read_key(const peer_keys *peer, const char *name, td_key **out, td_err *err)
{
    char path[4096];
    peer_path(peer, name, path);
    return td_key_read(path, NULL, out, err);
}

td_code peer_open(const char *folder, peer_keys *out, td_err *err)
{
    char path[4096];
    snprintf(out->folder, sizeof out->folder, "%s", folder);
    TD_TRY(read_key(out, "ca.key", &out->ca, err));
    TD_TRY(read_key(out, "root.key", &out->root, err));
    TD_TRY(read_key(out, "approver.key", &out->approver, err));
    TD_TRY(read_key(out, "director.key", &out->director, err));
    TD_TRY(td_key_generate(TD_KEY_P256, &out->stranger, err));
    TD_TRY(read_file(out, "ca.pem", &out->ca_pem, err));
    TD_TRY(read_file(out, "keyset.bin", &out->keyset, err));
    peer_path(out, "content", path);
    return td_content_open(path, &out->content, err);
}

void peer_close(peer_keys *peer)
{
    td_key_free(&peer->ca);
    td_key_free(&peer->root);
    td_key_free(&peer->approver);
    td_key_free(&peer->director);
    td_key_free(&peer->stranger);
    td_str_done(&peer->ca_pem);
    td_str_done(&peer->keyset);
    td_content_close(peer->content);
}

td_code peer_issue(const char *folder, const char *csr_path, const char *out, int64_t days, td_err *err)
{
    char name[65];
    uint8_t serial[16], public_key[TD_P256_PUBLIC_SIZE];
    TD_CLEANUP(peer_close) peer_keys peer = {0};
    TD_CLEANUP(td_str_done) td_str csr = {0};
    TD_CLEANUP(td_str_done) td_str pem = {0};
    TD_TRY(peer_open(folder, &peer, err));
    TD_TRY(td_file_read(csr_path, 65536, &csr, err));
    TD_TRY(td_x509_read_request(csr.data, csr.size, public_key, name, err));
    int64_t now = td_now_ms(&td_clock_system), day = INT64_C(86400000);
    const td_x509_leaf leaf = {.common_name = name, .not_before_ms = now - 400 * day, .not_after_ms = now + days * day};
    TD_TRY(td_x509_issue(peer.ca, td_str_text(&peer.ca_pem), public_key, &leaf, &pem, serial, err));
    return td_file_replace(out, pem.data, pem.size, 0644, err);
}

static void print_base32(const uint8_t *bytes, size_t size)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    unsigned held = 0, bits = 0, printed = 0;
    for (size_t i = 0; i < size || bits > 0;) {
        if (bits < 5 && i < size) {
            held = held << 8 | bytes[i++];
            bits += 8;
            continue;
        }
        unsigned value = bits >= 5 ? held >> (bits - 5) & 31 : held << (5 - bits) & 31;
        bits = bits >= 5 ? bits - 5 : 0;
        printf("%s%c", printed > 0 && printed % 4 == 0 ? "-" : "", letters[value]);
        printed++;
    }
    printf("\n");
}

/* DER of a PEM file, by the same rule as everywhere: what lies between the marks. */
static td_code pem_digest(const td_str *pem, uint8_t digest[TD_DIGEST_SIZE], td_err *err)
{
    uint8_t der[8192];
    size_t size = 0;
    TD_CLEANUP(td_str_done) td_str text = {0};
    const char *at = strchr(td_str_text(pem), '\n');
    for (; at != NULL && *at != 0 && *at != '-'; at++) {
        if (*at != '\n' && *at != '\r') {
            td_str_add_char(&text, *at);
        }
    }
    TD_TRY(td_base64_decode(td_str_text(&text), text.size, der, sizeof der, &size, err));
    td_sha256_of(der, size, digest);
    return TD_OK;
}

td_code peer_code(const char *folder, td_err *err)
{
    uint8_t both[2 * TD_DIGEST_SIZE], digest[TD_DIGEST_SIZE], code[26];
    TD_CLEANUP(peer_close) peer_keys peer = {0};
    TD_TRY(peer_open(folder, &peer, err));
    TD_TRY(pem_digest(&peer.ca_pem, both, err));
    td_sha256_of(peer.keyset.data, peer.keyset.size, both + TD_DIGEST_SIZE);
    td_sha256_of(both, sizeof both, digest);
    memcpy(code, SECRET, 10);
    memcpy(code + 10, digest, 16);
    print_base32(code, sizeof code);
    return TD_OK;
}

/* ---- Versions -----------------------------------------------------------------------------------------------------
 */

static td_code build_baseline(const char *csv, td_baseline *out, td_err *err)
{
    static const char columns[] = "{\"features\":[\"rms\",\"kurtosis\",\"crest_factor\",\"bpfo_energy\",\"bpfi_"
                                  "energy\",\"shaft_1x\",\"temperature\","
                                  "\"speed_rpm\"],\"prediction\":\"prediction\",\"prediction_type\":\"class\","
                                  "\"score\":\"score\",\"label\":\"label\","
                                  "\"decision_threshold\":0.5,\"positive_class\":\"1\",\"group\":\"group\"}";
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_CLEANUP(td_close_fd) int fd = open(csv, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return td_fail(err, TD_NOT_FOUND, "%s", csv);
    }
    TD_TRY(td_json_parse(columns, strlen(columns), "columns", &json, err));
    td_csv_source source = td_csv_source_fd(&fd, "reference.csv");
    return td_baseline_build(&source, json, out, err);
}

static td_code sign_manifest(peer_keys *peer, const td_str *manifest, bool forged, peer_version *version, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str envelope = {0};
    TD_TRY(td_signed_message_make(TD_MANIFEST_TYPE, manifest->data, manifest->size,
                                  forged ? peer->stranger : peer->approver, &envelope, err));
    td_sha256_of(manifest->data, manifest->size, version->manifest_digest);
    version->envelope_size = (uint32_t)envelope.size;
    return td_content_put_bytes(peer->content, envelope.data, envelope.size, version->envelope_digest, err);
}

td_code peer_release(peer_keys *peer, const char *model, const char *baseline_csv, uint32_t counter, bool forged,
                     td_err *err)
{
    TD_CLEANUP(td_baseline_done) td_baseline baseline = {0};
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    td_manifest_file files[2] = {{.name = "model/pump.onnx", .role = TD_FILE_MODEL},
                                 {.name = "baseline.pb", .role = TD_FILE_BASELINE}};
    TD_TRY(td_content_put_file(peer->content, model, 0, files[0].digest, &files[0].size, err));
    TD_TRY(build_baseline(baseline_csv, &baseline, err));
    files[1].size = baseline.bytes.size;
    TD_TRY(td_content_put_bytes(peer->content, baseline.bytes.data, baseline.bytes.size, files[1].digest, err));
    td_manifest manifest = {.project = "default",
                            .model = "pump",
                            .version = (uint32_t)peer->version_count + 1,
                            .security_counter = counter,
                            .format = "onnx",
                            .has_edges = true,
                            .hardware = "",
                            .created_ms = (uint64_t)td_now_ms(&td_clock_system),
                            .files = files,
                            .file_count = 2};
    memcpy(manifest.edges_digest, baseline.edges_digest, sizeof manifest.edges_digest);
    TD_TRY(td_manifest_build(&manifest, peer->content, &bytes, err));
    peer_version version = {.counter = counter, .total_size = files[0].size + files[1].size};
    TD_TRY(sign_manifest(peer, &bytes, forged, &version, err));
    peer->versions[peer->version_count++] = version;
    return TD_OK;
}
