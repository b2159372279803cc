-- Who may do what: projects, users, their roles in each project, and their tokens.
-- SPDX-License-Identifier: Apache-2.0

CREATE TABLE project (
    project_id  INTEGER PRIMARY KEY,          -- referred to by every table whose rows belong to a project
    name        TEXT NOT NULL UNIQUE,         -- [a-z0-9][a-z0-9-]{0,63}
    description TEXT NOT NULL DEFAULT '',     -- for people
    created_ms  INTEGER NOT NULL              -- wall time
) STRICT;

INSERT INTO project (project_id, name, description, created_ms) VALUES (1, 'default', 'the project that is always there', 0);

CREATE TABLE user (
    user_id     INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused: records refer to it
    name        TEXT NOT NULL UNIQUE,               -- [a-z][a-z0-9._-]{0,63}
    kind        TEXT NOT NULL CHECK (kind IN ('person', 'service')),  -- a service never approves
    description TEXT NOT NULL DEFAULT '',           -- for people
    created_ms  INTEGER NOT NULL,                   -- wall time
    disabled_ms INTEGER                             -- since when the user is shut out; NULL: active
) STRICT;

CREATE TABLE role_grant (
    user_id    INTEGER NOT NULL REFERENCES user (user_id),        -- who holds the role
    project_id INTEGER NOT NULL REFERENCES project (project_id),  -- where
    role       TEXT NOT NULL CHECK (role IN ('viewer', 'data-scientist', 'trainer', 'approver', 'operator', 'auditor',
                                             'admin')),           -- what it allows: access/roles.c
    granted_ms INTEGER NOT NULL,                                  -- wall time; who and why is in the audit log
    PRIMARY KEY (user_id, project_id, role)
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
    token_id   INTEGER PRIMARY KEY AUTOINCREMENT,           -- names the token in lists and in the log
    user_id    INTEGER NOT NULL REFERENCES user (user_id),  -- whose it is
    digest     BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),  -- SHA-256 of the 32 secret bytes, which are stored nowhere
    label      TEXT NOT NULL DEFAULT '',                    -- what it is for
    roles      INTEGER NOT NULL DEFAULT 0,                  -- bit set of roles it is restricted to; 0: all that the user has
    created_ms INTEGER NOT NULL,                            -- wall time
    expires_ms INTEGER NOT NULL,                            -- from then on it is refused
    revoked_ms INTEGER,                                     -- from then on it is refused; NULL: not revoked
    used_ms    INTEGER                                      -- last seen, to about a minute; NULL: never
) STRICT;

CREATE INDEX token_by_user ON token (user_id);
