-- What the outside world says of the log: the policy in force, witnesses' cosignatures, timestamps, and which
-- checkpoints are published. Everything is only ever added.
-- SPDX-License-Identifier: Apache-2.0

CREATE TABLE log_policy (
  policy_id INTEGER PRIMARY KEY,  -- the newest is in force
  text TEXT NOT NULL,             -- the policy file, byte for byte (C2SP tlog-policy)
  quorum INTEGER NOT NULL CHECK (quorum IN (0, 1)),  -- 1: checkpoints wait for a quorum before they are published
  since_size INTEGER NOT NULL,    -- checkpoints up to this size had been published before it came into force
  at_ms INTEGER NOT NULL          -- when it came into force, milliseconds since 1970
) STRICT;

CREATE TABLE log_cosignature (
  size INTEGER NOT NULL REFERENCES log_checkpoint (size),  -- the checkpoint that was cosigned
  witness BLOB NOT NULL CHECK (length(witness) = 32),      -- public key of the witness (Ed25519)
  time_s INTEGER NOT NULL,        -- when the witness says it cosigned, seconds since 1970
  line TEXT NOT NULL,             -- its signature line, newline included
  PRIMARY KEY (size, witness)
) STRICT, WITHOUT ROWID;
CREATE INDEX log_cosignature_by_witness ON log_cosignature (witness, size);

CREATE TABLE log_published (
  size INTEGER PRIMARY KEY REFERENCES log_checkpoint (size),  -- a checkpoint that reached the quorum
  policy_id INTEGER NOT NULL REFERENCES log_policy (policy_id),  -- of this policy
  at_ms INTEGER NOT NULL          -- when it did, milliseconds since 1970
) STRICT;

CREATE TABLE log_timestamp (
  size INTEGER PRIMARY KEY REFERENCES log_checkpoint (size),  -- the checkpoint whose SHA-256 was stamped
  token BLOB NOT NULL,            -- the authority's answer: RFC 3161 TimeStampResp, DER
  time_ms INTEGER NOT NULL,       -- the time in it, milliseconds since 1970
  verified INTEGER NOT NULL CHECK (verified IN (0, 1)),  -- 1: its certificate was checked against the configured CA
  at_ms INTEGER NOT NULL          -- when it came, milliseconds since 1970
) STRICT;

CREATE TRIGGER log_policy_keep BEFORE DELETE ON log_policy
BEGIN SELECT raise(ABORT, 'policies of the log are never deleted'); END;
CREATE TRIGGER log_policy_fixed BEFORE UPDATE ON log_policy
BEGIN SELECT raise(ABORT, 'policies of the log are never changed'); END;
CREATE TRIGGER log_cosignature_keep BEFORE DELETE ON log_cosignature
BEGIN SELECT raise(ABORT, 'cosignatures are never deleted'); END;
CREATE TRIGGER log_cosignature_fixed BEFORE UPDATE ON log_cosignature
BEGIN SELECT raise(ABORT, 'cosignatures are never changed'); END;
CREATE TRIGGER log_published_keep BEFORE DELETE ON log_published
BEGIN SELECT raise(ABORT, 'what was published stays published'); END;
CREATE TRIGGER log_published_fixed BEFORE UPDATE ON log_published
BEGIN SELECT raise(ABORT, 'what was published stays published'); END;
CREATE TRIGGER log_timestamp_keep BEFORE DELETE ON log_timestamp
BEGIN SELECT raise(ABORT, 'timestamps are never deleted'); END;
CREATE TRIGGER log_timestamp_fixed BEFORE UPDATE ON log_timestamp
BEGIN SELECT raise(ABORT, 'timestamps are never changed'); END;
