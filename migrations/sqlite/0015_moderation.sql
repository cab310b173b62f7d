-- Something that people reported and a moderator decides on: a pet, later a photo. Whatever is
-- reported has one task that isn't decided, which all its reports join. pet_id is the pet that it
-- is, or belongs to: with the pet goes the task. taken_by is written as the audit log writes actors;
-- who took a task is who decides it.
CREATE TABLE moderation_tasks (
    id              BLOB    NOT NULL PRIMARY KEY,
    subject_kind    TEXT    NOT NULL CHECK (subject_kind IN ('pet', 'photo')),
    subject_id      BLOB    NOT NULL,
    pet_id          BLOB             REFERENCES pets (id) ON DELETE CASCADE,
    status          TEXT    NOT NULL CHECK (status IN ('open', 'taken', 'decided')),
    created_at      INTEGER NOT NULL,
    reported_at     INTEGER NOT NULL,
    taken_by        TEXT,
    taken_at        INTEGER,
    decision        TEXT             CHECK (decision IN ('approved', 'rejected')),
    reason          TEXT,
    decided_at      INTEGER
) STRICT;

CREATE UNIQUE INDEX moderation_tasks_subject_kind_subject_id_key ON moderation_tasks (subject_kind, subject_id)
    WHERE status <> 'decided';
CREATE INDEX moderation_tasks_pet_id_idx ON moderation_tasks (pet_id);
CREATE INDEX moderation_tasks_status_idx ON moderation_tasks (status, created_at, id);
CREATE INDEX moderation_tasks_waiting_idx ON moderation_tasks (created_at, id) WHERE status <> 'decided';

-- What one person has to say about it.
CREATE TABLE reports (
    task_id         BLOB    NOT NULL REFERENCES moderation_tasks (id) ON DELETE CASCADE,
    reporter_id     BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    reason          TEXT    NOT NULL,
    note            TEXT,
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (task_id, reporter_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX reports_task_id_idx ON reports (task_id, created_at);
CREATE INDEX reports_reporter_id_idx ON reports (reporter_id);
