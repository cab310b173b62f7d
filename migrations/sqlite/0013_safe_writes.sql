-- What a user created under which Idempotency-Key, for a day: the same request with the same key gets
-- the result again, and creates nothing. A row is written by the transaction that creates, so that a
-- committed one always has its result. fingerprint is the SHA-256 of what was asked for.
CREATE TABLE idempotency_keys (
    user_id     BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key         TEXT    NOT NULL,
    operation   TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL,
    result      TEXT,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (user_id, key)
) STRICT;

CREATE INDEX idempotency_keys_user_id_idx ON idempotency_keys (user_id, created_at);
CREATE INDEX idempotency_keys_created_at_idx ON idempotency_keys (created_at);

-- Count every change, for optimistic concurrency, as in pets.
ALTER TABLE users ADD COLUMN profile_version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE users ADD COLUMN preferences_version INTEGER NOT NULL DEFAULT 1;
