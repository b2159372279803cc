/*
 * sim_server.c: the scripted server of the simulator: signs keysets, manifests and directives, serves blocks, settles.
 *
 * Everything on the wire is real: Protocol Buffers, P-256 signatures, HMAC trailers. Faults of the network are rolled
 * from the simulator's own random numbers, so that a run can be repeated.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/fault/edge/sim.h"

#include <assert.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t roll(sim *s)
{
    uint32_t value;
    s->ports.world.random(s, &value, sizeof value);
    return value;
}

/* ---- Content ---- */

sim_content *sim_find_content(sim *s, const uint8_t *digest)
{
    for (size_t i = 0; i < s->contents; i++) {
        if (memcmp(s->content[i].digest, digest, TDE_DIGEST_SIZE) == 0) {
            return &s->content[i];
        }
    }
    return NULL;
}

sim_content *sim_add_content(sim *s, const uint8_t *bytes, size_t size)
{
    uint8_t digest[TDE_DIGEST_SIZE];
    td_sha256_of(bytes, size, digest);
    sim_content *found = sim_find_content(s, digest);
    if (found != NULL) {
        return found;
    }
    assert(s->contents < SIM_CONTENT);
    sim_content *c = &s->content[s->contents++];
    memcpy(c->digest, digest, sizeof digest);
    c->bytes = malloc(size > 0 ? size : 1);
    assert(c->bytes != NULL);
    if (size > 0) {
        memcpy(c->bytes, bytes, size);
    }
    c->size = size;
    return c;
}

/* ---- Signing ---- */

static void put_bytes(pb_ostream_t *out, uint32_t tag, const void *data, size_t size)
{
    bool ok = pb_encode_tag(out, PB_WT_STRING, tag) && pb_encode_string(out, data, size);
    assert(ok);
}

/* Signs, or remembers: ECDSA is random, and the same bytes in each of thousands of runs let verification be remembered.
 */
static void sign_once(const td_key *key, const uint8_t *key_id, const td_str *pae, uint8_t *out)
{
    static struct {
        uint8_t id[TDE_DIGEST_SIZE], signature[TDE_SIGNATURE_SIZE];
    } memo[512];
    static size_t used;
    uint8_t id[TDE_DIGEST_SIZE];
    td_err err;
    td_hmac_sha256(key_id, TD_KEY_ID_SIZE, pae->data, pae->size, id);
    for (size_t i = 0; i < used; i++) {
        if (memcmp(memo[i].id, id, sizeof id) == 0) {
            memcpy(out, memo[i].signature, TDE_SIGNATURE_SIZE);
            return;
        }
    }
    td_code code = td_key_sign(key, pae->data, pae->size, out, &err);
    assert(code == TD_OK);
    if (used < sizeof memo / sizeof memo[0]) {
        memcpy(memo[used].id, id, sizeof id);
        memcpy(memo[used++].signature, out, TDE_SIGNATURE_SIZE);
    }
}

static void put_signature(pb_ostream_t *out, const td_key *key, const char *type, const uint8_t *payload, size_t size)
{
    td_err err;
    td_str pae = {0};
    tidemark_Signature signature = tidemark_Signature_init_zero;
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    td_code code = td_dsse_pae(type, payload, size, &pae, &err);
    assert(code == TD_OK);
    td_key_id(public_key, td_key_public(key, public_key), signature.key_id);
    sign_once(key, signature.key_id, &pae, signature.signature);
    td_str_done(&pae);
    bool ok = pb_encode_tag(out, PB_WT_STRING, tidemark_SignedMessage_signatures_tag) &&
              pb_encode_submessage(out, tidemark_Signature_fields, &signature);
    assert(ok);
}

size_t sim_sign(const char *type, const uint8_t *payload, size_t size, td_key *const *signers, size_t count,
                uint8_t *out)
{
    pb_ostream_t stream = pb_ostream_from_buffer(out, 4096);
    put_bytes(&stream, tidemark_SignedMessage_payload_type_tag, type, strlen(type));
    put_bytes(&stream, tidemark_SignedMessage_payload_tag, payload, size);
    for (size_t i = 0; i < count; i++) {
        if (signers[i] != NULL) {
            put_signature(&stream, signers[i], type, payload, size);
        }
    }
    return stream.bytes_written;
}

