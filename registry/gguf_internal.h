/*
 * gguf_internal.h: the state of one walk through a GGUF file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_GGUF_INTERNAL_H
#define TD_REGISTRY_GGUF_INTERNAL_H

#include "registry/inspect_internal.h"

#define TD_GGUF_KEYS_MAX 65536
#define TD_GGUF_TENSORS_MAX 1000000
#define TD_GGUF_KEY_MAX 65535 /* bytes */
#define TD_GGUF_NAME_MAX 64   /* bytes of a tensor's name */
#define TD_GGUF_DIMS_MAX 4

typedef struct td_gguf__type {
    uint32_t number;
    const char *name;
    uint16_t block, bytes; /* so many elements take so many bytes */
    bool quantized;
} td_gguf__type;

typedef struct td_gguf__walk {
    const td_view *view;
    td_facts *facts;
    td_err *err;
    uint64_t at;
    bool big; /* byte order */
    uint64_t alignment;
    int64_t file_type;
    uint64_t parameters, parameter_bytes;
    uint64_t type_counts[64]; /* tensors by ggml type */
} td_gguf__walk;

typedef struct td_gguf__value {
    uint32_t type, element; /* element: of an array */
    uint64_t number;        /* of a number, little-endian bits; of an array: its count */
    td_text text;           /* of a text, or an array's first */
} td_gguf__value;

typedef struct td_gguf__tensor {
    uint64_t offset, size, name; /* name: a hash */
} td_gguf__tensor;

const td_gguf__type *td_gguf__type_of(uint32_t number); /* NULL: not known */
void td_gguf__count_type(td_gguf__walk *walk, const td_gguf__type *type);
/* Keeps what a key says. */
void td_gguf__key(td_gguf__walk *walk, td_text key, const td_gguf__value *value);
void td_gguf__sum_up(td_gguf__walk *walk);

#endif
