/*
 * routes_record.c: lineage, the audit log, and what happens as a feed.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/project.h"
#include "audit/log.h"
#include "audit/verify.h"
#include "audit/witness.h"
#include "core/base/fs.h"
#include "lineage/lineage.h"
#include "registry/reference.h"
#include "server/routes.h"
#include "server/witness.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVENT_WAIT_MS_MAX 60000
#define STREAM_RECORDS 100

/* ---- lineage ---- */

/* kind:name as it is; a version in any of its forms becomes version:MODEL/NUMBER. */
static td_code need_node(td_request *request, const char **out, td_err *err)
{
    td_reference reference;
    td_version version;
    const char *text = td_request_query(request, "node", NULL);
    if (!text) {
        return td_fail(err, TD_INVALID, "?node= is missing: a version (pump/3) or kind:name (dataset:s3://…)");
    }
    if (td_reference_parse(text, &reference, NULL) != TD_OK) {
        *out = text;
        return TD_OK;
    }
    if (reference.alias[0]) {
        TD_TRY(td_version_find(request->db, request->project, text, &request->arena, &version, err));
        reference.number = version.number;
    }
    *out = td_request_text(request, "version:%s/%lld", reference.model, (long long)reference.number);
    return TD_OK;
}

static td_code get_lineage(td_request *request, td_err *err)
{
    static const char *const directions[] = {"up", "down", "both", NULL};
    const char *node, *word;
    int64_t depth;
    td_lineage_direction direction;
    json_t *graph;
    TD_TRY(need_node(request, &node, err));
    TD_TRY(td_request_query_int(request, "depth", 0, TD_LINEAGE_DEPTH_MAX, 0, &depth, err));
    TD_TRY(td_request_query_choice(request, "direction", directions, "both", &word, err));
    TD_TRY(td_lineage_direction_parse(word, &direction, err));
    TD_TRY(td_lineage_show_json(request->db, request->project, node, direction, (int)depth, &graph, err));
    return td_answer_json(request, 200, graph, err);
}

static td_code get_impact(td_request *request, td_err *err)
{
    const char *node;
    json_t *impact;
    TD_TRY(need_node(request, &node, err));
    TD_TRY(td_lineage_impact_json(request->db, request->project, node, &impact, err));
    return td_answer_json(request, 200, impact, err);
}

/* ---- audit ---- */

/* The project whose records the caller may see; NULL: all of them. Who may read the whole log sees one project's part
 * when he names it. */
static const char *scope(const td_request *request)
{
    const char *named = td_target_query(&request->target, "project");
    return named || !td_access_reads_whole_log(&request->principal) ? request->project : NULL;
}

static td_code list_audit(td_request *request, td_err *err)
{
    td_page page;
    json_t *list;
    TD_TRY(td_request_page(request, TD_AUDIT_LIST_MAX, &page, err));
    TD_TRY(td_audit_search_json(request->db, scope(request), &page, &list, err));
    return td_answer_json(request, 200, list, err);
}

/* {seq} of the path, if the caller may see it. */
static td_code read_seq(td_request *request, int64_t *out, td_err *err)
{
    TD_TRY(td_parse_int(request->parameters[0], "seq", 0, INT64_MAX, out, err));
    return scope(request) ? td_audit_check_project(request->db, *out, scope(request), err) : TD_OK;
}

static td_code get_checkpoint(td_request *request, td_err *err)
{
    static const char *const states[] = {"published", "signed", NULL};
    TD_CLEANUP(td_str_done) td_str note = {0};
    const char *state;
    td_log_root root;
    TD_TRY(td_request_query_choice(request, "state", states, "published", &state, err));
    TD_TRY(strcmp(state, "signed") == 0 ? td_log_signed_read(request->db, &root, &note, err)
                                        : td_log_checkpoint_read(request->db, &note, err));
    return td_answer_bytes(request, 200, "text/plain; charset=utf-8", &note, err);
}

static td_code get_witnesses(td_request *request, td_err *err)
{
    json_t *witnesses;
    TD_TRY(td_witnesses_json(request->server->witnesses, request->db, &witnesses, err));
    return td_answer_json(request, 200, witnesses, err);
}

static td_code get_record_proof(td_request *request, td_err *err)
{
    int64_t seq;
    TD_TRY(read_seq(request, &seq, err));
    static const char *const formats[] = {"tlog", "sigsum", NULL};
    TD_CLEANUP(td_str_done) td_str proof = {0};
    const char *format;
    TD_TRY(td_request_query_choice(request, "format", formats, "tlog", &format, err));
    TD_TRY(strcmp(format, "sigsum") == 0 ? td_log_sigsum_text(request->db, seq, &proof, err)
                                         : td_log_proof_text(request->db, seq, &proof, err));
    return td_answer_bytes(request, 200, "text/plain; charset=utf-8", &proof, err);
}

