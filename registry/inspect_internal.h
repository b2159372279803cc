/*
 * inspect_internal.h: the parsers behind the table of formats: each takes a view of the bytes and fills the facts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_INSPECT_INTERNAL_H
#define TD_REGISTRY_INSPECT_INTERNAL_H

#include "registry/inspect.h"

typedef struct td_view {
    const uint8_t *data;
    size_t size;
    const char *name; /* of the file, for messages */
    const char *const *files;
} td_view;

/* CORRUPT: "model.gguf: byte 123, tensor.offset: …". */
td_code td_view__corrupt(const td_view *view, uint64_t at, const char *field, const char *problem, td_err *err);
/* Little-endian numbers; the caller has checked that the bytes are there. */
uint16_t td_get16(const uint8_t *at);
uint32_t td_get32(const uint8_t *at);
uint64_t td_get64(const uint8_t *at);

td_code td_tflite__read(const td_view *view, td_facts *facts, td_err *err);
td_code td_gguf__read(const td_view *view, td_facts *facts, td_err *err);
td_code td_safetensors__read(const td_view *view, td_facts *facts, td_err *err);
td_code td_mlmodel__read(const td_view *view, td_facts *facts, td_err *err);
bool td_safetensors__looks(const td_view *view);

/* "TFL3" files: names of built-in operators and element types (tflite_names.c). NULL: not known. */
const char *td_tflite__operator_name(int64_t code);
const char *td_tflite__type_name(int64_t type);
unsigned td_tflite__type_bits(int64_t type); /* 0: of no fixed size */

/* ---- what may hold a pickle ---- */

/* One look at one registered file, through whatever it is wrapped in. */
typedef struct td_scan {
    td_facts *facts;
    td_verdict verdict;
    size_t memory_max;     /* for one copy of an unpacked member */
    uint64_t unpack_left;  /* bytes that may still be unpacked */
    uint32_t members_left; /* members of archives that may still be looked at */
    int depth;             /* of archives in archives */
    uint64_t pickles, opcodes;
    uint64_t globals_seen[2 * TD_FACTS_GLOBALS_MAX]; /* hashes, open addressing; 0: free */
    size_t globals_count;
    const char *format; /* what the outermost file turned out to be */
    bool joblib, torch;
} td_scan;

void td_scan__raise(td_scan *scan, td_verdict verdict);
/* Raises the verdict and tells why. */
void td_scan__note(td_scan *scan, td_verdict verdict, const char *code, const char *text);
/* A name that a pickle pulls in: judged, and listed once. `where` is the member, or the file. */
void td_scan__global(td_scan *scan, td_text module, td_text name);

/* Walks all pickles from the start of the bytes. `certain`: these are pickles, by magic or by name, so whatever stops
 * the walk is itself a finding. Otherwise only bytes that really are a pickle count. Returns whether there was one. */
bool td_pickle__scan(td_scan *scan, const uint8_t *data, size_t size, bool certain);
/* Any bytes, by content: pickle, NumPy, archive, compressed, HDF5. `name` is the member's. False: none of these. */
bool td_scan__bytes(td_scan *scan, const uint8_t *data, size_t size, const char *name);
/* Archives and compressed files (unpack.c). False: it is none. */
bool td_unpack__scan(td_scan *scan, const uint8_t *data, size_t size);
/* Keras: configuration as JSON, or an HDF5 file with one inside. */
void td_keras__config(td_scan *scan, const uint8_t *data, size_t size);
void td_keras__hdf5(td_scan *scan, const uint8_t *data, size_t size);
/* The verdict on one global (pickle_names.c). */
td_verdict td_pickle__judge(td_text module, td_text name);
bool td_name__ends(const char *name, const char *suffix); /* letters of either case */

#endif
