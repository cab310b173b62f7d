-- A person with an account. The e-mail is stored in lower case (done in Rust, so that both
-- engines agree on what lower case is), and stays taken while a deleted account can be restored.
-- session_version counts up when every session of the user has to end at once.
CREATE TABLE users (
    id              uuid        NOT NULL PRIMARY KEY,
    email           text        NOT NULL,
    email_verified_at timestamptz,
    password_hash   text,
    display_name    text        NOT NULL,
    role            text        NOT NULL CHECK (role IN ('user', 'moderator', 'admin')),
    status          text        NOT NULL CHECK (status IN ('active', 'suspended', 'banned')),
    session_version bigint      NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    last_seen_at    timestamptz,
    deleted_at      timestamptz
);

CREATE UNIQUE INDEX users_email_key ON users (email);
CREATE INDEX users_created_at_idx ON users (created_at, id);
CREATE INDEX users_role_idx ON users (role, created_at, id) WHERE role <> 'user';
