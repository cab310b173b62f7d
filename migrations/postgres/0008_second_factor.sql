-- The authenticator app of a user; without confirmed_at it is still to be proven. last_step: the
-- step whose code was used last, for a code counts once. failures: wrong codes in a row, and
-- blocked_until: until when no further one is looked at because of them.
CREATE TABLE totp_factors (
    id              uuid        NOT NULL PRIMARY KEY,
    user_id         uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    sealed_secret   bytea       NOT NULL,
    last_step       bigint      NOT NULL,
    failures        bigint      NOT NULL,
    blocked_until   timestamptz,
    created_at      timestamptz NOT NULL,
    confirmed_at    timestamptz
);

CREATE UNIQUE INDEX totp_factors_user_id_key ON totp_factors (user_id);

-- A code that replaces the authenticator once: its SHA-256, which is enough for 120 random bits.
CREATE TABLE recovery_codes (
    digest          bytea       NOT NULL PRIMARY KEY,
    user_id         uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at      timestamptz NOT NULL,
    used_at         timestamptz
);

CREATE INDEX recovery_codes_user_id_idx ON recovery_codes (user_id);

-- A sign-in whose password was right and whose second factor is awaited; gone when it was given.
-- session_version: that of the user then; what ends all sessions ends this too.
CREATE TABLE second_factor_challenges (
    id              uuid        NOT NULL PRIMARY KEY,
    user_id         uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    session_version bigint      NOT NULL,
    attempts        bigint      NOT NULL,
    expires_at      timestamptz NOT NULL
);

CREATE INDEX second_factor_challenges_user_id_idx ON second_factor_challenges (user_id);
