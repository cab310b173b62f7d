-- Payments belong to one account of Stripe's, in one of its modes: a key of another would make all of it look deleted.
CREATE TABLE billing_account (
    provider        text        NOT NULL PRIMARY KEY CHECK (provider IN ('stripe')),
    account_id      text        NOT NULL,
    livemode        boolean     NOT NULL,
    accepted_by     text        NOT NULL,
    accepted_at     timestamptz NOT NULL
);

-- What an operation is about: the payment of a refund, the price of a subscription.
ALTER TABLE billing_operations ADD COLUMN object_id text;

UPDATE billing_operations
SET object_id = split_part(idempotency_key, ' ', 2)
WHERE kind = 'refund';

CREATE INDEX billing_operations_object_id_idx ON billing_operations (object_id);

-- When the money came: what is bought for a time counts from then.
ALTER TABLE billing_payments ADD COLUMN paid_at timestamptz;

-- Whether it is to end because its person's account is to be erased, which may be taken back.
ALTER TABLE billing_subscriptions ADD COLUMN ends_with_account boolean NOT NULL DEFAULT false;

-- Whether an event was given up only because somebody was away.
ALTER TABLE billing_events ADD COLUMN was_unavailable boolean NOT NULL DEFAULT false;

ALTER TABLE billing_turns ADD COLUMN taken_at timestamptz;

CREATE INDEX billing_turns_taken_at_idx ON billing_turns (taken_at);