static void add_role_key(tidemark_Keyset *set, tidemark_Role role, const td_key *key)
{
    tidemark_RoleKey *out = &set->keys[set->keys_count++];
    out->role = role;
    td_key_public(key, out->public_key);
}

void sim_make_keyset(sim *s, const sim_keyset_options *options)
{
    tidemark_Keyset set = tidemark_Keyset_init_zero;
    uint8_t payload[2048];
    set.version = options->version;
    set.expires_ms = options->expires_ms;
    set.root_threshold = options->root_threshold;
    set.approver_threshold = options->approver_threshold;
    set.director_threshold = options->director_threshold;
    for (uint32_t i = 0; i < options->roots; i++) {
        add_role_key(&set, tidemark_Role_ROLE_ROOT, s->keys.root[i]);
    }
    for (uint32_t i = 0; i < options->approvers; i++) {
        add_role_key(&set, tidemark_Role_ROLE_APPROVER, s->keys.approver[i]);
    }
    add_role_key(&set, tidemark_Role_ROLE_DIRECTOR, s->keys.director[options->first_director]);
    pb_ostream_t stream = pb_ostream_from_buffer(payload, sizeof payload);
    bool ok = pb_encode(&stream, tidemark_Keyset_fields, &set);
    assert(ok);
    td_key *const *signers = options->signers[0] != NULL ? options->signers : s->keys.root;
    size_t count = options->signers[0] != NULL ? 4 : options->root_threshold;
    s->keyset_size =
        sim_sign("application/vnd.tidemark.keyset.v1", payload, stream.bytes_written, signers, count, s->keyset);
    (void)sim_add_content(s, s->keyset, s->keyset_size);
}

/* ---- Versions ---- */

typedef struct file_list {
    tidemark_ManifestFile files[8];
    size_t count;
} file_list;

static uint32_t piece_size_of(uint64_t size)
{
    return size <= 1u << 20 ? 4096 : size <= 64u << 20 ? 65536 : 1u << 20;
}

/* Adds the file's bytes (and table) as content and to the list. */
static void add_file(sim *s, file_list *list, const char *name, tidemark_FileRole role, size_t size, uint32_t seed)
{
    tidemark_ManifestFile *file = &list->files[list->count++];
    uint8_t *bytes = malloc(size > 0 ? size : 1);
    assert(bytes != NULL);
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1103515245u + 12345u;
        bytes[i] = (uint8_t)(seed >> 16);
    }
    *file = (tidemark_ManifestFile){.size = size, .role = role, .piece_size = piece_size_of(size)};
    snprintf(file->name, sizeof file->name, "%s", name);
    memcpy(file->digest, sim_add_content(s, bytes, size)->digest, TDE_DIGEST_SIZE);
    if (size > file->piece_size) {
        size_t pieces = (size + file->piece_size - 1) / file->piece_size;
        uint8_t *table = malloc(pieces * TDE_DIGEST_SIZE);
        assert(table != NULL);
        for (size_t i = 0; i < pieces; i++) {
            size_t start = i * file->piece_size;
            size_t take = size - start < file->piece_size ? size - start : file->piece_size;
            td_sha256_of(bytes + start, take, table + i * TDE_DIGEST_SIZE);
        }
        file->piece_table_digest.size = TDE_DIGEST_SIZE;
        memcpy(file->piece_table_digest.bytes, sim_add_content(s, table, pieces * TDE_DIGEST_SIZE)->digest,
               TDE_DIGEST_SIZE);
        free(table);
    }
    free(bytes);
}

static bool put_files(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
    const file_list *list = *arg;
    for (size_t i = 0; i < list->count; i++) {
        if (!pb_encode_tag_for_field(stream, field) ||
            !pb_encode_submessage(stream, tidemark_ManifestFile_fields, &list->files[i])) {
            return false;
        }
    }
    return true;
}

