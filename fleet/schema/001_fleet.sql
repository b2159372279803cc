-- SPDX-License-Identifier: Apache-2.0
-- Devices, how they came in, what they are told to run, what they say about it.
-- All digests are 32 raw bytes of SHA-256; all *_ms are milliseconds since 1970 UTC.
CREATE TABLE device (
    device_id           INTEGER PRIMARY KEY,          -- row; inside the server only
    name                TEXT NOT NULL UNIQUE,         -- identifier, [a-z0-9-]{1,64}: topic and certificate's common name
    project             TEXT NOT NULL,                -- that of the code that let it in
    state               TEXT NOT NULL DEFAULT 'enrolled' CHECK (state IN ('enrolled', 'revoked')),
    hardware            TEXT NOT NULL DEFAULT '',     -- as the device says
    runtimes            TEXT NOT NULL DEFAULT '[]',   -- JSON array of text
    tags                TEXT NOT NULL DEFAULT '{}',   -- JSON object {key: text}
    uplink_key          BLOB NOT NULL,                -- 32 bytes, for the HMAC of its uplinks
    certificate_serial  TEXT NOT NULL,                -- hexadecimal
    certificate_end_ms  INTEGER NOT NULL,             -- end of its certificate
    code_id             INTEGER NOT NULL REFERENCES enrol_code (code_id), -- the code that let it in
    enrolled_ms         INTEGER NOT NULL,             -- when
    revoked_ms          INTEGER,                      -- when its revocation was recorded
    revision            INTEGER NOT NULL,             -- grows over all devices whenever what selectors see changes
    agent               TEXT NOT NULL DEFAULT '',     -- program and version, from its birth
    ram_bytes           INTEGER NOT NULL DEFAULT 0,   -- from its birth
    storage_free        INTEGER NOT NULL DEFAULT 0,   -- from its birth
    boot_id             INTEGER NOT NULL DEFAULT 0,   -- of the session it lives in (bits of an unsigned number)
    clock_known         INTEGER NOT NULL DEFAULT 0,   -- whether it knows the time
    nonce               INTEGER NOT NULL DEFAULT 0,   -- to be echoed in its next directive, when it has no clock; else 0
    contact_every_s     INTEGER NOT NULL DEFAULT 0,   -- how often it promises to be heard of
    keyset_version      INTEGER NOT NULL DEFAULT 0,   -- the newest keyset that it trusts
    checkpoint          BLOB,                         -- newest log checkpoint that it saw
    birth_ms            INTEGER,                      -- when its last birth came in
    birth_now_ms        INTEGER NOT NULL DEFAULT 0,   -- the device's own clock in that birth
    live                INTEGER NOT NULL DEFAULT 0,   -- 1 from birth to death; online also needs contact in time
    directive_sequence  INTEGER NOT NULL DEFAULT 0,   -- highest issued
    directive_accepted  INTEGER NOT NULL DEFAULT 0    -- highest that the device says it accepted
) STRICT;
CREATE INDEX device_by_project ON device (project, name);
CREATE INDEX device_by_revision ON device (revision);
CREATE INDEX device_by_nonce ON device (device_id) WHERE nonce <> 0;

-- The row that every report and window touches.
CREATE TABLE device_contact (
    device_id  INTEGER PRIMARY KEY REFERENCES device (device_id),
    settled    INTEGER NOT NULL DEFAULT 0,            -- every sequence up to this one is received or given up
    heard_ms   INTEGER NOT NULL DEFAULT 0             -- when the device was last heard of
) STRICT;

-- Sequences above the settled one that came before those under them.
CREATE TABLE device_received (
    device_id  INTEGER NOT NULL REFERENCES device (device_id),
    sequence   INTEGER NOT NULL,                      -- of the report or window
    PRIMARY KEY (device_id, sequence)
) STRICT, WITHOUT ROWID;

