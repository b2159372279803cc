-- Answers to creates that carried an Idempotency-Key, so that the same request sent again makes nothing twice.
-- SPDX-License-Identifier: Apache-2.0

CREATE TABLE idempotency_key (
    actor          TEXT NOT NULL,      -- who sent it: a user's name, or "uid-1000" of the admin socket
    key            TEXT NOT NULL,      -- as sent: 1 to 128 printable characters
    request_digest BLOB NOT NULL CHECK (length(request_digest) = 32),  -- SHA-256 of method, target and body
    status         INTEGER NOT NULL,   -- of the answer
    location       TEXT,               -- its Location header, or NULL
    body           BLOB NOT NULL,      -- its bytes (JSON)
    created_ms     INTEGER NOT NULL,   -- wall time; a day later it is deleted
    PRIMARY KEY (actor, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_key_by_time ON idempotency_key (created_ms);
