//! Payments against a Stripe in the same process: what must hold under races, lost answers and events in any
//! order.

mod account;
mod customers;
mod erasure;
mod events;
mod grants;
mod lost;
mod order;
mod outages;
mod payments;
mod refunds;
mod shop;
mod subscribing;
mod subscriptions;
mod sync;
