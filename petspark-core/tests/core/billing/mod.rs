//! Payments against a Stripe in the same process: what must hold under races, lost answers and events in any
//! order.

mod customers;
mod erasure;
mod events;
mod grants;
mod order;
mod outages;
mod payments;
mod shop;
mod subscriptions;
mod sync;
