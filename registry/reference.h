/*
 * reference.h: what people write when they mean a version: ours, MLflow's and Azure ML's spelling of the same.
 *
 *   pump/3   pump@champion   models:/pump/3   models:/pump@champion   azureml:pump:3   azureml:pump@champion
 *
 * Wherever a version is named as one text, on the command line, in a file or in a body, this is the parser.
 * Threads: no state.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_REFERENCE_H
#define TD_REGISTRY_REFERENCE_H

#include "registry/registry.h"

#define TD_VERSION_NUMBER_MAX UINT32_MAX
#define TD_REFERENCE_FORMS "pump/3, pump@champion, models:/pump/3, models:/pump@champion or azureml:pump:3"
#define TD_REFERENCE_TEXT_SIZE (TD_MODEL_NAME_MAX + 1 + TD_ALIAS_NAME_MAX + 1)

/* A value. alias: "" when it names a number, else number is 0. */
typedef struct td_reference {
    char model[TD_MODEL_NAME_MAX + 1];
    char alias[TD_ALIAS_NAME_MAX + 1];
    int64_t number;
} td_reference;

/* INVALID names the accepted forms, or what is wrong with the name, number or alias. */
TD_MUST_USE td_code td_reference_parse(const char *text, td_reference *out, td_err *err);
/* As we write it: "pump/3", "pump@champion". */
void td_reference_write(const td_reference *reference, char out[TD_REFERENCE_TEXT_SIZE]);

#endif
