/*
 * modelsig_read.c: reading model.sig from anywhere, and holding it against a key and a list of files.
 *
 * The payload is verified as decoded and never written again. Certificates, shards and other hashes are well formed
 * but not ours: they are refused by name.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/json.h"
#include "core/crypto/ec.h"
#include "registry/modelsig_internal.h"

#include <stdlib.h>
#include <string.h>

static td_code malformed(td_err *err, const char *what)
{
    return td_fail(err, TD_CORRUPT, "model.sig: %s", what);
}

/* Every key of object must be one of `known` (NULL-terminated). */
static td_code only_keys(const json_t *object, const char *const *known, const char *where, td_err *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object)) {
        return td_fail(err, TD_CORRUPT, "model.sig: %s is missing or no object", where);
    }
    json_object_foreach ((json_t *)object, key, value) {
        bool found = false;
        for (size_t i = 0; known[i] != NULL && !found; i++) {
            found = strcmp(known[i], key) == 0;
        }
        if (!found) {
            return td_fail(err, TD_CORRUPT, "model.sig: %s has an unknown key \"%.40s\"", where, key);
        }
    }
    return TD_OK;
}

/* base64 text into the arena. */
static td_code decode(const char *text, td_arena *arena, const uint8_t **out, size_t *size_out, const char *what,
                      td_err *err)
{
    size_t length = text != NULL ? strlen(text) : 0;
    uint8_t *bytes = td_arena_alloc(arena, length / 4 * 3 + 4);
    if (bytes == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to read model.sig");
    }
    if (length == 0 || td_base64_decode(text, length, bytes, length / 4 * 3 + 3, size_out, NULL) != TD_OK) {
        return td_fail(err, TD_CORRUPT, "model.sig: %s is missing or not base64", what);
    }
    *out = bytes;
    return TD_OK;
}

/* ---- the outer bundle ---- */

static td_code read_material(const json_t *material, td_arena *arena, td_modelsig *sig, td_err *err)
{
    static const char *const known[] = {"publicKey", "tlogEntries", "timestampVerificationData", NULL};
    if (json_object_get(material, "certificate") != NULL || json_object_get(material, "x509CertificateChain") != NULL) {
        return td_fail(err, TD_INVALID,
                       "model.sig is signed with a certificate; Tidemark checks signatures by plain keys");
    }
    TD_TRY(only_keys(material, known, "verificationMaterial", err));
    const json_t *key = json_object_get(material, "publicKey");
    const char *hint = json_string_value(json_object_get(key, "hint"));
    if (!json_is_object(key) || (hint == NULL && !json_is_string(json_object_get(key, "rawBytes")))) {
        return malformed(err, "verificationMaterial names no key");
    }
    sig->hint = td_arena_text(arena, hint != NULL ? hint : "");
    return sig->hint != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory to read model.sig");
}

static td_code read_envelope(const json_t *envelope, td_arena *arena, td_modelsig *sig, td_err *err)
{
    static const char *const known[] = {"payload", "payloadType", "signatures", NULL};
    static const char *const known_signature[] = {"sig", "keyid", NULL};
    TD_TRY(only_keys(envelope, known, "dsseEnvelope", err));
    if (strcmp(td_json_text(envelope, "payloadType", ""), TD_MODELSIG__PAYLOAD) != 0) {
        return td_fail(err, TD_CORRUPT, "model.sig: the payload's type is \"%.80s\", not " TD_MODELSIG__PAYLOAD,
                       td_json_text(envelope, "payloadType", ""));
    }
    const json_t *signatures = json_object_get(envelope, "signatures");
    if (json_array_size(signatures) != 1) {
        return malformed(err, "exactly one signature is expected");
    }
    const json_t *one = json_array_get(signatures, 0);
    TD_TRY(only_keys(one, known_signature, "the signature", err));
    TD_TRY(decode(td_json_text(one, "sig", NULL), arena, &sig->signature, &sig->signature_size, "the signature", err));
    return decode(td_json_text(envelope, "payload", NULL), arena, &sig->payload, &sig->payload_size, "the payload",
                  err);
}

/* ---- the statement ---- */

