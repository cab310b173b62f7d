-- Where a pet lives, and what it is found by. `number` counts pets as they are added, so that
-- pets found by a word come newest first straight from the index. SQLite can't add a primary key
-- to a table, so the table is made anew.
--
-- latitude and longitude are for the owner's eyes. What others see and find is the shown point,
-- somewhere in the same cell of about a kilometre; place_x, _y, _z are that point on a unit
-- sphere, where a straight line orders by distance also across the date line and the poles.
-- *_key are texts as they are searched: small letters, without accents. Pets from before this
-- get theirs by the job pets.refold; until then they are found by what lower() makes of them.
CREATE TABLE pets_new (
    number          INTEGER NOT NULL PRIMARY KEY,
    id              BLOB    NOT NULL,
    owner_id        BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name            TEXT    NOT NULL,
    name_key        TEXT    NOT NULL,
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
    bio_key         TEXT,
    city            TEXT,
    country         TEXT,
    latitude        REAL,
    longitude       REAL,
    shown_latitude  REAL,
    shown_longitude REAL,
    latitude_band   INTEGER,
    place_x         REAL,
    place_y         REAL,
    place_z         REAL,
    verified        INTEGER NOT NULL DEFAULT 0,
    status          TEXT    NOT NULL CHECK (status IN ('active', 'hidden', 'banned')),
    version         INTEGER NOT NULL DEFAULT 1,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    deleted_at      INTEGER
) STRICT;

INSERT INTO pets_new (id, owner_id, name, name_key, species, breed, breed_key, birth_date, birth_date_is_estimate,
    gender, size, personality, bio, bio_key, verified, status, version, created_at, updated_at, deleted_at)
SELECT id, owner_id, name, lower(name), species, breed, breed_key, birth_date, birth_date_is_estimate,
    gender, size, personality, bio, lower(bio), verified, status, version, created_at, updated_at, deleted_at
FROM pets ORDER BY created_at, id;

DROP TABLE pets;
ALTER TABLE pets_new RENAME TO pets;

CREATE UNIQUE INDEX pets_id_key ON pets (id);
CREATE INDEX pets_status_idx ON pets (status, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX pets_species_idx ON pets (species, status, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX pets_breed_key_idx ON pets (breed_key, status, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX pets_owner_id_idx ON pets (owner_id, created_at, id);
CREATE INDEX pets_name_key_idx ON pets (status, name_key, id) WHERE deleted_at IS NULL;
CREATE INDEX pets_place_idx ON pets (latitude_band, shown_longitude, shown_latitude) WHERE latitude_band IS NOT NULL;

-- The words of all pets. It keeps no texts of its own, and takes them apart at spaces only: the
-- *_key columns are what there is to find.
CREATE VIRTUAL TABLE pets_search USING fts5(
    name, breed, bio, content = '', contentless_delete = 1, detail = column, prefix = '1 2 3', tokenize = 'ascii'
);

INSERT INTO pets_search (rowid, name, breed, bio) SELECT number, name_key, breed_key, bio_key FROM pets;

CREATE TRIGGER pets_search_insert AFTER INSERT ON pets BEGIN
    INSERT INTO pets_search (rowid, name, breed, bio) VALUES (NEW.number, NEW.name_key, NEW.breed_key, NEW.bio_key);
END;

CREATE TRIGGER pets_search_update AFTER UPDATE OF name_key, breed_key, bio_key ON pets
WHEN NEW.name_key IS NOT OLD.name_key OR NEW.breed_key IS NOT OLD.breed_key OR NEW.bio_key IS NOT OLD.bio_key
BEGIN
    DELETE FROM pets_search WHERE rowid = OLD.number;
    INSERT INTO pets_search (rowid, name, breed, bio) VALUES (NEW.number, NEW.name_key, NEW.breed_key, NEW.bio_key);
END;

CREATE TRIGGER pets_search_delete AFTER DELETE ON pets BEGIN
    DELETE FROM pets_search WHERE rowid = OLD.number;
END;
