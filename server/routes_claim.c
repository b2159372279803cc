/*
 * routes_claim.c: claims of a version, and the keys whose claims count.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/routes.h"
#include "server/usecase_claim.h"

#include <string.h>

/* ---- claims ---- */

static td_code find_version(td_request *request, td_version *out, td_err *err)
{
    const char *reference;
    TD_TRY(td_request_reference(request, &reference, err));
    return td_version_find(request->db, request->project, reference, &request->arena, out, err);
}

static td_code list_claims(td_request *request, td_err *err)
{
    static const char *const forms[] = {"json", "lines", NULL};
    const char *form;
    td_version version;
    td_case work = td_request_case(request);
    TD_TRY(td_request_query_choice(request, "form", forms, "json", &form, err));
    TD_TRY(find_version(request, &version, err));
    if (strcmp(form, "lines") == 0) {
        TD_CLEANUP(td_str_done) td_str lines = {0};
        TD_TRY(td_claim_lines(&work, &version, &lines, err));
        return td_answer_bytes(request, 200, "application/jsonl", &lines, err);
    }
    json_t *claims, *about = NULL;
    TD_TRY(td_claims_json(request->db, version.version_id, &claims, err));
    if (version.manifest != NULL) {
        td_about subjects;
        char content_id[TD_DIGEST_LABEL_SIZE], root[TD_DIGEST_LABEL_SIZE];
        TD_TRY(td_about_read(version.manifest, version.manifest_size, &request->arena, &subjects, err));
        td_digest_format(subjects.content_id, content_id);
        td_digest_format(subjects.model_root, root);
        about = json_pack("{s:s, s:s}", "content_id", content_id, "model_root", root);
    }
    return td_answer_json(request, 200,
                          json_pack("{s:s, s:o, s:o}", "version", version.label, "subjects",
                                    about ? about : json_null(), "claims", claims),
                          err);
}

static td_code add_claim(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "envelope", .type = TD_JSON_OBJECT, .required = true},
        {.name = NULL},
    };
    const char *reference;
    td_case work = td_request_case(request);
    TD_TRY(td_request_check(request, fields, err));
    TD_TRY(td_request_reference(request, &reference, err));
    return td_claim_take(&work, reference, json_object_get(request->body, "envelope"), err);
}

/* What was signed, as JSON for people; who verifies takes the envelope. */
static td_code get_claim(td_request *request, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    char label[TD_DIGEST_LABEL_SIZE];
    td_version version;
    td_dsse envelope;
    TD_CLEANUP(td_str_done) td_str line = {0};
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_CLEANUP(td_json_done) json_t *statement = NULL;
    TD_TRY(find_version(request, &version, err));
    TD_TRY(td_claim_find(request->db, &version, request->parameters[2], digest, err));
    TD_TRY(td_content_read(request->server->content, digest, TD_DSSE_BYTES_MAX, &line, err));
    TD_TRY(td_json_parse(line.data, line.size, "claim", &json, err));
    TD_TRY(td_dsse_read_json(json, &request->arena, &envelope, err));
    TD_TRY(td_json_parse((const char *)envelope.payload, envelope.payload_size, "statement", &statement, err));
    td_digest_format(digest, label);
    return td_answer_json(request, 200,
                          json_pack("{s:s, s:s, s:O, s:O}", "version", version.label, "digest", label, "envelope", json,
                                    "statement", statement),
                          err);
}

/* ---- keys ---- */

static td_code own_key(td_request *request, json_t **out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str pem = {0};
    td_public_key key;
    uint8_t key_id[TD_KEY_ID_SIZE];
    char hex[2 * TD_KEY_ID_SIZE + 1];
    td_public_key_of(request->server->keys.publisher, &key);
    td_public_key_id(&key, key_id);
    td_hex_encode(key_id, sizeof key_id, hex);
    TD_TRY(td_public_pem(key.kind, key.bytes, &pem, err));
    *out = json_pack("{s:s, s:s, s:s, s:s, s:s}", "source", "publisher", "name", "publisher", "kind",
                     key.kind == TD_KEY_P256 ? "p256" : "ed25519", "key_id", hex, "public_key", td_str_text(&pem));
    return *out != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory for the keys of claims");
}

