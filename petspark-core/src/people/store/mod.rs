//! All SQL of what is kept about people, a file for each concern. Decides nothing.

mod archive;
mod blocks;
mod deletion;
mod profile;

pub(super) use archive::*;
pub(super) use blocks::*;
pub(crate) use blocks::{push_unless_blocked, unless_blocked};
pub(super) use deletion::*;
pub(super) use profile::*;
