-- Experiments, their runs with metrics over time, logged models, dataset inputs, and the tree of artifacts.
-- SPDX-License-Identifier: Apache-2.0

CREATE TABLE experiment (
    experiment_id INTEGER PRIMARY KEY AUTOINCREMENT,               -- referred to by runs and logged models
    project_id    INTEGER NOT NULL REFERENCES project (project_id),  -- where it belongs
    number        INTEGER NOT NULL CHECK (number >= 0),            -- what clients call it; 0 is "Default"; never reused
    name          TEXT NOT NULL,                                   -- unique in the project, deleted ones included
    stage         TEXT NOT NULL DEFAULT 'active' CHECK (stage IN ('active', 'deleted')),  -- hidden when deleted
    owner         TEXT NOT NULL,                                   -- name of who made it
    created_ms    INTEGER NOT NULL,                                -- wall time
    updated_ms    INTEGER NOT NULL,                                -- last change of name, stage or tags
    UNIQUE (project_id, number),
    UNIQUE (project_id, name)
) STRICT;

-- Every project has the experiment "Default": clients start runs in number 0 unless told otherwise.
INSERT INTO experiment (project_id, number, name, owner, created_ms, updated_ms)
    SELECT project_id, 0, 'Default', 'system', created_ms, created_ms FROM project;
CREATE TRIGGER experiment_of_project AFTER INSERT ON project
BEGIN
    INSERT INTO experiment (project_id, number, name, owner, created_ms, updated_ms)
        VALUES (NEW.project_id, 0, 'Default', 'system', NEW.created_ms, NEW.created_ms);
END;

