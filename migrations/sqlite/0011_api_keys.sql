-- Keys by which other services sign their requests. Of a key's secret only the SHA-256 is here;
-- after a rotation the one before counts until previous_expires_at. created_by is an audit
-- actor: a key belongs to the installation and outlives who made it. The row stays after
-- revocation, as evidence, and gives its name free.
CREATE TABLE api_keys (
    id                  BLOB    NOT NULL PRIMARY KEY,
    name                TEXT    NOT NULL,
    scopes              TEXT    NOT NULL,
    digest              BLOB    NOT NULL,
    previous_digest     BLOB,
    previous_expires_at INTEGER,
    created_by          TEXT    NOT NULL,
    created_at          INTEGER NOT NULL,
    rotated_at          INTEGER,
    expires_at          INTEGER,
    last_used_at        INTEGER,
    revoked_at          INTEGER
) STRICT;

CREATE UNIQUE INDEX api_keys_name_key ON api_keys (name) WHERE revoked_at IS NULL;
CREATE INDEX api_keys_created_at_idx ON api_keys (created_at, id);