static td_code get_record(td_request *request, td_err *err)
{
    int64_t seq;
    TD_TRY(read_seq(request, &seq, err));
    TD_CLEANUP(td_str_done) td_str record = {0};
    TD_TRY(td_audit_record(request->db, seq, &record, err));
    return td_answer_bytes(request, 200, "application/json", &record, err);
}

static td_code write_fd(void *context, const void *data, size_t size, td_err *err)
{
    return td_write_all(*(const int *)context, data, size, err);
}

static td_code record_export(td_db *db, void *context, td_err *err)
{
    const td_request *request = context;
    td_audit_entry entry = {
        .actor = &request->actor, .action = "export.audit", .object_type = "audit", .object_id = "log"};
    return td_audit_append(db, &entry, NULL, err);
}

/* The tar goes to a file without a name, which the answer then sends. */
static td_code export_audit(td_request *request, td_err *err)
{
    const td_server *server = request->server;
    char folder[4096];
    if (!td_access_reads_whole_log(&request->principal)) {
        return td_fail(err, TD_DENIED,
                       "the export is the whole log, of all projects: it takes the role auditor in project default");
    }
    TD_TRY(td_workspace_file(server->path, "run", folder, err));
    TD_CLEANUP(td_close_fd) int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        return td_fail_errno(err, errno, "a temporary file for the export");
    }
    td_audit_keys keys;
    uint8_t room[TD_P256_PUBLIC_SIZE];
    memcpy(keys.log, server->keys.log_public, sizeof keys.log);
    td_key_public(server->keys.submitter, room);
    memcpy(keys.submitter, room, sizeof keys.submitter);
    TD_TRY(td_audit_export(request->db, &keys, write_fd, &fd, err));
    if (!server->read_only[0]) { /* then above all it must be possible to see what there is */
        TD_TRY(td_request_write(request, record_export, request, err));
    }
    struct stat facts;
    if (fstat(fd, &facts) != 0) {
        return td_fail_errno(err, errno, "the export's file");
    }
    td_answer_file(request, fd, (uint64_t)facts.st_size, "application/x-tar", "audit.tar");
    fd = -1;
    return TD_OK;
}

/* ---- events ---- */

/* A version in any spelling is meant as it stands in the records. */
static const char *object_asked(td_request *request)
{
    td_reference reference;
    char text[TD_REFERENCE_TEXT_SIZE];
    const char *object = td_request_query(request, "object", NULL);
    if (!object || td_reference_parse(object, &reference, NULL) != TD_OK) {
        return object;
    }
    td_reference_write(&reference, text);
    return td_request_text(request, "%s", text);
}

static td_code read_query(td_request *request, td_audit_query *out, td_err *err)
{
    int64_t limit;
    *out = TD_AUDIT_QUERY_ALL;
    TD_TRY(td_request_query_int(request, "after", -1, INT64_MAX, -1, &out->after, err));
    TD_TRY(td_request_query_int(request, "limit", 1, TD_AUDIT_LIST_MAX, 100, &limit, err));
    out->limit = (int)limit;
    out->object = object_asked(request);
    out->actor = td_request_query(request, "actor", NULL);
    out->action = td_request_query(request, "action", NULL);
    static const char *const orders[] = {"oldest", "newest", NULL};
    const char *order;
    TD_TRY(td_request_query_choice(request, "order", orders, "oldest", &order, err));
    out->newest_first = strcmp(order, "newest") == 0;
    return TD_OK;
}

/* The audit records of the project from ?after= on; with none yet, waits up to ?wait_ms= for the next. */
static td_code get_events(td_request *request, td_err *err)
{
    td_audit_query query;
    int64_t wait_ms;
    TD_TRY(read_query(request, &query, err));
    TD_TRY(td_request_query_int(request, "wait_ms", 0, EVENT_WAIT_MS_MAX, 0, &wait_ms, err));
    query.project = request->project;
    TD_CLEANUP(td_json_done) json_t *list = NULL;
    TD_TRY(td_audit_list_json(request->db, &query, &list, err));
    int64_t until = request->started_ms + wait_ms;
    bool empty = json_array_size(json_object_get(list, "records")) == 0;
    if (empty && !request->expired && td_server_monotonic_ms(request->server) < until) {
        request->answer.wait = true;
        request->answer.wait_until_ms = until;
        return TD_OK;
    }
    return td_answer_json(request, 200, json_incref(list), err);
}

