//! All SQL of accounts, a file for each kind of row. Decides nothing.

mod api_keys;
mod one_time_tokens;
mod recovery;
mod second_factor;
mod sessions;
mod signing_keys;
mod standing;
mod stats;
mod users;

pub(super) use api_keys::*;
pub(super) use one_time_tokens::*;
pub(super) use recovery::*;
pub(super) use second_factor::*;
pub(super) use sessions::*;
pub(super) use signing_keys::*;
pub(super) use standing::*;
pub(super) use stats::*;
pub(super) use users::*;
pub(crate) use users::{NewUserRow, insert_users};
