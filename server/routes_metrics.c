/*
 * routes_metrics.c: GET /metrics: everything that an operator's Prometheus wants to know, in one answer.
 *
 * The numbers are of the whole server, so the permission must be held in project `default`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/crypto/x509.h"
#include "server/broker.h"
#include "server/link.h"
#include "server/metrics.h"
#include "server/metrics_text.h"
#include "server/routes.h"
#include "server/sequencer.h"
#include "server/traffic.h"

#include <stdio.h>
#include <string.h>

static void add_server(td_server *server, td_str *out)
{
    const td_label build[] = {
        {"version", TD_VERSION}, {"sqlite", td_db_library_version()}, {"profile", server->profile}};
    td_metrics_family(out, "tidemark_build_info", "gauge", "Always 1: what runs.");
    td_metrics_sample(out, "tidemark_build_info", build, TD_COUNT_OF(build), 1);
    td_metrics_single(out, "process_start_time_seconds", "gauge", "When the server started, since 1970.",
                      (double)server->started_ms / 1000);
    td_writer_counts counts;
    td_writer_counts_read(server->writer, &counts);
    td_metrics_single(out, "tidemark_writer_queue", "gauge", "Changes that wait for the writer.",
                      (double)td_writer_queued(server->writer));
    td_metrics_single(out, "tidemark_writer_commits_total", "counter", "Transactions that were committed.",
                      (double)counts.commits);
    td_metrics_single(out, "tidemark_writer_failures_total", "counter",
                      "Transactions that failed as a whole: disk full, I/O error.", (double)counts.failures);
    td_metrics_single(out, "tidemark_http_requests_running", "gauge", "Requests that are not answered yet.",
                      (double)atomic_load(&server->calls));
    td_metrics_single(out, "tidemark_http_polls", "gauge", "Of these, long polls that wait for something to happen.",
                      (double)td_pool_parked(server->pool));
}

/* ---- requests ---- */

static void add_count(void *context, const td_route *route, int status, uint64_t count)
{
    char code[16];
    snprintf(code, sizeof code, "%d", status);
    const td_label labels[] = {
        {"method", route ? route->method : "other"},
        {"route", route ? route->pattern : "none"},
        {"status", status > 0 ? code : status == 0 ? "aborted" : "other"},
    };
    td_metrics_sample(context, "tidemark_http_requests_total", labels, TD_COUNT_OF(labels), (double)count);
}

static void add_durations(const td_traffic *traffic, size_t index, td_str *out)
{
    static const char *const listeners[TD_TRAFFIC_LISTENERS] = {"api", "device", "admin"};
    td_traffic_durations seen;
    td_traffic_durations_read(traffic, index, &seen);
    td_label labels[] = {{"listener", listeners[index]}, {"le", ""}};
    uint64_t sum = 0;
    for (size_t i = 0; i < TD_TRAFFIC_BUCKETS; i++) {
        char bound[32] = "+Inf";
        if (i < TD_TRAFFIC_BUCKETS - 1) {
            snprintf(bound, sizeof bound, "%g", td_traffic_bounds[i]);
        }
        sum += seen.counts[i];
        labels[1].value = bound;
        td_metrics_sample(out, "tidemark_http_request_duration_seconds_bucket", labels, 2, (double)sum);
    }
    td_metrics_sample(out, "tidemark_http_request_duration_seconds_sum", labels, 1, (double)seen.sum_us / 1e6);
    td_metrics_sample(out, "tidemark_http_request_duration_seconds_count", labels, 1, (double)sum);
}

static void add_traffic(const td_server *server, td_str *out)
{
    td_metrics_family(out, "tidemark_http_requests_total", "counter", "Answered requests by route and status.");
    td_traffic_each(server->traffic, add_count, out);
    td_metrics_family(out, "tidemark_http_request_duration_seconds", "histogram",
                      "From a request's first line to its answer's last byte, without long polls.");
    for (size_t i = 0; i < TD_TRAFFIC_LISTENERS; i++) {
        add_durations(server->traffic, i, out);
    }
}

/* ---- devices' messages ---- */

static void add_counters(td_str *out, const char *name, const char *label, const char *const *values,
                         const uint64_t *counts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const td_label labels[] = {{label, values[i]}};
        td_metrics_sample(out, name, labels, 1, (double)counts[i]);
    }
}

