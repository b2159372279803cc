/*
 * facts.h: what is known of a model file, in one JSON shape for every format.
 *
 * A parser begins with every key at its neutral value and sets what its format tells. Text from a file is made UTF-8,
 * cut where it is long, and counted: however large or hostile the file, the result stays below 1 MiB. No real numbers,
 * so that facts can go into the audit log as they are (RFC 8785).
 *
 *   format, format_version, name, producer, producer_version   text or null
 *   inputs, outputs, params     [{name, type, shape: [number | symbol | null] or null}]
 *   operators                   [{name, domain, version?, count, custom}], by falling count
 *   opsets                      {domain: version}
 *   nodes, tensors, parameters, parameter_bytes                numbers
 *   types                       {element type: number of tensors}
 *   quantized, quantization     boolean, text or null ("int8", "Q4_K - Medium")
 *   custom_operators, external_data, training                  booleans
 *   metadata                    {key: text} as the file has it
 *   details                     what only this format has
 *   risks                       [{code, text}] for whoever approves
 *   verdict, quarantined, globals                              see registry/inspect.h
 *
 * Threads: a td_facts belongs to one thread.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_FACTS_H
#define TD_REGISTRY_FACTS_H

#include "core/base/json.h"

#define TD_FACTS_PORTS_MAX 1024    /* inputs or outputs that are listed; more: LIMIT */
#define TD_FACTS_DIMS_MAX 8192     /* dimensions of all of them together; more: LIMIT */
#define TD_FACTS_OPERATORS_MAX 256 /* listed; all are counted */
#define TD_FACTS_METADATA_MAX 256
#define TD_FACTS_TYPES_MAX 64
#define TD_FACTS_RISKS_MAX 32
#define TD_FACTS_GLOBALS_MAX 256
#define TD_FACTS_KEY_MAX 256   /* bytes of a name or key; the rest is cut */
#define TD_FACTS_TEXT_MAX 1024 /* bytes of a value; the rest is cut and its size told */

typedef struct td_facts {
    json_t *json; /* the whole tree; the others are borrowed from it */
    json_t *details, *metadata, *risks, *types, *globals;
    size_t dims;    /* listed so far */
    td_code failed; /* sticky: NOMEM or LIMIT */
} td_facts;

typedef struct td_text { /* bytes inside the file */
    const void *data;
    size_t size;
} td_text;

TD_MUST_USE td_code td_facts_begin(const char *format, td_facts *out, td_err *err);
void td_facts_done(td_facts *facts); /* TD_CLEANUP; a zeroed one is fine */
/* OK, or what went wrong on the way; then *out is the caller's. `name` is the file's, for messages. */
TD_MUST_USE td_code td_facts_finish(td_facts *facts, const char *name, json_t **out, td_err *err);

/* A JSON text of any bytes: what is no UTF-8, or a control character, becomes '?'; cut at `most` bytes. */
json_t *td_facts_text(const void *data, size_t size, size_t most);

/* Sets a key of the tree, or of details. `value` is taken over. */
void td_facts_set(td_facts *facts, const char *key, json_t *value);
void td_facts_detail(td_facts *facts, const char *key, json_t *value);
void td_facts_number(td_facts *facts, const char *key, uint64_t value); /* above INT64_MAX: told as INT64_MAX */
/* What does not fit the limits is left out and counted in details.metadata_left_out. */
void td_facts_metadata(td_facts *facts, td_text key, td_text value);
/* One more tensor of that type. */
void td_facts_type(td_facts *facts, const char *type);
/* list: "inputs", "outputs" or "params". shape is taken over: an array, or null when not known. */
void td_facts_port(td_facts *facts, const char *list, td_text name, const char *type, json_t *shape);

typedef struct td_facts_op {
    td_text name;
    const char *domain;
    int64_t version; /* 0: has none */
    uint64_t count;
    bool custom;
} td_facts_op;
/* To be called in the order in which they are to be shown. */
void td_facts_operator(td_facts *facts, const td_facts_op *op);
/* `code` is stable and told only once; the text is for people. */
void td_facts_risk(td_facts *facts, const char *code, const char *format, ...) TD_PRINTF(3, 4);

#endif
