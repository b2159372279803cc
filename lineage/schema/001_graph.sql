-- The lineage graph: an adjacency table with indexes both ways. Nothing is removed; an edge that ceased to hold is ended.
-- SPDX-License-Identifier: Apache-2.0

CREATE TABLE lineage_node (
  node_id INTEGER PRIMARY KEY,
  project TEXT NOT NULL,      -- name of the project
  kind TEXT NOT NULL CHECK (kind IN ('dataset', 'code', 'job', 'run', 'version', 'bundle', 'evaluation', 'gate',
    'approval', 'rollout', 'device', 'alert', 'trigger', 'prompt')),  -- what it is
  name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 512),          -- known by kind and name within its project
  title TEXT,                 -- a short text for people, or NULL
  digest BLOB CHECK (digest IS NULL OR length(digest) = 32),          -- SHA-256 of what it stands for, or NULL
  made_at_ms INTEGER NOT NULL,  -- when it was first heard of, milliseconds since 1970
  UNIQUE (project, kind, name)
) STRICT;

CREATE TABLE lineage_edge (
  edge_id INTEGER PRIMARY KEY,
  from_id INTEGER NOT NULL REFERENCES lineage_node (node_id),  -- the source: data flows from here
  to_id INTEGER NOT NULL REFERENCES lineage_node (node_id),    -- what was made of it, or reached by it
  kind TEXT NOT NULL CHECK (kind IN ('input', 'code', 'output', 'parent', 'packed', 'approved', 'judged', 'rolled_out',
    'installed', 'targeted', 'raised', 'caused')),             -- how
  run TEXT NOT NULL DEFAULT '',  -- the run or roll-out that made the edge, '' for none
  made_at_ms INTEGER NOT NULL,   -- since when it holds, milliseconds since 1970
  ended_at_ms INTEGER            -- until when it held; NULL: it still does
) STRICT;
CREATE UNIQUE INDEX lineage_edge_once ON lineage_edge (from_id, to_id, kind, run) WHERE ended_at_ms IS NULL;
CREATE INDEX lineage_edge_down ON lineage_edge (from_id);
CREATE INDEX lineage_edge_up ON lineage_edge (to_id);
