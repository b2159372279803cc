/*
 * roles.c: the permission table: one row a role, one bit a permission. Nothing else in Tidemark decides what a role may
 * do.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/access.h"

#include <assert.h>
#include <string.h>

#define MAY(permission) (UINT32_C(1) << (permission))

static const struct role_row {
    const char *name;
    uint32_t permissions;
} role_table[TD_ROLE_COUNT] = {
    [TD_ROLE_VIEWER] = {"viewer", MAY(TD_MAY_READ)},
    [TD_ROLE_DATA_SCIENTIST] = {"data-scientist", MAY(TD_MAY_READ) | MAY(TD_MAY_REGISTER) | MAY(TD_MAY_MANAGE_ALIAS) |
                                                      MAY(TD_MAY_SET_MONITOR) | MAY(TD_MAY_HANDLE_ALERT) |
                                                      MAY(TD_MAY_START_RUN) | MAY(TD_MAY_CLAIM)},
    [TD_ROLE_TRAINER] = {"trainer", MAY(TD_MAY_READ) | MAY(TD_MAY_REGISTER) | MAY(TD_MAY_WORK) | MAY(TD_MAY_CLAIM)},
    [TD_ROLE_APPROVER] = {"approver",
                          MAY(TD_MAY_READ) | MAY(TD_MAY_APPROVE) | MAY(TD_MAY_DEFINE_GATE) | MAY(TD_MAY_READ_AUDIT) |
                              MAY(TD_MAY_CLAIM)},
    [TD_ROLE_OPERATOR] = {"operator", MAY(TD_MAY_READ) | MAY(TD_MAY_ROLL_OUT) | MAY(TD_MAY_MANAGE_DEVICE) |
                                          MAY(TD_MAY_MANAGE_ALIAS) | MAY(TD_MAY_HANDLE_ALERT)},
    [TD_ROLE_AUDITOR] = {"auditor", MAY(TD_MAY_READ) | MAY(TD_MAY_READ_AUDIT) | MAY(TD_MAY_EXPORT_AUDIT) |
                                        MAY(TD_MAY_READ_METRICS)},
    [TD_ROLE_ADMIN] = {"admin", MAY(TD_MAY_READ) | MAY(TD_MAY_MANAGE_USER) | MAY(TD_MAY_DEFINE_PIPELINE) |
                                    MAY(TD_MAY_DEFINE_GATE) | MAY(TD_MAY_READ_AUDIT) |
                                    MAY(TD_MAY_READ_METRICS)},
    [TD_ROLE_METRICS] = {"metrics", MAY(TD_MAY_READ_METRICS)},
};

static const char *const permission_names[TD_PERMISSION_COUNT] = {
    [TD_MAY_READ] = "read",
    [TD_MAY_REGISTER] = "register",
    [TD_MAY_MANAGE_ALIAS] = "manage_alias",
    [TD_MAY_APPROVE] = "approve",
    [TD_MAY_MANAGE_DEVICE] = "manage_device",
    [TD_MAY_ROLL_OUT] = "roll_out",
    [TD_MAY_SET_MONITOR] = "set_monitor",
    [TD_MAY_HANDLE_ALERT] = "handle_alert",
    [TD_MAY_DEFINE_PIPELINE] = "define_pipeline",
    [TD_MAY_DEFINE_GATE] = "define_gate",
    [TD_MAY_START_RUN] = "start_run",
    [TD_MAY_WORK] = "work",
    [TD_MAY_READ_AUDIT] = "read_audit",
    [TD_MAY_EXPORT_AUDIT] = "export_audit",
    [TD_MAY_MANAGE_USER] = "manage_user",
    [TD_MAY_READ_METRICS] = "read_metrics",
    [TD_MAY_CLAIM] = "claim",
};

const char *td_role_name(td_role role)
{
    assert(role < TD_ROLE_COUNT);
    return role_table[role].name;
}

const char *td_permission_name(td_permission permission)
{
    assert(permission < TD_PERMISSION_COUNT);
    return permission_names[permission];
}

bool td_role_may(td_role role, td_permission permission)
{
    assert(role < TD_ROLE_COUNT && permission < TD_PERMISSION_COUNT);
    return (role_table[role].permissions & MAY(permission)) != 0;
}

td_code td_role_parse(const char *name, td_role *out, td_err *err)
{
    const char *names[TD_ROLE_COUNT + 1] = {0};
    for (int role = 0; role < TD_ROLE_COUNT; role++) {
        names[role] = role_table[role].name;
        if (strcmp(name, role_table[role].name) == 0) {
            *out = (td_role)role;
            return TD_OK;
        }
    }
    const char *nearest = td_nearest(name, names);
    if (nearest != NULL) {
        return td_fail(err, TD_INVALID, "there is no role \"%.40s\"; did you mean \"%s\"?", name, nearest);
    }
    return td_fail(
        err, TD_INVALID,
        "there is no role \"%.40s\"; roles are viewer, data-scientist, trainer, approver, operator, auditor, "
        "admin, metrics",
        name);
}
