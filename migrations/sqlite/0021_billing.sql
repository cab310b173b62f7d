-- Payments. Customers, prices, subscriptions and payments are copies of what Stripe has, under Stripe's own ids:
-- a row here follows the one there, never the other way round. They stay when a person is erased, without the
-- person. plan is a name of the settings.

-- One live customer a user. A row whose customer is deleted at Stripe is a tombstone.
CREATE TABLE billing_customers (
    stripe_id       TEXT    NOT NULL PRIMARY KEY,
    user_id         BLOB             REFERENCES users (id) ON DELETE SET NULL,
    deleted_at      INTEGER,
    created_at      INTEGER NOT NULL
) STRICT;

CREATE INDEX billing_customers_user_id_idx ON billing_customers (user_id);
CREATE UNIQUE INDEX billing_customers_user_id_key ON billing_customers (user_id) WHERE deleted_at IS NULL;

CREATE TABLE billing_products (
    id              TEXT    NOT NULL PRIMARY KEY,
    name            TEXT    NOT NULL,
    description     TEXT,
    features        TEXT    NOT NULL,
    plan            TEXT,
    active          INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;

-- amount is in the currency's smallest unit. lifetime_days is how long a purchase that is made once counts.
CREATE TABLE billing_prices (
    id              TEXT    NOT NULL PRIMARY KEY,
    product_id      TEXT    NOT NULL REFERENCES billing_products (id) ON DELETE CASCADE,
    amount          INTEGER,
    currency        TEXT    NOT NULL,
    period          TEXT             CHECK (period IN ('day', 'week', 'month', 'year')),
    period_count    INTEGER,
    lookup_key      TEXT,
    plan            TEXT,
    lifetime_days   INTEGER,
    active          INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;

CREATE INDEX billing_prices_product_id_idx ON billing_prices (product_id);

-- last_access is what the last status allowed that this build knew. failing_since is when the first of the
-- payments failed that are still owed.
CREATE TABLE billing_subscriptions (
    id                   TEXT    NOT NULL PRIMARY KEY,
    customer_id          TEXT    NOT NULL REFERENCES billing_customers (stripe_id),
    user_id              BLOB             REFERENCES users (id) ON DELETE SET NULL,
    status               TEXT    NOT NULL,
    item_id              TEXT,
    price_id             TEXT,
    quantity             INTEGER NOT NULL,
    period_start         INTEGER,
    period_end           INTEGER,
    trial_end            INTEGER,
    cancel_at            INTEGER,
    cancel_at_period_end INTEGER NOT NULL,
    canceled_at          INTEGER,
    ended_at             INTEGER,
    paused               TEXT,
    failing_since        INTEGER,
    last_access          TEXT    NOT NULL CHECK (last_access IN ('full', 'grace', 'none')),
    created_at           INTEGER NOT NULL,
    synced_at            INTEGER NOT NULL
) STRICT;

CREATE INDEX billing_subscriptions_customer_id_idx ON billing_subscriptions (customer_id);
CREATE INDEX billing_subscriptions_user_id_idx ON billing_subscriptions (user_id);

-- Payments that are made once: their intents at Stripe.
CREATE TABLE billing_payments (
    id              TEXT    NOT NULL PRIMARY KEY,
    customer_id     TEXT    NOT NULL REFERENCES billing_customers (stripe_id),
    user_id         BLOB             REFERENCES users (id) ON DELETE SET NULL,
    price_id        TEXT,
    quantity        INTEGER NOT NULL,
    amount          INTEGER NOT NULL,
    currency        TEXT    NOT NULL,
    status          TEXT    NOT NULL,
    refunded        INTEGER NOT NULL,
    disputed        INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    synced_at       INTEGER NOT NULL
) STRICT;

CREATE INDEX billing_payments_customer_id_idx ON billing_payments (customer_id);
CREATE INDEX billing_payments_user_id_idx ON billing_payments (user_id);
CREATE INDEX billing_payments_status_idx ON billing_payments (status, created_at);

-- What somebody has beside a subscription: bought once, or given by an administrator for a reason.
CREATE TABLE billing_grants (
    id              BLOB    NOT NULL PRIMARY KEY,
    user_id         BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    source          TEXT    NOT NULL CHECK (source IN ('purchase', 'admin')),
    plan            TEXT    NOT NULL,
    reason          TEXT,
    payment_id      TEXT,
    granted_by      TEXT    NOT NULL,
    ends_at         INTEGER,
    revoked_at      INTEGER,
    created_at      INTEGER NOT NULL
) STRICT;

CREATE INDEX billing_grants_user_id_idx ON billing_grants (user_id);
CREATE UNIQUE INDEX billing_grants_payment_id_key ON billing_grants (payment_id);

-- Events that Stripe sent, before anything is done with them. Only what says which object changed is kept:
-- what it is now is asked of Stripe, and nothing of a person is in here.
CREATE TABLE billing_events (
    id              TEXT    NOT NULL PRIMARY KEY,
    type            TEXT    NOT NULL,
    object_id       TEXT,
    body            TEXT    NOT NULL,
    status          TEXT    NOT NULL CHECK (status IN ('pending', 'done', 'ignored', 'dead')),
    attempts        INTEGER NOT NULL,
    error           TEXT,
    created_at      INTEGER NOT NULL,
    received_at     INTEGER NOT NULL,
    processed_at    INTEGER
) STRICT;

CREATE INDEX billing_events_received_at_idx ON billing_events (received_at, id);
CREATE INDEX billing_events_status_idx ON billing_events (status, received_at, id);

-- What we ask Stripe to do, written down before it is asked: whatever happens to the answer, the same key
-- finds it again.
CREATE TABLE billing_operations (
    id              BLOB    NOT NULL PRIMARY KEY,
    user_id         BLOB             REFERENCES users (id) ON DELETE SET NULL,
    kind            TEXT    NOT NULL,
    idempotency_key TEXT    NOT NULL,
    request_hash    BLOB    NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('pending', 'done', 'refused')),
    stripe_id       TEXT,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;

CREATE INDEX billing_operations_user_id_idx ON billing_operations (user_id);
CREATE UNIQUE INDEX billing_operations_idempotency_key_key ON billing_operations (idempotency_key);
CREATE INDEX billing_operations_created_at_idx ON billing_operations (state, created_at);

-- Whose reading of an object is the newest: each takes a number before it asks Stripe, and what is written
-- under a number is never written over under a lower one.
CREATE TABLE billing_turns (
    object_id       TEXT    NOT NULL PRIMARY KEY,
    taken           INTEGER NOT NULL,
    written         INTEGER NOT NULL
) STRICT;
