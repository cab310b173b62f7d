-- A pet and whose it is. An age without a birth date is kept as an estimated birth date, so
-- that it grows by itself and one index serves both. breed_key is the breed as it is compared.
-- version counts every change, for optimistic concurrency.
CREATE TABLE pets (
    id              uuid        NOT NULL PRIMARY KEY,
    owner_id        uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name            text        NOT NULL,
    species         text        NOT NULL CHECK (species IN
                    ('dog', 'cat', 'bird', 'rabbit', 'rodent', 'reptile', 'fish', 'horse', 'other')),
    breed           text,
    breed_key       text,
    birth_date      date,
    birth_date_is_estimate boolean NOT NULL DEFAULT false,
    gender          text        NOT NULL CHECK (gender IN ('male', 'female', 'unknown')),
    size            text                 CHECK (size IN ('small', 'medium', 'large', 'extra-large')),
    personality     jsonb       NOT NULL,
    bio             text,
    verified        boolean     NOT NULL DEFAULT false,
    status          text        NOT NULL CHECK (status IN ('active', 'hidden', 'banned')),
    version         bigint      NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    deleted_at      timestamptz
);

CREATE INDEX pets_status_idx ON pets (status, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX pets_species_idx ON pets (species, status, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX pets_breed_key_idx ON pets (breed_key, status, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX pets_owner_id_idx ON pets (owner_id, created_at, id);
