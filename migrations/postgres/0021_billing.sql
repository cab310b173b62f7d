-- Payments. Customers, prices, subscriptions and payments are copies of what Stripe has, under Stripe's own ids:
-- a row here follows the one there, never the other way round. They stay when a person is erased, without the
-- person. plan is a name of the settings.

-- One live customer a user. A row whose customer is deleted at Stripe is a tombstone.
CREATE TABLE billing_customers (
    stripe_id       text        NOT NULL PRIMARY KEY,
    user_id         uuid                 REFERENCES users (id) ON DELETE SET NULL,
    deleted_at      timestamptz,
    created_at      timestamptz NOT NULL
);

CREATE INDEX billing_customers_user_id_idx ON billing_customers (user_id);
CREATE UNIQUE INDEX billing_customers_user_id_key ON billing_customers (user_id) WHERE deleted_at IS NULL;

CREATE TABLE billing_products (
    id              text        NOT NULL PRIMARY KEY,
    name            text        NOT NULL,
    description     text,
    features        jsonb       NOT NULL,
    plan            text,
    active          boolean     NOT NULL,
    updated_at      timestamptz NOT NULL
);

-- amount is in the currency's smallest unit. lifetime_days is how long a purchase that is made once counts.
CREATE TABLE billing_prices (
    id              text        NOT NULL PRIMARY KEY,
    product_id      text        NOT NULL REFERENCES billing_products (id) ON DELETE CASCADE,
    amount          bigint,
    currency        text        NOT NULL,
    period          text                 CHECK (period IN ('day', 'week', 'month', 'year')),
    period_count    integer,
    lookup_key      text,
    plan            text,
    lifetime_days   integer,
    active          boolean     NOT NULL,
    updated_at      timestamptz NOT NULL
);

CREATE INDEX billing_prices_product_id_idx ON billing_prices (product_id);

-- last_access is what the last status allowed that this build knew. failing_since is when the first of the
-- payments failed that are still owed.
CREATE TABLE billing_subscriptions (
    id                   text        NOT NULL PRIMARY KEY,
    customer_id          text        NOT NULL REFERENCES billing_customers (stripe_id),
    user_id              uuid                 REFERENCES users (id) ON DELETE SET NULL,
    status               text        NOT NULL,
    item_id              text,
    price_id             text,
    quantity             bigint      NOT NULL,
    period_start         timestamptz,
    period_end           timestamptz,
    trial_end            timestamptz,
    cancel_at            timestamptz,
    cancel_at_period_end boolean     NOT NULL,
    canceled_at          timestamptz,
    ended_at             timestamptz,
    paused               text,
    failing_since        timestamptz,
    last_access          text        NOT NULL CHECK (last_access IN ('full', 'grace', 'none')),
    created_at           timestamptz NOT NULL,
    synced_at            timestamptz NOT NULL
);

CREATE INDEX billing_subscriptions_customer_id_idx ON billing_subscriptions (customer_id);
CREATE INDEX billing_subscriptions_user_id_idx ON billing_subscriptions (user_id);

-- Payments that are made once: their intents at Stripe.
CREATE TABLE billing_payments (
    id              text        NOT NULL PRIMARY KEY,
    customer_id     text        NOT NULL REFERENCES billing_customers (stripe_id),
    user_id         uuid                 REFERENCES users (id) ON DELETE SET NULL,
    price_id        text,
    quantity        bigint      NOT NULL,
    amount          bigint      NOT NULL,
    currency        text        NOT NULL,
    status          text        NOT NULL,
    refunded        bigint      NOT NULL,
    disputed        boolean     NOT NULL,
    created_at      timestamptz NOT NULL,
    synced_at       timestamptz NOT NULL
);

CREATE INDEX billing_payments_customer_id_idx ON billing_payments (customer_id);
CREATE INDEX billing_payments_user_id_idx ON billing_payments (user_id);
CREATE INDEX billing_payments_status_idx ON billing_payments (status, created_at);

-- What somebody has beside a subscription: bought once, or given by an administrator for a reason.
CREATE TABLE billing_grants (
    id              uuid        NOT NULL PRIMARY KEY,
    user_id         uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    source          text        NOT NULL CHECK (source IN ('purchase', 'admin')),
    plan            text        NOT NULL,
    reason          text,
    payment_id      text,
    granted_by      text        NOT NULL,
    ends_at         timestamptz,
    revoked_at      timestamptz,
    created_at      timestamptz NOT NULL
);

CREATE INDEX billing_grants_user_id_idx ON billing_grants (user_id);
CREATE UNIQUE INDEX billing_grants_payment_id_key ON billing_grants (payment_id);

-- Events that Stripe sent, before anything is done with them. Only what says which object changed is kept:
-- what it is now is asked of Stripe, and nothing of a person is in here.
CREATE TABLE billing_events (
    id              text        NOT NULL PRIMARY KEY,
    type            text        NOT NULL,
    object_id       text,
    body            jsonb       NOT NULL,
    status          text        NOT NULL CHECK (status IN ('pending', 'done', 'ignored', 'dead')),
    attempts        integer     NOT NULL,
    error           text,
    created_at      timestamptz NOT NULL,
    received_at     timestamptz NOT NULL,
    processed_at    timestamptz
);

CREATE INDEX billing_events_received_at_idx ON billing_events (received_at, id);
CREATE INDEX billing_events_status_idx ON billing_events (status, received_at, id);

-- What we ask Stripe to do, written down before it is asked: whatever happens to the answer, the same key
-- finds it again.
CREATE TABLE billing_operations (
    id              uuid        NOT NULL PRIMARY KEY,
    user_id         uuid                 REFERENCES users (id) ON DELETE SET NULL,
    kind            text        NOT NULL,
    idempotency_key text        NOT NULL,
    request_hash    bytea       NOT NULL,
    state           text        NOT NULL CHECK (state IN ('pending', 'done', 'refused')),
    stripe_id       text,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL
);

CREATE INDEX billing_operations_user_id_idx ON billing_operations (user_id);
CREATE UNIQUE INDEX billing_operations_idempotency_key_key ON billing_operations (idempotency_key);
CREATE INDEX billing_operations_created_at_idx ON billing_operations (state, created_at);

-- Whose reading of an object is the newest: each takes a number before it asks Stripe, and what is written
-- under a number is never written over under a lower one.
CREATE TABLE billing_turns (
    object_id       text        NOT NULL PRIMARY KEY,
    taken           bigint      NOT NULL,
    written         bigint      NOT NULL
);
