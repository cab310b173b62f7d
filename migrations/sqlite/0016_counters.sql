-- How many there are of everything, kept while it changes, so that nothing has to be counted. A
-- number is the sum of its parts. Part 0 is the only one here: SQLite has one writer, who waits for
-- nobody. On PostgreSQL every change adds a part of its own, which a job adds up later.
-- Besides pets, users, tasks and jobs there are sign-ups, by hours since 1970.
CREATE TABLE counters (
    name            TEXT    NOT NULL,
    part            INTEGER NOT NULL DEFAULT 0,
    value           INTEGER NOT NULL,
    PRIMARY KEY (name, part)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER users_count_insert AFTER INSERT ON users
BEGIN
    INSERT INTO counters (name, value) VALUES ('users.' || CASE WHEN NEW.deleted_at IS NULL THEN NEW.status ELSE 'deleted' END, 1)
        ON CONFLICT (name, part) DO UPDATE SET value = value + excluded.value;
    INSERT INTO counters (name, value) VALUES ('signups.' || (NEW.created_at / 3600000000), 1)
        ON CONFLICT (name, part) DO UPDATE SET value = value + excluded.value;
END;

CREATE TRIGGER users_count_delete AFTER DELETE ON users
BEGIN
    INSERT INTO counters (name, value) VALUES ('users.' || CASE WHEN OLD.deleted_at IS NULL THEN OLD.status ELSE 'deleted' END, -1)
        ON CONFLICT (name, part) DO UPDATE SET value = value + excluded.value;
END;

CREATE TRIGGER users_count_update AFTER UPDATE OF status, deleted_at ON users
WHEN OLD.status <> NEW.status OR (OLD.deleted_at IS NULL) <> (NEW.deleted_at IS NULL)
BEGIN
    INSERT INTO counters (name, value) VALUES ('users.' || CASE WHEN OLD.deleted_at IS NULL THEN OLD.status ELSE 'deleted' END, -1)
        ON CONFLICT (name, part) DO UPDATE SET value = value + excluded.value;
    INSERT INTO counters (name, value) VALUES ('users.' || CASE WHEN NEW.deleted_at IS NULL THEN NEW.status ELSE 'deleted' END, 1)
        ON CONFLICT (name, part) DO UPDATE SET value = value + excluded.value;
END;

CREATE TRIGGER pets_count_insert AFTER INSERT ON pets
BEGIN
    INSERT INTO counters (name, value) VALUES ('pets.' || CASE WHEN NEW.deleted_at IS NULL THEN NEW.status ELSE 'deleted' END, 1)
        ON CONFLICT (name, part) DO UPDATE SET value = value + excluded.value;
END;

CREATE TRIGGER pets_count_delete AFTER DELETE ON pets
BEGIN
    INSERT INTO counters (name, value) VALUES ('pets.' || CASE WHEN OLD.deleted_at IS NULL THEN OLD.status ELSE 'deleted' END, -1)
        ON CONFLICT (name, part) DO UPDATE SET value = value + excluded.value;
END;

CREATE TRIGGER pets_count_update AFTER UPDATE OF status, deleted_at ON pets
WHEN OLD.status <> NEW.status OR (OLD.deleted_at IS NULL) <> (NEW.deleted_at IS NULL)
BEGIN
    INSERT INTO counters (name, value) VALUES ('pets.' || CASE WHEN OLD.deleted_at IS NULL THEN OLD.status ELSE 'deleted' END, -1)
        ON CONFLICT (name, part) DO UPDATE SET value = value + excluded.value;
    INSERT INTO counters (name, value) VALUES ('pets.' || CASE WHEN NEW.deleted_at IS NULL THEN NEW.status ELSE 'deleted' END, 1)
        ON CONFLICT (name, part) DO UPDATE SET value = value + excluded.value;
END;

CREATE TRIGGER moderation_tasks_count_insert AFTER INSERT ON moderation_tasks
BEGIN
    INSERT INTO counters (name, value) VALUES ('moderation_tasks.' || NEW.status, 1)
        ON CONFLICT (name, part) DO UPDATE SET value = value + excluded.value;
END;

CREATE TRIGGER moderation_tasks_count_delete AFTER DELETE ON moderation_tasks
BEGIN
    INSERT INTO counters (name, value) VALUES ('moderation_tasks.' || OLD.status, -1)
        ON CONFLICT (name, part) DO UPDATE SET value = value + excluded.value;
END;

CREATE TRIGGER moderation_tasks_count_update AFTER UPDATE OF status ON moderation_tasks
WHEN OLD.status <> NEW.status
BEGIN
    INSERT INTO counters (name, value) VALUES ('moderation_tasks.' || OLD.status, -1)
        ON CONFLICT (name, part) DO UPDATE SET value = value + excluded.value;
    INSERT INTO counters (name, value) VALUES ('moderation_tasks.' || NEW.status, 1)
        ON CONFLICT (name, part) DO UPDATE SET value = value + excluded.value;
END;

CREATE TRIGGER jobs_count_insert AFTER INSERT ON jobs
BEGIN
    INSERT INTO counters (name, value) SELECT CASE WHEN NEW.dead_at IS NULL THEN 'jobs.queued' ELSE 'jobs.dead' END, 1 WHERE (NEW.schedule IS NULL OR NEW.dead_at IS NOT NULL)
        ON CONFLICT (name, part) DO UPDATE SET value = value + excluded.value;
END;

CREATE TRIGGER jobs_count_delete AFTER DELETE ON jobs
BEGIN
    INSERT INTO counters (name, value) SELECT CASE WHEN OLD.dead_at IS NULL THEN 'jobs.queued' ELSE 'jobs.dead' END, -1 WHERE (OLD.schedule IS NULL OR OLD.dead_at IS NOT NULL)
        ON CONFLICT (name, part) DO UPDATE SET value = value + excluded.value;
END;

CREATE TRIGGER jobs_count_update AFTER UPDATE OF dead_at ON jobs
WHEN (OLD.dead_at IS NULL) <> (NEW.dead_at IS NULL)
BEGIN
    INSERT INTO counters (name, value) SELECT CASE WHEN OLD.dead_at IS NULL THEN 'jobs.queued' ELSE 'jobs.dead' END, -1 WHERE (OLD.schedule IS NULL OR OLD.dead_at IS NOT NULL)
        ON CONFLICT (name, part) DO UPDATE SET value = value + excluded.value;
    INSERT INTO counters (name, value) SELECT CASE WHEN NEW.dead_at IS NULL THEN 'jobs.queued' ELSE 'jobs.dead' END, 1 WHERE (NEW.schedule IS NULL OR NEW.dead_at IS NOT NULL)
        ON CONFLICT (name, part) DO UPDATE SET value = value + excluded.value;
END;

-- What is there already. After the triggers: until they count, nobody else may change anything.
INSERT INTO counters (name, part, value)
SELECT 'users.' || CASE WHEN deleted_at IS NULL THEN status ELSE 'deleted' END, 0, count(*) FROM users GROUP BY 1
UNION ALL SELECT 'pets.' || CASE WHEN deleted_at IS NULL THEN status ELSE 'deleted' END, 0, count(*) FROM pets GROUP BY 1
UNION ALL SELECT 'moderation_tasks.' || status, 0, count(*) FROM moderation_tasks GROUP BY 1
UNION ALL SELECT CASE WHEN dead_at IS NULL THEN 'jobs.queued' ELSE 'jobs.dead' END, 0, count(*) FROM jobs WHERE (schedule IS NULL OR dead_at IS NOT NULL) GROUP BY 1
UNION ALL SELECT 'signups.' || (created_at / 3600000000), 0, count(*) FROM users GROUP BY 1;