static td_code list_keys(td_request *request, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *keys = json_array();
    TD_CLEANUP(td_json_done) json_t *people = NULL;
    TD_CLEANUP(td_json_done) json_t *listed = NULL;
    json_t *own = NULL;
    TD_TRY(own_key(request, &own, err));
    (void)json_array_append_new(keys, own);
    TD_TRY(td_claim_people_json(request->db, request->project, &people, err));
    TD_TRY(td_claim_keys_json(request->db, request->project, &listed, err));
    (void)json_array_extend(keys, people);
    (void)json_array_extend(keys, listed);
    return td_answer_json(request, 200, json_pack("{s:O}", "keys", keys), err);
}

typedef struct key_write {
    td_request *request;
    const char *name, *reason;
    td_public_key key;
} key_write;

static td_code answer_key(td_db *db, const key_write *write, int status, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *listed = NULL;
    TD_TRY(td_claim_keys_json(db, write->request->project, &listed, err));
    for (size_t i = 0; i < json_array_size(listed); i++) {
        json_t *one = json_array_get(listed, i);
        if (strcmp(td_json_text(one, "name", ""), write->name) == 0) {
            return td_answer_json(write->request, status, json_incref(one), err);
        }
    }
    return td_fail(err, TD_INTERNAL, "the key %s was listed and is not there", write->name);
}

static td_code write_trust(td_db *db, void *context, td_err *err)
{
    const key_write *write = context;
    TD_TRY(td_claim_key_trust(db, &write->request->actor, write->request->project, write->name, &write->key,
                              write->reason, err));
    return answer_key(db, write, 201, err);
}

static td_code trust_key(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "name", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = TD_CLAIM_KEY_NAME_MAX},
        {.name = "public_key", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = 2048},
        {.name = "reason", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = TD_REASON_BODY_MAX},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    key_write write = {request,
                       td_json_text(request->body, "name", ""),
                       td_json_text(request->body, "reason", ""),
                       {.kind = TD_KEY_P256}};
    const char *pem = td_json_text(request->body, "public_key", "");
    TD_TRY(td_public_key_read(pem, strlen(pem), &write.key, err));
    return td_request_write(request, write_trust, &write, err);
}

static td_code write_distrust(td_db *db, void *context, td_err *err)
{
    const key_write *write = context;
    TD_TRY(td_claim_key_distrust(db, &write->request->actor, write->request->project, write->name, write->reason, err));
    return answer_key(db, write, 200, err);
}

static td_code distrust_key(td_request *request, td_err *err)
{
    key_write write = {.request = request, .name = request->parameters[0]};
    TD_TRY(td_request_reason(request, true, &write.reason, err));
    return td_request_write(request, write_distrust, &write, err);
}

#define CLAIMS "/api/v1/models/{model}/versions/{version}/claims"

const td_route td_routes_claim[] = {
    TD_GET(CLAIMS, TD_MAY_READ, list_claims, "What is said of a version, signed (?form=lines: claims.jsonl)"),
    TD_SEND("POST", CLAIMS, TD_MAY_CLAIM, add_claim, "Take in a signed claim"),
    TD_GET(CLAIMS "/{digest}", TD_MAY_READ, get_claim, "One claim: its envelope, and the statement inside"),
    TD_GET("/api/v1/claim-keys", TD_MAY_READ, list_keys, "The keys whose claims count"),
    TD_SEND("POST", "/api/v1/claim-keys", TD_MAY_MANAGE_USER, trust_key, "List a key whose claims count"),
    TD_SEND("POST", "/api/v1/claim-keys/{name}/distrust", TD_MAY_MANAGE_USER, distrust_key, "Strike off a listed key"),
    TD_ROUTES_END,
};
