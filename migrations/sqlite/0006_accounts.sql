-- What accounts hold beyond signing in. suspended_until: when a suspension ends by itself, and
-- null for never. erase_at: when a deleted account is erased for good.
ALTER TABLE users ADD COLUMN suspended_until INTEGER;
ALTER TABLE users ADD COLUMN status_reason TEXT;
ALTER TABLE users ADD COLUMN password_changed_at INTEGER;
ALTER TABLE users ADD COLUMN bio TEXT;
ALTER TABLE users ADD COLUMN location TEXT;
ALTER TABLE users ADD COLUMN preferences TEXT;
ALTER TABLE users ADD COLUMN erase_at INTEGER;

CREATE INDEX users_erase_at_idx ON users (erase_at) WHERE erase_at IS NOT NULL;

-- second_factor_at: when this session last proved a second factor; null for a password alone.
-- floor_generation: refresh tokens below it were outdated on purpose, by a new password or a
-- second factor, and presenting one is no theft.
ALTER TABLE sessions ADD COLUMN second_factor_at INTEGER;
ALTER TABLE sessions ADD COLUMN floor_generation INTEGER NOT NULL DEFAULT 0;
