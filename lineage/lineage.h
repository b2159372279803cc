/*
 * lineage.h: what came from what: a graph of datasets, code, runs, versions, bundles, rollouts, devices and alerts.
 *
 * Edges point the way the data flows: dataset → run → version → bundle → rollout → device → alert → run. "Up" goes
 * towards the sources, "down" towards the devices. Each edge keeps the run that made it and the time; an edge that
 * ceased to hold (a device that moved on) is ended, never removed, so "now" and "ever" are both answered.
 *
 * Writing functions run on the writing connection inside the caller's transaction; reading ones on any connection.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_LINEAGE_LINEAGE_H
#define TD_LINEAGE_LINEAGE_H

#include "core/base/json.h"
#include "core/crypto/crypto.h"
#include "core/db/db.h"
#include "core/db/migrate.h"

extern const td_migration td_lineage_migrations[];

#define TD_LINEAGE_NAME_MAX 512
#define TD_LINEAGE_DEPTH_MAX 100
#define TD_LINEAGE_NODES_MAX 10000 /* nodes in one answer; more is LIMIT, with the advice to lower the depth */

/* Kinds of nodes (closed): dataset code job run version bundle evaluation gate approval rollout device alert trigger
 * prompt.
 *
 * A node is known by kind:name, within its project. Names by convention:
 *   dataset:NAME@DIGEST12   (td_lineage_dataset_name)     code:REPOSITORY@COMMIT      version:pump/3 bundle:DIGEST12
 *   approval:pump/3#ben     gate:NAME/run-…               run:run-…                  rollout:r-… device:pump-07
 *   alert:al-…              evaluation:…                  trigger:…
 * Where only a dataset's name is given in a query ("dataset:s3://plant/vibration"), all its digests are meant. */
typedef struct td_lineage_node {
    const char *kind;
    const char *name;
    const char *title;     /* short text for people, or NULL */
    const uint8_t *digest; /* 32 bytes, or NULL */
} td_lineage_node;
#define TD_NODE(node_kind, node_name) (&(td_lineage_node){.kind = (node_kind), .name = (node_name)})

/* Kinds of edges (closed), in the direction of flow:
 *   input     dataset → run, dataset → version (without a run)      code      code → run, code → version
 *   output    run → version, run → dataset, run → evaluation        parent    version → version (retrained from)
 *   derived   version → version (converted by a tool)
 *   packed    version → bundle                                      approved  approval → version
 *   judged    gate → version, evaluation → gate                     rolled_out version → rollout, bundle → rollout
 *   installed version → device (ended when the device moves on)     targeted  rollout → device
 *   raised    version → alert, device → alert, rollout → alert      caused    alert → trigger, alert → run, alert →
 * version, trigger → run, alert → rollout */

/* Makes the node if it is not there (title and digest fill in if they were empty). INVALID: kind or name. CONFLICT:
 * the node has another digest. *id_out may be NULL. */
TD_MUST_USE td_code td_lineage_node_ensure(td_db *db, const char *project, const td_lineage_node *node,
                                           int64_t *id_out, td_err *err);
/* Ensures both nodes and the edge; doing it again changes nothing. `run` ("run-…", "r-…") may be NULL. INVALID: edge
 * kind. */
TD_MUST_USE td_code td_lineage_edge_add(td_db *db, const char *project, const td_lineage_node *from,
                                        const td_lineage_node *to, const char *kind, const char *run, td_err *err);
/* Ends the open edges of that kind into `to`, but for those from `keep_from` (NULL: all). For a device that now runs
 * another version: end "installed" edges into device:pump-07, then add the new one. Nothing to end is OK. */
TD_MUST_USE td_code td_lineage_edges_end(td_db *db, const char *project, const char *kind, const td_lineage_node *to,
                                         const td_lineage_node *keep_from, td_err *err);
/* A model got another name: "version:old/3" is "version:new/3" from now on. */
TD_MUST_USE td_code td_lineage_model_renamed(td_db *db, const char *project, const char *name, const char *new_name,
                                             td_err *err);
/* "NAME@" and the first 12 hexadecimal digits of the digest. */
void td_lineage_dataset_name(const char *name, const uint8_t digest[TD_DIGEST_SIZE],
                             char out[TD_LINEAGE_NAME_MAX + 14]);

typedef enum td_lineage_direction { TD_LINEAGE_UP, TD_LINEAGE_DOWN, TD_LINEAGE_BOTH } td_lineage_direction;
TD_MUST_USE td_code td_lineage_direction_parse(const char *text, td_lineage_direction *out, td_err *err);

/* The graph around a node ("version:pump/3"; "pump/3" alone means a version), at most `depth` edges away (0: all):
 * {"node":"version:pump/3",
 *  "nodes":[{"node","kind","name","title","digest","depth","made_at"}…],   in order of distance, then name
 *  "edges":[{"from","to","kind","run","made_at","ended_at"}…]}             among those nodes, followed in that
 * direction TD_LINEAGE_BOTH: the ancestors and the descendants of the node (not their other relatives). NOT_FOUND,
 * INVALID, LIMIT. */
TD_MUST_USE td_code td_lineage_show_json(td_db *db, const char *project, const char *node,
                                         td_lineage_direction direction, int depth, json_t **out, td_err *err);
/* What a node reached: {"node", "roots":[node…], "datasets":[…], "versions":[…], "bundles":[…], "rollouts":[…],
 *   "devices":[{"device","versions":[…],"now":true,"first_at","last_at"}…]}: each device that ever ran one of the
 * versions. */
TD_MUST_USE td_code td_lineage_impact_json(td_db *db, const char *project, const char *node, json_t **out,
                                           td_err *err);

#endif
