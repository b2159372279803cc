/*
 * reference.c: the one parser of what people write when they mean a version.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/reference.h"

#include <stdio.h>
#include <string.h>

static td_code bad_reference(const char *text, td_err *err)
{
    return td_fail(err, TD_INVALID, "\"%.60s\" names no version; write " TD_REFERENCE_FORMS, text);
}

/* Where the name begins, and the character that goes before a number: MODEL/3, azureml:MODEL:3. */
static const char *name_of(const char *text, char *before_number)
{
    static const char mlflow[] = "models:/", azure[] = "azureml:";
    bool is_azure = strncmp(text, azure, sizeof azure - 1) == 0;
    *before_number = is_azure ? ':' : '/';
    return is_azure                                        ? text + sizeof azure - 1
           : strncmp(text, mlflow, sizeof mlflow - 1) == 0 ? text + sizeof mlflow - 1
                                                           : text;
}

static td_code read_number(const char *text, const char *number, td_reference *ref, td_err *err)
{
    if (td_parse_int(number, "version", 1, TD_VERSION_NUMBER_MAX, &ref->number, NULL) == TD_OK) {
        return TD_OK;
    }
    bool letter = (number[0] >= 'a' && number[0] <= 'z') || (number[0] >= 'A' && number[0] <= 'Z');
    if (letter && td_alias_name_check(number, NULL) == TD_OK) {
        return td_fail(err, TD_INVALID, "\"%.60s\": \"%.40s\" is no version's number; an alias is written %.60s@%.40s",
                       text, number, ref->model, number);
    }
    return bad_reference(text, err);
}

td_code td_reference_parse(const char *text, td_reference *out, td_err *err)
{
    td_reference ref = {.number = 0};
    char before_number;
    const char *name = name_of(text, &before_number);
    size_t length = strcspn(name, "/@:");
    char mark = name[length];
    if (length == 0 || length > TD_MODEL_NAME_MAX || (mark != '@' && mark != before_number)) {
        return bad_reference(text, err);
    }
    memcpy(ref.model, name, length);
    TD_TRY(td_model_name_check(ref.model, err));
    const char *target = name + length + 1;
    if (mark == '@') {
        TD_TRY(td_alias_name_check(target, err));
        snprintf(ref.alias, sizeof ref.alias, "%s", target);
    } else {
        TD_TRY(read_number(text, target, &ref, err));
    }
    *out = ref;
    return TD_OK;
}

void td_reference_write(const td_reference *reference, char out[TD_REFERENCE_TEXT_SIZE])
{
    if (reference->alias[0] != '\0') {
        snprintf(out, TD_REFERENCE_TEXT_SIZE, "%s@%s", reference->model, reference->alias);
    } else {
        snprintf(out, TD_REFERENCE_TEXT_SIZE, "%s/%lld", reference->model, (long long)reference->number);
    }
}
