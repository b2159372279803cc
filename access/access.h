/*
 * access.h: who may do what: users, service accounts, tokens, and the roles they hold in each project.
 *
 * Default deny. A request is answered in three steps: td_access_log_in turns a header into a principal,
 * td_access_check asks the permission table (role × permission, access/roles.c) and gives the actor in whose name the
 * records are written, and whoever writes asks td_access_recheck again inside the transaction. An admin manages people
 * and commands but can neither approve nor roll out; a service account never approves, whatever it was granted.
 *
 * Tokens are 32 random bytes, shown once as text (`tmk_` and 64 hexadecimal digits); only their SHA-256 is stored.
 * Threads: functions that take a td_db run where that connection lives; the rest has no state.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_ACCESS_ACCESS_H
#define TD_ACCESS_ACCESS_H

#include "audit/audit.h"
#include "core/base/json.h"
#include "core/db/db.h"
#include "core/db/list.h"
#include "core/db/migrate.h"

extern const td_migration td_access_migrations[];

#define TD_PROJECT_DEFAULT "default"
#define TD_USER_NAME_MAX 64    /* [a-z][a-z0-9._-]* */
#define TD_PROJECT_NAME_MAX 64 /* [a-z0-9][a-z0-9-]* */
#define TD_PROJECTS_PER_USER_MAX 32
#define TD_TOKENS_PER_USER_MAX 64 /* that are neither expired nor revoked */
#define TD_CREDENTIAL_MAX 4096    /* bytes of a secret of any kind, as a client sends it */
#define TD_TOKEN_PREFIX "tmk_"
#define TD_TOKEN_TEXT_SIZE (4 + 2 * 32 + 1) /* with its NUL */
#define TD_TOKEN_LIFETIME_DEFAULT_MS ((int64_t)90 * 24 * 3600 * 1000)
#define TD_TOKEN_LIFETIME_MAX_MS ((int64_t)366 * 24 * 3600 * 1000)
#define TD_TOKEN_LABEL_MAX 100
#define TD_TOKEN_GRACE_MAX_MS ((int64_t)7 * 24 * 3600 * 1000) /* a rotated token ends at the latest then */
#define TD_TOKEN_TOUCH_MS 60000                               /* "last used" is kept to this accuracy */

typedef enum td_role {
    TD_ROLE_VIEWER,
    TD_ROLE_DATA_SCIENTIST,
    TD_ROLE_TRAINER, /* what pipelines and workers run as */
    TD_ROLE_APPROVER,
    TD_ROLE_OPERATOR,
    TD_ROLE_AUDITOR,
    TD_ROLE_ADMIN,
    TD_ROLE_METRICS, /* what a Prometheus is */
    TD_ROLE_COUNT
} td_role;

typedef enum td_permission {
    TD_MAY_READ,            /* models, versions, files, devices, rollouts, signals, alerts, lineage, events */
    TD_MAY_REGISTER,        /* uploads, models, versions, tags, metrics; submit */
    TD_MAY_MANAGE_ALIAS,    /* aliases that are not protected; deprecate and retire versions */
    TD_MAY_APPROVE,         /* approve and reject versions; protected aliases */
    TD_MAY_MANAGE_DEVICE,   /* enrolment codes, tags of devices, revocation */
    TD_MAY_ROLL_OUT,        /* create, pause, resume, abort, revert rollouts */
    TD_MAY_SET_MONITOR,     /* thresholds and signals of a model */
    TD_MAY_HANDLE_ALERT,    /* acknowledge */
    TD_MAY_DEFINE_PIPELINE, /* commands that workers run */
    TD_MAY_DEFINE_GATE,     /* rules that a challenger must pass */
    TD_MAY_START_RUN,       /* start a defined pipeline by hand */
    TD_MAY_WORK,            /* claim steps, post their results */
    TD_MAY_READ_AUDIT,      /* audit records, checkpoints */
    TD_MAY_EXPORT_AUDIT,    /* the whole log as a file */
    TD_MAY_MANAGE_USER,     /* users, tokens, roles, keys, projects */
    TD_MAY_READ_METRICS,    /* in `default`: numbers of the whole server */
    TD_MAY_CLAIM,           /* add signed claims about a version */
    TD_PERMISSION_COUNT
} td_permission;

