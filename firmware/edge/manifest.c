/*
 * manifest.c: may this version run here? The signed manifest against the directive's goal, the device and the floors.
 *
 * A manifest lists every file with size and digest; what it does not list is never asked for. Everything is checked
 * before the first byte of content: signatures of the approvers, security counter, requirement, names, sizes.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pb_decode.h>
#include <string.h>

#include "firmware/edge/parts.h"

#define MANIFEST_TYPE "application/vnd.tidemark.manifest.v1"
#define SIZE_LIMIT ((uint64_t)1 << 40)

/* Visits the files in order: checks all of them, or looks for one. */
typedef struct visit {
    char last_name[201]; /* of the file before: names ascend, so each is listed once */
    uint32_t files;
    uint32_t needed; /* files that a device needs, so far */
    uint64_t total;  /* their bytes */
    uint32_t wanted; /* index among them; TDE_NO_SLOT: check all */
    tde_file *out;
    bool found, bad;
} visit;

/* The size of pieces follows from the size of the file; see docs/device-core.md. */
static uint32_t piece_size_of(uint64_t size)
{
    if (size <= (uint64_t)1 << 20) {
        return 4096;
    }
    return size <= (uint64_t)64 << 20 ? 65536 : 1048576;
}

static bool is_sound(const tidemark_ManifestFile *file, const visit *v)
{
    bool many = file->size > file->piece_size;
    return file->size <= SIZE_LIMIT && tde_is_file_name(file->name) && strcmp(v->last_name, file->name) < 0 &&
           (file->size == 0 || file->piece_size == piece_size_of(file->size)) &&
           file->piece_table_digest.size == (many ? TDE_DIGEST_SIZE : 0);
}

static void take(const tidemark_ManifestFile *file, visit *v)
{
    tde_file *out = v->out;
    memcpy(out->name, file->name, sizeof out->name);
    memcpy(out->digest, file->digest, TDE_DIGEST_SIZE);
    memcpy(out->table_digest, file->piece_table_digest.bytes, TDE_DIGEST_SIZE);
    out->size = file->size;
    out->before = v->total;
    out->piece_size = file->piece_size == 0 ? 4096 : file->piece_size;
    out->pieces = (uint32_t)((file->size + out->piece_size - 1) / out->piece_size);
    v->found = true;
}

static bool visit_file(pb_istream_t *stream, const pb_field_t *field, void **arg)
{
    (void)field;
    visit *v = *arg;
    tidemark_ManifestFile file = tidemark_ManifestFile_init_zero;
    if (!pb_decode(stream, tidemark_ManifestFile_fields, &file)) {
        return false;
    }
    if (v->wanted == TDE_NO_SLOT && (++v->files > TDE_FILES_MAX || !is_sound(&file, v))) {
        v->bad = true;
        return false;
    }
    memcpy(v->last_name, file.name, sizeof v->last_name);
    if (file.role == tidemark_FileRole_FILE_META) {
        return true;
    }
    if (v->needed == v->wanted) {
        take(&file, v);
    }
    v->needed++;
    v->total += file.size;
    return true;
}

static int decode(tde_bytes manifest, tidemark_Manifest *out, visit *v)
{
    pb_istream_t stream = pb_istream_from_buffer(manifest.data, manifest.size);
    memset(out, 0, sizeof *out);
    out->files.funcs.decode = visit_file;
    out->files.arg = v;
    return pb_decode(&stream, tidemark_Manifest_fields, out) && !v->bad ? TDE_OK : TDE_INVALID;
}

int tde_manifest_file(const tde *core, uint32_t index, tde_file *out)
{
    tidemark_Manifest manifest;
    visit v = {.wanted = index, .out = out};
    if (decode(core->manifest, &manifest, &v) != TDE_OK) {
        return TDE_INVALID;
    }
    return v.found ? TDE_OK : TDE_NOT_FOUND;
}

static bool has_runtime(const tde *core, const tidemark_Requirement *need)
{
    for (pb_size_t i = 0; i < need->runtimes_count; i++) {
        for (size_t k = 0; k < core->config.runtimes_count; k++) {
            if (strcmp(need->runtimes[i], core->config.runtimes[k]) == 0) {
                return true;
            }
        }
    }
    return need->runtimes_count == 0;
}

static int check_requirement(const tde *core, const tidemark_Manifest *manifest)
{
    const tidemark_Requirement *need = &manifest->requirement;
    if (!manifest->has_requirement) {
        return tidemark_Reason_REASON_NONE;
    }
    if (need->hardware[0] != '\0' && strcmp(need->hardware, core->config.hardware) != 0) {
        return tidemark_Reason_REASON_HARDWARE;
    }
    if (need->ram_bytes > core->config.ram_bytes) {
        return tidemark_Reason_REASON_HARDWARE;
    }
    return has_runtime(core, need) ? tidemark_Reason_REASON_NONE : tidemark_Reason_REASON_OPERATOR_MISSING;
}

static int check_contents(tde *core, tde_slot *slot, tde_bytes bytes)
{
    tidemark_Manifest manifest;
    visit v = {.wanted = TDE_NO_SLOT};
    if (decode(bytes, &manifest, &v) != TDE_OK || v.needed == 0) {
        return tidemark_Reason_REASON_MALFORMED;
    }
    if (v.total > slot->total_size) {
        return tidemark_Reason_REASON_MALFORMED; /* more bytes than the directive was signed for */
    }
    if (core->config.size_max != 0 && v.total > core->config.size_max) {
        return tidemark_Reason_REASON_NO_SPACE;
    }
    if (manifest.security_counter < slot->counter_floor || manifest.security_counter < slot->counter_min) {
        return tidemark_Reason_REASON_COUNTER;
    }
    slot->counter_candidate = manifest.security_counter;
    return check_requirement(core, &manifest);
}

int tde_manifest_check(tde *core, uint32_t index, size_t size)
{
    tde_slot *slot = &core->record.slots[index];
    tde_signed parsed;
    uint8_t digest[TDE_DIGEST_SIZE];
    core->message_slot = TDE_NO_SLOT;
    if (tde_signed_parse(core->memory.message, size, &parsed) != TDE_OK) {
        return tidemark_Reason_REASON_MALFORMED;
    }
    if (tde_sha256(core, parsed.payload.data, parsed.payload.size, digest) != TDE_OK ||
        memcmp(digest, slot->candidate, TDE_DIGEST_SIZE) != 0) {
        return tidemark_Reason_REASON_HASH;
    }
    if (!tde_keyset_usable(core)) {
        return tidemark_Reason_REASON_KEYSET;
    }
    if (tde_signed_check(core, &parsed, MANIFEST_TYPE, &core->record.keyset, tidemark_Role_ROLE_APPROVER) != TDE_OK) {
        return tidemark_Reason_REASON_SIGNATURE;
    }
    int reason = check_contents(core, slot, parsed.payload);
    if (reason == tidemark_Reason_REASON_NONE) {
        core->manifest = parsed.payload;
        core->message_slot = index;
    }
    return reason;
}
