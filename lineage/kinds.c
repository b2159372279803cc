/*
 * kinds.c: the closed lists of nodes and edges, and how a node is written.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "lineage/internal.h"

#include <stdio.h>
#include <string.h>

static const char *const node_kinds[] = {"dataset", "code",       "job",     "run",      "version",
                                         "bundle",  "evaluation", "gate",    "approval", "rollout",
                                         "device",  "alert",      "trigger", "prompt",   NULL};
static const char *const edge_kinds[] = {"input",    "code",   "output",     "parent",    "packed",
                                         "approved", "judged", "rolled_out", "installed", "targeted",
                                         "raised",   "caused", "derived",    NULL};

static bool listed(const char *const *list, const char *text, size_t size)
{
    for (; *list != NULL; list++) {
        if (strlen(*list) == size && memcmp(*list, text, size) == 0) {
            return true;
        }
    }
    return false;
}

bool td_lineage__edge_kind(const char *kind)
{
    return kind != NULL && listed(edge_kinds, kind, strlen(kind));
}

td_code td_lineage__check_node(const td_lineage_node *node, td_err *err)
{
    const char *kind = node->kind != NULL ? node->kind : "";
    if (!listed(node_kinds, kind, strlen(kind))) {
        return td_fail(err, TD_INVALID, "unknown kind of lineage node \"%.40s\"", kind);
    }
    size_t length = node->name != NULL ? strlen(node->name) : 0;
    if (length == 0 || length > TD_LINEAGE_NAME_MAX) {
        return td_fail(err, TD_INVALID, "the name of a lineage node (%s) has 1 to %d bytes, not %zu", kind,
                       TD_LINEAGE_NAME_MAX, length);
    }
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)node->name[i] < 0x20 || node->name[i] == 0x7f) {
            return td_fail(err, TD_INVALID, "the name of a lineage node (%s) holds a control character", kind);
        }
    }
    return TD_OK;
}

td_code td_lineage__parse(const char *text, char kind_out[16], const char **name_out, td_err *err)
{
    const char *colon = strchr(text, ':');
    size_t size = colon != NULL ? (size_t)(colon - text) : 0;
    if (size > 0 && colon[1] != '\0' && listed(node_kinds, text, size)) {
        memcpy(kind_out, text, size);
        kind_out[size] = '\0';
        *name_out = colon + 1;
        return TD_OK;
    }
    if (text[0] != '\0' && strchr(text, '/') != NULL && colon == NULL) {
        snprintf(kind_out, 16, "version");
        *name_out = text;
        return TD_OK;
    }
    return td_fail(err, TD_INVALID,
                   "\"%.80s\" is not a lineage node; write kind:name, for example version:pump/3, device:pump-07 or "
                   "dataset:s3://plant/vibration",
                   text);
}

td_code td_lineage_direction_parse(const char *text, td_lineage_direction *out, td_err *err)
{
    static const char *const names[] = {"up", "down", "both"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (td_lineage_direction)i;
            return TD_OK;
        }
    }
    return td_fail(err, TD_INVALID, "direction is up, down or both, not \"%.20s\"", text);
}

void td_lineage_dataset_name(const char *name, const uint8_t digest[TD_DIGEST_SIZE],
                             char out[TD_LINEAGE_NAME_MAX + 14])
{
    char hex[TD_DIGEST_TEXT];
    td_hex_encode(digest, TD_DIGEST_SIZE, hex);
    snprintf(out, TD_LINEAGE_NAME_MAX + 14, "%.*s@%.12s", TD_LINEAGE_NAME_MAX, name, hex);
}
