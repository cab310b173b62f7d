//! All SQL of what is kept about people, a file for each concern. Decides nothing.

mod archive;
mod deletion;
mod profile;

pub(super) use archive::*;
pub(super) use deletion::*;
pub(super) use profile::*;
