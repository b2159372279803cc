-- Pipelines, gates and runs.
-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE pipeline (
    project  TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    revision INTEGER NOT NULL, -- from 1; never changed once written
    digest   BLOB    NOT NULL, -- SHA-256 of spec
    spec     TEXT    NOT NULL, -- pipeline.yaml as JSON
    set_ms   INTEGER NOT NULL,
    set_by   TEXT    NOT NULL,
    PRIMARY KEY (project, name, revision)
) STRICT;

CREATE TABLE gate (
    project  TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    digest   BLOB    NOT NULL, -- SHA-256 of spec: pinned by each run before it starts
    spec     TEXT    NOT NULL,
    set_ms   INTEGER NOT NULL,
    set_by   TEXT    NOT NULL,
    PRIMARY KEY (project, name, revision)
) STRICT;

CREATE TABLE pipeline_run (
    run_id            INTEGER PRIMARY KEY, -- shown as run-<number>
    project           TEXT    NOT NULL,
    pipeline          TEXT    NOT NULL,
    pipeline_revision INTEGER NOT NULL,
    gate              TEXT,             -- or NULL: no gate
    gate_revision     INTEGER,
    model             TEXT    NOT NULL,
    parent_version    INTEGER NOT NULL, -- 0: none
    alert_id          INTEGER REFERENCES alert (alert_id),
    state             TEXT    NOT NULL CHECK (state IN ('pending', 'running', 'judging', 'passed', 'rejected', 'registered',
                                                         'failed', 'cancelled')),
    reason            TEXT,             -- why it was started, or why it failed
    metrics           TEXT,             -- JSON that the run measured
    verdict           TEXT,             -- JSON of the gate's judgement
    result_version    INTEGER,          -- registered version
    created_ms        INTEGER NOT NULL,
    ended_ms          INTEGER,
    FOREIGN KEY (project, pipeline, pipeline_revision) REFERENCES pipeline (project, name, revision)
) STRICT;
CREATE INDEX pipeline_run_by_model ON pipeline_run (project, model, created_ms);
CREATE INDEX pipeline_run_by_state ON pipeline_run (state);

CREATE TABLE pipeline_step (
    run_id     INTEGER NOT NULL REFERENCES pipeline_run (run_id),
    position   INTEGER NOT NULL, -- in the pipeline's list
    name       TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('waiting', 'ready', 'leased', 'done', 'failed')),
    attempt    INTEGER NOT NULL,
    worker     TEXT,             -- what it calls itself
    user_id    INTEGER,          -- who claimed it: nobody else may prolong or report; 0: not a user
    lease_ms   INTEGER,          -- until when
    exit_code  INTEGER,
    log        TEXT,             -- end of its output
    outputs    TEXT,             -- JSON: what it made
    started_ms INTEGER,
    ended_ms   INTEGER,
    PRIMARY KEY (run_id, position),
    UNIQUE (run_id, name)
) STRICT;
CREATE INDEX pipeline_step_by_state ON pipeline_step (state);