static void list_files(sim *s, const sim_version_options *options, file_list *list, sim_version *out)
{
    add_file(s, list, "baseline.pb", tidemark_FileRole_FILE_BASELINE, 1500, 99);
    add_file(s, list, "golden/empty", tidemark_FileRole_FILE_GOLDEN, 0, 0);
    add_file(s, list, "meta/card.md", tidemark_FileRole_FILE_META, 700, 5);
    add_file(s, list, "model/pump.onnx", tidemark_FileRole_FILE_MODEL, options->model_size, options->seed);
    memcpy(out->model_digest, list->files[3].digest, TDE_DIGEST_SIZE);
    if (options->bad_name != NULL) {
        add_file(s, list, options->bad_name, tidemark_FileRole_FILE_MODEL, 100, 1);
    }
    out->total_size = 0;
    for (size_t i = 0; i < list->count; i++) {
        out->total_size += list->files[i].role == tidemark_FileRole_FILE_META ? 0 : list->files[i].size;
    }
}

void sim_make_version(sim *s, const sim_version_options *options, sim_version *out)
{
    tidemark_Manifest manifest = tidemark_Manifest_init_zero;
    file_list list = {.count = 0};
    uint8_t payload[2048];
    memset(out, 0, sizeof *out);
    list_files(s, options, &list, out);
    snprintf(manifest.project, sizeof manifest.project, "default");
    snprintf(manifest.model, sizeof manifest.model, "pump");
    manifest.version = options->number;
    manifest.security_counter = options->counter;
    manifest.has_requirement = options->hardware != NULL || options->runtime != NULL;
    if (options->hardware != NULL) {
        snprintf(manifest.requirement.hardware, sizeof manifest.requirement.hardware, "%s", options->hardware);
    }
    if (options->runtime != NULL) {
        manifest.requirement.runtimes_count = 1;
        snprintf(manifest.requirement.runtimes[0], sizeof manifest.requirement.runtimes[0], "%s", options->runtime);
    }
    manifest.files.funcs.encode = put_files;
    manifest.files.arg = &list;
    pb_ostream_t stream = pb_ostream_from_buffer(payload, sizeof payload);
    bool ok = pb_encode(&stream, tidemark_Manifest_fields, &manifest);
    assert(ok);
    td_sha256_of(payload, stream.bytes_written, out->manifest_digest);
    td_key *usual[2] = {s->keys.approver[0], options->twice ? s->keys.approver[0] : NULL};
    bool chosen = options->approvers[0] != NULL;
    out->envelope_size = sim_sign("application/vnd.tidemark.manifest.v1", payload, stream.bytes_written,
                                  chosen ? options->approvers : usual, chosen ? 3 : 2, out->envelope);
    memcpy(out->envelope_digest, sim_add_content(s, out->envelope, out->envelope_size)->digest, TDE_DIGEST_SIZE);
}

/* ---- Directives ---- */

static void put_goal(const sim_directive_options *options, tidemark_Goal *goal)
{
    snprintf(goal->slot, sizeof goal->slot, "%s", options->slot != NULL ? options->slot : "pump");
    memcpy(goal->manifest_digest, options->version->manifest_digest, TDE_DIGEST_SIZE);
    memcpy(goal->envelope_digest, options->version->envelope_digest, TDE_DIGEST_SIZE);
    goal->envelope_size = (uint32_t)options->version->envelope_size;
    goal->total_size = options->total_size != 0 ? options->total_size : options->version->total_size;
    goal->min_security_counter = options->min_counter;
    goal->has_probation = true;
    goal->probation =
        (tidemark_Probation){options->seconds, options->min_inferences, options->max_errors, options->lease_seconds};
    goal->byte_budget = options->byte_budget;
    goal->window_seconds = 60;
}

