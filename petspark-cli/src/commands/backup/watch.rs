//! How far a backup, a drill or a restoring is, part by part.

use std::sync::{Mutex, PoisonError};

use petspark_core::backup::{BackupProgress, Backups};

use crate::commands::progress::{Manner, Progress};
use crate::context::Context;

/// What is shown of the part that is under way. The bar goes with the backups.
pub(crate) fn watched(cx: &Context, backups: Backups) -> Backups {
    let (manner, shown) = (Manner::of(cx), Mutex::new(None::<(&str, Progress)>));
    backups.watched(move |now: BackupProgress| {
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.as_ref().is_none_or(|(what, _)| *what != now.what) {
            // The bar of the part before goes first: two would write over each other.
            *shown = None;
            *shown = Some((now.what, Progress::shown(manner, now.what, now.total)));
        }
        if let Some((_, progress)) = &mut *shown {
            progress.at(now.done);
        }
    })
}
