-- Who did what to whom, from where, and whether it worked. Only ever added to. Holds ids, never
-- names or addresses of people, so that erasing somebody leaves nothing of them here but an id.
-- No foreign keys: a row outlives what it speaks of.
CREATE TABLE audit_log (
    id           uuid        NOT NULL PRIMARY KEY,
    at           timestamptz NOT NULL,
    actor        text        NOT NULL,
    action       text        NOT NULL,
    subject      text,
    succeeded    boolean     NOT NULL,
    reason       text,
    ip           text,
    request_id   text,
    details      jsonb       NOT NULL
);

CREATE INDEX audit_log_at_idx ON audit_log (at, id);
CREATE INDEX audit_log_actor_idx ON audit_log (actor, at, id);
CREATE INDEX audit_log_subject_idx ON audit_log (subject, at, id);
CREATE INDEX audit_log_action_idx ON audit_log (action, at, id);

-- Only ever added to, and the database itself sees to it. Entries may be removed when they are
-- 30 days older than the youngest one; what tells of a person who is erased may be blanked.
CREATE FUNCTION audit_log_protect() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    youngest timestamptz;
BEGIN
    IF TG_OP = 'DELETE' THEN
        EXECUTE format('SELECT max(at) FROM %I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME) INTO youngest;
        IF OLD.at <= youngest - interval '30 days' THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'the audit log keeps its entries for 30 days at least';
    ELSIF TG_OP = 'UPDATE' THEN
        IF (NEW.id, NEW.at, NEW.actor, NEW.action, NEW.succeeded)
                = (OLD.id, OLD.at, OLD.actor, OLD.action, OLD.succeeded)
            AND NEW.subject IS NOT DISTINCT FROM OLD.subject
            AND NEW.request_id IS NOT DISTINCT FROM OLD.request_id
            AND (NEW.ip IS NULL OR NEW.ip = OLD.ip)
            AND (NEW.reason IS NULL OR NEW.reason = OLD.reason)
            AND (NEW.details = '{}' OR NEW.details = OLD.details)
        THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'entries of the audit log are not changed';
END
$$;

CREATE TRIGGER audit_log_protect BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_log_protect();
CREATE TRIGGER audit_log_truncate BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_protect();