static bool good_name(const char *name)
{
    if (name[0] == '\0' || name[0] == '/' || strlen(name) > 4096) {
        return false;
    }
    for (const char *part = name; *part != '\0';) {
        size_t length = strcspn(part, "/");
        bool dots = (length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.');
        if (length == 0 || dots) {
            return false;
        }
        part += length;
        if (*part == '/') {
            part++;
            if (*part == '\0') {
                return false;
            }
        }
    }
    return true;
}

static td_code read_digest(const char *hex, const char *what, uint8_t out[TD_DIGEST_SIZE], td_err *err)
{
    if (hex == NULL || td_hex_decode(hex, strlen(hex), out, TD_DIGEST_SIZE, NULL) != TD_OK) {
        return td_fail(err, TD_CORRUPT, "model.sig: the digest of %.80s is not 64 hexadecimal digits", what);
    }
    return TD_OK;
}

static td_code read_resource(const json_t *resource, td_arena *arena, td_modelsig_file *file, td_err *err)
{
    const char *name = td_json_text(resource, "name", "");
    if (!good_name(name)) {
        return td_fail(err, TD_CORRUPT, "model.sig: \"%.80s\" is no relative file name", name);
    }
    if (strcmp(td_json_text(resource, "algorithm", ""), "sha256") != 0) {
        return td_fail(err, TD_INVALID, "model.sig: %.80s is hashed by \"%.20s\"; only sha256 is checked here", name,
                       td_json_text(resource, "algorithm", ""));
    }
    file->name = td_arena_text(arena, name);
    if (file->name == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to read model.sig");
    }
    return read_digest(td_json_text(resource, "digest", NULL), name, file->digest, err);
}

static bool is_under(const char *name, const char *path)
{
    size_t length = strlen(path);
    return strncmp(name, path, length) == 0 && (name[length] == '\0' || name[length] == '/');
}

const char *const td_modelsig_always_ignored[] = {".git", ".gitignore", ".gitattributes", ".github", NULL};

static bool is_of_git(const char *name)
{
    for (size_t i = 0; td_modelsig_always_ignored[i] != NULL; i++) {
        if (is_under(name, td_modelsig_always_ignored[i])) {
            return true;
        }
    }
    return false;
}

static td_code read_resources(const json_t *list, td_arena *arena, td_modelsig *sig, td_err *err)
{
    size_t count = json_array_size(list);
    if (count == 0 || count > TD_MODELSIG_FILES_MAX) {
        return td_fail(err, TD_CORRUPT, "model.sig: 1 to %d files are expected, not %zu", TD_MODELSIG_FILES_MAX, count);
    }
    sig->files = td_arena_alloc(arena, count * sizeof *sig->files);
    if (sig->files == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to read model.sig");
    }
    for (; sig->file_count < count; sig->file_count++) {
        td_modelsig_file *file = &sig->files[sig->file_count];
        TD_TRY(read_resource(json_array_get(list, sig->file_count), arena, file, err));
        sig->counts_git = sig->counts_git || is_of_git(file->name);
    }
    return TD_OK;
}

/* "./notes/" is "notes": some write the one, some the other. NULL: no memory, or no text. */
static const char *plain_path(const char *path, td_arena *arena)
{
    char *copy = td_arena_text(arena, path);
    size_t length = copy != NULL ? strlen(copy) : 0;
    while (length > 1 && copy[length - 1] == '/') {
        copy[--length] = '\0';
    }
    while (length > 2 && strncmp(copy, "./", 2) == 0) {
        copy += 2;
        length -= 2;
    }
    return copy;
}

static td_code read_ignored(const json_t *list, td_arena *arena, td_modelsig *sig, td_err *err)
{
    size_t count = json_array_size(list);
    sig->ignored = td_arena_alloc(arena, (count + 1) * sizeof *sig->ignored);
    if (sig->ignored == NULL || count > TD_MODELSIG_FILES_MAX) {
        return td_fail(err, TD_LIMIT, "model.sig: too many ignored paths");
    }
    for (; sig->ignored_count < count; sig->ignored_count++) {
        const char *path = json_string_value(json_array_get(list, sig->ignored_count));
        sig->ignored[sig->ignored_count] = plain_path(path, arena);
        if (sig->ignored[sig->ignored_count] == NULL) {
            return malformed(err, "an ignored path is no text");
        }
    }
    return TD_OK;
}

static td_code read_serialization(const json_t *s, td_arena *arena, td_modelsig *sig, td_err *err)
{
    static const char *const known[] = {"method", "hash_type", "allow_symlinks", "ignore_paths", "shard_size", NULL};
    TD_TRY(only_keys(s, known, "predicate.serialization", err));
    if (strcmp(td_json_text(s, "method", ""), "files") != 0 || json_object_get(s, "shard_size") != NULL) {
        return td_fail(err, TD_INVALID, "model.sig is by method \"%.20s\"; only \"files\" is checked here",
                       td_json_text(s, "method", ""));
    }
    if (strcmp(td_json_text(s, "hash_type", ""), "sha256") != 0) {
        return td_fail(err, TD_INVALID, "model.sig is by the hash \"%.20s\"; only sha256 is checked here",
                       td_json_text(s, "hash_type", ""));
    }
    const json_t *links = json_object_get(s, "allow_symlinks");
    if (!json_is_boolean(links)) {
        return malformed(err, "predicate.serialization does not say whether links are followed (allow_symlinks)");
    }
    sig->follow_links = json_is_true(links);
    return read_ignored(json_object_get(s, "ignore_paths"), arena, sig, err);
}

static td_code read_subject(const json_t *subjects, td_arena *arena, td_modelsig *sig, td_err *err)
{
    uint8_t want[TD_DIGEST_SIZE];
    const json_t *subject = json_array_get(subjects, 0);
    if (json_array_size(subjects) != 1 || !json_is_object(subject)) {
        return malformed(err, "exactly one subject is expected");
    }
    TD_TRY(read_digest(td_json_text(json_object_get(subject, "digest"), "sha256", NULL), "the subject", want, err));
    TD_TRY(td_modelsig__root(sig->files, sig->file_count, sig->root, err));
    if (memcmp(want, sig->root, sizeof want) != 0) {
        return malformed(err, "the subject's digest does not follow from the listed files");
    }
    sig->name = td_arena_text(arena, td_json_text(subject, "name", ""));
    return sig->name != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory to read model.sig");
}

static td_code read_statement(td_modelsig *sig, td_arena *arena, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    if (td_json_parse((const char *)sig->payload, sig->payload_size, "payload", &json, err) != TD_OK) {
        return td_fail(err, TD_CORRUPT, "model.sig: the payload is no JSON");
    }
    if (strcmp(td_json_text(json, "_type", ""), TD_MODELSIG__STATEMENT) != 0) {
        return malformed(err, "the payload is no in-toto statement, version 1");
    }
    if (strcmp(td_json_text(json, "predicateType", ""), TD_MODELSIG__PREDICATE) != 0) {
        return td_fail(err, TD_CORRUPT, "model.sig: the predicate is \"%.80s\", not " TD_MODELSIG__PREDICATE,
                       td_json_text(json, "predicateType", ""));
    }
    const json_t *predicate = json_object_get(json, "predicate");
    TD_TRY(read_serialization(json_object_get(predicate, "serialization"), arena, sig, err));
    TD_TRY(read_resources(json_object_get(predicate, "resources"), arena, sig, err));
    return read_subject(json_object_get(json, "subject"), arena, sig, err);
}

td_code td_modelsig_read(const void *text, size_t size, td_arena *arena, td_modelsig *out, td_err *err)
{
    static const char *const known[] = {"mediaType", "verificationMaterial", "dsseEnvelope", NULL};
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    td_modelsig sig = {.name = NULL};
    if (size == 0 || size > TD_MODELSIG_BYTES_MAX || td_json_parse(text, size, "model.sig", &json, err) != TD_OK) {
        return malformed(err, "it is empty, too large or no JSON");
    }
    TD_TRY(only_keys(json, known, "the file", err));
    if (strcmp(td_json_text(json, "mediaType", ""), TD_MODELSIG__MEDIA) != 0) {
        return td_fail(err, TD_CORRUPT, "model.sig: its media type is \"%.80s\", not " TD_MODELSIG__MEDIA,
                       td_json_text(json, "mediaType", ""));
    }
    TD_TRY(read_material(json_object_get(json, "verificationMaterial"), arena, &sig, err));
    TD_TRY(read_envelope(json_object_get(json, "dsseEnvelope"), arena, &sig, err));
    TD_TRY(read_statement(&sig, arena, err));
    *out = sig;
    return TD_OK;
}

/* ---- verifying ---- */

td_code td_modelsig_check_signature(const td_modelsig *sig, const char *pem, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str pae = {0};
    TD_CLEANUP(td_str_done) td_str canonical = {0}; /* the hint is of the text as everybody writes it */
    td_ec_public key;
    char hint[TD_DIGEST_TEXT];
    TD_TRY(td_ec_public_from_pem(pem, strlen(pem), &key, err));
    TD_TRY(td_ec_public_pem(&key, &canonical, err));
    td_modelsig__hint(td_str_text(&canonical), hint);
    if (sig->hint[0] != '\0' && strcmp(sig->hint, hint) != 0) {
        return malformed(err, "it was signed with another key than the one given");
    }
    TD_TRY(td_dsse_pae(TD_MODELSIG__PAYLOAD, sig->payload, sig->payload_size, &pae, err));
    td_code code = td_ec_verify(&key, pae.data, pae.size, sig->signature, sig->signature_size, err);
    return code == TD_CORRUPT ? malformed(err, "the signature does not verify") : code;
}

bool td_modelsig_ignores(const td_modelsig *sig, const char *name)
{
    if (!sig->counts_git && is_of_git(name)) {
        return true;
    }
    for (size_t i = 0; i < sig->ignored_count; i++) {
        if (is_under(name, sig->ignored[i])) {
            return true;
        }
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const td_modelsig_file *)a)->name, ((const td_modelsig_file *)b)->name);
}

