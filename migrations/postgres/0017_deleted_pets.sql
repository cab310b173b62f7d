-- Deleted pets by age: which of them can't be restored any more.
CREATE INDEX pets_deleted_at_idx ON pets (deleted_at) WHERE deleted_at IS NOT NULL;
