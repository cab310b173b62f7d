//! What handlers take out of a request, each with an error that says what to send instead.

mod body;
mod caller;
mod client;
mod idempotency;
mod query;

pub(crate) use body::{AUTH_BODY, Json, Raw, interrupted};
pub(crate) use caller::{Anybody, Signed, SignedNow, bearer};
pub(crate) use client::ClientInfo;
pub(crate) use idempotency::Idempotent;
pub(crate) use query::Query;
