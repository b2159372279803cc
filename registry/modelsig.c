/*
 * modelsig.c: making model.sig (OpenSSF Model Signing 1.0, method "files", SHA-256).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/modelsig.h"

#include "core/crypto/ec.h"
#include "registry/modelsig_internal.h"

#include <stdlib.h>
#include <string.h>

static td_code no_memory(td_err *err)
{
    return td_fail(err, TD_NOMEM, "no memory to make model.sig");
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const td_modelsig_file *)a)->name, ((const td_modelsig_file *)b)->name);
}

td_code td_modelsig__root(const td_modelsig_file *files, size_t count, uint8_t out[TD_DIGEST_SIZE], td_err *err)
{
    TD_CLEANUP(td_sha256_free) td_sha256 *hash = NULL;
    TD_TRY(td_sha256_new(&hash, err));
    for (size_t i = 0; i < count; i++) {
        td_sha256_update(hash, files[i].digest, TD_DIGEST_SIZE);
    }
    td_sha256_final(hash, out);
    return TD_OK;
}

/* The hint: SHA-256 of the PEM text, not of the DER inside. */
void td_modelsig__hint(const char *pem, char out[TD_DIGEST_TEXT])
{
    uint8_t digest[TD_DIGEST_SIZE];
    td_sha256_of(pem, strlen(pem), digest);
    td_hex_encode(digest, sizeof digest, out);
}

static td_code resources_json(const td_modelsig_file *files, size_t count, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        char hex[TD_DIGEST_TEXT];
        td_hex_encode(files[i].digest, TD_DIGEST_SIZE, hex);
        json_t *one = json_pack("{s:s, s:s, s:s}", "name", files[i].name, "algorithm", "sha256", "digest", hex);
        if (json_array_append_new(list, one) != 0) {
            return no_memory(err);
        }
    }
    *out = list;
    list = NULL;
    return TD_OK;
}

static json_t *serialization_json(const td_modelsig_how *how)
{
    json_t *ignored = json_array();
    for (size_t i = 0; i < how->ignored_count; i++) {
        if (json_array_append_new(ignored, json_string(how->ignored[i])) != 0) {
            json_decref(ignored);
            return NULL;
        }
    }
    return json_pack("{s:s, s:s, s:b, s:o}", "method", "files", "hash_type", "sha256", "allow_symlinks",
                     how->follow_links, "ignore_paths", ignored);
}

static td_code statement(const td_modelsig_how *how, const td_modelsig_file *files, size_t count, td_str *out,
                         td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *resources = NULL;
    uint8_t root[TD_DIGEST_SIZE];
    char hex[TD_DIGEST_TEXT];
    TD_TRY(td_modelsig__root(files, count, root, err));
    td_hex_encode(root, sizeof root, hex);
    TD_TRY(resources_json(files, count, &resources, err));
    TD_CLEANUP(td_json_done)
    json_t *json = json_pack("{s:s, s:[{s:s, s:{s:s}}], s:s, s:{s:O, s:o}}", "_type", TD_MODELSIG__STATEMENT,
                             "subject", "name", how->name, "digest", "sha256", hex, "predicateType",
                             TD_MODELSIG__PREDICATE, "predicate", "resources", resources, "serialization",
                             serialization_json(how));
    return json != NULL ? td_json_write(json, out, err) : no_memory(err);
}

static td_code sign(const td_str *payload, const td_key *key, td_str *sig_out, td_str *pem_out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str pae = {0};
    TD_CLEANUP(td_str_done) td_str der = {0};
    td_ec_public public_key;
    TD_TRY(td_key_ec_public(key, &public_key, err));
    TD_TRY(td_ec_public_pem(&public_key, pem_out, err));
    TD_TRY(td_dsse_pae(TD_MODELSIG__PAYLOAD, payload->data, payload->size, &pae, err));
    TD_TRY(td_key_ec_sign(key, pae.data, pae.size, &der, err));
    td_base64_add(sig_out, der.data, der.size);
    return td_str_check(sig_out, err);
}