CREATE TABLE experiment_tag (
    experiment_id INTEGER NOT NULL REFERENCES experiment (experiment_id),  -- whose tag
    key           TEXT NOT NULL,                                           -- printable text
    value         TEXT NOT NULL,                                           -- any text
    PRIMARY KEY (experiment_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE experiment_run (
    run_id        INTEGER PRIMARY KEY AUTOINCREMENT,                       -- referred to by all that was logged
    uuid          TEXT NOT NULL UNIQUE CHECK (length(uuid) = 32),          -- what clients call it
    experiment_id INTEGER NOT NULL REFERENCES experiment (experiment_id),  -- where it belongs
    name          TEXT NOT NULL,                                           -- for people
    status        TEXT NOT NULL CHECK (status IN ('RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED')),
                                                                           -- as the client reported
    stage         TEXT NOT NULL DEFAULT 'active' CHECK (stage IN ('active', 'deleted')),  -- hidden when deleted
    owner         TEXT NOT NULL,                                           -- name of who started it here
    user_name     TEXT NOT NULL DEFAULT '',                                -- whom the client named
    started_ms    INTEGER NOT NULL,                                        -- as the client reported
    ended_ms      INTEGER                                                  -- likewise; NULL: not ended
) STRICT;

CREATE INDEX experiment_run_by_start ON experiment_run (experiment_id, started_ms DESC, run_id);

CREATE TABLE run_param (
    run_id INTEGER NOT NULL REFERENCES experiment_run (run_id),  -- whose parameter
    key    TEXT NOT NULL,                                        -- 'learning_rate'
    value  TEXT NOT NULL,                                        -- as text; never changes
    PRIMARY KEY (run_id, key)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER run_param_no_update BEFORE UPDATE ON run_param
BEGIN SELECT RAISE(ABORT, 'the parameters of a run never change'); END;

CREATE TABLE run_tag (
    run_id INTEGER NOT NULL REFERENCES experiment_run (run_id),  -- whose tag
    key    TEXT NOT NULL,                                        -- printable text
    value  TEXT NOT NULL,                                        -- any text
    PRIMARY KEY (run_id, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX run_tag_by_value ON run_tag (key, value, run_id);

-- A metric of a run, with its latest value beside its name: lists and searches never read the history.
CREATE TABLE run_metric (
    metric_id    INTEGER PRIMARY KEY AUTOINCREMENT,                    -- referred to by its points
    run_id       INTEGER NOT NULL REFERENCES experiment_run (run_id),  -- whose metric
    key          TEXT NOT NULL,                                        -- 'val_loss'
    value        REAL,                                                 -- the latest; NULL: not a number
    step         INTEGER NOT NULL,                                     -- of the latest
    timestamp_ms INTEGER NOT NULL,                                     -- of the latest, as the client reported
    UNIQUE (run_id, key)
) STRICT;

CREATE TABLE metric_point (
    metric_id    INTEGER NOT NULL REFERENCES run_metric (metric_id),  -- whose point
    timestamp_ms INTEGER NOT NULL,                                    -- as the client reported
    step         INTEGER NOT NULL,                                    -- of the training
    value        REAL NOT NULL,                                       -- may be infinite; 0 where nan is 1
    nan          INTEGER NOT NULL DEFAULT 0 CHECK (nan IN (0, 1)),    -- 1: it was not a number
    PRIMARY KEY (metric_id, timestamp_ms, step, value, nan)
) STRICT, WITHOUT ROWID;

CREATE TABLE logged_model (
    logged_model_id INTEGER PRIMARY KEY AUTOINCREMENT,                       -- referred to by all about it
    uuid            TEXT NOT NULL UNIQUE CHECK (length(uuid) = 34),          -- 'm-' and 32 digits: what clients call it
    experiment_id   INTEGER NOT NULL REFERENCES experiment (experiment_id),  -- where it belongs
    name            TEXT NOT NULL,                                           -- for people
    model_type      TEXT NOT NULL DEFAULT '',                                -- as given
    source_run_id   INTEGER REFERENCES experiment_run (run_id),              -- the run that made it, or NULL
    status          TEXT NOT NULL CHECK (status IN ('LOGGED_MODEL_PENDING', 'LOGGED_MODEL_READY',
                        'LOGGED_MODEL_UPLOAD_FAILED')),                      -- as the client reported
    owner           TEXT NOT NULL,                                           -- name of who made it
    created_ms      INTEGER NOT NULL,                                        -- wall time
    updated_ms      INTEGER NOT NULL,                                        -- last change
    deleted_ms      INTEGER                                                  -- hidden since then; NULL: it is not
) STRICT;

CREATE INDEX logged_model_by_time ON logged_model (experiment_id, created_ms DESC, logged_model_id);
CREATE INDEX logged_model_by_run ON logged_model (source_run_id);

CREATE TABLE logged_model_tag (
    logged_model_id INTEGER NOT NULL REFERENCES logged_model (logged_model_id),  -- whose tag
    key             TEXT NOT NULL,                                               -- printable text
    value           TEXT NOT NULL,                                               -- any text
    PRIMARY KEY (logged_model_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE logged_model_param (
    logged_model_id INTEGER NOT NULL REFERENCES logged_model (logged_model_id),  -- whose parameter
    key             TEXT NOT NULL,                                               -- 'learning_rate'
    value           TEXT NOT NULL,                                               -- as text; never changes
    PRIMARY KEY (logged_model_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE logged_model_metric (
    logged_model_id INTEGER NOT NULL REFERENCES logged_model (logged_model_id),  -- whose metric
    key             TEXT NOT NULL,                                               -- 'accuracy'
    dataset_name    TEXT NOT NULL DEFAULT '',                                    -- measured on that; '' not said
    dataset_digest  TEXT NOT NULL DEFAULT '',                                    -- likewise
    run_id          INTEGER NOT NULL REFERENCES experiment_run (run_id),         -- the run that measured
    value           REAL,                                                        -- the latest; NULL: not a number
    step            INTEGER NOT NULL,                                            -- of the latest
    timestamp_ms    INTEGER NOT NULL,                                            -- of the latest
    PRIMARY KEY (logged_model_id, key, dataset_name, dataset_digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE dataset_input (
    dataset_id    INTEGER PRIMARY KEY AUTOINCREMENT,                       -- referred to by run_input
    experiment_id INTEGER NOT NULL REFERENCES experiment (experiment_id),  -- where it was seen
    name          TEXT NOT NULL,                                           -- as given
    digest        TEXT NOT NULL,                                           -- as given: the client computes it
    source_type   TEXT NOT NULL,                                           -- 's3', 'local', 'code'
    source        TEXT NOT NULL,                                           -- JSON of that type
    schema        TEXT,                                                    -- JSON of columns, or NULL
    profile       TEXT,                                                    -- JSON of counts, or NULL
    UNIQUE (experiment_id, name, digest)
) STRICT;

CREATE TABLE run_input (
    run_id     INTEGER NOT NULL REFERENCES experiment_run (run_id),    -- who read it
    dataset_id INTEGER NOT NULL REFERENCES dataset_input (dataset_id),  -- what was read
    tags       TEXT NOT NULL DEFAULT '[]',                             -- JSON: [{key, value}], 'mlflow.data.context'
    PRIMARY KEY (run_id, dataset_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_model (
    run_id          INTEGER NOT NULL REFERENCES experiment_run (run_id),         -- the run
    direction       TEXT NOT NULL CHECK (direction IN ('input', 'output')),      -- read by it, or made by it
    logged_model_id INTEGER NOT NULL REFERENCES logged_model (logged_model_id),  -- the model
    step            INTEGER NOT NULL DEFAULT 0,                                  -- of the training, for outputs
    PRIMARY KEY (run_id, direction, logged_model_id)
) STRICT, WITHOUT ROWID;

-- What a path of artifacts begins with: one for each run and each logged model.
CREATE TABLE artifact_root (
    root_id         INTEGER PRIMARY KEY AUTOINCREMENT,                    -- referred to by artifact
    project_id      INTEGER NOT NULL REFERENCES project (project_id),     -- where it belongs
    name            TEXT NOT NULL,                                        -- '0/<run>/artifacts', '0/models/<model>/artifacts'
    run_id          INTEGER UNIQUE REFERENCES experiment_run (run_id),    -- whose root: this run's,
    logged_model_id INTEGER UNIQUE REFERENCES logged_model (logged_model_id),  -- or this model's
    file_count      INTEGER NOT NULL DEFAULT 0,                           -- files below it
    UNIQUE (project_id, name),
    CHECK ((run_id IS NULL) <> (logged_model_id IS NULL))
) STRICT;

CREATE TABLE artifact (
    root_id    INTEGER NOT NULL REFERENCES artifact_root (root_id),  -- below which root
    path       TEXT NOT NULL,                                        -- 'model/MLmodel': folders are implied
    digest     BLOB NOT NULL CHECK (length(digest) = 32),            -- its content
    size       INTEGER NOT NULL CHECK (size >= 0),                   -- bytes
    written_ms INTEGER NOT NULL,                                     -- wall time
    PRIMARY KEY (root_id, path)
) STRICT, WITHOUT ROWID;

CREATE INDEX artifact_by_digest ON artifact (digest);
