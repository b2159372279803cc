/*
 * fuzz_http_body.c: any bytes as the body of a registration, the largest of the JSON bodies.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/usecase.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    td_err err = {0};
    json_t *body = NULL;
    td_arena arena = {0};
    char field[64] = "";
    td_case work = {.arena = &arena, .project = "default", .field = field};
    td_registration registration;
    if (td_json_parse((const char *)data, size, "request body", &body, &err) == TD_OK && json_is_object(body)) {
        (void)!td_registration_read(&work, body, &registration, &err);
    }
    td_json_done(&body);
    td_arena_done(&arena);
    return 0;
}
