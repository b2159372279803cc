/*
 * manifest.h: the signed list of a version's files: what approvers sign and devices check.
 *
 * Deterministic Protocol Buffers bytes (fields in order of number, files sorted by name); their SHA-256 is the
 * version's content id. A file of more than one piece has its piece table (raw SHA-256 digests, one a piece) as a
 * content object of its own and that object's digest in the manifest. manifest.json says the same for people and is a
 * function of the bytes.
 * Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_MANIFEST_H
#define TD_REGISTRY_MANIFEST_H

#include "core/base/arena.h"
#include "core/base/json.h"
#include "registry/content.h"

#define TD_MANIFEST_TYPE "application/vnd.tidemark.manifest.v1"
#define TD_MANIFEST_FILES_MAX 256
#define TD_MANIFEST_BYTES_MAX ((size_t)64 * 1024) /* a message on the wire is never larger */
#define TD_FILE_NAME_MAX 200

typedef enum td_file_role {
    TD_FILE_MODEL,
    TD_FILE_BASELINE,
    TD_FILE_META,
    TD_FILE_GOLDEN,
    TD_FILE_ROLE_COUNT
} td_file_role;
/* "model", "baseline", "meta", "golden": as stored and as in JSON. */
extern const char *const td_file_role_names[TD_FILE_ROLE_COUNT + 1];
TD_MUST_USE td_code td_file_role_parse(const char *name, td_file_role *out, td_err *err);

typedef struct td_manifest_file {
    const char *name; /* "model/pump.onnx", "baseline.pb", "meta/card.md", "golden/…" */
    uint64_t size;
    uint8_t digest[TD_DIGEST_SIZE];
    td_file_role role;
    uint32_t piece_size; /* set by td_manifest_build */
    bool has_pieces;     /* more than one piece */
    uint8_t piece_table_digest[TD_DIGEST_SIZE];
} td_manifest_file;

typedef struct td_manifest {
    const char *project, *model;
    uint32_t version, security_counter;
    const char *format; /* "onnx", "opaque" */
    bool has_edges;
    uint8_t edges_digest[TD_DIGEST_SIZE];
    const char *hardware;    /* "" = any */
    const char *runtimes[4]; /* none = any */
    size_t runtime_count;
    uint64_t ram_bytes;
    uint64_t created_ms;
    td_manifest_file *files;
    size_t file_count;
} td_manifest;

/* 4 KiB up to 1 MiB, 64 KiB up to 64 MiB, 1 MiB above. */
uint32_t td_piece_size(uint64_t file_size);

/* Encodes; sorts a copy of the files, computes piece sizes, and reads each file of more than one piece from `content`
 * to store its piece table there. Not on the writer thread: it hashes. INVALID: names, duplicates, a file missing in
 * content or of another size; LIMIT: too many files or bytes. */
TD_MUST_USE td_code td_manifest_build(const td_manifest *manifest, td_content *content, td_str *bytes_out, td_err *err);
/* Decodes and checks bytes from anywhere: names, order, uniqueness, roles, piece sizes, digests. CORRUPT. Strings live
 * in the arena. */
TD_MUST_USE td_code td_manifest_read(const void *bytes, size_t size, td_arena *arena, td_manifest *out, td_err *err);
/* For API answers: the manifest with "digest" and "size" of its bytes. */
TD_MUST_USE td_code td_manifest_json(const void *bytes, size_t size, json_t **out, td_err *err);
/* The bytes of manifest.json in the bundle (indented, sorted keys, newline at the end), appended. */
TD_MUST_USE td_code td_manifest_text(const void *bytes, size_t size, td_str *out, td_err *err);
/* Sum of the sizes of the files that a device needs (all but FILE_META). */
uint64_t td_manifest_device_bytes(const td_manifest *manifest);

#endif
