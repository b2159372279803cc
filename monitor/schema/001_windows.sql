-- What devices report: raw windows once each, and their exact sums.
-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE monitor_version (
    version_key     INTEGER PRIMARY KEY,
    project         TEXT    NOT NULL, -- the version's project, model and number, as in the registry
    model           TEXT    NOT NULL,
    version         INTEGER NOT NULL,
    manifest_digest BLOB    NOT NULL UNIQUE CHECK (length(manifest_digest) = 32), -- what windows name
    edges_digest    BLOB    NOT NULL CHECK (length(edges_digest) = 32), -- of the baseline's edges
    baseline        BLOB    NOT NULL, -- Baseline message (firmware/wire/tidemark.proto)
    watched_ms      INTEGER NOT NULL, -- since when the monitor knows it
    UNIQUE (project, model, version)
) STRICT;

CREATE TABLE monitor_device (
    device_key INTEGER PRIMARY KEY, -- short key, so that a window's row stays small
    name       TEXT NOT NULL UNIQUE -- the device's identifier
) STRICT;

CREATE TABLE monitor_counter (
    name  TEXT PRIMARY KEY, -- "window": last window_id given; "rolled": last window_id in the device-hour sums
    value INTEGER NOT NULL
) STRICT;
INSERT INTO monitor_counter (name, value) VALUES ('window', 0), ('rolled', 0);

CREATE TABLE monitor_window (
    window_id   INTEGER PRIMARY KEY, -- in order of arrival, from monitor_counter
    device_key  INTEGER NOT NULL REFERENCES monitor_device (device_key),
    boot_id     INTEGER NOT NULL, -- as the device drew it (64 bits, stored signed)
    sequence    INTEGER NOT NULL, -- durable, per device
    version_key INTEGER NOT NULL REFERENCES monitor_version (version_key),
    received_ms INTEGER NOT NULL,
    end_ms      INTEGER NOT NULL, -- by the device's clock if it has one, never after received_ms
    length_ms   INTEGER NOT NULL,
    counts      BLOB,             -- count vector (docs/spec/windows.md); NULL once only the key is kept
    UNIQUE (device_key, boot_id, sequence)
) STRICT;

CREATE TABLE monitor_bucket (
    version_key  INTEGER NOT NULL REFERENCES monitor_version (version_key),
    length_ms    INTEGER NOT NULL, -- the evaluation window of the model's monitor at the time
    start_ms     INTEGER NOT NULL, -- a multiple of length_ms
    windows      INTEGER NOT NULL, -- how many were added
    first_window INTEGER NOT NULL, -- smallest and largest window_id among them
    last_window  INTEGER NOT NULL,
    counts       BLOB    NOT NULL, -- their exact sum, whole fleet
    PRIMARY KEY (version_key, length_ms, start_ms)
) STRICT;

CREATE TABLE monitor_device_hour (
    version_key INTEGER NOT NULL REFERENCES monitor_version (version_key),
    device_key  INTEGER NOT NULL REFERENCES monitor_device (device_key),
    start_ms    INTEGER NOT NULL, -- a multiple of 3,600,000
    windows     INTEGER NOT NULL,
    counts      BLOB    NOT NULL, -- exact sum of that device's windows that ended in the hour
    PRIMARY KEY (version_key, device_key, start_ms)
) STRICT;
CREATE INDEX monitor_device_hour_by_time ON monitor_device_hour (start_ms);
