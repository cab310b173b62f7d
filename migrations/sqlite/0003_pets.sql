-- A pet and whose it is. An age without a birth date is kept as an estimated birth date, so
-- that it grows by itself and one index serves both. breed_key is the breed as it is compared.
-- version counts every change, for optimistic concurrency.
CREATE TABLE pets (
    id              BLOB    NOT NULL PRIMARY KEY,
    owner_id        BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name            TEXT    NOT NULL,
    species         TEXT    NOT NULL CHECK (species IN
                    ('dog', 'cat', 'bird', 'rabbit', 'rodent', 'reptile', 'fish', 'horse', 'other')),
    breed           TEXT,
    breed_key       TEXT,
    birth_date      TEXT,
    birth_date_is_estimate INTEGER NOT NULL DEFAULT 0,
    gender          TEXT    NOT NULL CHECK (gender IN ('male', 'female', 'unknown')),
    size            TEXT             CHECK (size IN ('small', 'medium', 'large', 'extra-large')),
    personality     TEXT    NOT NULL,
    bio             TEXT,
    verified        INTEGER NOT NULL DEFAULT 0,
    status          TEXT    NOT NULL CHECK (status IN ('active', 'hidden', 'banned')),
    version         INTEGER NOT NULL DEFAULT 1,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    deleted_at      INTEGER
) STRICT;

CREATE INDEX pets_status_idx ON pets (status, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX pets_species_idx ON pets (species, status, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX pets_breed_key_idx ON pets (breed_key, status, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX pets_owner_id_idx ON pets (owner_id, created_at, id);
