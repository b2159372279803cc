/*
 * safetensors_internal.h: JSON read where it stands, token by token, copying nothing.
 *
 * Each function skips white space, takes one token and moves on; on failure it stays where it was.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_SAFETENSORS_INTERNAL_H
#define TD_REGISTRY_SAFETENSORS_INTERNAL_H

#include "registry/inspect_internal.h"

typedef struct td_jsontext {
    const uint8_t *at, *end;
} td_jsontext;

bool td_jsontext_char(td_jsontext *json, char c);
/* What stands between the quotes, escapes and all (but each of a form that JSON has). */
bool td_jsontext_string(td_jsontext *json, td_text *out);
bool td_jsontext_number(td_jsontext *json, uint64_t *out); /* a whole number, not negative */
bool td_jsontext_done(td_jsontext *json);                  /* only white space is left */
/* Without its escapes, cut at `room`; returns the size. */
size_t td_jsontext_unescape(td_text text, char *out, size_t room);

#endif
