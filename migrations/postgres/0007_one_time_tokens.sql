-- A link that may be used once. The token in the link is an HMAC over the row's id, so nothing
-- in this table helps to forge one. `bound_email` is the address that the link was sent for; the
-- link dies with that address. `new_email` is where an account moves, or moved, to.
CREATE TABLE one_time_tokens (
    id              uuid        NOT NULL PRIMARY KEY,
    user_id         uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose         text        NOT NULL CHECK (purpose IN
                        ('verify_email', 'reset_password', 'invite', 'change_email', 'undo_email_change')),
    bound_email     text        NOT NULL,
    new_email       text,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    consumed_at     timestamptz
);

-- A new link replaces the one before it. Undoing is the exception: whoever moves an account
-- twice must not thereby take the way back from its owner.
CREATE UNIQUE INDEX one_time_tokens_user_id_purpose_key ON one_time_tokens (user_id, purpose)
    WHERE consumed_at IS NULL AND purpose <> 'undo_email_change';
CREATE INDEX one_time_tokens_user_id_idx ON one_time_tokens (user_id);
-- Addresses that are kept for their former owner.
CREATE INDEX one_time_tokens_bound_email_idx ON one_time_tokens (bound_email)
    WHERE consumed_at IS NULL AND purpose = 'undo_email_change';
CREATE INDEX one_time_tokens_expires_at_idx ON one_time_tokens (expires_at);