-- One-time codes: only the hash of the secret is kept.
CREATE TABLE enrol_code (
    code_id      INTEGER PRIMARY KEY,
    secret_hash  BLOB NOT NULL UNIQUE,                -- SHA-256 of the 10-byte secret
    project      TEXT NOT NULL,                       -- where its devices go
    tags         TEXT NOT NULL,                       -- JSON object that its devices get
    created_ms   INTEGER NOT NULL,                    -- when it was made
    created_by   TEXT NOT NULL,                       -- by whom
    expires_ms   INTEGER NOT NULL,                    -- no use after this
    uses         INTEGER NOT NULL CHECK (uses > 0),   -- how many devices it may let in
    used         INTEGER NOT NULL DEFAULT 0 CHECK (used <= uses) -- how many it did
) STRICT;
CREATE INDEX enrol_code_by_project ON enrol_code (project, code_id);

-- What a slot of a device runs, as it says.
CREATE TABLE device_slot (
    device_id        INTEGER NOT NULL REFERENCES device (device_id),
    slot             TEXT NOT NULL,
    manifest_digest  BLOB,                            -- running, or NULL
    previous_digest  BLOB,                            -- kept for rollback, or NULL
    state            TEXT NOT NULL,                   -- of the device's state machine
    updated_ms       INTEGER NOT NULL,                -- when it said so
    PRIMARY KEY (device_id, slot)
) STRICT, WITHOUT ROWID;

-- What ran where from when to when: intervals are closed, never overwritten.
CREATE TABLE device_run (
    run_id           INTEGER PRIMARY KEY,
    device_id        INTEGER NOT NULL REFERENCES device (device_id),
    slot             TEXT NOT NULL,
    manifest_digest  BLOB NOT NULL,
    model            TEXT,                            -- of the version with that manifest, NULL if unknown here
    version          INTEGER,
    started_ms       INTEGER NOT NULL,                -- when the server learned of it
    ended_ms         INTEGER                          -- NULL: still runs
) STRICT;
CREATE UNIQUE INDEX device_run_open ON device_run (device_id, slot) WHERE ended_ms IS NULL;
CREATE INDEX device_run_by_device ON device_run (device_id, started_ms);
CREATE INDEX device_run_by_version ON device_run (model, version, started_ms);

-- What a slot of a device should run: the next directive says all of these.
CREATE TABLE device_goal (
    device_id        INTEGER NOT NULL REFERENCES device (device_id),
    slot             TEXT NOT NULL,
    manifest_digest  BLOB NOT NULL,
    model            TEXT NOT NULL,
    version          INTEGER NOT NULL,
    goal             BLOB NOT NULL,                   -- the encoded Goal message
    PRIMARY KEY (device_id, slot)
) STRICT, WITHOUT ROWID;

-- The content that a device may fetch when a goal names the manifest: envelope, files, piece tables.
CREATE TABLE goal_content (
    manifest_digest  BLOB NOT NULL,
    digest           BLOB NOT NULL,
    PRIMARY KEY (manifest_digest, digest)
) STRICT, WITHOUT ROWID;

-- Signed orders, one row each, the newest of a device counts.
CREATE TABLE directive (
    directive_id     INTEGER PRIMARY KEY,             -- in order of issue, over all devices
    device_id        INTEGER NOT NULL REFERENCES device (device_id),
    sequence         INTEGER NOT NULL,                -- grows for ever, per device
    rollout          TEXT NOT NULL,                   -- its id, or '' for none
    cancel           INTEGER NOT NULL,                -- 1: it takes back what is under way
    envelope         BLOB NOT NULL,                   -- the SignedMessage as published
    keyset_digest    BLOB NOT NULL,                   -- of the keyset that it names
    issued_ms        INTEGER NOT NULL,
    not_after_ms     INTEGER NOT NULL,
    newest           INTEGER NOT NULL DEFAULT 1,      -- 1: no later one for this device
    acknowledged_ms  INTEGER,                         -- when the device said that it has it
    UNIQUE (device_id, sequence)
) STRICT;
CREATE UNIQUE INDEX directive_newest ON directive (device_id) WHERE newest = 1;
CREATE INDEX directive_pending ON directive (directive_id) WHERE newest = 1 AND acknowledged_ms IS NULL;
CREATE INDEX directive_expiring ON directive (not_after_ms) WHERE newest = 1 AND acknowledged_ms IS NULL;