/* Names as in the API: "data-scientist", "roll_out". Static storage. */
const char *td_role_name(td_role role);
const char *td_permission_name(td_permission permission);
/* INVALID, with the nearest role named. */
TD_MUST_USE td_code td_role_parse(const char *name, td_role *out, td_err *err);
/* The permission table itself. */
bool td_role_may(td_role role, td_permission permission);
/* INVALID, naming the grammar. */
TD_MUST_USE td_code td_user_name_check(const char *name, td_err *err);
TD_MUST_USE td_code td_project_name_check(const char *name, td_err *err);

/* Somebody whose token (or socket) was good. A value; it owns its texts. */
typedef struct td_principal {
    td_actor_kind kind; /* TD_ACTOR_USER or TD_ACTOR_SERVICE */
    int64_t user_id;    /* 0: the admin socket */
    char name[TD_USER_NAME_MAX + 1];
    char authentication[16]; /* "token" or "admin-socket" */
    int64_t token_id;        /* 0: no token */
    int64_t token_expires_ms;
    int64_t token_used_ms;    /* when this token was last seen; see td_token_touch */
    bool token_restricted;    /* this token opens less than its user may */
    int64_t token_project_id; /* the only project that it opens; 0: no such restriction */
    uint32_t all_roles;       /* roles in every project (bit 1 << td_role): only the admin socket */
    size_t grant_count;
    struct {
        char project[TD_PROJECT_NAME_MAX + 1];
        uint32_t roles; /* bit 1 << td_role */
    } grants[TD_PROJECTS_PER_USER_MAX];
} td_principal;

/* `secret` as received, any bytes; its first bytes choose the authenticator (access/authenticate.c). DENIED with one
 * and the same text for unknown, expired and revoked tokens and disabled users. A reading connection is enough. */
TD_MUST_USE td_code td_access_authenticate(td_db *db, const char *secret, size_t length, td_principal *out,
                                           td_err *err);
/* The same for the value of an Authorization header (NULL: there is none): `Bearer SECRET`, or `Basic` with the user's
 * name and the secret as password. A name that does not own the secret is refused with the same text. */
TD_MUST_USE td_code td_access_log_in(td_db *db, const char *header, td_principal *out, td_err *err);
/* Who connected to the workspace's admin socket, by SO_PEERCRED: role admin in every project, name "uid-1000". */
void td_access_local(unsigned uid, td_principal *out);

/* May the principal do this in the project? On OK, *actor_out (may be NULL) names the role by which it may; its texts
 * are borrowed from principal and request_id. DENIED names the permission and the roles that have it; NOT_FOUND: he
 * holds no role there at all, and hears what he would hear of a project that does not exist. TD_MAY_MANAGE_USER in
 * project `default` counts in every project. */
TD_MUST_USE td_code td_access_check(const td_principal *principal, const char *project, td_permission permission,
                                    const char *request_id, td_actor *actor_out, td_err *err);
/* Asks the database again, inside the writing transaction: the user may have lost the role since. The system actor
 * (td_actor_system) and the admin socket pass for what they may do; devices never do. DENIED; NOT_FOUND: no such
 * project; CONFLICT: the project is archived. */
TD_MUST_USE td_code td_access_recheck(td_db *db, const td_actor *actor, const char *project, td_permission permission,
                                      td_err *err);
/* Whether this actor's kind could ever approve: a person with a user row. For messages; td_access_recheck decides. */
bool td_actor_is_person(const td_actor *actor);

/* Appends "deny.access" for a refused attempt (writing connection). `count` attempts since the last record; `actor`
 * NULL: nobody was authenticated; `source` is the peer's address; `what` is "POST /api/v1/rollouts". The server
 * aggregates by source and minute. */
TD_MUST_USE td_code td_access_denied(td_db *db, const td_actor *actor, const char *source, const char *what,
                                     int64_t count, td_err *err);

typedef struct td_user_options {
    const char *name;
    bool service;
    const char *description; /* or NULL */
} td_user_options;

/* Users are never deleted, only disabled, so that records keep their names. CONFLICT: the name is taken. The actor
 * needs TD_MAY_MANAGE_USER in project `default`. */
