-- What people upload: reserved before a byte arrives, then looked at, then shown or not. What is kept of it
-- in the object store stands under owner_id and id, so that the row is all that is needed to find it.
-- size is of the file as it came, stored_bytes of everything that is kept; a reservation counts with what
-- was announced. position is that among the photos of a pet. variants is what was made of a photo.
CREATE TABLE uploads (
    id              uuid        NOT NULL PRIMARY KEY,
    owner_id        uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    pet_id          uuid                 REFERENCES pets (id) ON DELETE CASCADE,
    purpose         text        NOT NULL CHECK (purpose IN ('pet-photo', 'profile-avatar', 'document')),
    status          text        NOT NULL CHECK (status IN ('reserved', 'processing', 'pending', 'approved', 'rejected')),
    reason          text,
    file_name       text        NOT NULL,
    content_type    text        NOT NULL,
    size            bigint      NOT NULL,
    sha256          bytea,
    stored_bytes    bigint      NOT NULL,
    position        integer,
    width           integer,
    height          integer,
    thumb_hash      bytea,
    perceptual_hash bigint,
    dominant_color  text,
    variants        jsonb,
    expires_at      timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    CHECK (purpose <> 'pet-photo' OR pet_id IS NOT NULL)
);

CREATE INDEX uploads_owner_id_idx ON uploads (owner_id, created_at, id);
CREATE INDEX uploads_pet_id_idx ON uploads (pet_id, created_at, id);
CREATE INDEX uploads_status_idx ON uploads (status, created_at, id);
CREATE INDEX uploads_sha256_idx ON uploads (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX uploads_expires_at_idx ON uploads (expires_at) WHERE status = 'reserved';

-- Where photos that look alike meet: the four quarters of a perceptual hash, each with its place.
CREATE TABLE photo_buckets (
    bucket          integer     NOT NULL,
    upload_id       uuid        NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    PRIMARY KEY (bucket, upload_id)
);

CREATE INDEX photo_buckets_upload_id_idx ON photo_buckets (upload_id);

-- Uploads whose rows are gone, whatever made them go, and whose objects are still to be removed; while
-- the URL of their upload is valid, objects may still come.
CREATE TABLE removed_uploads (
    id              uuid        NOT NULL PRIMARY KEY,
    owner_id        uuid        NOT NULL,
    content_type    text        NOT NULL,
    variants        jsonb,
    expires_at      timestamptz NOT NULL
);

CREATE INDEX moderation_tasks_subject_id_idx ON moderation_tasks (subject_id);

CREATE FUNCTION remember_removed_upload() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO removed_uploads (id, owner_id, content_type, variants, expires_at)
        VALUES (OLD.id, OLD.owner_id, OLD.content_type, OLD.variants, OLD.expires_at);
    DELETE FROM moderation_tasks WHERE subject_kind = 'photo' AND subject_id = OLD.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER uploads_delete AFTER DELETE ON uploads FOR EACH ROW EXECUTE FUNCTION remember_removed_upload();

-- What is shown with a pet or a person, kept there so that reading them stays one statement.
ALTER TABLE pets ADD COLUMN photos jsonb;
ALTER TABLE users ADD COLUMN avatar text;
