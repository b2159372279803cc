/*
 * enrol_internal.h: the text of a code (private to fleet).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FLEET_ENROL_INTERNAL_H
#define TD_FLEET_ENROL_INTERNAL_H

#include "fleet/internal.h"

#define TD_ENROL_CODE_TEXT 64 /* 42 symbols, 10 dashes, NUL */

void td_enrol__code_text(const uint8_t secret[TD_ENROL_SECRET_SIZE], const uint8_t digest[TD_ENROL_DIGEST_SIZE],
                         char out[TD_ENROL_CODE_TEXT]);

#endif
