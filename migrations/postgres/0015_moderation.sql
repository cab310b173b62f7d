-- Something that people reported and a moderator decides on: a pet, later a photo. Whatever is
-- reported has one task that isn't decided, which all its reports join. pet_id is the pet that it
-- is, or belongs to: with the pet goes the task. taken_by is written as the audit log writes actors;
-- who took a task is who decides it.
CREATE TABLE moderation_tasks (
    id              uuid        NOT NULL PRIMARY KEY,
    subject_kind    text        NOT NULL CHECK (subject_kind IN ('pet', 'photo')),
    subject_id      uuid        NOT NULL,
    pet_id          uuid                 REFERENCES pets (id) ON DELETE CASCADE,
    status          text        NOT NULL CHECK (status IN ('open', 'taken', 'decided')),
    created_at      timestamptz NOT NULL,
    reported_at     timestamptz NOT NULL,
    taken_by        text,
    taken_at        timestamptz,
    decision        text                 CHECK (decision IN ('approved', 'rejected')),
    reason          text,
    decided_at      timestamptz
);

CREATE UNIQUE INDEX moderation_tasks_subject_kind_subject_id_key ON moderation_tasks (subject_kind, subject_id)
    WHERE status <> 'decided';
CREATE INDEX moderation_tasks_pet_id_idx ON moderation_tasks (pet_id);
CREATE INDEX moderation_tasks_status_idx ON moderation_tasks (status, created_at, id);
CREATE INDEX moderation_tasks_waiting_idx ON moderation_tasks (created_at, id) WHERE status <> 'decided';

-- What one person has to say about it.
CREATE TABLE reports (
    task_id         uuid        NOT NULL REFERENCES moderation_tasks (id) ON DELETE CASCADE,
    reporter_id     uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    reason          text        NOT NULL,
    note            text,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (task_id, reporter_id)
);

CREATE INDEX reports_task_id_idx ON reports (task_id, created_at);
CREATE INDEX reports_reporter_id_idx ON reports (reporter_id);
