//! Settings of moderation.

use std::time::Duration;

use crate::config::{Loader, Setting};

/// How moderators work together.
#[derive(Clone, Debug)]
pub struct ModerationSettings {
    /// After this long, a task that somebody took and didn't decide can be taken by others.
    pub take_over_after: Duration,
}

impl ModerationSettings {
    pub(crate) fn read(from: &mut Loader) -> Self {
        let take_over_after = from.get(Setting {
            key: "moderation.take_over_after",
            env: None,
            default: Duration::from_secs(3600),
            about: "After this long, a moderation task that somebody took and didn't decide can be taken by others. At least 1m.",
        });
        if take_over_after < Duration::from_secs(60) {
            from.problem("moderation.take_over_after", "must be at least 1m");
        }
        Self { take_over_after }
    }
}
