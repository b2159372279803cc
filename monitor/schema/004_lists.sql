-- SPDX-License-Identifier: Apache-2.0
-- What lists of one project go by.
CREATE INDEX alert_by_project ON alert (project, alert_id);
CREATE INDEX pipeline_run_by_pipeline ON pipeline_run (project, pipeline, run_id);
