/*
 * verify_memory.h: the offline verifier over bytes in memory, for tests and the fuzzer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_AUDIT_VERIFY_MEMORY_H
#define TD_AUDIT_VERIFY_MEMORY_H

#include "audit/verify.h"

/* As td_audit_verify_export. */
TD_MUST_USE td_code td_audit_verify_memory(const void *data, size_t size, const td_audit_verify_options *options,
                                           td_audit_verdict *out, td_err *err);

#endif
