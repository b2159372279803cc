/*
 * inspect.h: what a file is and says, read without running or trusting any of it. One table of formats serves all.
 *
 * A file is told by its content first (magic), by its name where the content has none. Model formats (ONNX, TFLite,
 * GGUF, safetensors, MLflow's MLmodel) give facts (registry/facts.h). Files that can hold a pickle or code of Keras are
 * walked and judged:
 *
 *   innocuous   a pickle that names only what is known to be harmless
 *   suspicious  it also names classes of well-known libraries, or cannot be read to its end
 *   dangerous   it names, calls or hides anything else
 *
 * Whatever the verdict, such a file is quarantined: kept, served to its owners, never packed, never sent to a device.
 *
 * Memory: a count or length in the file is checked against the bytes that are there before anything follows from it.
 * All that is allocated stays below the file's size and TD_INSPECT_ROOM. A file is mapped, not read in.
 * Threads: any; no shared state.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_INSPECT_H
#define TD_REGISTRY_INSPECT_H

#include "registry/facts.h"

#define TD_INSPECT_ROOM ((size_t)4 * 1024 * 1024) /* beside the file's own size */
#define TD_INSPECT_SCANNER "tidemark-pickle/1"    /* who judged, and by which lists; kept with each verdict */

typedef enum td_verdict {
    TD_VERDICT_NONE,
    TD_VERDICT_INNOCUOUS,
    TD_VERDICT_SUSPICIOUS,
    TD_VERDICT_DANGEROUS
} td_verdict;
const char *td_verdict_name(td_verdict verdict); /* "none", "innocuous" …; never NULL */

typedef struct td_inspect_options {
    const char *name;         /* what messages call the file; its end may tell the format */
    const char *const *files; /* names of files that external data may name (relative to the model's folder),
                                 NULL-terminated; NULL: external data is refused */
} td_inspect_options;

typedef struct td_inspection {
    const char *format;   /* "onnx", "pickle" …; "opaque": nothing is known. Static storage */
    const char *promised; /* the format that the name promises where the content is another; else NULL */
    td_verdict verdict;   /* NONE: holds no pickle. Anything else: quarantined */
    json_t *facts;        /* NULL for opaque files */
} td_inspection;

void td_inspection_done(td_inspection *inspection); /* TD_CLEANUP */
/* {"file","format","verdict","quarantined","promised","facts"}, the last two may be null; owned by the caller. NULL: no
 * memory, or a name that is not UTF-8. */
json_t *td_inspection_json(const char *file, const td_inspection *inspection);

/* CORRUPT: a model file that is cut short, lies about itself or is hostile; the message names the place.
 * LIMIT: one of the limits of its format (docs/model-files.md). A pickle never fails: it gets a verdict. */
TD_MUST_USE td_code td_inspect(const void *data, size_t size, const td_inspect_options *options, td_inspection *out,
                               td_err *err);
/* The same from an open file (mapped). The file must not be cut short meanwhile: files in content never are. */
TD_MUST_USE td_code td_inspect_fd(int fd, uint64_t size, const td_inspect_options *options, td_inspection *out,
                                  td_err *err);

#endif
