//! All SQL of payments, a file for each kind of thing. Decides nothing.

mod account;
mod catalogue;
mod customers;
mod events;
mod grants;
mod operations;
mod payments;
mod subscriptions;

pub(super) use account::{accept_account, keep_account, kept_account};
pub(super) use catalogue::{
    ListedPrice, all_prices, all_products, find_price, has_product, listed_prices, put_price, put_product,
    retire_price, retire_product,
};
pub(super) use customers::{
    count_customers, customer_by_id, customer_of, customers_after, customers_of_nobody, email_of, insert_customer,
    live_customers_of, live_user, mark_customer_deleted, newest_customers, unmark_customer,
};
pub(super) use events::{
    count_events, find_event, insert_events, last_dead_cause, list_events, note_failure, purge_events,
    revive_dead_events, revive_event, revive_unavailable, settle_event, waiting_events,
};
pub(super) use grants::{
    facts, grants_of, insert_grant, insert_purchase, return_purchase, revoke_grant, revoke_purchase,
};
pub(super) use operations::{
    OperationRow, claim_operation, count_operations, find_operation, finish_operation, finish_operation_now,
    give_up_forgotten, give_up_operation, operation_by_id, pending_operations, pending_operations_about,
    pending_subscription, purge_operations, rekey_operation, renew_operation, settle_operation, touch_operation,
};
pub(super) use payments::{
    PaymentRow, find_payment, mark_disputed, payments_of, put_payment, refunded_of, refunded_payments,
    unsettled_payments,
};
pub(super) use subscriptions::{
    SubscriptionRow, accounts_to_follow, count_subscriptions_of, end_subscription, find_subscription, first_turn,
    has_live_subscription, live_subscription_ids, mark_leaving, purge_turns, put_subscription, second_subscriptions,
    subscriptions_after, subscriptions_of, take_turn, use_turn,
};
