/*
 * scan.c: does this file hold a pickle, in whatever it is wrapped? By content, never by name alone.
 *
 * NumPy's .npy holds one if its element type has objects; archives and compressed files are looked into; HDF5 and
 * Keras archives are looked through for layers that carry code.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/inspect_internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NPY_HEADER_MAX 65536u

bool td_name__ends(const char *name, const char *suffix)
{
    size_t length = strlen(name), end = strlen(suffix);
    return length >= end && strcasecmp(name + length - end, suffix) == 0;
}

/* ---- the verdict ---- */

void td_scan__raise(td_scan *scan, td_verdict verdict)
{
    scan->verdict = verdict > scan->verdict ? verdict : scan->verdict;
}

void td_scan__note(td_scan *scan, td_verdict verdict, const char *code, const char *text)
{
    td_scan__raise(scan, verdict);
    td_facts_risk(scan->facts, code, "%s", text);
}

static uint64_t hash_of(td_text module, td_text name)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < module.size; i++) {
        hash = (hash ^ ((const uint8_t *)module.data)[i]) * 1099511628211u;
    }
    hash = (hash ^ 0x100) * 1099511628211u;
    for (size_t i = 0; i < name.size; i++) {
        hash = (hash ^ ((const uint8_t *)name.data)[i]) * 1099511628211u;
    }
    return hash != 0 ? hash : 1;
}

/* True if it is new and there is room to list it. */
static bool remember(td_scan *scan, uint64_t hash)
{
    size_t slots = TD_COUNT_OF(scan->globals_seen), at = (size_t)(hash % slots);
    while (scan->globals_seen[at] != 0 && scan->globals_seen[at] != hash) {
        at = (at + 1) % slots;
    }
    if (scan->globals_seen[at] == hash || scan->globals_count == TD_FACTS_GLOBALS_MAX) {
        return false;
    }
    scan->globals_seen[at] = hash;
    scan->globals_count++;
    return true;
}

void td_scan__global(td_scan *scan, td_text module, td_text name)
{
    td_verdict verdict = td_pickle__judge(module, name);
    td_scan__raise(scan, verdict);
    if (!remember(scan, hash_of(module, name))) {
        return;
    }
    json_t *shown =
        json_pack("{s:o, s:o, s:s}", "module", td_facts_text(module.data, module.size, TD_FACTS_KEY_MAX), "name",
                  td_facts_text(name.data, name.size, TD_FACTS_KEY_MAX), "verdict", td_verdict_name(verdict));
    (void)json_array_append_new(scan->facts->globals, shown);
    if (verdict == TD_VERDICT_DANGEROUS) {
        td_facts_risk(scan->facts, "dangerous_global", "loading it runs %.*s.%.*s, which is not known to be harmless",
                      (int)(module.size < 80 ? module.size : 80), (const char *)module.data,
                      (int)(name.size < 80 ? name.size : 80), (const char *)name.data);
    }
}

/* ---- NumPy ---- */

/* numpy/lib/format.py of github.com/numpy/numpy (BSD-3-Clause): magic, version, length, a Python dict as text, of
 * which Python takes the last of equal keys. So the whole of it is looked at, not where 'descr' first stands: a type of
 * objects is spelt with an O or as "object", or with escapes; numbers, the keys and False have none of these. */
static bool says_objects(const char *header, size_t size)
{
    return memchr(header, 'O', size) != NULL || memchr(header, '\\', size) != NULL ||
           memmem(header, size, "object", 6) != NULL;
}

static bool scan_npy(td_scan *scan, const uint8_t *data, size_t size)
{
    if (size < 12 || memcmp(data, "\x93NUMPY", 6) != 0) {
        return false;
    }
    bool wide = data[6] >= 2;
    size_t length = wide ? td_get32(data + 8) : td_get16(data + 8), start = wide ? 12 : 10;
    scan->format = "npy";
    if (length > NPY_HEADER_MAX || length > size - start) {
        td_scan__note(scan, TD_VERDICT_SUSPICIOUS, "broken_npy", "an array's header cannot be read");
        return true;
    }
    const char *header = (const char *)data + start;
    if (scan->depth == 0) {
        td_facts_metadata(scan->facts, (td_text){"header", 6}, (td_text){header, length});
    }
    if (says_objects(header, length)) {
        td_scan__note(scan, TD_VERDICT_INNOCUOUS, "object_array", "an array of Python objects is a pickle");
        (void)td_pickle__scan(scan, data + start + length, size - start - length, true);
    }
    return true;
}

/* ---- all of them ---- */

/* Named as a pickle: whatever stops the walk counts. Model files of other kinds use .bin and .ckpt too: those are told
 * by content alone. */
static bool named_pickle(const char *name)
{
    static const char *const suffixes[] = {".pkl", ".pickle", ".p", ".joblib", ".jbl", ".cloudpickle", ".dill"};
    for (size_t i = 0; i < TD_COUNT_OF(suffixes); i++) {
        if (td_name__ends(name, suffixes[i])) {
            return true;
        }
    }
    return false;
}

bool td_scan__bytes(td_scan *scan, const uint8_t *data, size_t size, const char *name)
{
    static const uint8_t hdf5[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    if (scan_npy(scan, data, size)) {
        return true;
    }
    if (size >= 8 && memcmp(data, hdf5, 8) == 0) {
        scan->format = "hdf5";
        td_keras__hdf5(scan, data, size);
        return true;
    }
    if (td_unpack__scan(scan, data, size)) {
        return true;
    }
    if (td_pickle__scan(scan, data, size, size > 0 && named_pickle(name))) {
        scan->format = scan->joblib ? "joblib" : scan->torch ? "pytorch" : "pickle";
        return true;
    }
    return false;
}
