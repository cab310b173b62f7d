//! Settings of the queue.

use std::time::Duration;

use crate::config::{Loader, Setting};

/// How jobs are done.
#[derive(Clone, Debug)]
pub struct JobSettings {
    /// Jobs that one server does at the same time; 0: none.
    pub workers: u32,
    /// How long a job stays with a server that may have died. One that lives prolongs it.
    pub lease: Duration,
    /// How long jobs in progress have to end when the server does.
    pub drain_timeout: Duration,
}

impl JobSettings {
    pub(crate) fn read(from: &mut Loader) -> Self {
        let workers = from.get(Setting {
            key: "jobs.workers",
            env: None,
            default: 4,
            about: "Jobs (mails and the like) that this server does at the same time; 0 leaves them to other servers.",
        });
        let mut get = |key, default, about| from.get(Setting { key, env: None, default, about });
        let lease = get(
            "jobs.lease",
            Duration::from_secs(60),
            "How long a job stays with a server that may have died; one that lives prolongs it. At least 5s.",
        );
        let drain_timeout = get(
            "jobs.drain_timeout",
            Duration::from_secs(20),
            "How long jobs in progress have to end when the server stops; then others do them.",
        );
        if workers > 64 {
            from.problem("jobs.workers", "must be at most 64");
        }
        if lease < Duration::from_secs(5) {
            from.problem("jobs.lease", "must be at least 5s");
        }
        Self { workers, lease, drain_timeout }
    }
}
