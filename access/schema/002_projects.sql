-- Projects that can be put away, tokens for one project, and which content a project may name.
-- SPDX-License-Identifier: Apache-2.0

ALTER TABLE project ADD COLUMN archived_ms INTEGER;  -- since when it is hidden and takes no changes; NULL: in use

ALTER TABLE token ADD COLUMN project_id INTEGER REFERENCES project (project_id);  -- the only project it opens; NULL: all of its user's

-- Content is stored once for the whole workspace, but a project sees only what was sent into it.
CREATE TABLE project_content (
    project_id INTEGER NOT NULL REFERENCES project (project_id),  -- who may name and read it
    digest     BLOB NOT NULL CHECK (length(digest) = 32),         -- SHA-256 of the content
    PRIMARY KEY (project_id, digest)
) STRICT, WITHOUT ROWID;
