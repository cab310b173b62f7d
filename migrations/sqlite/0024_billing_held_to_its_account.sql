-- Payments belong to one account of Stripe's, in one of its modes: a key of another would make all of it look deleted.
CREATE TABLE billing_account (
    provider        TEXT    NOT NULL PRIMARY KEY CHECK (provider IN ('stripe')),
    account_id      TEXT    NOT NULL,
    livemode        INTEGER NOT NULL,
    accepted_by     TEXT    NOT NULL,
    accepted_at     INTEGER NOT NULL
) STRICT;

-- What an operation is about: the payment of a refund, the price of a subscription.
ALTER TABLE billing_operations ADD COLUMN object_id TEXT;

UPDATE billing_operations
SET object_id = substr(idempotency_key, 8, instr(substr(idempotency_key, 8), ' ') - 1)
WHERE kind = 'refund';

CREATE INDEX billing_operations_object_id_idx ON billing_operations (object_id);

-- When the money came: what is bought for a time counts from then.
ALTER TABLE billing_payments ADD COLUMN paid_at INTEGER;

-- Whether it is to end because its person's account is to be erased, which may be taken back.
ALTER TABLE billing_subscriptions ADD COLUMN ends_with_account INTEGER NOT NULL DEFAULT 0;

-- Whether an event was given up only because somebody was away.
ALTER TABLE billing_events ADD COLUMN was_unavailable INTEGER NOT NULL DEFAULT 0;

ALTER TABLE billing_turns ADD COLUMN taken_at INTEGER;

CREATE INDEX billing_turns_taken_at_idx ON billing_turns (taken_at);