static const td_modelsig_file *find(const td_modelsig_file *sorted, size_t count, const char *name)
{
    td_modelsig_file key = {.name = name};
    return count > 0 ? bsearch(&key, sorted, count, sizeof *sorted, by_name) : NULL;
}

static td_code check_listed(const td_modelsig *sig, const td_modelsig_file *sorted, size_t count, td_err *err)
{
    for (size_t i = 0; i < sig->file_count; i++) {
        const td_modelsig_file *file = find(sorted, count, sig->files[i].name);
        if (file == NULL) {
            return td_fail(err, TD_CORRUPT, "model.sig covers the file \"%.80s\", which is not there",
                           sig->files[i].name);
        }
        if (memcmp(file->digest, sig->files[i].digest, TD_DIGEST_SIZE) != 0) {
            return td_fail(err, TD_CORRUPT, "the file \"%.80s\" is not the one that model.sig covers", file->name);
        }
    }
    return TD_OK;
}

static td_code check_extra(const td_modelsig *sig, const td_modelsig_file *sorted, size_t count, td_arena *arena,
                           td_err *err)
{
    td_modelsig_file *listed = td_arena_copy(arena, sig->files, sig->file_count * sizeof *listed);
    if (listed == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to check model.sig");
    }
    qsort(listed, sig->file_count, sizeof *listed, by_name);
    for (size_t i = 0; i + 1 < sig->file_count; i++) {
        if (strcmp(listed[i].name, listed[i + 1].name) == 0) {
            return td_fail(err, TD_CORRUPT, "model.sig lists the file \"%.80s\" twice", listed[i].name);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (find(listed, sig->file_count, sorted[i].name) == NULL && !td_modelsig_ignores(sig, sorted[i].name)) {
            return td_fail(err, TD_CORRUPT, "the file \"%.80s\" is not covered by model.sig", sorted[i].name);
        }
    }
    return TD_OK;
}

td_code td_modelsig_check_files(const td_modelsig *sig, const td_modelsig_file *files, size_t count,
                                bool others_may_be, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_modelsig_file *sorted = td_arena_alloc(&arena, (count + 1) * sizeof *sorted);
    if (sorted == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to check model.sig");
    }
    memcpy(sorted, files, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_name);
    TD_TRY(check_listed(sig, sorted, count, err));
    return check_extra(sig, sorted, others_may_be ? 0 : count, &arena, err);
}

td_code td_modelsig_verify(const void *text, size_t size, const char *public_pem, const td_modelsig_file *files,
                           size_t count, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_modelsig sig;
    TD_TRY(td_modelsig_read(text, size, &arena, &sig, err));
    TD_TRY(td_modelsig_check_signature(&sig, public_pem, err));
    return td_modelsig_check_files(&sig, files, count, false, err);
}
