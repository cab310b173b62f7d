-- Everybody's photos, the newest first, as moderators look at them without a filter.
CREATE INDEX uploads_created_at_idx ON uploads (created_at, id) WHERE status <> 'reserved' AND purpose <> 'document';