/* ---- the same as a stream (text/event-stream, WHATWG HTML §9.2) ---- */

static td_code read_place(td_request *request, int64_t *after_out, td_err *err)
{
    td_audit_query query = TD_AUDIT_QUERY_ALL;
    if (request->last_event_id) {
        return td_parse_int(request->last_event_id, "Last-Event-ID", -1, INT64_MAX, after_out, err);
    }
    if (td_target_query(&request->target, "after")) {
        return td_request_query_int(request, "after", -1, INT64_MAX, -1, after_out, err);
    }
    query.limit = 1;
    query.newest_first = true;
    TD_CLEANUP(td_json_done) json_t *newest = NULL;
    TD_TRY(td_audit_list_json(request->db, &query, &newest, err));
    *after_out = td_json_int(json_array_get(json_object_get(newest, "records"), 0), "seq", -1);
    return TD_OK;
}

static td_code begin_stream(td_request *request, td_err *err)
{
    td_stream *stream = &request->stream;
    TD_TRY(read_place(request, &stream->after, err));
    int64_t most = td_config_int(request->server->config, "http.streams_max");
    if (atomic_fetch_add(&request->server->streams, 1) >= most) {
        atomic_fetch_sub(&request->server->streams, 1);
        return td_fail(err, TD_BUSY, "%lld event streams are open already (http.streams_max)", (long long)most);
    }
    stream->open = true;
    request->answer.status = 200;
    request->answer.content_type = "text/event-stream";
    td_str_add(&stream->text, "retry: 2000\n\n");
    return TD_OK;
}

static td_code tell(td_stream *stream, const json_t *record, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_json_write(record, &text, err));
    stream->after = td_json_int(record, "seq", stream->after);
    td_str_addf(&stream->text, "id: %lld\ndata: ", (long long)stream->after);
    td_str_append(&stream->text, text.data, text.size);
    td_str_add(&stream->text, "\n\n");
    return td_str_check(&stream->text, err);
}

static td_code stream_events(td_request *request, td_err *err)
{
    td_stream *stream = &request->stream;
    bool fresh = !stream->open;
    if (fresh) {
        TD_TRY(begin_stream(request, err));
    }
    td_audit_query query = TD_AUDIT_QUERY_ALL;
    query.after = stream->after;
    query.limit = STREAM_RECORDS;
    query.project = request->project;
    TD_CLEANUP(td_json_done) json_t *list = NULL;
    TD_TRY(td_audit_list_json(request->db, &query, &list, err));
    size_t index;
    const json_t *record, *records = json_object_get(list, "records");
    json_array_foreach ((json_t *)records, index, record) {
        TD_TRY(tell(stream, record, err));
    }
    stream->after = td_json_int(list, "next_after", stream->after);
    if (stream->text.size == 0 && request->expired) {
        td_str_add(&stream->text, ":\n\n");
    }
    request->answer.wait = stream->text.size == 0; /* until the next commit, or the heartbeat that is set */
    return td_str_check(&stream->text, err);
}

const td_route td_routes_record[] = {
    TD_GET("/api/v1/lineage", TD_MAY_READ, get_lineage, "The graph around ?node= (&direction=up|down|both &depth=)"),
    TD_GET("/api/v1/lineage/impact", TD_MAY_READ, get_impact, "What ?node= reached: versions, bundles, devices"),
    TD_GET("/api/v1/audit", TD_MAY_READ_AUDIT, list_audit,
           "Audit records"),
    TD_GET("/api/v1/audit/checkpoint", TD_MAY_READ_AUDIT, get_checkpoint,
           "The newest published checkpoint (?state=signed: the newest signed one)"),
    TD_GET("/api/v1/audit/witnesses", TD_MAY_READ_AUDIT, get_witnesses, "The witnesses, and what they have cosigned"),
    TD_GET("/api/v1/audit/export", TD_MAY_EXPORT_AUDIT, export_audit, "The whole log as a tar that verifies offline"),
    TD_GET("/api/v1/audit/records/{seq}", TD_MAY_READ_AUDIT, get_record, "Canonical bytes of one record"),
    TD_GET("/api/v1/audit/records/{seq}/proof", TD_MAY_READ_AUDIT, get_record_proof,
           "Its proof of inclusion (?format=sigsum: as Sigsum's programs read it)"),
    TD_GET("/api/v1/events", TD_MAY_READ, get_events, "The project's records as a feed (?after= &wait_ms= long poll)"),
    TD_GET("/api/v1/events/stream", TD_MAY_READ, stream_events,
           "The same as server-sent events, from Last-Event-ID or ?after= on, else from now"),
    TD_ROUTES_END,
};
