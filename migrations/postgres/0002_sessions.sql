-- One sign-in on one device. The refresh tokens of a session are a line: `generation` is the
-- one that is valid, and a token is an HMAC over session and generation, so nothing in this
-- table helps to forge one. The row stays after revocation, as evidence, until it is purged.
CREATE TABLE sessions (
    id                  uuid        NOT NULL PRIMARY KEY,
    user_id             uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    generation          bigint      NOT NULL,
    acknowledged_generation bigint  NOT NULL,
    rotated_at          timestamptz NOT NULL,
    created_at          timestamptz NOT NULL,
    idle_expires_at     timestamptz NOT NULL,
    absolute_expires_at timestamptz NOT NULL,
    authenticated_at    timestamptz NOT NULL,
    revoked_at          timestamptz,
    revoke_reason       text,
    client              text,
    device_name         text,
    user_agent          text,
    ip                  text
);

CREATE INDEX sessions_user_id_idx ON sessions (user_id, created_at);