static td_code check_names(const td_modelsig_file *files, size_t count, td_err *err)
{
    if (count == 0 || count > TD_MODELSIG_FILES_MAX) {
        return td_fail(err, TD_INVALID, "model.sig covers 1 to %d files, not %zu", TD_MODELSIG_FILES_MAX, count);
    }
    for (size_t i = 0; i < count; i++) {
        if (strchr(files[i].name, ':') != NULL) { /* other verifiers take it for a shard */
            return td_fail(err, TD_INVALID, "a file name with \":\" cannot be signed: \"%.80s\"", files[i].name);
        }
        if (i > 0 && strcmp(files[i - 1].name, files[i].name) == 0) {
            return td_fail(err, TD_INVALID, "the file \"%.80s\" is given twice", files[i].name);
        }
    }
    return TD_OK;
}

static td_code make(const td_modelsig_how *how, const td_modelsig_file *sorted, size_t count, const td_key *key,
                    td_str *out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str payload = {0};
    TD_CLEANUP(td_str_done) td_str encoded = {0};
    TD_CLEANUP(td_str_done) td_str signature = {0};
    TD_CLEANUP(td_str_done) td_str pem = {0};
    char hint[TD_DIGEST_TEXT];
    TD_TRY(check_names(sorted, count, err));
    TD_TRY(statement(how, sorted, count, &payload, err));
    TD_TRY(sign(&payload, key, &signature, &pem, err));
    td_modelsig__hint(td_str_text(&pem), hint);
    td_base64_add(&encoded, payload.data, payload.size);
    TD_TRY(td_str_check(&encoded, err));
    TD_CLEANUP(td_json_done)
    json_t *json = json_pack("{s:s, s:{s:{s:s}, s:[]}, s:{s:s, s:s, s:[{s:s, s:s}]}}", "mediaType", TD_MODELSIG__MEDIA,
                             "verificationMaterial", "publicKey", "hint", hint, "tlogEntries", "dsseEnvelope",
                             "payload", td_str_text(&encoded), "payloadType", TD_MODELSIG__PAYLOAD, "signatures", "sig",
                             td_str_text(&signature), "keyid", "");
    return json != NULL ? td_json_write(json, out, err) : no_memory(err);
}

td_code td_modelsig_make(const td_modelsig_how *how, const td_modelsig_file *files, size_t count, const td_key *key,
                         td_str *out, td_err *err)
{
    td_arena arena = {0};
    td_modelsig_file *sorted = td_arena_copy(&arena, files, count * sizeof *files);
    td_code code = TD_OK;
    if (sorted == NULL) {
        code = no_memory(err);
    } else {
        qsort(sorted, count, sizeof *sorted, by_name);
        code = make(how, sorted, count, key, out, err);
    }
    td_arena_done(&arena);
    return code;
}

/* The files under model/, by their names below it, sorted; in the arena. */
static td_code model_files(const td_manifest *manifest, td_arena *arena, td_modelsig_file **out, size_t *count_out,
                           td_err *err)
{
    size_t count = 0;
    td_modelsig_file *files = td_arena_alloc(arena, manifest->file_count * sizeof *files + 1);
    if (files == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < manifest->file_count; i++) {
        if (strncmp(manifest->files[i].name, "model/", 6) == 0) {
            files[count].name = manifest->files[i].name + 6;
            memcpy(files[count++].digest, manifest->files[i].digest, TD_DIGEST_SIZE);
        }
    }
    qsort(files, count, sizeof *files, by_name);
    *out = files;
    *count_out = count;
    return TD_OK;
}

td_code td_modelsig_of_manifest(const td_manifest *manifest, const td_key *key, td_str *out, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_modelsig_file *files;
    size_t count;
    TD_TRY(model_files(manifest, &arena, &files, &count, err));
    return td_modelsig_make(&(td_modelsig_how){.name = "model"}, files, count, key, out, err);
}

td_code td_modelsig_manifest_root(const td_manifest *manifest, uint8_t out[TD_DIGEST_SIZE], td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_modelsig_file *files;
    size_t count;
    TD_TRY(model_files(manifest, &arena, &files, &count, err));
    return td_modelsig__root(files, count, out, err);
}