TD_MUST_USE td_code td_user_create(td_db *db, const td_actor *actor, const td_user_options *options,
                                   int64_t *user_id_out, td_err *err);
/* Shuts a user out, or (`disable` false) lets him in again; his tokens count again as far as they are still valid.
 * CONFLICT: he is the last admin of the workspace (only the admin socket may shut that one out). */
TD_MUST_USE td_code td_user_disable(td_db *db, const td_actor *actor, const char *name, bool disable,
                                    const char *reason, td_err *err);
TD_MUST_USE td_code td_user_find(td_db *db, const char *name, int64_t *user_id_out, bool *service_out, td_err *err);
/* {"users": [{name, kind, description, disabled, created_at, roles:{project:[…]},
 *             tokens:[{id,label,created_at,expires_at,…}]}], "next_cursor"?}, oldest first, or as the page says.
 * With a project only those who hold a role in it, with those roles alone and without tokens. INVALID, LIMIT. */
TD_MUST_USE td_code td_user_list_json(td_db *db, const char *project, const td_page *page, json_t **out, td_err *err);
/* {"tokens":[…],"next_cursor"?}: valid ones of a user, without secrets. NOT_FOUND, INVALID, LIMIT. */
TD_MUST_USE td_code td_token_list_json(td_db *db, const char *user, const td_page *page, json_t **out, td_err *err);
/* One such object. NOT_FOUND; not for a user without a role in the project: there he is shown without any. */
TD_MUST_USE td_code td_user_json(td_db *db, const char *name, const char *project, json_t **out, td_err *err);

/* Grants or takes a role. Granting what is held, or taking what is not, is OK and leaves no record. INVALID: approver
 * for a service account. LIMIT: TD_PROJECTS_PER_USER_MAX. CONFLICT: it would leave the workspace without an admin.
 * reason is mandatory. */
TD_MUST_USE td_code td_role_grant(td_db *db, const td_actor *actor, const char *user, const char *project, td_role role,
                                  const char *reason, td_err *err);
TD_MUST_USE td_code td_role_revoke(td_db *db, const td_actor *actor, const char *user, const char *project,
                                   td_role role, const char *reason, td_err *err);

typedef struct td_token_options {
    const char *user;
    const char *label;   /* what it is for, or NULL */
    int64_t lifetime_ms; /* 0: TD_TOKEN_LIFETIME_DEFAULT_MS */
    int64_t latest_ms;   /* it expires no later, whatever the lifetime; 0: no such end */
    uint32_t roles;      /* restricts the token to these roles; 0: all that the user has */
    const char *project; /* restricts it to this project; NULL: all of the user's */
} td_token_options;

typedef struct td_token {
    int64_t token_id;
    char text[TD_TOKEN_TEXT_SIZE]; /* shown once; wipe it after use */
    int64_t expires_ms;
} td_token;

/* A person may make tokens for himself; for others TD_MAY_MANAGE_USER is needed. */
TD_MUST_USE td_code td_token_create(td_db *db, const td_actor *actor, const td_token_options *options, td_token *out,
                                    td_err *err);
TD_MUST_USE td_code td_token_revoke(td_db *db, const td_actor *actor, int64_t token_id, const char *reason,
                                    td_err *err);
typedef struct td_token_rotation {
    int64_t token_id;
    int64_t grace_ms;  /* how long the old one still counts; at most TD_TOKEN_GRACE_MAX_MS */
    int64_t latest_ms; /* the successor expires no later; 0: no such end */
    const char *reason;
} td_token_rotation;

/* Makes a successor with the same label, restrictions and length of life, and ends the old token. A service account may
 * do so for itself. CONFLICT: it is no longer valid. */
TD_MUST_USE td_code td_token_rotate(td_db *db, const td_actor *actor, const td_token_rotation *rotation, td_token *out,
                                    td_err *err);
/* Whose token it is. NOT_FOUND. */
TD_MUST_USE td_code td_token_owner(td_db *db, int64_t token_id, int64_t *user_id_out, td_err *err);
/* Notes that the token was used (no audit record). Call it through the writer when td_token_wants_touch. */
TD_MUST_USE td_code td_token_touch(td_db *db, int64_t token_id, td_err *err);
bool td_token_wants_touch(const td_principal *principal, int64_t now_ms);

#endif
