-- What MLflow's clients know of models and versions: stages, where a version came from, names that are hidden but never
-- deleted; and an index for the page that each of them asks for first.
-- SPDX-License-Identifier: Apache-2.0

ALTER TABLE model ADD COLUMN archived_ms INTEGER;                 -- hidden since then; NULL: it is not
ALTER TABLE model ADD COLUMN updated_ms INTEGER NOT NULL DEFAULT 0;  -- last change of it or its versions, wall time
ALTER TABLE model ADD COLUMN is_prompt INTEGER NOT NULL DEFAULT 0 CHECK (is_prompt IN (0, 1));
                                                                  -- its tag mlflow.prompt.is_prompt is 'true'
UPDATE model SET updated_ms = created_ms;

ALTER TABLE version ADD COLUMN archived_ms INTEGER;               -- hidden since then; NULL: it is not
ALTER TABLE version ADD COLUMN updated_ms INTEGER NOT NULL DEFAULT 0;  -- last change, wall time
ALTER TABLE version ADD COLUMN stage TEXT NOT NULL DEFAULT 'None'
    CHECK (stage IN ('None', 'Staging', 'Production', 'Archived'));  -- MLflow's label; our state is another thing
ALTER TABLE version ADD COLUMN source TEXT NOT NULL DEFAULT '';   -- URI that a client of MLflow registered it from
ALTER TABLE version ADD COLUMN run_id TEXT NOT NULL DEFAULT '';   -- MLflow's run that made it, or ''
ALTER TABLE version ADD COLUMN run_link TEXT NOT NULL DEFAULT ''; -- where that run is to be seen, or ''
ALTER TABLE version ADD COLUMN logged_model TEXT NOT NULL DEFAULT '';  -- 'm-...' that it was registered from, or ''
UPDATE version SET updated_ms = created_ms;

CREATE INDEX model_page ON model (project_id, is_prompt, name) WHERE archived_ms IS NULL;
CREATE INDEX model_by_update ON model (project_id, updated_ms) WHERE archived_ms IS NULL;
CREATE INDEX version_by_stage ON version (model_id, stage, number) WHERE archived_ms IS NULL;
CREATE INDEX version_by_run ON version (run_id) WHERE run_id <> '';

CREATE TRIGGER model_prompt_insert AFTER INSERT ON model_tag WHEN NEW.key = 'mlflow.prompt.is_prompt'
BEGIN UPDATE model SET is_prompt = lower(NEW.value) = 'true' WHERE model_id = NEW.model_id; END;
CREATE TRIGGER model_prompt_update AFTER UPDATE ON model_tag WHEN NEW.key = 'mlflow.prompt.is_prompt'
BEGIN UPDATE model SET is_prompt = lower(NEW.value) = 'true' WHERE model_id = NEW.model_id; END;
CREATE TRIGGER model_prompt_delete AFTER DELETE ON model_tag WHEN OLD.key = 'mlflow.prompt.is_prompt'
BEGIN UPDATE model SET is_prompt = 0 WHERE model_id = OLD.model_id; END;

-- Where a version came from is as fixed as its files.
CREATE TRIGGER version_origin_fixed BEFORE UPDATE OF source, run_id, run_link, logged_model ON version
BEGIN SELECT RAISE(ABORT, 'where a version came from never changes'); END;

-- Description and tags are frozen while somebody decides on them; afterwards the signed card keeps what was decided.
DROP TRIGGER version_frozen;
CREATE TRIGGER version_frozen BEFORE UPDATE OF format, facts, sources, registrar, registrar_id, parent_id, cause, hardware,
    runtimes, ram_bytes, security_counter, edges_digest, number, model_id ON version WHEN OLD.state <> 'draft'
BEGIN SELECT RAISE(ABORT, 'a submitted version is frozen'); END;
CREATE TRIGGER version_text_frozen BEFORE UPDATE OF description ON version WHEN OLD.state = 'pending'
BEGIN SELECT RAISE(ABORT, 'a pending version is frozen'); END;
DROP TRIGGER version_tag_frozen_insert;
CREATE TRIGGER version_tag_frozen_insert BEFORE INSERT ON version_tag
WHEN (SELECT state FROM version WHERE version_id = NEW.version_id) = 'pending'
BEGIN SELECT RAISE(ABORT, 'a pending version is frozen'); END;
DROP TRIGGER version_tag_frozen_update;
CREATE TRIGGER version_tag_frozen_update BEFORE UPDATE ON version_tag
WHEN (SELECT state FROM version WHERE version_id = OLD.version_id) = 'pending'
BEGIN SELECT RAISE(ABORT, 'a pending version is frozen'); END;
DROP TRIGGER version_tag_frozen_delete;
CREATE TRIGGER version_tag_frozen_delete BEFORE DELETE ON version_tag
WHEN (SELECT state FROM version WHERE version_id = OLD.version_id) = 'pending'
BEGIN SELECT RAISE(ABORT, 'a pending version is frozen'); END;
