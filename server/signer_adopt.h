/*
 * signer_adopt.h: the log's key and memory leave the workspace and move in with a signer that is a service.
 *
 * There is never more than one signer that can sign: the memory is taken from the old one before the new one gets it,
 * and none signs without. A kill at any moment is taken up by the same command; until it has come to its end a server
 * is read-only and says so. No server and no signer may run meanwhile.
 * Threads: any one.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_SIGNER_ADOPT_H
#define TD_SERVER_SIGNER_ADOPT_H

#include "core/base/json.h"

#include <sys/types.h>

#define TD_SIGNER_URL_DEFAULT "unix:/run/tidemark-signer.sock"

typedef struct td_signer_adopt_options {
    const char *workspace;
    const char *home; /* the signer's folder; made if need be */
    uid_t owner;      /* who runs the signer, and */
    gid_t group;      /* his group */
    const char *url;  /* becomes audit.signer_url; of tls://… the home gets a certificate, too */
} td_signer_adopt_options;

/* *out: "origin", "home", "url", "signed" (the size of the tree that was signed last), "retired" (files of an older log
 * that were put aside in the home). BUSY: a server or a signer runs. CONFLICT: there is nothing to move, or the home
 * holds another log, or a second memory of this one. */
TD_MUST_USE td_code td_signer_adopt(const td_signer_adopt_options *options, json_t **out, td_err *err);

#endif
