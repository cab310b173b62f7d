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

-- Only ever added to, and the database itself sees to it. Entries may be removed when they are
-- 30 days older than the youngest one; what tells of a person who is erased may be blanked.
CREATE TRIGGER audit_log_delete BEFORE DELETE ON audit_log
WHEN OLD.at > (SELECT max(at) FROM audit_log) - 2592000000000
BEGIN
    SELECT RAISE(ABORT, 'the audit log keeps its entries for 30 days at least');
END;

CREATE TRIGGER audit_log_update BEFORE UPDATE ON audit_log
WHEN NOT (
    NEW.id IS OLD.id AND NEW.at IS OLD.at AND NEW.actor IS OLD.actor AND NEW.action IS OLD.action
    AND NEW.subject IS OLD.subject AND NEW.succeeded IS OLD.succeeded AND NEW.request_id IS OLD.request_id
    AND (NEW.ip IS NULL OR NEW.ip IS OLD.ip)
    AND (NEW.reason IS NULL OR NEW.reason IS OLD.reason)
    AND (NEW.details = '{}' OR NEW.details IS OLD.details)
)
BEGIN
    SELECT RAISE(ABORT, 'entries of the audit log are not changed');
END;

-- INSERT OR REPLACE would remove the old row without asking the trigger above.
CREATE TRIGGER audit_log_insert BEFORE INSERT ON audit_log
WHEN EXISTS (SELECT 1 FROM audit_log WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'entries of the audit log are not changed');
END;
