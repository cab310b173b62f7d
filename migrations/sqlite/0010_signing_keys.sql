-- Ed25519 keys that sign access tokens. While none is active, JWT_SECRET signs. A key is published
-- as next before it signs, and verifies for a while after it was replaced. The private part is
-- sealed by a key that is not in the database, and wiped when the key is retired; the row stays.
CREATE TABLE signing_keys (
    kid          TEXT    NOT NULL PRIMARY KEY,
    state        TEXT    NOT NULL CHECK (state IN ('next', 'active', 'verify-only', 'retired')),
    public_key   BLOB    NOT NULL,
    private_key  BLOB,
    created_at   INTEGER NOT NULL,
    activated_at INTEGER,
    replaced_at  INTEGER,
    retired_at   INTEGER
) STRICT;

CREATE UNIQUE INDEX signing_keys_state_key ON signing_keys (state) WHERE state = 'active';
