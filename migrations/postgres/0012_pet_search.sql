-- Where a pet lives, and what it is found by. `number` counts pets as they are added, so that
-- pets found by a word come newest first straight from an index.
--
-- latitude and longitude are for the owner's eyes. What others see and find is the shown point,
-- somewhere in the same cell of about a kilometre; place_x, _y, _z are that point on a unit
-- sphere, where a straight line orders by distance also across the date line and the poles.
-- *_key are texts as they are searched: small letters, without accents. Pets from before this
-- get theirs by the job pets.refold; until then they are found by what lower() makes of them.
ALTER TABLE pets
    ADD COLUMN number          bigint,
    ADD COLUMN name_key        text,
    ADD COLUMN bio_key         text,
    ADD COLUMN city            text,
    ADD COLUMN country         text,
    ADD COLUMN latitude        double precision,
    ADD COLUMN longitude       double precision,
    ADD COLUMN shown_latitude  double precision,
    ADD COLUMN shown_longitude double precision,
    ADD COLUMN latitude_band   bigint,
    ADD COLUMN place_x         double precision,
    ADD COLUMN place_y         double precision,
    ADD COLUMN place_z         double precision;

UPDATE pets SET number = counted.number, name_key = lower(name), bio_key = lower(bio)
FROM (SELECT id, row_number() OVER (ORDER BY created_at, id) AS number FROM pets) counted
WHERE counted.id = pets.id;

ALTER TABLE pets
    ALTER COLUMN name_key SET NOT NULL,
    ALTER COLUMN number SET NOT NULL,
    ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY;

SELECT setval(pg_get_serial_sequence('pets', 'number'), max(number)) FROM pets HAVING max(number) IS NOT NULL;

-- The words of a pet: n, b or t for where they stand (name, breed, text), then the word. Taken
-- apart at spaces only: the *_key columns are what there is to find.
ALTER TABLE pets ADD COLUMN search tsvector GENERATED ALWAYS AS (array_to_tsvector(array_remove(
    string_to_array(regexp_replace(name_key, '([^ ]+)', 'n\1', 'g'), ' ')
    || string_to_array(regexp_replace(coalesce(breed_key, ''), '([^ ]+)', 'b\1', 'g'), ' ')
    || string_to_array(regexp_replace(coalesce(bio_key, ''), '([^ ]+)', 't\1', 'g'), ' '),
    ''
))) STORED;

CREATE UNIQUE INDEX pets_number_key ON pets (number);
CREATE INDEX pets_name_key_idx ON pets (status, name_key, id) WHERE deleted_at IS NULL;
CREATE INDEX pets_place_idx ON pets (latitude_band, shown_longitude, shown_latitude) WHERE latitude_band IS NOT NULL;
CREATE INDEX pets_search_idx ON pets USING gin (search);