static void add_ingest(const td_link_counts *counts, td_str *out)
{
    const char *verdicts[TD_WINDOW_VERDICTS];
    for (int i = 0; i < TD_WINDOW_VERDICTS; i++) {
        verdicts[i] = td_window_verdict_name((td_window_verdict)i);
    }
    td_metrics_family(out, "tidemark_ingest_windows_total", "counter", "Telemetry windows by what became of them.");
    add_counters(out, "tidemark_ingest_windows_total", "verdict", verdicts, counts->windows, TD_WINDOW_VERDICTS);
    td_metrics_family(out, "tidemark_ingest_dropped_total", "counter", "Messages of devices that were not taken.");
    add_counters(out, "tidemark_ingest_dropped_total", "reason", td_uplink_drop_names, counts->dropped, TD_DROP_COUNT);
    const char *const more[] = {"queue_full", "not_recorded"};
    const uint64_t more_counts[] = {counts->queue_full, counts->failed};
    add_counters(out, "tidemark_ingest_dropped_total", "reason", more, more_counts, 2);
    td_metrics_single(out, "tidemark_ingest_queue", "gauge", "Messages of devices that wait to be recorded.",
                      (double)counts->queued);
    td_metrics_single(out, "tidemark_ingest_lag_seconds", "gauge",
                      "From a message's coming in to its being on disk: of the last minute's newest batch, or of one "
                      "that waits longer.",
                      (double)counts->lag_ms / 1000);
    td_metrics_single(out, "tidemark_content_served_bytes_total", "counter", "Content that devices fetched.",
                      (double)counts->content_bytes);
}

static void add_broker(td_server *server, td_str *out)
{
    td_link_counts counts = {0};
    td_link_counts_read(td_server_link(server), &counts);
    td_metrics_single(out, "tidemark_broker_up", "gauge", "1: the server is connected to the broker.",
                      counts.connected ? 1 : 0);
    if (server->broker) {
        int64_t starts;
        char why[160];
        (void)td_broker_state(server->broker, &starts, why);
        td_metrics_single(out, "tidemark_broker_starts_total", "counter", "How often the child broker was started.",
                          (double)starts);
    }
    add_ingest(&counts, out);
}

/* ---- trust ---- */

static void add_certificates(td_server *server, td_str *out)
{
    td_x509_facts facts;
    td_err ignored;
    int64_t now = td_now_ms(server->clock);
    if (td_x509_read(td_str_text(&server->keys.ca_pem), server->keys.ca_pem.size, &facts, &ignored) == TD_OK) {
        td_metrics_single(out, "tidemark_ca_expiry_seconds", "gauge", "Until the CA's certificate ends.",
                          (double)(facts.not_after_ms - now) / 1000);
    }
    if (td_x509_read(td_str_text(&server->keys.server_pem), server->keys.server_pem.size, &facts, &ignored) == TD_OK) {
        td_metrics_single(out, "tidemark_server_certificate_expiry_seconds", "gauge",
                          "Until the certificate that devices see ends.", (double)(facts.not_after_ms - now) / 1000);
    }
    td_sequencer_state state;
    td_sequencer_look(server->sequencer, &state);
    td_metrics_single(out, "tidemark_audit_signer_up", "gauge", "1: the log's signer answers and signs.",
                      state.trouble[0] ? 0 : 1);
    td_metrics_single(out, "tidemark_audit_signer_starts_total", "counter",
                      "How often the log's signer was started (0 where it is not the server's child).",
                      (double)state.signer.starts);
    td_metrics_single(out, "tidemark_audit_signer_stopped", "gauge",
                      "1: the log's signer refuses to sign, because the log is not what it signed before.",
                      state.refused ? 1 : 0);
}

/* ---- the answer ---- */

/* Totals are read anew once a minute at most: they cost a walk over all versions. */
static td_code add_totals(td_request *request, td_str *out, td_err *err)
{
    td_server *server = request->server;
    td_code code = TD_OK;
    pthread_mutex_lock(&server->totals_lock);
    int64_t now = td_server_monotonic_ms(server);
    if (!server->totals.size || now - server->totals_ms >= TD_METRICS_TOTALS_MS) {
        td_str_clear(&server->totals);
        code = td_metrics_totals(request->db, &server->totals, err);
        code = code == TD_OK ? td_str_check(&server->totals, err) : code;
        server->totals_ms = now;
        if (code != TD_OK) {
            td_str_clear(&server->totals);
        }
    }
    td_str_add(out, td_str_text(&server->totals));
    pthread_mutex_unlock(&server->totals_lock);
    return code;
}

static td_code get_metrics(td_request *request, td_err *err)
{
    if (strcmp(request->project, TD_PROJECT_DEFAULT) != 0) {
        return td_fail(err, TD_INVALID, "/metrics is about the whole server and takes no project");
    }
    TD_CLEANUP(td_str_done) td_str text = {.limit = TD_METRICS_BYTES_MAX};
    add_server(request->server, &text);
    add_traffic(request->server, &text);
    add_broker(request->server, &text);
    add_certificates(request->server, &text);
    td_metrics_process(request->server->path, &text);
    TD_TRY(td_metrics_records(request->db, &text, err));
    TD_TRY(add_totals(request, &text, err));
    return td_answer_bytes(request, 200, TD_METRICS_CONTENT_TYPE, &text, err);
}

const td_route td_routes_metrics[] = {
    TD_GET("/metrics", TD_MAY_READ_METRICS, get_metrics,
           "Numbers for Prometheus (metrics.public: without a token from this machine)"),
    TD_ROUTES_END,
};