CREATE TABLE rollout (
    rollout_id         INTEGER PRIMARY KEY,
    id                 TEXT NOT NULL UNIQUE,          -- "r-" and 16 hexadecimal digits
    project            TEXT NOT NULL,
    model              TEXT NOT NULL,
    version            INTEGER NOT NULL,
    slot               TEXT NOT NULL,
    manifest_digest    BLOB NOT NULL,                 -- of the version: what devices are judged by
    selector           TEXT NOT NULL,                 -- which devices are meant
    spec               TEXT NOT NULL,                 -- JSON as given
    goal               BLOB NOT NULL,                 -- the encoded Goal message for its devices
    salt               BLOB NOT NULL,                 -- 16 bytes: makes a device's place in the waves
    state              TEXT NOT NULL CHECK (state IN ('draft', 'waiting_approval', 'scheduled', 'running', 'paused',
                         'aborting', 'aborted', 'reverting', 'reverted', 'finished', 'superseded')),
    why                TEXT NOT NULL DEFAULT '',      -- of the last move, for people
    created_ms         INTEGER NOT NULL,
    created_by         TEXT NOT NULL,
    deadline_ms        INTEGER NOT NULL,              -- of the whole
    undo_ms            INTEGER,                       -- when aborting or reverting began
    ended_ms           INTEGER,                       -- when it came to its end
    scanned_revision   INTEGER NOT NULL DEFAULT -1    -- devices up to this revision were looked at
) STRICT;
CREATE INDEX rollout_by_project ON rollout (project, rollout_id);
CREATE INDEX rollout_active ON rollout (rollout_id) WHERE ended_ms IS NULL;

CREATE TABLE rollout_wave (
    rollout_id  INTEGER NOT NULL REFERENCES rollout (rollout_id),
    number      INTEGER NOT NULL,                     -- from 1
    share       REAL NOT NULL,                        -- cumulative, as given
    bound       INTEGER NOT NULL,                     -- devices whose place is at or under it (and over the wave's before)
    state       TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'open', 'soaking', 'passed', 'failed')),
    opened_ms   INTEGER,
    soaking_ms  INTEGER,
    ended_ms    INTEGER,
    why         TEXT NOT NULL DEFAULT '',             -- what the gate said
    PRIMARY KEY (rollout_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollout_device (
    rollout_id        INTEGER NOT NULL REFERENCES rollout (rollout_id),
    device_id         INTEGER NOT NULL REFERENCES device (device_id),
    wave              INTEGER NOT NULL,
    state             TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'issued', 'working', 'committed', 'failed',
                        'cancelling', 'cancelled', 'reverting', 'reverted', 'unreached')),
    step              TEXT NOT NULL DEFAULT '',       -- where the device is by its last report
    reason            TEXT NOT NULL DEFAULT '',       -- why it failed, or 'unproven'
    sequence          INTEGER NOT NULL DEFAULT 0,     -- of the directive that ordered the version
    undo_sequence     INTEGER NOT NULL DEFAULT 0,     -- of the directive that took it back
    issued_ms         INTEGER,
    acknowledged_ms   INTEGER,
    deadline_ms       INTEGER,                        -- from its yes
    ended_ms          INTEGER,
    bytes_done        INTEGER NOT NULL DEFAULT 0,
    bytes_total       INTEGER NOT NULL DEFAULT 0,
    previous_goal     BLOB,                           -- what the slot was told to run before, or NULL
    previous_digest   BLOB,
    previous_model    TEXT,
    previous_version  INTEGER,
    PRIMARY KEY (rollout_id, device_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX rollout_device_by_device ON rollout_device (device_id, sequence);
CREATE INDEX rollout_device_by_state ON rollout_device (rollout_id, state, wave);

-- Step reports, the last TD_REPORTS_KEPT of each device.
CREATE TABLE device_report (
    report_id           INTEGER PRIMARY KEY,
    device_id           INTEGER NOT NULL REFERENCES device (device_id),
    sequence            INTEGER NOT NULL,
    directive_sequence  INTEGER NOT NULL,
    slot                TEXT NOT NULL,
    manifest_digest     BLOB,
    state               TEXT NOT NULL,
    reason              TEXT NOT NULL,
    bytes_done          INTEGER NOT NULL,
    bytes_total         INTEGER NOT NULL,
    at_ms               INTEGER NOT NULL,             -- the device's clock, 0 if it has none
    received_ms         INTEGER NOT NULL
) STRICT;
CREATE INDEX device_report_by_device ON device_report (device_id, report_id);
