/*
 * claim_own.c: what the server says of versions: what they are made of, and of those that its own pipelines made, where
 * they come from and how the gate judged.
 *
 * Only what the server itself saw: files, pipeline, gate and inputs by digest, the run, its times, the verdict. Nothing
 * is claimed of how somebody trained a version elsewhere. The publisher's key signs.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/log.h"
#include "lineage/lineage.h"
#include "monitor/retrain.h"
#include "server/usecase_claim.h"

#include <stdio.h>
#include <string.h>

#define BUILD_TYPE "urn:tidemark:pipeline:v1"

static td_code no_memory(td_err *err)
{
    return td_fail(err, TD_NOMEM, "no memory for a claim");
}

/* ---- resource descriptors ---- */

/* {"name", "uri", "digest"?}; digest: hexadecimal, with or without "sha256:", or NULL. */
static json_t *resource(const char *name, const char *uri, const char *digest)
{
    const char *hex = digest != NULL && strncmp(digest, "sha256:", 7) == 0 ? digest + 7 : digest;
    json_t *json = json_pack("{s:s, s:s}", "name", name, "uri", uri);
    if (hex != NULL && json_object_set_new(json, "digest", json_pack("{s:s}", "sha256", hex)) != 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static td_code add(json_t *list, json_t *one, td_err *err)
{
    return json_array_append_new(list, one) == 0 ? TD_OK : no_memory(err);
}

static const json_t *find_node(const json_t *graph, const char *node)
{
    size_t index;
    json_t *one;
    json_array_foreach (json_object_get(graph, "nodes"), index, one) {
        if (strcmp(td_json_text(one, "node", ""), node) == 0) {
            return one;
        }
    }
    return NULL;
}

/* What went into the version by the lineage: inputs and code of its run, and what it was made from. */
static td_code add_inputs(const td_case *work, const td_version *version, const char *run, json_t *list, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *graph = NULL;
    char node[TD_LINEAGE_NAME_MAX], run_node[64];
    size_t index;
    json_t *edge;
    snprintf(node, sizeof node, "version:%s", version->label);
    snprintf(run_node, sizeof run_node, "run:%s", run);
    TD_TRY(td_lineage_show_json(work->db, work->project, node, TD_LINEAGE_UP, 2, &graph, err));
    json_array_foreach (json_object_get(graph, "edges"), index, edge) {
        const char *from = td_json_text(edge, "from", ""), *to = td_json_text(edge, "to", "");
        const json_t *source = find_node(graph, from);
        const char *kind = td_json_text(source, "kind", "");
        bool into = strcmp(to, node) == 0 || strcmp(to, run_node) == 0;
        bool input = strcmp(kind, "dataset") == 0 || strcmp(kind, "code") == 0 || strcmp(kind, "version") == 0;
        if (into && input) {
            TD_TRY(
                add(list, resource(td_json_text(source, "name", ""), from, td_json_text(source, "digest", NULL)), err));
        }
    }
    return TD_OK;
}

/* Everything that the steps made: what became the version, and what did not. */
static td_code add_byproducts(const json_t *run, json_t *list, td_err *err)
{
    size_t i, k;
    json_t *step, *file;
    json_array_foreach (json_object_get(run, "steps"), i, step) {
        json_array_foreach (json_object_get(step, "outputs"), k, file) {
            char name[160], uri[256];
            snprintf(name, sizeof name, "%.64s/%.64s", td_json_text(step, "step", ""), td_json_text(file, "name", ""));
            snprintf(uri, sizeof uri, "urn:tidemark:output:%.32s/%s", td_json_text(run, "run", ""), name);
            TD_TRY(add(list, resource(name, uri, td_json_text(file, "digest", NULL)), err));
        }
    }
    return TD_OK;
}

/* ---- predicates ---- */

static td_code build_definition(const td_case *work, const td_version *version, const json_t *run, json_t **out,
                                td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *inputs = json_array();
    char name[200], uri[200];
    long long revision = (long long)td_json_int(run, "pipeline_revision", 0);
    const char *pipeline = td_json_text(run, "pipeline", "");
    snprintf(name, sizeof name, "%.128s revision %lld", pipeline, revision);
    snprintf(uri, sizeof uri, "urn:tidemark:pipeline:%.128s/%lld", pipeline, revision);
    TD_TRY(add(inputs, resource(name, uri, td_json_text(run, "pipeline_digest", NULL)), err));
    TD_TRY(add_inputs(work, version, td_json_text(run, "run", ""), inputs, err));
    *out =
        json_pack("{s:s, s:{s:s, s:s, s:I, s:O, s:O}, s:{s:s, s:I, s:O}, s:O}", "buildType", BUILD_TYPE,
                  "externalParameters", "pipeline", pipeline, "model", td_json_text(run, "model", ""), "parent_version",
                  (json_int_t)td_json_int(run, "parent_version", 0), "alert", json_object_get(run, "alert"), "reason",
                  json_object_get(run, "reason"), "internalParameters", "project", work->project, "pipeline_revision",
                  (json_int_t)revision, "gate", json_object_get(run, "gate"), "resolvedDependencies", inputs);
    return *out != NULL ? TD_OK : no_memory(err);
}

static td_code provenance(const td_case *work, const td_version *version, const json_t *run, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *definition = NULL;
    TD_CLEANUP(td_json_done) json_t *byproducts = json_array();
    td_public_key key;
    uint8_t key_id[TD_KEY_ID_SIZE];
    char builder[96] = "urn:tidemark:server:";
    TD_TRY(build_definition(work, version, run, &definition, err));
    TD_TRY(add_byproducts(run, byproducts, err));
    td_public_key_of(work->server->keys.publisher, &key);
    td_public_key_id(&key, key_id);
    td_hex_encode(key_id, sizeof key_id, builder + strlen(builder));
    *out = json_pack("{s:O, s:{s:{s:s, s:{s:s}}, s:{s:s, s:O, s:O}, s:O}}", "buildDefinition", definition, "runDetails",
                     "builder", "id", builder, "version", "tidemark", TD_VERSION, "metadata", "invocationId",
                     td_json_text(run, "run", ""), "startedOn", json_object_get(run, "created_at"), "finishedOn",
                     json_object_get(run, "ended_at"), "byproducts", byproducts);
    return *out != NULL ? TD_OK : no_memory(err);
}

/* *out stays NULL for a run without a gate: nothing was tested. */
static td_code test_result(const json_t *run, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *passed = json_array();
    TD_CLEANUP(td_json_done) json_t *failed = json_array();
    const json_t *verdict = json_object_get(run, "verdict");
    const char *gate = td_json_text(verdict, "gate", NULL);
    size_t index;
    json_t *rule;
    char name[200], uri[200];
    if (gate == NULL) {
        return TD_OK;
    }
    json_array_foreach (json_object_get(verdict, "rules"), index, rule) {
        json_t *list = td_json_bool(rule, "passed", false) ? passed : failed;
        TD_TRY(add(list, json_string(td_json_text(rule, "text", td_json_text(rule, "metric", ""))), err));
    }
    long long revision = (long long)td_json_int(verdict, "revision", 0);
    snprintf(name, sizeof name, "%.128s revision %lld", gate, revision);
    snprintf(uri, sizeof uri, "urn:tidemark:gate:%.128s/%lld", gate, revision);
    *out = json_pack("{s:s, s:[o], s:O, s:[], s:O}", "result",
                     td_json_bool(verdict, "passed", false) ? "PASSED" : "FAILED", "configuration",
                     resource(name, uri, td_json_text(verdict, "digest", NULL)), "passedTests", passed, "warnedTests",
                     "failedTests", failed);
    return *out != NULL ? TD_OK : no_memory(err);
}

/* ---- signing ---- */

/* Signed, read back as anybody's would be, and put into content. */
static td_code make(const td_case *work, const td_about *about, const char *type, const json_t *predicate,
                    td_claim *out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str statement = {0};
    TD_CLEANUP(td_str_done) td_str line = {0};
    td_dsse envelope;
    td_claim_key *key = td_arena_alloc(work->arena, sizeof *key);
    if (key == NULL) {
        return no_memory(err);
    }
    *key = (td_claim_key){.source = "publisher", .name = "publisher"};
    td_public_key_of(work->server->keys.publisher, &key->key);
    TD_TRY(td_statement_make(about, type, predicate, &statement, err));
    TD_TRY(
        td_dsse_make(TD_STATEMENT_PAYLOAD, statement.data, statement.size, work->server->keys.publisher, &line, err));
    TD_TRY(td_dsse_read(line.data, line.size, work->arena, &envelope, err));
    TD_TRY(td_claim_open(&envelope, key, 1, about, out, err));
    return td_claim_store(work, out, err);
}

/* What is too large to be said in one envelope stays unsaid: it must not keep a version from being submitted. */
static td_code make_next(const td_case *work, const td_about *about, const char *type, const json_t *predicate,
                         td_own_claims *out, td_err *err)
{
    td_code code = make(work, about, type, predicate, &out->claims[out->count], err);
    if (code == TD_LIMIT) {
        td_log_warn("claims", "%s: no claim of type %s: %s", about->label, type, err->text);
        return TD_OK;
    }
    TD_TRY(code);
    out->count++;
    return TD_OK;
}

static td_code say_of_run(const td_case *work, const td_version *version, const td_about *about, td_own_claims *out,
                          td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *run = NULL;
    TD_CLEANUP(td_json_done) json_t *origin = NULL;
    TD_CLEANUP(td_json_done) json_t *result = NULL;
    TD_TRY(td_run_of_version_json(work->db, work->project, version->model, version->number, &run, err));
    if (run == NULL) {
        return TD_OK;
    }
    TD_TRY(provenance(work, version, run, &origin, err));
    TD_TRY(test_result(run, &result, err));
    TD_TRY(make_next(work, about, TD_PREDICATE_PROVENANCE, origin, out, err));
    return result != NULL ? make_next(work, about, TD_PREDICATE_TEST_RESULT, result, out, err) : TD_OK;
}

void td_own_claims_done(td_own_claims *own)
{
    for (size_t i = 0; i < own->count; i++) {
        td_claim_done(&own->claims[i]);
    }
    own->count = 0;
}

td_code td_own_claims_make(const td_case *work, const td_version *version, const td_str *manifest, td_own_claims *out,
                           td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_CLEANUP(td_json_done) json_t *bom = NULL;
    td_about *about = td_arena_alloc(work->arena, sizeof *about);
    void *bytes = td_arena_copy(work->arena, manifest->data, manifest->size);
    if (about == NULL || bytes == NULL) {
        return no_memory(err);
    }
    TD_TRY(td_about_read(bytes, manifest->size, work->arena, about, err));
    TD_TRY(say_of_run(work, version, about, out, err));
    TD_TRY(td_version_json(work->db, work->project, version->label, &json, err));
    TD_TRY(td_bom_json(json, about, &bom, err));
    return make_next(work, about, TD_PREDICATE_BOM, bom, out, err);
}

td_code td_own_claims_add(td_db *db, const td_case *work, const char *label, const td_own_claims *own, td_err *err)
{
    for (size_t i = 0; i < own->count; i++) {
        TD_TRY(td_claim_add(db, &td_actor_system, work->project, label, &own->claims[i], err));
    }
    return TD_OK;
}
