-- One more kind of edge: a version that a tool made of another (converted, or without some of its files). A CHECK cannot
-- be changed in place, so the table is made anew with the same rows.
-- SPDX-License-Identifier: Apache-2.0

CREATE TABLE lineage_edge_wider (
  edge_id INTEGER PRIMARY KEY,
  from_id INTEGER NOT NULL REFERENCES lineage_node (node_id),  -- the source: data flows from here
  to_id INTEGER NOT NULL REFERENCES lineage_node (node_id),    -- what was made of it, or reached by it
  kind TEXT NOT NULL CHECK (kind IN ('input', 'code', 'output', 'parent', 'packed', 'approved', 'judged', 'rolled_out',
    'installed', 'targeted', 'raised', 'caused', 'derived')),  -- how
  run TEXT NOT NULL DEFAULT '',  -- the run or roll-out that made the edge, '' for none
  made_at_ms INTEGER NOT NULL,   -- since when it holds, milliseconds since 1970
  ended_at_ms INTEGER            -- until when it held; NULL: it still does
) STRICT;
INSERT INTO lineage_edge_wider (edge_id, from_id, to_id, kind, run, made_at_ms, ended_at_ms)
  SELECT edge_id, from_id, to_id, kind, run, made_at_ms, ended_at_ms FROM lineage_edge;
DROP TABLE lineage_edge;
ALTER TABLE lineage_edge_wider RENAME TO lineage_edge;
CREATE UNIQUE INDEX lineage_edge_once ON lineage_edge (from_id, to_id, kind, run) WHERE ended_at_ms IS NULL;
CREATE INDEX lineage_edge_down ON lineage_edge (from_id);
CREATE INDEX lineage_edge_up ON lineage_edge (to_id);
