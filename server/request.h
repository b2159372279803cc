/*
 * request.h: what a route's handler sees: a checked request in, one answer out. No libmicrohttpd here.
 *
 * A handler runs on a worker thread with that worker's reading connection, inside one read transaction. What it changes
 * goes through td_request_write, a closure on the writer's thread. Whatever it allocates in request->arena dies with
 * the request.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_REQUEST_H
#define TD_SERVER_REQUEST_H

#include "access/access.h"
#include "core/base/arena.h"
#include "core/base/json.h"
#include "core/db/db.h"
#include "core/db/list.h"
#include "core/db/writer.h"
#include "registry/partial.h"
#include "server/http_path.h"

struct td_server;
struct td_route;

#define TD_ROUTE_PARAMETERS_MAX 6
#define TD_ANSWER_HEADERS_MAX 8
#define TD_REQUEST_ID_SIZE 65 /* with its NUL */
#define TD_REQUEST_ID_MIN ((size_t)8) /* of one that the request brings */
#define TD_PROBLEM_FIELD_MAX 64

typedef struct td_header {
    const char *name, *value;
} td_header;

typedef struct td_answer {
    int status;
    const char *content_type;
    td_str body; /* of an answer from memory */
    int fd;      /* of an answer from a file; -1: none */
    uint64_t fd_size;
    bool ranges;           /* Range is honoured (fd only) */
    bool wait;             /* not now: run the handler again at the next commit, or when wait_until_ms has come */
    int64_t wait_until_ms; /* monotonic */
    td_header headers[TD_ANSWER_HEADERS_MAX];
    size_t header_count;
} td_answer;

/* An answer that goes on: whenever its text has been sent, the handler is asked for more (answer.wait: not yet). */
typedef struct td_stream {
    bool open, closed; /* it began; it ends with what is in `text` */
    int64_t after;     /* what was told so far; the handler's own */
    td_str text;       /* to be sent */
    size_t sent;       /* of it */
    uint64_t wakes;    /* commits seen before the handler looked */
} td_stream;

typedef struct td_request {
    struct td_server *server;
    const struct td_route *route;
    char id[TD_REQUEST_ID_SIZE];
    td_arena arena;
    td_target target;
    const char *parameters[TD_ROUTE_PARAMETERS_MAX]; /* values of {name} in the route's pattern, in order */
    json_t *body;                                    /* of a route with a JSON body: an object; else NULL */
    const char *project;
    const char *base_url; /* how the client reached us: "https://registry.example:7070" */
    td_principal principal;
    bool logged_in;
    td_actor actor;            /* in whose name records are written, role included */
    td_db *db;                 /* this worker's reading connection, in a read transaction */
    int64_t started_ms;        /* monotonic */
    bool expired;              /* of a request that waited: this is the last time it is asked */
    uint8_t upload_digest[32]; /* of a route with a streamed body */
    uint64_t upload_size;
    td_partial_facts upload; /* of a piece of a resumable upload: where it stands now */
    bool upload_whole;       /* that was the last piece */
    bool mlflow;              /* below one of MLflow's prefixes: errors have its shape (mlflow.h) */
    const char *mlflow_error; /* see td_mlflow_error_name; NULL */
    char field[TD_PROBLEM_FIELD_MAX]; /* what of the input an error is about, or "" */
    const char *if_match, *if_none_match; /* as sent, or NULL (http_condition.h) */
    bool condition_held;                  /* it was checked inside a transaction */
    bool writing;                         /* a closure of this request runs: db is the writer's connection */
    const char *idempotency_key;          /* of a POST, or NULL */
    uint8_t request_digest[32];           /* with a key: of method, target and body */
    bool replayed;                        /* the answer is an earlier one's */
    int problem_status;                   /* status and code of the problem, when the error's own do not say it */
    const char *problem_code;
    td_answer answer;
    td_stream stream;
    const char *last_event_id; /* header, or NULL */
} td_request;

typedef td_code (*td_handler)(td_request *request, td_err *err);

/* Answers. `json` is taken over (also on failure). */
TD_MUST_USE td_code td_answer_json(td_request *request, int status, json_t *json, td_err *err);
/* Takes the bytes out of `body`. */
TD_MUST_USE td_code td_answer_bytes(td_request *request, int status, const char *content_type, td_str *body,
                                    td_err *err);
/* Takes over fd; sent with sendfile, Range honoured, as an attachment of that name. */
void td_answer_file(td_request *request, int fd, uint64_t size, const char *content_type, const char *name);
/* Copies name and value. */
void td_answer_header(td_request *request, const char *name, const char *value);
void td_answer_done(td_answer *answer);
/* An answer of problem+json for err. */
void td_answer_problem(td_request *request, const td_err *err);
/* As td_answer_problem with another status (401, 405, 411, 421, 431 …) and stable code. */
void td_answer_problem_status(td_request *request, int status, const char *code, const char *detail);

/* Runs fn on the writer's thread inside its savepoint and waits for COMMIT; meanwhile request->db is the writer's
 * connection. If-Match is checked there first. A create heeds an Idempotency-Key by building its answer inside fn: it
 * is kept in the same transaction; where fn gives no answer, a key is refused. */
TD_MUST_USE td_code td_request_write(td_request *request, td_write_fn fn, void *context, td_err *err);

/* Answers as the first request with this key was answered. NOT_FOUND: it is the first; CONFLICT: of another request. */
TD_MUST_USE td_code td_request_replay(td_request *request, td_db *db, td_err *err);

/* From here on request->db sees what was written meanwhile. */
TD_MUST_USE td_code td_request_refresh(td_request *request, td_err *err);

/* Query values. Absent: the fallback. INVALID names the parameter. */
TD_MUST_USE td_code td_request_query_int(td_request *request, const char *name, int64_t minimum, int64_t maximum,
                                         int64_t fallback, int64_t *out, td_err *err);
const char *td_request_query(const td_request *request, const char *name, const char *fallback);
/* One of `choices` (ends with NULL); absent: the fallback, which may be NULL. INVALID names them. */
TD_MUST_USE td_code td_request_query_choice(td_request *request, const char *name, const char *const *choices,
                                            const char *fallback, const char **out, td_err *err);
/* What `check` (td_model_name_check …) lets pass; absent: the fallback, which may be NULL. */
TD_MUST_USE td_code td_request_query_name(td_request *request, const char *name,
                                          td_code (*check)(const char *text, td_err *err), const char *fallback,
                                          const char **out, td_err *err);
/* ?filter= &order_by= &limit= &cursor=, which every list takes. limit_max: TD_LIST_LIMIT_MAX, where the list sets no
 * other. */
TD_MUST_USE td_code td_request_page(td_request *request, int64_t limit_max, td_page *out, td_err *err);
/* Checks the body against a table, naming the field in the problem. */
TD_MUST_USE td_code td_request_check(td_request *request, const td_json_field *fields, td_err *err);
/* A copy in the request's arena, printf-like; "" when memory is out. */
const char *td_request_text(td_request *request, const char *format, ...) TD_PRINTF(2, 3);

#endif
