-- What searches over all models and versions go by.
-- SPDX-License-Identifier: Apache-2.0

CREATE INDEX model_tag_by_value ON model_tag (key, value, model_id);
CREATE INDEX version_by_time ON version (created_ms);
CREATE INDEX version_by_state ON version (state, created_ms);
