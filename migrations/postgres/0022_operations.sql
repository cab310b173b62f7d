-- What was done to keep the data safe, and how it went: backups made, looked at, proven by drills,
-- restored. What is known of a backup stands with it; this is for those who watch the server.
CREATE TABLE operations (
    id              uuid        NOT NULL PRIMARY KEY,
    kind            text        NOT NULL CHECK (kind IN ('backup', 'check', 'drill', 'restore')),
    backup_id       uuid,
    succeeded       boolean     NOT NULL,
    details         jsonb       NOT NULL,
    started_at      timestamptz NOT NULL,
    finished_at     timestamptz NOT NULL
);

CREATE INDEX operations_kind_idx ON operations (kind, finished_at);
