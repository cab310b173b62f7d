-- What was done to keep the data safe, and how it went: backups made, looked at, proven by drills,
-- restored. What is known of a backup stands with it; this is for those who watch the server.
CREATE TABLE operations (
    id              BLOB        NOT NULL PRIMARY KEY,
    kind            TEXT        NOT NULL CHECK (kind IN ('backup', 'check', 'drill', 'restore')),
    backup_id       BLOB,
    succeeded       INTEGER     NOT NULL,
    details         TEXT        NOT NULL,
    started_at      INTEGER     NOT NULL,
    finished_at     INTEGER     NOT NULL
) STRICT;

CREATE INDEX operations_kind_idx ON operations (kind, finished_at);
