-- Who wants to hear of changes, and what still has to be told: rows are written by the transaction that makes the change.
-- SPDX-License-Identifier: Apache-2.0

CREATE TABLE webhook (
    webhook_id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,                     -- 32 hexadecimal digits: what clients call it
    project_id INTEGER NOT NULL REFERENCES project (project_id),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    url TEXT NOT NULL,
    secret BLOB,                                   -- sealed (core/crypto); NULL: deliveries are not signed
    active INTEGER NOT NULL CHECK (active IN (0, 1)),
    created_by TEXT NOT NULL,                      -- user name
    created_ms INTEGER NOT NULL,                   -- wall time
    updated_ms INTEGER NOT NULL,                   -- wall time
    waiting INTEGER NOT NULL DEFAULT 0,            -- rows of webhook_delivery; kept by triggers
    lost INTEGER NOT NULL DEFAULT 0,               -- events that found the queue full, or were given up
    failures INTEGER NOT NULL DEFAULT 0,           -- of the delivery whose turn it is, so far
    retry_ms INTEGER NOT NULL DEFAULT 0,           -- not before, wall time
    tried_ms INTEGER,                              -- last attempt, wall time
    answer TEXT NOT NULL DEFAULT ''                -- what came of it: 'status 200', or the error
) STRICT;
CREATE INDEX webhook_by_project ON webhook (project_id, webhook_id);

CREATE TABLE webhook_event (
    webhook_id INTEGER NOT NULL REFERENCES webhook (webhook_id) ON DELETE CASCADE,
    event TEXT NOT NULL,                           -- 'model_version.created'
    PRIMARY KEY (webhook_id, event)
) STRICT, WITHOUT ROWID;

CREATE TABLE webhook_delivery (
    delivery_id INTEGER PRIMARY KEY AUTOINCREMENT, -- their order
    webhook_id INTEGER NOT NULL REFERENCES webhook (webhook_id) ON DELETE CASCADE,
    uuid TEXT NOT NULL,                            -- the same at each attempt, so that a receiver knows it again
    body TEXT NOT NULL,                            -- JSON, as it is sent and signed
    created_ms INTEGER NOT NULL                    -- wall time
) STRICT;
CREATE INDEX webhook_delivery_by_webhook ON webhook_delivery (webhook_id, delivery_id);

CREATE TRIGGER webhook_delivery_more AFTER INSERT ON webhook_delivery
BEGIN UPDATE webhook SET waiting = waiting + 1 WHERE webhook_id = NEW.webhook_id; END;
CREATE TRIGGER webhook_delivery_less AFTER DELETE ON webhook_delivery
BEGIN UPDATE webhook SET waiting = waiting - 1 WHERE webhook_id = OLD.webhook_id; END;
