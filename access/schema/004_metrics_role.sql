-- The role of whoever reads /metrics: a Prometheus needs a token that can do nothing else.
-- SPDX-License-Identifier: Apache-2.0

CREATE TABLE role_grant_new (
    user_id    INTEGER NOT NULL REFERENCES user (user_id),        -- who holds the role
    project_id INTEGER NOT NULL REFERENCES project (project_id),  -- where
    role       TEXT NOT NULL CHECK (role IN ('viewer', 'data-scientist', 'trainer', 'approver', 'operator', 'auditor',
                                             'admin', 'metrics')),  -- what it allows: access/roles.c
    granted_ms INTEGER NOT NULL,                                  -- wall time; who and why is in the audit log
    PRIMARY KEY (user_id, project_id, role)
) STRICT, WITHOUT ROWID;

INSERT INTO role_grant_new (user_id, project_id, role, granted_ms) SELECT user_id, project_id, role, granted_ms FROM role_grant;

DROP TABLE role_grant;

ALTER TABLE role_grant_new RENAME TO role_grant;
