/*
 * selector.h: a parsed selector and the facts that it is asked about (private to fleet).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FLEET_SELECTOR_H
#define TD_FLEET_SELECTOR_H

#include "core/base/json.h"
#include "fleet/device.h"

#define TD_SELECTOR_NODES_MAX 128
#define TD_SELECTOR_DEPTH_MAX 16
#define TD_SELECTOR_VALUE_MAX 128

typedef enum td_selector_type {
    TD_SELECT_ALL,
    TD_SELECT_AND,
    TD_SELECT_OR,
    TD_SELECT_NOT,
    TD_SELECT_EXISTS,
    TD_SELECT_COMPARE
} td_selector_type;

typedef enum td_selector_op { TD_OP_EQ, TD_OP_NE, TD_OP_LT, TD_OP_LE, TD_OP_GT, TD_OP_GE } td_selector_op;

typedef struct td_selector_node {
    td_selector_type type;
    td_selector_op op;
    int left, right; /* indices of nodes */
    char name[65];
    char value[TD_SELECTOR_VALUE_MAX + 1];
} td_selector_node;

typedef struct td_selector {
    td_selector_node nodes[TD_SELECTOR_NODES_MAX];
    int count, root;
} td_selector;

typedef struct td_device_facts {
    const char *device, *hardware, *state;
    const json_t *runtimes; /* array of text */
    const json_t *tags;     /* object of text */
    const char *running;    /* "pump/3 fan/1": versions that run now */
    int64_t ram_mb, storage_mb;
    bool online;
} td_device_facts;

TD_MUST_USE td_code td_selector__parse(const char *text, td_selector *out, td_err *err);
bool td_selector__matches(const td_selector *selector, const td_device_facts *facts);
/* Whether a name is inventory rather than a tag. */
bool td_selector__is_inventory(const char *name);

#endif
