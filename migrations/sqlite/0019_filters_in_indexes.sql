-- What else lists of pets are filtered by, and whose the pets are, at the end of the indexes they
-- are ordered by: a pet that doesn't pass is passed over in the index, without a look at its row.
DROP INDEX pets_status_idx;
DROP INDEX pets_species_idx;
DROP INDEX pets_name_key_idx;

CREATE INDEX pets_status_idx ON pets (status, created_at, id, owner_id, birth_date, gender, size) WHERE deleted_at IS NULL;
CREATE INDEX pets_species_idx ON pets (species, status, created_at, id, owner_id, birth_date, gender, size)
    WHERE deleted_at IS NULL;
CREATE INDEX pets_name_key_idx ON pets (status, name_key, id, owner_id, species, birth_date, gender, size)
    WHERE deleted_at IS NULL;
