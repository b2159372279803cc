/*
 * doctor_internal.h: what the examinations share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_DOCTOR_INTERNAL_H
#define TD_SERVER_DOCTOR_INTERNAL_H

#include "core/db/db.h"
#include "registry/content.h"
#include "server/config.h"
#include "server/doctor.h"

typedef struct td_doctor {
    const td_doctor_options *options;
    void (*tell)(void *context, const td_finding *finding);
    void *context;
    td_config *config; /* NULL: could not be read */
    td_db *db;         /* reading; NULL: could not be opened */
    int64_t now_ms;
} td_doctor;

/* One finding; `advice` is static text or good during the call. */
void td_doctor__say(const td_doctor *doctor, const char *check, td_finding_state state, const char *advice,
                    const char *format, ...) TD_PRINTF(5, 6);
/* "<workspace>/<name>"; a path that does not fit is cut (and then not found). */
void td_doctor__path(const td_doctor *doctor, const char *name, char out[4096]);

void td_doctor__running(const td_doctor *doctor);      /* doctor_server.c: server, versions, broker */
void td_doctor__certificates(const td_doctor *doctor); /* doctor_trust.c */
void td_doctor__signer(const td_doctor *doctor);
void td_doctor__store(const td_doctor *doctor); /* doctor.c */

/* ---- doctor_store.c ---- */

/* Wall time of the newest record; 0: none. */
TD_MUST_USE td_code td_doctor__newest_ms(td_db *db, int64_t *out, td_err *err);
/* Wall times of the newest record that a backup was made, and of the first record of all; 0: none. */
TD_MUST_USE td_code td_doctor__backup_ms(td_db *db, int64_t *newest_out, int64_t *first_out, td_err *err);
/* Each file that versions name, once. */
TD_MUST_USE td_code td_doctor__each_file(td_db *db,
                                         void (*visit)(void *context, const uint8_t digest[TD_DIGEST_SIZE],
                                                       uint64_t size),
                                         void *context, td_err *err);

#endif
