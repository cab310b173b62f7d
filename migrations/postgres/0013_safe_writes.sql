-- What a user created under which Idempotency-Key, for a day: the same request with the same key gets
-- the result again, and creates nothing. A row is written by the transaction that creates, so that a
-- committed one always has its result. fingerprint is the SHA-256 of what was asked for.
CREATE TABLE idempotency_keys (
    user_id     uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key         text        NOT NULL,
    operation   text        NOT NULL,
    fingerprint bytea       NOT NULL,
    result      jsonb,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (user_id, key)
);

CREATE INDEX idempotency_keys_user_id_idx ON idempotency_keys (user_id, created_at);
CREATE INDEX idempotency_keys_created_at_idx ON idempotency_keys (created_at);

-- Count every change, for optimistic concurrency, as in pets.
ALTER TABLE users ADD COLUMN profile_version bigint NOT NULL DEFAULT 1;
ALTER TABLE users ADD COLUMN preferences_version bigint NOT NULL DEFAULT 1;
