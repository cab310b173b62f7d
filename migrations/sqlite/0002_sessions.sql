-- One sign-in on one device. The refresh tokens of a session are a line: `generation` is the
-- one that is valid, and a token is an HMAC over session and generation, so nothing in this
-- table helps to forge one. The row stays after revocation, as evidence, until it is purged.
CREATE TABLE sessions (
    id                  BLOB    NOT NULL PRIMARY KEY,
    user_id             BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    generation          INTEGER NOT NULL,
    acknowledged_generation INTEGER NOT NULL,
    rotated_at          INTEGER NOT NULL,
    created_at          INTEGER NOT NULL,
    idle_expires_at     INTEGER NOT NULL,
    absolute_expires_at INTEGER NOT NULL,
    authenticated_at    INTEGER NOT NULL,
    revoked_at          INTEGER,
    revoke_reason       TEXT,
    client              TEXT,
    device_name         TEXT,
    user_agent          TEXT,
    ip                  TEXT
) STRICT;

CREATE INDEX sessions_user_id_idx ON sessions (user_id, created_at);
