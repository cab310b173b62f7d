-- Who did what to whom, from where, and whether it worked. Only ever added to. Holds ids, never
-- names or addresses of people, so that erasing somebody leaves nothing of them here but an id.
-- No foreign keys: a row outlives what it speaks of.
CREATE TABLE audit_log (
    id           BLOB        NOT NULL PRIMARY KEY,
    at           INTEGER     NOT NULL,
    actor        TEXT        NOT NULL,
    action       TEXT        NOT NULL,
    subject      TEXT,
    succeeded    INTEGER     NOT NULL,
    reason       TEXT,
    ip           TEXT,
    request_id   TEXT,
    details      TEXT        NOT NULL
) STRICT;

CREATE INDEX audit_log_at_idx ON audit_log (at, id);
CREATE INDEX audit_log_actor_idx ON audit_log (actor, at, id);
CREATE INDEX audit_log_subject_idx ON audit_log (subject, at, id);
CREATE INDEX audit_log_action_idx ON audit_log (action, at, id);