void sim_make_directive(sim *s, const sim_directive_options *options)
{
    tidemark_Directive d = tidemark_Directive_init_zero;
    uint8_t payload[2048];
    uint64_t now = SIM_START_MS + s->now;
    snprintf(d.device, sizeof d.device, "%s", options->device != NULL ? options->device : "pump-07");
    d.sequence = options->sequence;
    d.issued_ms = options->issued_ms != 0 ? options->issued_ms : now;
    d.not_after_ms = options->not_after_ms != 0 ? options->not_after_ms : now + 30 * (uint64_t)86400000;
    d.nonce = options->nonce;
    d.cancel = options->cancel;
    if (options->version != NULL) {
        d.goals_count = 1;
        put_goal(options, &d.goals[0]);
    }
    if (options->revoked != NULL) {
        d.revoked_count = 1;
        memcpy(d.revoked[0], options->revoked, TDE_DIGEST_SIZE);
    }
    if (options->names_keyset) {
        d.keyset_version = 2;
        d.keyset_digest.size = TDE_DIGEST_SIZE;
        td_sha256_of(s->keyset, s->keyset_size, d.keyset_digest.bytes);
        d.keyset_size = (uint32_t)s->keyset_size;
    }
    pb_ostream_t stream = pb_ostream_from_buffer(payload, sizeof payload);
    bool ok = pb_encode(&stream, tidemark_Directive_fields, &d);
    assert(ok);
    td_key *signer = options->director != NULL ? options->director : s->keys.director[0];
    const char *type = options->payload_type != NULL ? options->payload_type : "application/vnd.tidemark.directive.v1";
    s->directive_size = sim_sign(type, payload, stream.bytes_written, &signer, 1, s->directive);
}

void sim_publish(sim *s)
{
    sim_deliver(s, 0, s->directive, s->directive_size);
}

/* ---- The network ---- */

void sim_deliver(sim *s, int kind, const uint8_t *bytes, size_t size)
{
    if (!s->connected || s->inbox_count >= SIM_INBOX || (kind == 1 && roll(s) % 100 < s->drop_percent)) {
        return;
    }
    int copies = kind == 1 && roll(s) % 100 < s->double_percent ? 2 : 1;
    while (copies-- > 0 && s->inbox_count < SIM_INBOX) {
        sim_message *m = &s->inbox[s->inbox_count++];
        *m = (sim_message){kind, malloc(size > 0 ? size : 1), size};
        assert(m->bytes != NULL);
        memcpy(m->bytes, bytes, size);
    }
}

static void send_block(sim *s, uint32_t transfer, uint32_t block, uint8_t kind, const uint8_t *data, size_t size)
{
    uint8_t message[12 + 32768];
    for (int i = 0; i < 4; i++) {
        message[i] = (uint8_t)(transfer >> (8 * i));
        message[4 + i] = (uint8_t)(block >> (8 * i));
    }
    message[8] = (uint8_t)size;
    message[9] = (uint8_t)(size >> 8);
    message[10] = kind;
    message[11] = 0;
    if (size > 0) {
        memcpy(message + 12, data, size);
    }
    sim_deliver(s, 1, message, 12 + size);
}

static void serve(sim *s, const tidemark_Get *get, const sim_content *content)
{
    uint32_t credit = s->slow_ms != 0 ? 1 : get->credit;
    for (uint32_t i = 0; i < 64 && credit > 0; i++) {
        uint64_t start = ((uint64_t)get->first_block + i) * get->block_size;
        if ((get->wanted >> i & 1u) == 0 || start >= content->size) {
            continue;
        }
        size_t size = content->size - start < get->block_size ? (size_t)(content->size - start) : get->block_size;
        uint8_t block[32768];
        memcpy(block, content->bytes + start, size);
        block[size / 2] ^= content->corrupt ? 1 : 0;
        send_block(s, get->transfer, get->first_block + i, 0, block, size);
        credit--;
    }
    s->now += s->slow_ms;
}

