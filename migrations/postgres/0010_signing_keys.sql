-- Ed25519 keys that sign access tokens. While none is active, JWT_SECRET signs. A key is published
-- as next before it signs, and verifies for a while after it was replaced. The private part is
-- sealed by a key that is not in the database, and wiped when the key is retired; the row stays.
CREATE TABLE signing_keys (
    kid          text        NOT NULL PRIMARY KEY,
    state        text        NOT NULL CHECK (state IN ('next', 'active', 'verify-only', 'retired')),
    public_key   bytea       NOT NULL,
    private_key  bytea,
    created_at   timestamptz NOT NULL,
    activated_at timestamptz,
    replaced_at  timestamptz,
    retired_at   timestamptz
);

CREATE UNIQUE INDEX signing_keys_state_key ON signing_keys (state) WHERE state = 'active';
