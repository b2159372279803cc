/*
 * inspect.c: the table of formats, and the order in which a file is held against it.
 *
 * Magic decides. A format without magic (ONNX, safetensors, MLmodel) needs the file's name or its own plausibility; if
 * only the latter spoke for it, what cannot be read is no error but an opaque file.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/inspect.h"

#include "registry/inspect_internal.h"
#include "registry/onnx.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define COPY_MAX ((size_t)64 * 1024 * 1024)       /* of unpacked members at a time */
#define UNPACK_MAX ((uint64_t)2048 * 1024 * 1024) /* unpacked in all, of one file */
#define MEMBERS_MAX 65536

/* ---- small tools of the parsers ---- */

uint16_t td_get16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

uint32_t td_get32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

uint64_t td_get64(const uint8_t *at)
{
    return td_get32(at) | (uint64_t)td_get32(at + 4) << 32;
}

td_code td_view__corrupt(const td_view *view, uint64_t at, const char *field, const char *problem, td_err *err)
{
    return td_fail(err, TD_CORRUPT, "%s: byte %llu, %s: %s", view->name, (unsigned long long)at, field, problem);
}

const char *td_verdict_name(td_verdict verdict)
{
    static const char *const names[] = {"none", "innocuous", "suspicious", "dangerous"};
    return names[verdict];
}

void td_inspection_done(td_inspection *inspection)
{
    td_json_done(&inspection->facts);
}

json_t *td_inspection_json(const char *file, const td_inspection *inspection)
{
    return json_pack("{s:s, s:s, s:s, s:b, s:s?, s:O?}", "file", file, "format", inspection->format, "verdict",
                     td_verdict_name(inspection->verdict), "quarantined", inspection->verdict != TD_VERDICT_NONE,
                     "promised", inspection->promised, "facts", inspection->facts);
}

/* ---- the table ---- */

static bool looks_onnx(const td_view *view)
{
    return td_onnx_looks(view->data, view->size);
}

static bool looks_tflite(const td_view *view)
{
    return view->size >= 8 && memcmp(view->data + 4, "TFL3", 4) == 0;
}

static bool looks_gguf(const td_view *view)
{
    return view->size >= 8 && memcmp(view->data, "GGUF", 4) == 0;
}

static bool looks_mlmodel(const td_view *view)
{
    const char *slash = strrchr(view->name, '/');
    return strcmp(slash != NULL ? slash + 1 : view->name, "MLmodel") == 0;
}

static td_code read_onnx(const td_view *view, td_facts *facts, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_inspect_options options = {.name = view->name, .files = view->files};
    td_onnx onnx;
    TD_TRY(td_onnx_read(view->data, view->size, &options, &arena, &onnx, err));
    td_onnx_facts(&onnx, facts);
    return TD_OK;
}

static const struct format {
    const char *name;
    const char *suffixes[4];
    bool magic; /* what `looks` says is certain */
    bool (*looks)(const td_view *view);
    td_code (*read)(const td_view *view, td_facts *facts, td_err *err);
} formats[] = {
    {"tflite", {".tflite"}, true, looks_tflite, td_tflite__read},
    {"gguf", {".gguf"}, true, looks_gguf, td_gguf__read},
    {"mlmodel", {NULL}, true, looks_mlmodel, td_mlmodel__read},
    {"safetensors", {".safetensors"}, false, td_safetensors__looks, td_safetensors__read},
    {"onnx", {".onnx"}, false, looks_onnx, read_onnx},
};
/* Known by their name only to tell when it promises too much. */
static const struct {
    const char *name, *suffix;
} others[] = {{"pickle", ".pkl"},  {"pickle", ".pickle"}, {"joblib", ".joblib"}, {"npy", ".npy"}, {"npz", ".npz"},
              {"keras", ".keras"}, {"pytorch", ".pt"},    {"pytorch", ".pth"},   {"hdf5", ".h5"}};

static bool named(const struct format *format, const char *name)
{
    for (size_t i = 0; i < TD_COUNT_OF(format->suffixes) && format->suffixes[i] != NULL; i++) {
        if (td_name__ends(name, format->suffixes[i])) {
            return true;
        }
    }
    return false;
}

