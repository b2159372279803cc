-- The log: records, the leaves that stand for them, the tree's nodes, the signed checkpoints.
-- Everything is only ever added; the triggers stop bugs, only the tree stops attackers.
-- SPDX-License-Identifier: Apache-2.0

CREATE TABLE audit_record (
  seq INTEGER PRIMARY KEY,    -- gap-free from 0: the index of the leaf
  at_ms INTEGER NOT NULL,     -- the server's wall time, milliseconds since 1970
  project TEXT NOT NULL,      -- name of the project, 'default' at first
  actor TEXT NOT NULL,        -- who: user, device or 'system'; '' once erased
  action TEXT NOT NULL,       -- verb.object from audit/actions.c
  object_type TEXT NOT NULL,  -- 'version', 'device', ...
  object_id TEXT NOT NULL,    -- 'pump/3'; '' once erased
  body TEXT                   -- the record: canonical JSON (RFC 8785); NULL once erased
) STRICT;
CREATE INDEX audit_record_by_object ON audit_record (object_id, seq);
CREATE INDEX audit_record_by_actor ON audit_record (actor, seq);
CREATE INDEX audit_record_by_action ON audit_record (action, seq);

CREATE TABLE audit_erasure (
  seq INTEGER PRIMARY KEY REFERENCES audit_record (seq),  -- the record whose body was erased
  by_seq INTEGER NOT NULL REFERENCES audit_record (seq)   -- the erase.record record that says who and why
) STRICT;

CREATE TABLE log_leaf (
  seq INTEGER PRIMARY KEY REFERENCES audit_record (seq),  -- index in the tree
  leaf BLOB NOT NULL CHECK (length(leaf) = 128)           -- Sigsum leaf: checksum, signature, hash of the key
) STRICT;

CREATE TABLE log_node (
  level INTEGER NOT NULL,     -- height of the perfect subtree: 4, 8, 12, ... (the levels between are computed)
  position INTEGER NOT NULL,  -- it covers the leaves position * 2^level and following
  hash BLOB NOT NULL CHECK (length(hash) = 32),  -- RFC 6962 hash of the subtree
  PRIMARY KEY (level, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE log_checkpoint (
  size INTEGER PRIMARY KEY,   -- leaves under this root
  root BLOB NOT NULL CHECK (length(root) = 32),  -- RFC 6962 root
  note TEXT NOT NULL,         -- C2SP signed note, as published
  at_ms INTEGER NOT NULL      -- when it was stored, milliseconds since 1970
) STRICT;

CREATE TRIGGER audit_record_in_order BEFORE INSERT ON audit_record
  WHEN NEW.seq <> (SELECT coalesce(max(seq), -1) + 1 FROM audit_record)
BEGIN SELECT raise(ABORT, 'audit records are numbered without gaps'); END;
CREATE TRIGGER audit_record_keep BEFORE DELETE ON audit_record
BEGIN SELECT raise(ABORT, 'audit records are never deleted'); END;
CREATE TRIGGER audit_record_fixed BEFORE UPDATE ON audit_record
  WHEN NOT (NEW.seq = OLD.seq AND NEW.at_ms = OLD.at_ms AND NEW.project = OLD.project AND NEW.action = OLD.action
            AND NEW.object_type = OLD.object_type AND NEW.body IS NULL AND NEW.actor = '' AND NEW.object_id = ''
            AND EXISTS (SELECT 1 FROM audit_erasure WHERE audit_erasure.seq = OLD.seq))
BEGIN SELECT raise(ABORT, 'audit records are never changed; their bodies can be erased, see td_audit_erase'); END;

CREATE TRIGGER audit_erasure_keep BEFORE DELETE ON audit_erasure
BEGIN SELECT raise(ABORT, 'erasures are never deleted'); END;
CREATE TRIGGER audit_erasure_fixed BEFORE UPDATE ON audit_erasure
BEGIN SELECT raise(ABORT, 'erasures are never changed'); END;

CREATE TRIGGER log_leaf_in_order BEFORE INSERT ON log_leaf
  WHEN NEW.seq <> (SELECT coalesce(max(seq), -1) + 1 FROM log_leaf)
BEGIN SELECT raise(ABORT, 'leaves enter the tree in order'); END;
CREATE TRIGGER log_leaf_keep BEFORE DELETE ON log_leaf
BEGIN SELECT raise(ABORT, 'leaves are never deleted'); END;
CREATE TRIGGER log_leaf_fixed BEFORE UPDATE ON log_leaf
BEGIN SELECT raise(ABORT, 'leaves are never changed'); END;

CREATE TRIGGER log_node_keep BEFORE DELETE ON log_node
BEGIN SELECT raise(ABORT, 'nodes of the tree are never deleted'); END;
CREATE TRIGGER log_node_fixed BEFORE UPDATE ON log_node
BEGIN SELECT raise(ABORT, 'nodes of the tree are never changed'); END;

CREATE TRIGGER log_checkpoint_keep BEFORE DELETE ON log_checkpoint
BEGIN SELECT raise(ABORT, 'checkpoints are never deleted'); END;
CREATE TRIGGER log_checkpoint_fixed BEFORE UPDATE ON log_checkpoint
BEGIN SELECT raise(ABORT, 'checkpoints are never changed'); END;
