-- What is watched, what fired, what it started.
-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE monitor_spec (
    project   TEXT    NOT NULL,
    model     TEXT    NOT NULL,
    spec      TEXT    NOT NULL, -- monitor.yaml as JSON, as it was given
    digest    BLOB    NOT NULL, -- SHA-256 of spec
    window_ms INTEGER NOT NULL, -- its evaluation window, for ingest
    set_ms    INTEGER NOT NULL,
    PRIMARY KEY (project, model)
) STRICT;

CREATE TABLE monitor_signal (
    version_key   INTEGER NOT NULL REFERENCES monitor_version (version_key),
    signal        TEXT    NOT NULL, -- "data_drift", "missing_rate", ...
    feature       TEXT    NOT NULL, -- or "" for a signal of the whole model
    state         TEXT    NOT NULL CHECK (state IN ('ok', 'pending', 'firing', 'acknowledged', 'resolved')),
    severity      TEXT    NOT NULL CHECK (severity IN ('none', 'warning', 'alert')), -- of the newest test
    history       INTEGER NOT NULL, -- newest tests as bits, 1 = breach, lowest bit newest
    clear_count   INTEGER NOT NULL, -- clear tests in a row
    tested_ms     INTEGER NOT NULL, -- end of the newest test
    since_ms      INTEGER NOT NULL, -- when the state was entered
    evidence      BLOB,             -- e-detector: logarithms of its processes
    report        TEXT    NOT NULL, -- newest test as JSON
    alert_id      INTEGER,          -- the open or last alert
    PRIMARY KEY (version_key, signal, feature)
) STRICT;

CREATE TABLE monitor_evaluated (
    version_key       INTEGER PRIMARY KEY REFERENCES monitor_version (version_key),
    until_ms          INTEGER NOT NULL, -- buckets that end at or before this were looked at
    from_observations INTEGER NOT NULL, -- since when observations, labels, groups wait to be tested: thin data
    from_labels       INTEGER NOT NULL, -- is carried forward
    from_groups       INTEGER NOT NULL
) STRICT;

CREATE TABLE alert (
    alert_id        INTEGER PRIMARY KEY, -- shown as al-<number>
    project         TEXT    NOT NULL,
    model           TEXT    NOT NULL,
    version         INTEGER NOT NULL,
    version_key     INTEGER NOT NULL REFERENCES monitor_version (version_key),
    signal          TEXT    NOT NULL,
    feature         TEXT    NOT NULL,
    severity        TEXT    NOT NULL CHECK (severity IN ('warning', 'alert')),
    state           TEXT    NOT NULL CHECK (state IN ('firing', 'acknowledged', 'resolved')),
    metric          TEXT    NOT NULL, -- the statistic that decided
    value           REAL    NOT NULL, -- when it fired
    threshold       REAL    NOT NULL,
    fired_ms        INTEGER NOT NULL,
    acknowledged_ms INTEGER,
    acknowledged_by TEXT,
    acknowledged_reason TEXT,
    resolved_ms     INTEGER,
    first_window    INTEGER NOT NULL, -- raw windows behind it: pinned
    last_window     INTEGER NOT NULL,
    evidence        TEXT    NOT NULL, -- JSON: everything that is needed to compute it again
    started         TEXT,             -- "run-3", or why no run was started
    CHECK (state <> 'resolved' OR resolved_ms IS NOT NULL)
) STRICT;
CREATE INDEX alert_by_version ON alert (version_key, state);
