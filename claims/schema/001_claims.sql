-- What is said of versions, signed; and the keys, beside people's and the publisher's, whose word counts.
-- SPDX-License-Identifier: Apache-2.0

CREATE TABLE claim (
    claim_id       INTEGER PRIMARY KEY AUTOINCREMENT,                 -- in order of time
    version_id     INTEGER NOT NULL REFERENCES version (version_id),  -- what it speaks of
    digest         BLOB NOT NULL CHECK (length(digest) = 32),         -- SHA-256 of its line, without the line feed; its name in content
    size           INTEGER NOT NULL CHECK (size > 0),                 -- bytes of the line
    predicate_type TEXT NOT NULL,                                     -- URI
    covers         TEXT NOT NULL,                                     -- 'version' (content id), 'model' (root of model.sig), or a model file's name
    signer_source  TEXT NOT NULL CHECK (signer_source IN ('person', 'publisher', 'listed')),  -- where its key is known from
    signer         TEXT NOT NULL,                                     -- name of whose key signed
    key_id         BLOB NOT NULL CHECK (length(key_id) = 16),         -- first half of SHA-256 of the public key
    summary        TEXT NOT NULL,                                     -- JSON: what lists show of the predicate
    added_by       TEXT NOT NULL,                                     -- name of who brought it
    added_ms       INTEGER NOT NULL,                                  -- wall time
    audit_seq      INTEGER NOT NULL,                                  -- the record of it
    UNIQUE (version_id, digest)
) STRICT;

-- Keys of build systems, laboratories, suppliers: named by an admin, never reused.
CREATE TABLE claim_key (
    project_id INTEGER NOT NULL REFERENCES project (project_id),          -- where its word counts
    name       TEXT NOT NULL,                                             -- [A-Za-z0-9][A-Za-z0-9._-]{0,63}
    kind       TEXT NOT NULL CHECK (kind IN ('p256', 'ed25519')),         -- of the key
    key_id     BLOB NOT NULL CHECK (length(key_id) = 16),                 -- first half of SHA-256 of the public key
    public_key BLOB NOT NULL CHECK (length(public_key) IN (32, 65)),      -- raw
    added_by   TEXT NOT NULL,                                             -- name of who listed it
    added_ms   INTEGER NOT NULL,                                          -- wall time
    removed_ms INTEGER,                                                   -- since when it counts no more; NULL: it does
    PRIMARY KEY (project_id, name),
    UNIQUE (project_id, key_id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER claim_no_update BEFORE UPDATE ON claim
BEGIN SELECT RAISE(ABORT, 'a claim never changes'); END;
CREATE TRIGGER claim_no_delete BEFORE DELETE ON claim
BEGIN SELECT RAISE(ABORT, 'a claim never changes'); END;
CREATE TRIGGER claim_key_fixed BEFORE UPDATE OF project_id, name, kind, key_id, public_key, added_by, added_ms ON claim_key
BEGIN SELECT RAISE(ABORT, 'a listed key never changes'); END;
CREATE TRIGGER claim_key_no_delete BEFORE DELETE ON claim_key
BEGIN SELECT RAISE(ABORT, 'a listed key is never deleted'); END;
