-- What was found in the files of a version: formats, and verdicts on those that can hold a pickle.
-- SPDX-License-Identifier: Apache-2.0

CREATE TABLE version_scan (
    version_id INTEGER NOT NULL REFERENCES version (version_id),  -- whose file
    name       TEXT NOT NULL,                                     -- as in version_file
    format     TEXT NOT NULL,                                     -- 'onnx', 'pickle'; 'opaque': not known
    verdict    TEXT NOT NULL CHECK (verdict IN ('none', 'innocuous', 'suspicious', 'dangerous')),
                                                                  -- 'none': holds no pickle; else it is quarantined
    scanner    TEXT NOT NULL,                                     -- who judged: name and edition of the lists
    findings   TEXT,                                              -- JSON {globals, risks} of a quarantined file
    PRIMARY KEY (version_id, name),
    FOREIGN KEY (version_id, name) REFERENCES version_file (version_id, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX version_scan_quarantined ON version_scan (version_id) WHERE verdict <> 'none';

-- By what tool it was made from its parent; NULL: it was not derived.
ALTER TABLE version ADD COLUMN derived_by TEXT;  -- 'skl2onnx'

CREATE TRIGGER version_scan_no_update BEFORE UPDATE ON version_scan
BEGIN SELECT RAISE(ABORT, 'a verdict never changes'); END;
CREATE TRIGGER version_scan_no_delete BEFORE DELETE ON version_scan
BEGIN SELECT RAISE(ABORT, 'a verdict never changes'); END;
CREATE TRIGGER version_derived_once BEFORE UPDATE OF derived_by ON version
BEGIN SELECT RAISE(ABORT, 'how a version was derived never changes'); END;
