-- Pets that somebody likes. favorite_count is how many people like a pet; it changes with the
-- rows themselves, also with those that go because their user or pet does.
CREATE TABLE favorites (
    user_id         uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    pet_id          uuid        NOT NULL REFERENCES pets (id) ON DELETE CASCADE,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (user_id, pet_id)
);

CREATE INDEX favorites_user_id_idx ON favorites (user_id, created_at, pet_id);
CREATE INDEX favorites_pet_id_idx ON favorites (pet_id);

ALTER TABLE pets ADD COLUMN favorite_count bigint NOT NULL DEFAULT 0;

CREATE FUNCTION favorites_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE pets SET favorite_count = favorite_count + 1 WHERE id = NEW.pet_id;
    ELSE
        UPDATE pets SET favorite_count = favorite_count - 1 WHERE id = OLD.pet_id;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER favorites_count AFTER INSERT OR DELETE ON favorites
    FOR EACH ROW EXECUTE FUNCTION favorites_count();

-- blocker doesn't want to meet blocked. Neither sees the other's pets, so it is looked up from both sides.
CREATE TABLE blocks (
    blocker_id      uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    blocked_id      uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (blocker_id, blocked_id),
    CHECK (blocker_id <> blocked_id)
);

CREATE INDEX blocks_blocker_id_idx ON blocks (blocker_id, created_at, blocked_id);
CREATE INDEX blocks_blocked_id_idx ON blocks (blocked_id, blocker_id);
