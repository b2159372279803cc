/*
 * fit.h: can this device take this version, as far as its inventory tells?
 *
 * A version asks for hardware, runtimes and memory (its requirement), and its model file tells format, operator set,
 * operators of other domains, and size. A device tells hardware, runtimes, memory and free storage when it is born.
 * Three answers: yes; no (the device would refuse it by the same rule, or cannot run it); unsure (nothing certain
 * speaks against it). Runtimes say more by the form of their name:
 *
 *   onnx, onnxruntime, tflite, tflm, litert, gguf, llama.cpp    runs files of that format; so does onnx-anything
 *   onnx-opset17             runs ONNX operators up to set 17
 *   onnx-domain-com.acme     has the operators of that domain
 *
 * Threads: as the connection that is passed in.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FLEET_FIT_H
#define TD_FLEET_FIT_H

#include "core/base/arena.h"
#include "registry/registry.h"

#define TD_FIT_LISTED_MAX 200  /* devices that do not simply fit: listed in one answer; all are counted */
#define TD_FIT_REASONS_MAX 8   /* of one device: as many as there are rules */
#define TD_FIT_DOMAINS_MAX 16  /* of operators; a model with more is unsure everywhere */

typedef enum td_fit { TD_FIT_YES, TD_FIT_UNSURE, TD_FIT_NO } td_fit;
const char *td_fit_name(td_fit fit); /* "yes", "unsure", "no" */

/* What a version asks for. A zeroed one is valid; td_fit_need_done. */
typedef struct td_fit_need {
    td_arena arena;
    td_version version;
    int64_t opset;   /* of ONNX's own operators; 0: none */
    int64_t weights; /* bytes */
    const char *domains[TD_FIT_DOMAINS_MAX]; /* of custom operators */
    size_t domain_count;
    uint64_t bytes; /* of the files that a device fetches */
} td_fit_need;
void td_fit_need_done(td_fit_need *need); /* TD_CLEANUP */
/* NOT_FOUND, INVALID as td_version_find. */
TD_MUST_USE td_code td_fit_need_read(td_db *db, const char *project, const char *reference, td_fit_need *out,
                                     td_err *err);

/* reasons_out (may be NULL): [{"code","fit","text"}], owned by the caller. NOT_FOUND: no such device. */
TD_MUST_USE td_code td_fit_device(td_db *db, const td_fit_need *need, int64_t device_id, td_fit *out,
                                  json_t **reasons_out, td_err *err);

typedef struct td_fit_query {
    const char *device; /* this one alone; or NULL */
    const char *to;     /* a selector; NULL: all */
} td_fit_query;
/* {"version", "needs": {"format","opset","domains","hardware","runtimes","ram_bytes","weights_bytes","bytes"},
 *  "counts": {"yes","unsure","no"},
 *  "devices": [{"device","fit","reasons":[{"code","fit","text"}]}]}: those that do not simply fit, the worst first, at
 * most TD_FIT_LISTED_MAX; the named device always. NOT_FOUND, INVALID. */
TD_MUST_USE td_code td_fit_json(td_db *db, const char *project, const char *reference, const td_fit_query *query,
                                json_t **out, td_err *err);

#endif
