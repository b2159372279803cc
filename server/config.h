/*
 * config.h: every setting of the server, as one table: key, type, default, limits, help.
 *
 * Parser, environment names, `--dump-config` and docs/server.md come from the table. Order: default < tidemark.yaml <
 * environment (TIDEMARK_HTTP_PORT for http.port) < flag. An unknown key is an error that names file, line and nearest
 * key.
 * Threads: a td_config is constant once read.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_CONFIG_H
#define TD_SERVER_CONFIG_H

#include "core/base/err.h"
#include "core/base/json.h"

typedef enum td_setting_type {
    TD_SETTING_TEXT,   /* minimum and maximum bound its length */
    TD_SETTING_CHOICE, /* one of `choices` */
    TD_SETTING_INTEGER,
    TD_SETTING_BOOLEAN,
    TD_SETTING_DURATION, /* kept in milliseconds; limits too */
    TD_SETTING_SECRET,   /* path of a file that holds the secret; prints as *** */
} td_setting_type;

/* One row of the table. */
typedef struct td_setting {
    const char *key; /* "http.port" */
    td_setting_type type;
    const char *fallback; /* default, as text */
    int64_t minimum, maximum;
    const char *const *choices;
    bool reloadable; /* SIGHUP takes over a changed value */
    const char *help;
} td_setting;

/* The table; ends with a NULL key. */
extern const td_setting td_settings[];

typedef struct td_config td_config;

/* `file` may be NULL or not exist. `overrides`: "key=value" texts, NULL-terminated, or NULL. INVALID names file and
 * line, the variable, or the flag. */
TD_MUST_USE td_code td_config_read(const char *file, const char *const *overrides, td_config **out, td_err *err);
/* As td_config_read with the file's text and an environment given: for tests. `environment` may be NULL. */
TD_MUST_USE td_code td_config_parse(const char *text, size_t size, const char *name, char *const *environment,
                                    const char *const *overrides, td_config **out, td_err *err);
void td_config_free(td_config **config); /* TD_CLEANUP */

/* Asking for a key that is not in the table is our bug (assert). */
const char *td_config_text(const td_config *config, const char *key);
int64_t td_config_int(const td_config *config, const char *key); /* integers, durations (ms), booleans (0, 1) */
/* Where a value came from: "default", "file", "environment", "flag". */
const char *td_config_origin(const td_config *config, const char *key);
/* Appends the whole configuration as YAML with help and origin as comments: --dump-config. */
TD_MUST_USE td_code td_config_dump(const td_config *config, td_str *out, td_err *err);
/* Appends the table as Markdown: docs/server.md. */
TD_MUST_USE td_code td_config_table(td_str *out, td_err *err);
/* Appends the keys whose change needs a restart: "http.port, mqtt.url". */
void td_config_changed(const td_config *config, const td_config *fresh, td_str *names);

#endif
