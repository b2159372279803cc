/*
 * routes_model.c: models, lists of versions, aliases and tags.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/routes.h"

#include <string.h>

/* ---- models ---- */

static td_code list_models(td_request *request, td_err *err)
{
    td_page page;
    json_t *list;
    TD_TRY(td_request_page(request, TD_LIST_LIMIT_MAX, &page, err));
    TD_TRY(td_model_list_json(request->db, request->project, &page, &list, err));
    return td_answer_json(request, 200, list, err);
}

typedef struct model_write {
    td_request *request;
    td_model_options options;
    bool create;
} model_write;

static td_code write_model(td_db *db, void *context, td_err *err)
{
    model_write *write = context;
    td_request *request = write->request;
    const char *name = write->options.name;
    if (write->create) {
        TD_TRY(td_model_create(db, &request->actor, request->project, &write->options, err));
        td_answer_header(request, "Location", td_request_text(request, "/api/v1/models/%s", name));
    } else {
        TD_TRY(td_model_update(db, &request->actor, request->project, &write->options, err));
    }
    json_t *model;
    TD_TRY(td_model_json(db, request->project, name, &model, err));
    return td_answer_json(request, write->create ? 201 : 200, model, err);
}

static td_code create_model(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "name", .type = TD_JSON_STRING, .required = true},
        {.name = "description", .type = TD_JSON_STRING},
        {.name = "tags", .type = TD_JSON_OBJECT},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    model_write write = {.request = request, .create = true};
    write.options =
        (td_model_options){td_json_text(request->body, "name", ""), td_json_text(request->body, "description", NULL),
                           json_object_get(request->body, "tags")};
    return td_request_write(request, write_model, &write, err);
}

static td_code change_model(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "description", .type = TD_JSON_STRING},
        {.name = "tags", .type = TD_JSON_OBJECT},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    model_write write = {.request = request};
    write.options = (td_model_options){request->parameters[0], td_json_text(request->body, "description", NULL),
                                       json_object_get(request->body, "tags")};
    return td_request_write(request, write_model, &write, err);
}

static td_code get_model(td_request *request, td_err *err)
{
    json_t *model;
    TD_TRY(td_model_json(request->db, request->project, request->parameters[0], &model, err));
    return td_answer_json(request, 200, model, err);
}

static td_code list_versions(td_request *request, td_err *err)
{
    td_page page;
    json_t *list;
    TD_TRY(td_request_page(request, TD_LIST_LIMIT_MAX, &page, err));
    TD_TRY(td_version_list_json(request->db, request->project, request->parameters[0], &page, &list, err));
    return td_answer_json(request, 200, list, err);
}

static td_code search_versions(td_request *request, td_err *err)
{
    td_page page;
    json_t *list;
    TD_TRY(td_request_page(request, TD_LIST_LIMIT_MAX, &page, err));
    TD_TRY(td_version_list_json(request->db, request->project, NULL, &page, &list, err));
    return td_answer_json(request, 200, list, err);
}

/* ---- aliases ---- */

typedef struct alias_write {
    td_request *request;
    int64_t number; /* 0: delete */
    const char *reason;
} alias_write;

static td_code write_alias(td_db *db, void *context, td_err *err)
{
    const alias_write *write = context;
    td_request *request = write->request;
    const char *model = request->parameters[0], *alias = request->parameters[1];
    if (write->number == 0) {
        return td_alias_delete(db, &request->actor, request->project, model, alias, write->reason, err);
    }
    return td_alias_set(db, &request->actor, request->project, model, alias, write->number, write->reason, err);
}

static td_code may_move(td_request *request, td_err *err)
{
    return td_access_check(&request->principal, request->project, td_alias_permission(request->parameters[1]),
                           request->id, &request->actor, err);
}

static td_code list_aliases(td_request *request, td_err *err)
{
    json_t *list;
    TD_TRY(td_alias_list_json(request->db, request->project, request->parameters[0], &list, err));
    return td_answer_json(request, 200, list, err);
}

static td_code get_alias(td_request *request, td_err *err)
{
    json_t *alias;
    TD_TRY(td_alias_json(request->db, request->project, request->parameters[0], request->parameters[1], &alias, err));
    return td_answer_json(request, 200, alias, err);
}