/* What the name promises and the content does not keep. */
static const char *broken_promise(const char *name, const td_inspection *found)
{
    for (size_t i = 0; i < TD_COUNT_OF(formats); i++) {
        if (named(&formats[i], name)) {
            return strcmp(formats[i].name, found->format) != 0 ? formats[i].name : NULL;
        }
    }
    for (size_t i = 0; i < TD_COUNT_OF(others); i++) {
        if (td_name__ends(name, others[i].suffix)) {
            return found->facts == NULL ? others[i].name : NULL;
        }
    }
    return NULL;
}

/* ---- one file ---- */

static td_code read_as(const struct format *format, const td_view *view, td_inspection *out, td_err *err)
{
    TD_CLEANUP(td_facts_done) td_facts facts = {0};
    TD_TRY(td_facts_begin(format->name, &facts, err));
    TD_TRY(format->read(view, &facts, err));
    td_facts_set(&facts, "verdict", json_string(td_verdict_name(TD_VERDICT_NONE)));
    TD_TRY(td_facts_finish(&facts, view->name, &out->facts, err));
    out->format = format->name;
    return TD_OK;
}

static void add_verdict(td_scan *scan)
{
    td_facts *facts = scan->facts;
    td_facts_set(facts, "format", json_string(scan->format));
    td_facts_set(facts, "verdict", json_string(td_verdict_name(scan->verdict)));
    td_facts_set(facts, "quarantined", json_boolean(scan->verdict != TD_VERDICT_NONE));
    if (scan->verdict != TD_VERDICT_NONE) {
        td_facts_detail(facts, "scanner", json_string(TD_INSPECT_SCANNER));
        td_facts_detail(facts, "pickles", json_integer((json_int_t)scan->pickles));
        td_facts_detail(facts, "opcodes", json_integer((json_int_t)scan->opcodes));
    }
}

/* Anything else: is there a pickle in it? */
static td_code scan(const td_view *view, td_inspection *out, td_err *err)
{
    TD_CLEANUP(td_facts_done) td_facts facts = {0};
    TD_TRY(td_facts_begin("opaque", &facts, err));
    td_scan state = {.facts = &facts,
                     .format = "opaque",
                     .memory_max = COPY_MAX,
                     .unpack_left = UNPACK_MAX,
                     .members_left = MEMBERS_MAX};
    if (!td_scan__bytes(&state, view->data, view->size, view->name)) {
        return TD_OK;
    }
    add_verdict(&state);
    TD_TRY(td_facts_finish(&facts, view->name, &out->facts, err));
    out->format = state.format;
    out->verdict = state.verdict;
    return TD_OK;
}

/* What the bytes are, whatever they are named. INVALID: not that after all. */
static td_code inspect(const td_view *view, td_inspection *out, td_err *err)
{
    for (size_t i = 0; i < TD_COUNT_OF(formats); i++) {
        const struct format *format = &formats[i];
        if (!format->looks(view)) {
            continue;
        }
        td_code code = read_as(format, view, out, err);
        bool sure = format->magic || named(format, view->name);
        if (code == TD_OK || (sure && code != TD_INVALID) || code == TD_NOMEM) {
            return code;
        }
    }
    return scan(view, out, err);
}

td_code td_inspect(const void *data, size_t size, const td_inspect_options *options, td_inspection *out, td_err *err)
{
    static const uint8_t nothing[1];
    td_view view = {size > 0 ? data : nothing, size, options->name, options->files};
    td_inspection found = {.format = "opaque"};
    TD_TRY(inspect(&view, &found, err));
    found.promised = broken_promise(options->name, &found);
    *out = found;
    return TD_OK;
}

td_code td_inspect_fd(int fd, uint64_t size, const td_inspect_options *options, td_inspection *out, td_err *err)
{
    if (size == 0 || size > SIZE_MAX / 2) {
        return td_inspect("", 0, options, out, err);
    }
    void *data = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        return td_fail_errno(err, errno, "mapping %s", options->name);
    }
    td_code code = td_inspect(data, (size_t)size, options, out, err);
    (void)munmap(data, (size_t)size);
    return code;
}
