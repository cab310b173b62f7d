-- Work to be done later, written in the transaction that wants it done. A row that is due is
-- taken by moving due_at to the end of a lease, so a worker that dies gives it back by itself.
-- Finished jobs are gone; dead ones stay to be looked at. A job with a schedule is never gone:
-- finishing it sets when it is due again.
CREATE TABLE jobs (
    id           BLOB        NOT NULL PRIMARY KEY,
    kind         TEXT        NOT NULL,
    payload      TEXT        NOT NULL,
    priority     INTEGER     NOT NULL,
    due_at       INTEGER     NOT NULL,
    running      INTEGER     NOT NULL,
    attempts     INTEGER     NOT NULL,
    max_attempts INTEGER     NOT NULL,
    schedule     TEXT,
    last_error   TEXT,
    dead_at      INTEGER,
    created_at   INTEGER     NOT NULL
) STRICT;

CREATE UNIQUE INDEX jobs_schedule_key ON jobs (schedule);
CREATE INDEX jobs_due_idx ON jobs (priority, due_at) WHERE dead_at IS NULL;
CREATE INDEX jobs_created_at_idx ON jobs (created_at, id);