static td_code set_alias(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "version", .type = TD_JSON_INTEGER, .required = true, .minimum = 1, .maximum = 1e15},
        {.name = "reason", .type = TD_JSON_STRING, .maximum = TD_REASON_BODY_MAX},
        {.name = NULL},
    };
    TD_TRY(may_move(request, err));
    TD_TRY(td_request_check(request, fields, err));
    alias_write write = {request, td_json_int(request->body, "version", 0),
                         td_json_text(request->body, "reason", NULL)};
    TD_TRY(td_request_write(request, write_alias, &write, err));
    TD_TRY(td_request_refresh(request, err));
    return get_alias(request, err);
}

static td_code delete_alias(td_request *request, td_err *err)
{
    alias_write write = {.request = request};
    TD_TRY(may_move(request, err));
    TD_TRY(td_request_reason(request, false, &write.reason, err));
    TD_TRY(td_request_write(request, write_alias, &write, err));
    return td_answer_json(request, 200, json_pack("{s:s, s:b}", "alias", request->parameters[1], "deleted", 1), err);
}

/* ---- tags of a version ---- */

typedef struct tag_write {
    td_request *request;
    const char *reference, *value; /* NULL: removed */
} tag_write;

static td_code write_tag(td_db *db, void *context, td_err *err)
{
    const tag_write *write = context;
    td_request *request = write->request;
    return td_version_set_tag(db, &request->actor, request->project, write->reference, request->parameters[2],
                              write->value, err);
}

static td_code put_tag(td_request *request, const char *value, td_err *err)
{
    tag_write write = {.request = request, .value = value};
    TD_TRY(td_request_reference(request, &write.reference, err));
    TD_TRY(td_request_write(request, write_tag, &write, err));
    return td_answer_json(request, 200, json_pack("{s:s, s:s?}", "key", request->parameters[2], "value", value), err);
}

static td_code set_tag(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "value", .type = TD_JSON_STRING, .required = true, .minimum = 0, .maximum = TD_TAG_VALUE_MAX},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    return put_tag(request, td_json_text(request->body, "value", ""), err);
}

static td_code delete_tag(td_request *request, td_err *err)
{
    static const td_json_field none[] = {{.name = NULL}};
    TD_TRY(td_request_check(request, none, err));
    return put_tag(request, NULL, err);
}

const td_route td_routes_model[] = {
    TD_GET("/api/v1/models", TD_MAY_READ, list_models, "Models"),
    TD_SEND("POST", "/api/v1/models", TD_MAY_REGISTER, create_model, "Make a model"),
    TD_POINT("/api/v1/models/{model}", TD_MAY_READ, get_model, "One model"),
    TD_SEND("PATCH", "/api/v1/models/{model}", TD_MAY_REGISTER, change_model, "Change description or tags"),
    TD_GET("/api/v1/models/{model}/versions", TD_MAY_READ, list_versions, "Versions of a model"),
    TD_GET("/api/v1/versions", TD_MAY_READ, search_versions, "Versions of all models"),
    TD_GET("/api/v1/models/{model}/aliases", TD_MAY_READ, list_aliases, "Aliases of a model"),
    TD_POINT("/api/v1/models/{model}/aliases/{alias}", TD_MAY_READ, get_alias, "One alias with its history"),
    {"PUT", "/api/v1/models/{model}/aliases/{alias}", TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_JSON, set_alias,
     "Point an alias at a version (manage_alias; champion: approve)"},
    {"DELETE", "/api/v1/models/{model}/aliases/{alias}", TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_JSON, delete_alias,
     "Remove an alias (manage_alias; champion: approve)"},
    TD_SEND("PUT", "/api/v1/models/{model}/versions/{version}/tags/{key}", TD_MAY_REGISTER, set_tag, "Tag a draft"),
    TD_SEND("DELETE", "/api/v1/models/{model}/versions/{version}/tags/{key}", TD_MAY_REGISTER, delete_tag,
            "Remove a tag"),
    TD_ROUTES_END,
};
