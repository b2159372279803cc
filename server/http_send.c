/*
 * http_send.c: an answer on its way out: from memory, or from a file by sendfile with Range.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/http.h"
#include "server/http_condition.h"
#include "server/internal.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum MHD_Result td_send_answer(td_call *call, struct MHD_Connection *connection);

#define STREAM_BLOCK 4096
#define STREAM_SOCKET_BYTES (32 * 1024)

typedef enum range_kind { RANGE_NONE, RANGE_GOOD, RANGE_BAD } range_kind;

static bool digits(const char *text, size_t length, uint64_t *out)
{
    uint64_t value = 0;
    if (length == 0 || length > 18) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    *out = value;
    return true;
}

/* One range of bytes (RFC 9110 §14.1.2); several, or another unit, are answered as if none was asked for. */
static range_kind parse_range(const char *header, uint64_t size, uint64_t *first, uint64_t *last)
{
    if (!header || strncmp(header, "bytes=", 6) != 0) {
        return RANGE_NONE;
    }
    const char *text = header + 6;
    const char *dash = strchr(text, '-');
    if (!dash) {
        return RANGE_NONE;
    }
    size_t before = (size_t)(dash - text), after = strlen(dash + 1);
    if (before == 0) { /* the last n bytes */
        uint64_t count;
        if (!digits(dash + 1, after, &count)) {
            return RANGE_NONE;
        }
        *first = count >= size ? 0 : size - count;
        *last = size - 1;
        return count == 0 || size == 0 ? RANGE_BAD : RANGE_GOOD;
    }
    *last = size - 1;
    if (!digits(text, before, first) || (after && !digits(dash + 1, after, last)) || (after && *last < *first)) {
        return RANGE_NONE;
    }
    if (*first >= size) {
        return RANGE_BAD;
    }
    *last = *last >= size ? size - 1 : *last;
    return RANGE_GOOD;
}

static const char *header_of(const td_answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->header_count; i++) {
        if (strcmp(answer->headers[i].name, name) == 0) {
            return answer->headers[i].value;
        }
    }
    return NULL;
}

static const char *etag_of(const td_answer *answer)
{
    return header_of(answer, "ETag");
}

/* A part of something else than what the client began with is worth nothing to it (RFC 9110 §13.1.5). */
static const char *wanted_range(const td_call *call)
{
    const char *condition = td_call_header(call, "If-Range"), *tag = etag_of(&call->request.answer);
    return condition && (!tag || strcmp(condition, tag) != 0) ? NULL : td_call_header(call, "Range");
}

static bool is_unchanged(const td_call *call)
{
    const char *tags = call->request.if_none_match, *tag = etag_of(&call->request.answer);
    return tags && tag && call->request.answer.status == 200 && td_etag_listed(tags, tag, true);
}

static struct MHD_Response *from_file(td_call *call, int *status)
{
    td_answer *answer = &call->request.answer;
    uint64_t first = 0, last = answer->fd_size ? answer->fd_size - 1 : 0;
    range_kind range = RANGE_NONE;
    if (answer->ranges && *status == 200) {
        range = parse_range(wanted_range(call), answer->fd_size, &first, &last);
    }
    char text[96];
    if (range == RANGE_BAD) {
        td_answer_problem_status(&call->request, 416, "range", "the range lies outside the file");
        snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)call->request.answer.fd_size);
        *status = 416;
        return NULL;
    }
    if (range == RANGE_NONE) {
        first = 0;
        last = answer->fd_size ? answer->fd_size - 1 : 0;
    }
    uint64_t length = answer->fd_size ? last - first + 1 : 0;
    struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(length, answer->fd, first);
    if (!response) {
        return NULL;
    }
    answer->fd = -1; /* the response owns it now */
    if (range == RANGE_GOOD) {
        *status = 206;
        snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)first, (unsigned long long)last,
                 (unsigned long long)answer->fd_size);
        MHD_add_response_header(response, "Content-Range", text);
    }
    if (answer->ranges) {
        MHD_add_response_header(response, "Accept-Ranges", "bytes");
    }
    return response;
}

static struct MHD_Response *from_memory(td_answer *answer)
{
    size_t size = answer->body.size;
    char *data = size ? td_str_take(&answer->body) : NULL;
    struct MHD_Response *response = MHD_create_response_from_buffer(
        size, data ? data : (void *)(uintptr_t) "", data ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (!response) {
        free(data);
    }
    return response;
}

/* libmicrohttpd asks when the socket takes more, so a slow reader holds one text at most; what he missed is read from
 * the records when he is ready. */
static ssize_t read_stream(void *context, uint64_t position, char *out, size_t room)
{
    td_call *call = context;
    td_stream *stream = &call->request.stream;
    (void)position;
    size_t left = stream->text.size - stream->sent;
    if (left > 0) {
        size_t count = left < room ? left : room;
        memcpy(out, stream->text.data + stream->sent, count);
        stream->sent += count;
        return (ssize_t)count;
    }
    td_str_clear(&stream->text);
    stream->sent = 0;
    if (stream->closed) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    MHD_suspend_connection(call->connection);
    if (!td_pool_rest(call->request.server->pool, call)) {
        stream->closed = true;
        MHD_resume_connection(call->connection);
    }
    return 0;
}

/* The kernel keeps little for a stream, so that who does not read is noticed (http.timeout) before megabytes are. */
static void bound_socket(const td_call *call)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(call->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    int size = STREAM_SOCKET_BYTES;
    if (info) {
        (void)setsockopt(info->connect_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    }
}

static struct MHD_Response *begin_answer(td_call *call, int *status)
{
    td_answer *answer = &call->request.answer;
    struct MHD_Response *response = NULL;
    if (call->request.stream.open) {
        bound_socket(call);
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, call, NULL);
    } else if (answer->fd >= 0) {
        response = from_file(call, status);
    }
    return response ? response : from_memory(answer);
}

enum MHD_Result td_send_answer(td_call *call, struct MHD_Connection *connection)
{
    td_answer *answer = &call->request.answer;
    int status = answer->status;
    if (answer->fd >= 0 && is_unchanged(call)) {
        close(answer->fd);
        answer->fd = -1;
        answer->status = status = 304;
    }
    struct MHD_Response *response = begin_answer(call, &status);
    if (!response) {
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", answer->content_type ? answer->content_type : "text/plain");
    MHD_add_response_header(response, "X-Request-Id", call->request.id);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
    if (!header_of(answer, "Cache-Control")) {
        MHD_add_response_header(response, "Cache-Control", "no-store");
    }
    for (size_t i = 0; i < answer->header_count; i++) {
        MHD_add_response_header(response, answer->headers[i].name, answer->headers[i].value);
    }
    enum MHD_Result result = MHD_queue_response(connection, (unsigned)status, response);
    MHD_destroy_response(response);
    return result;
}
