-- Models, versions, aliases, approvals, and the keyset that devices trust.
-- SPDX-License-Identifier: Apache-2.0

CREATE TABLE model (
    model_id         INTEGER PRIMARY KEY AUTOINCREMENT,               -- referred to by versions and aliases
    project_id       INTEGER NOT NULL REFERENCES project (project_id),  -- where it belongs
    name             TEXT NOT NULL,                                   -- [A-Za-z0-9][A-Za-z0-9._-]{0,127}
    description      TEXT NOT NULL DEFAULT '',                        -- for people
    owner            TEXT NOT NULL,                                   -- name of who made it
    next_number      INTEGER NOT NULL DEFAULT 1,                      -- of the next version; never goes back
    security_counter INTEGER NOT NULL DEFAULT 1,                      -- the highest of its versions
    created_ms       INTEGER NOT NULL,                                -- wall time
    UNIQUE (project_id, name)
) STRICT;

CREATE TABLE model_tag (
    model_id INTEGER NOT NULL REFERENCES model (model_id),  -- whose tag
    key      TEXT NOT NULL,                                 -- [A-Za-z0-9._/-]{1,128}
    value    TEXT NOT NULL,                                 -- any text
    PRIMARY KEY (model_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE version (
    version_id       INTEGER PRIMARY KEY AUTOINCREMENT,             -- referred to by everything about it
    model_id         INTEGER NOT NULL REFERENCES model (model_id),  -- its line
    number           INTEGER NOT NULL CHECK (number > 0),           -- unique in the model, never reused
    state            TEXT NOT NULL CHECK (state IN ('draft', 'pending', 'approved', 'rejected', 'deprecated', 'retired')),
                                                                    -- moves along registry/states.c
    description      TEXT NOT NULL DEFAULT '',                      -- for people
    format           TEXT NOT NULL,                                 -- 'onnx', 'opaque' and the like
    facts            TEXT,                                          -- JSON: what introspection found
    sources          TEXT,                                          -- JSON: datasets and code as given
    registrar        TEXT NOT NULL,                                 -- name of who registered it
    registrar_id     INTEGER REFERENCES user (user_id),             -- NULL: the server itself or the admin socket
    parent_id        INTEGER REFERENCES version (version_id),       -- made from this one
    cause            TEXT,                                          -- alert or run that led to it
    hardware         TEXT NOT NULL DEFAULT '',                      -- required; '' is any
    runtimes         TEXT NOT NULL DEFAULT '[]',                    -- JSON array: any one of them suffices
    ram_bytes        INTEGER NOT NULL DEFAULT 0,                    -- required
    security_counter INTEGER NOT NULL CHECK (security_counter > 0), -- devices refuse lower than they had
    edges_digest     BLOB CHECK (length(edges_digest) = 32),        -- of the baseline's edges
    device_bytes     INTEGER NOT NULL DEFAULT 0,                    -- of the files a device needs; known from submit on
    created_ms       INTEGER NOT NULL,                              -- wall time
    submitted_ms     INTEGER,                                       -- when it was frozen
    decided_ms       INTEGER,                                       -- when it was approved or rejected
    manifest         BLOB,                                          -- its bytes, as signed; from submit on
    manifest_digest  BLOB UNIQUE CHECK (length(manifest_digest) = 32),  -- the content id
    bundle_digest    BLOB CHECK (length(bundle_digest) = 32),       -- the packed bundle in content
    bundle_size      INTEGER,                                       -- its bytes
    envelope_digest  BLOB CHECK (length(envelope_digest) = 32),     -- manifest and approvals in content; from approval on
    envelope_size    INTEGER,                                       -- its bytes
    model_sig_digest BLOB CHECK (length(model_sig_digest) = 32),    -- model.sig in content
    approval_seq     INTEGER,                                       -- audit record of the deciding approval
    UNIQUE (model_id, number)
) STRICT;

CREATE TABLE version_file (
    version_id INTEGER NOT NULL REFERENCES version (version_id),  -- whose file
    name       TEXT NOT NULL,                                     -- as in the manifest: 'model/pump.onnx'
    role       TEXT NOT NULL CHECK (role IN ('model', 'baseline', 'meta', 'golden')),  -- what it is for
    size       INTEGER NOT NULL CHECK (size >= 0),                -- bytes
    digest     BLOB NOT NULL CHECK (length(digest) = 32),         -- its content
    PRIMARY KEY (version_id, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX version_file_by_digest ON version_file (digest);

CREATE TABLE version_tag (
    version_id INTEGER NOT NULL REFERENCES version (version_id),  -- whose tag
    key        TEXT NOT NULL,                                     -- [A-Za-z0-9._/-]{1,128}
    value      TEXT NOT NULL,                                     -- any text
    PRIMARY KEY (version_id, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX version_tag_by_value ON version_tag (key, value, version_id);

CREATE TABLE version_metric (
    version_id INTEGER NOT NULL REFERENCES version (version_id),  -- whose metric
    key        TEXT NOT NULL,                                     -- 'accuracy'
    value      REAL NOT NULL,                                     -- finite
    PRIMARY KEY (version_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE version_param (
    version_id INTEGER NOT NULL REFERENCES version (version_id),  -- whose parameter
    key        TEXT NOT NULL,                                     -- 'learning_rate'
    value      TEXT NOT NULL,                                     -- as text
    PRIMARY KEY (version_id, key)
) STRICT, WITHOUT ROWID;

-- Who edited a version's metadata: none of them may approve it.
CREATE TABLE version_editor (
    version_id INTEGER NOT NULL REFERENCES version (version_id),  -- what was edited
    user_id    INTEGER NOT NULL REFERENCES user (user_id),        -- by whom
    edited_ms  INTEGER NOT NULL,                                  -- last time, wall time
    PRIMARY KEY (version_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE version_move (
    move_id    INTEGER PRIMARY KEY AUTOINCREMENT,                 -- in order of time
    version_id INTEGER NOT NULL REFERENCES version (version_id),  -- what moved
    from_state TEXT NOT NULL,                                     -- where from
    to_state   TEXT NOT NULL,                                     -- where to
    actor      TEXT NOT NULL,                                     -- name of who moved it
    reason     TEXT NOT NULL DEFAULT '',                          -- why
    moved_ms   INTEGER NOT NULL,                                  -- wall time
    audit_seq  INTEGER NOT NULL                                   -- the record of it
) STRICT;

CREATE INDEX version_move_by_version ON version_move (version_id);

CREATE TABLE approval (
    version_id  INTEGER NOT NULL REFERENCES version (version_id),  -- what was approved
    user_id     INTEGER NOT NULL REFERENCES user (user_id),        -- by whom: one person counts once
    user_name   TEXT NOT NULL,                                     -- his name then
    key_id      BLOB NOT NULL CHECK (length(key_id) = 16),         -- of the key that signed
    signature   BLOB NOT NULL CHECK (length(signature) = 64),      -- over the manifest, raw r and s
    reason      TEXT NOT NULL,                                     -- why
    approved_ms INTEGER NOT NULL,                                  -- wall time
    audit_seq   INTEGER NOT NULL,                                  -- the record of it
    PRIMARY KEY (version_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE alias (
    model_id   INTEGER NOT NULL REFERENCES model (model_id),      -- whose alias
    name       TEXT NOT NULL,                                     -- [a-z][a-z0-9._-]{0,63}
    version_id INTEGER NOT NULL REFERENCES version (version_id),  -- what it names now
    PRIMARY KEY (model_id, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX alias_by_version ON alias (version_id);

-- Everything that an alias ever named; the newest row at or before T answers "what was it at T".
CREATE TABLE alias_move (
    move_id    INTEGER PRIMARY KEY AUTOINCREMENT,             -- in order of time
    model_id   INTEGER NOT NULL REFERENCES model (model_id),  -- whose alias
    name       TEXT NOT NULL,                                 -- the alias
    number     INTEGER,                                       -- version that it named from then on; NULL: none
    actor      TEXT NOT NULL,                                 -- name of who moved it
    reason     TEXT NOT NULL DEFAULT '',                      -- why
    moved_ms   INTEGER NOT NULL                               -- wall time
) STRICT;

CREATE INDEX alias_move_by_time ON alias_move (model_id, name, moved_ms, move_id);

CREATE TABLE keyset (
    version      INTEGER PRIMARY KEY CHECK (version > 0),       -- grows by one
    envelope     BLOB NOT NULL,                                 -- SignedMessage by root
    digest       BLOB NOT NULL CHECK (length(digest) = 32),     -- of the envelope; its name in content
    published_by TEXT NOT NULL,                                 -- name of who published it
    published_ms INTEGER NOT NULL                               -- wall time
) STRICT;

CREATE TABLE approver_key (
    key_id        BLOB PRIMARY KEY CHECK (length(key_id) = 16),         -- first half of SHA-256 of the public key
    user_id       INTEGER NOT NULL REFERENCES user (user_id),           -- whose it is
    user_name     TEXT NOT NULL,                                        -- his name
    public_key    BLOB NOT NULL CHECK (length(public_key) = 65),        -- P-256 point
    added_version INTEGER NOT NULL REFERENCES keyset (version),         -- first keyset that holds it
    added_ms      INTEGER NOT NULL,                                     -- wall time
    removed_ms    INTEGER                                               -- since when it is out; NULL: it is in
) STRICT, WITHOUT ROWID;

CREATE INDEX approver_key_by_user ON approver_key (user_id);

-- What must not change does not change, whatever bug asks for it.
CREATE TRIGGER version_file_no_update BEFORE UPDATE ON version_file
BEGIN SELECT RAISE(ABORT, 'the files of a version never change'); END;
CREATE TRIGGER version_file_no_delete BEFORE DELETE ON version_file
BEGIN SELECT RAISE(ABORT, 'the files of a version never change'); END;
CREATE TRIGGER version_file_draft_only BEFORE INSERT ON version_file
WHEN (SELECT state FROM version WHERE version_id = NEW.version_id) <> 'draft'
BEGIN SELECT RAISE(ABORT, 'a submitted version is frozen'); END;
CREATE TRIGGER version_frozen BEFORE UPDATE OF description, format, facts, sources, registrar, registrar_id, parent_id, cause,
    hardware, runtimes, ram_bytes, security_counter, edges_digest, number, model_id ON version WHEN OLD.state <> 'draft'
BEGIN SELECT RAISE(ABORT, 'a submitted version is frozen'); END;
CREATE TRIGGER version_manifest_once BEFORE UPDATE OF manifest, manifest_digest, bundle_digest, bundle_size ON version
WHEN OLD.manifest IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a manifest is written once'); END;
CREATE TRIGGER version_tag_frozen_insert BEFORE INSERT ON version_tag
WHEN (SELECT state FROM version WHERE version_id = NEW.version_id) <> 'draft'
BEGIN SELECT RAISE(ABORT, 'a submitted version is frozen'); END;
CREATE TRIGGER version_tag_frozen_update BEFORE UPDATE ON version_tag
WHEN (SELECT state FROM version WHERE version_id = OLD.version_id) <> 'draft'
BEGIN SELECT RAISE(ABORT, 'a submitted version is frozen'); END;
CREATE TRIGGER version_tag_frozen_delete BEFORE DELETE ON version_tag
WHEN (SELECT state FROM version WHERE version_id = OLD.version_id) <> 'draft'
BEGIN SELECT RAISE(ABORT, 'a submitted version is frozen'); END;
CREATE TRIGGER approval_no_update BEFORE UPDATE ON approval
BEGIN SELECT RAISE(ABORT, 'an approval never changes'); END;
CREATE TRIGGER approval_no_delete BEFORE DELETE ON approval
BEGIN SELECT RAISE(ABORT, 'an approval never changes'); END;
CREATE TRIGGER keyset_no_update BEFORE UPDATE ON keyset
BEGIN SELECT RAISE(ABORT, 'a published keyset never changes'); END;
CREATE TRIGGER keyset_no_delete BEFORE DELETE ON keyset
BEGIN SELECT RAISE(ABORT, 'a published keyset never changes'); END;
