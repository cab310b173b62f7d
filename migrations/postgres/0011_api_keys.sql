-- Keys by which other services sign their requests. Of a key's secret only the SHA-256 is here;
-- after a rotation the one before counts until previous_expires_at. created_by is an audit
-- actor: a key belongs to the installation and outlives who made it. The row stays after
-- revocation, as evidence, and gives its name free.
CREATE TABLE api_keys (
    id                  uuid        NOT NULL PRIMARY KEY,
    name                text        NOT NULL,
    scopes              text        NOT NULL,
    digest              bytea       NOT NULL,
    previous_digest     bytea,
    previous_expires_at timestamptz,
    created_by          text        NOT NULL,
    created_at          timestamptz NOT NULL,
    rotated_at          timestamptz,
    expires_at          timestamptz,
    last_used_at        timestamptz,
    revoked_at          timestamptz
);

CREATE UNIQUE INDEX api_keys_name_key ON api_keys (name) WHERE revoked_at IS NULL;
CREATE INDEX api_keys_created_at_idx ON api_keys (created_at, id);