static void take_get(sim *s, pb_istream_t *in)
{
    tidemark_Get get = tidemark_Get_init_zero;
    static const uint8_t retry[4] = {0xE8, 0x03, 0, 0}; /* one second */
    bool ok = pb_decode(in, tidemark_Get_fields, &get);
    assert(ok);
    s->gets++;
    for (int i = 0; i < 4; i++) {
        s->last_transfer[i] = (uint8_t)(get.transfer >> (8 * i));
    }
    sim_content *content = sim_find_content(s, get.digest);
    if (s->mute) {
        return;
    }
    if (s->defer_next > 0) {
        s->defer_next--;
        send_block(s, get.transfer, 0, 1, retry, sizeof retry);
    } else if (content == NULL || content->refuse) {
        send_block(s, get.transfer, 0, 2, NULL, 0);
    } else {
        serve(s, &get, content);
    }
}

/* What the device says that it dropped will never come. */
static void give_up_before(sim *s, uint64_t oldest_kept)
{
    if (oldest_kept > s->settled + 1) {
        s->settled = oldest_kept - 1;
    }
}

static void settle(sim *s, uint64_t sequence)
{
    uint8_t bytes[16];
    tidemark_Receipt receipt = tidemark_Receipt_init_zero;
    if (sequence == s->settled + 1) {
        s->settled = sequence;
    }
    if (s->receipts) {
        receipt.settled = s->settled;
        pb_ostream_t out = pb_ostream_from_buffer(bytes, sizeof bytes);
        bool ok = pb_encode(&out, tidemark_Receipt_fields, &receipt);
        assert(ok);
        sim_deliver(s, 2, bytes, out.bytes_written);
    }
}

static void take_report(sim *s, pb_istream_t *in)
{
    tidemark_Report report = tidemark_Report_init_zero;
    bool ok = pb_decode(in, tidemark_Report_fields, &report);
    assert(ok);
    if (report.sequence == 0) {
        return; /* progress */
    }
    give_up_before(s, report.oldest_kept);
    bool known = report.sequence <= s->settled;
    if (!known && report.sequence == s->settled + 1 && s->reports_count < SIM_REPORTS) {
        sim_report *out = &s->reports[s->reports_count++];
        *out = (sim_report){report.sequence, report.oldest_kept, report.directive_sequence, "", {0}, report.state,
                            report.reason,   report.bytes_done,  report.bytes_total};
        snprintf(out->slot, sizeof out->slot, "%s", report.slot);
        memcpy(out->digest, report.manifest_digest.bytes, TDE_DIGEST_SIZE);
    }
    settle(s, report.sequence);
}

static void take_window(sim *s, pb_istream_t *in)
{
    tidemark_Window *window = calloc(1, sizeof *window);
    assert(window != NULL);
    bool ok = pb_decode(in, tidemark_Window_fields, window);
    assert(ok);
    give_up_before(s, window->oldest_kept);
    s->windows += window->sequence == s->settled + 1 ? 1 : 0;
    settle(s, window->sequence);
    free(window);
}

void sim_server_take(sim *s, tde_uplink kind, const char *topic, const uint8_t *payload, size_t size)
{
    uint8_t signed_bytes[65536], mac[TDE_DIGEST_SIZE];
    size_t head = strlen(topic) + 1;
    assert(size > TDE_MAC_SIZE && head + size < sizeof signed_bytes);
    memcpy(signed_bytes, topic, head);
    memcpy(signed_bytes + head, payload, size - TDE_MAC_SIZE);
    td_hmac_sha256(s->uplink_key, sizeof s->uplink_key, signed_bytes, head + size - TDE_MAC_SIZE, mac);
    if (memcmp(mac, payload + size - TDE_MAC_SIZE, TDE_MAC_SIZE) != 0) {
        s->bad_mac = true;
        return;
    }
    snprintf(s->last_topic, sizeof s->last_topic, "%s", topic);
    pb_istream_t in = pb_istream_from_buffer(payload, size - TDE_MAC_SIZE);
    if (kind == TDE_UP_GET) {
        take_get(s, &in);
    } else if (kind == TDE_UP_REPORT) {
        take_report(s, &in);
    } else if (kind == TDE_UP_WINDOW) {
        take_window(s, &in);
    } else if (kind == TDE_UP_BIRTH) {
        s->births++;
        memset(&s->birth, 0, sizeof s->birth);
        bool ok = pb_decode(&in, tidemark_Birth_fields, &s->birth);
        assert(ok);
    }
}
