/*
 * statement.h: the in-toto statement (v1): what is said, about which digests.
 *
 * A claim of ours has two subjects: the version's content id (SHA-256 of its manifest, which binds names, sizes and
 * digests) and the root digest that model.sig signs, which other people's tools can compute from the model's files
 * alone. A claim of somebody else counts if one of its subjects is either of them or a single model file.
 * Source: https://github.com/in-toto/attestation (spec/v1/statement.md); predicates name theirs in predicate.c.
 * Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CLAIMS_STATEMENT_H
#define TD_CLAIMS_STATEMENT_H

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/json.h"
#include "registry/manifest.h"

#define TD_STATEMENT_TYPE "https://in-toto.io/Statement/v1"
#define TD_STATEMENT_PAYLOAD "application/vnd.in-toto+json"
#define TD_STATEMENT_SUBJECTS_MAX 1024
#define TD_PREDICATE_TYPE_MAX 256 /* bytes of the URI */

/* ---- what a claim can be about ---- */

typedef struct td_about {
    const char *label; /* "pump/3" */
    uint8_t content_id[TD_DIGEST_SIZE];
    uint8_t model_root[TD_DIGEST_SIZE]; /* as in model.sig */
    td_manifest manifest;
} td_about;
/* From a manifest's bytes; text lives in the arena. CORRUPT. */
TD_MUST_USE td_code td_about_read(const void *manifest, size_t size, td_arena *arena, td_about *out, td_err *err);

/* ---- statements ---- */

typedef struct td_statement {
    json_t *json; /* owned; the rest is borrowed from it */
    const char *predicate_type;
    const json_t *subjects;
    const json_t *predicate; /* an object */
} td_statement;
void td_statement_done(td_statement *statement); /* TD_CLEANUP */

/* Reads a payload whose signature has been checked, and checks what its kind of predicate demands. CORRUPT, LIMIT. */
TD_MUST_USE td_code td_statement_read(const void *payload, size_t size, td_statement *out, td_err *err);
/* What of the version it is about: "version", "model" or the name of a model file; NULL: nothing. Static, or borrowed
 * from `about`. */
const char *td_statement_covers(const td_statement *statement, const td_about *about);
/* Appends a statement about the version, both subjects named; `predicate` is borrowed. */
TD_MUST_USE td_code td_statement_make(const td_about *about, const char *predicate_type, const json_t *predicate,
                                      td_str *out, td_err *err);

/* ---- kinds of predicates (predicate.c) ---- */

#define TD_PREDICATE_PROVENANCE "https://slsa.dev/provenance/v1"
#define TD_PREDICATE_TEST_RESULT "https://in-toto.io/attestation/test-result/v0.1"
#define TD_PREDICATE_BOM "https://cyclonedx.org/bom"
#define TD_PREDICATE_APPROVAL "urn:tidemark:approval:v1"

/* "provenance", "test-result", "bom", "approval", else "other". Static. */
const char *td_predicate_kind(const char *type);
/* The URI of a kind's name; a URI stays what it is. INVALID: neither. */
TD_MUST_USE td_code td_predicate_type(const char *kind_or_type, const char **out, td_err *err);
/* Does it have what its type cannot do without? Other types pass. CORRUPT names what is lacking. */
TD_MUST_USE td_code td_predicate_check(const char *type, const json_t *predicate, td_err *err);

/* ---- approvals: who, in what meaning, why, when ---- */

#define TD_MEANING_MAX 1024                          /* bytes of a meaning */
#define TD_APPROVAL_SKEW_MS ((int64_t)5 * 60 * 1000) /* between the approver's clock and the server's */

typedef struct td_approval_said {
    const char *approver; /* user name */
    const char *meaning;  /* of the signature: "approved for release" */
    const char *reason;
    const char *version; /* "pump/3" */
    const char *project;
    int64_t time_ms;
} td_approval_said;

/* Meanings that are offered, by name; NULL-terminated pairs of name and sentence. */
typedef struct td_meaning {
    const char *name, *sentence;
} td_meaning;
extern const td_meaning td_meanings[];
/* The sentence of a name; other text stays what it is. INVALID: empty or too long. */
TD_MUST_USE td_code td_meaning_parse(const char *text, const char **out, td_err *err);

/* *out is owned by the caller. */
TD_MUST_USE td_code td_approval_predicate(const td_approval_said *said, json_t **out, td_err *err);
/* Text is borrowed from the predicate. CORRUPT. */
TD_MUST_USE td_code td_approval_said_read(const json_t *predicate, td_approval_said *out, td_err *err);

#endif
