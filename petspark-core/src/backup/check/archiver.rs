//! Whether PostgreSQL hands its WAL on, without which another program's backups end in the past.

use std::time::Duration;

use super::{Finding, Status};
use crate::backup::Backups;
use crate::backup::settings::ExternalTool;
use crate::clock::Timestamp;
use crate::config::DatabaseUrl;
use crate::database::{Archiver, Direct};

impl Backups {
    /// Whether PostgreSQL gets rid of its WAL, if it is the server that hands it to that program.
    pub(super) async fn archiver(&self, tool: ExternalTool) -> Option<Finding> {
        let DatabaseUrl::Postgres(url) = &self.settings().database.url else { return None };
        if tool == ExternalTool::Litestream {
            return None;
        }
        let asked = async {
            let mut direct = Direct::postgres(url.expose()).await?;
            let archiver = direct.archiver().await;
            direct.close().await;
            archiver
        };
        let finding = match asked.await {
            // A receiver may fetch it instead.
            Ok(None) => return None,
            Ok(Some(archiver)) => archiver_says(&archiver, self.clock().now()),
            Err(fault) => Finding::pass("backup.external", fault.chain()).of(
                Status::Error,
                "what pg_stat_archiver says",
                "the database is away, so its archiving isn't known",
            ),
        };
        Some(Finding { target: "pg_stat_archiver", ..finding })
    }
}

/// So long may nothing be archived before somebody should look.
const ARCHIVED_WITHIN: Duration = Duration::from_secs(15 * 60);

fn archiver_says(archiver: &Archiver, now: Timestamp) -> Finding {
    let finding = |observed: String| Finding::pass("backup.external", observed);
    let told = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| at.to_string());
    if archiver.last_failed_at > archiver.last_archived_at {
        return finding(format!("archiving failed last at {}", told(archiver.last_failed_at)))
            .fail("WAL that is archived", "see PostgreSQL's log and archive_command; its disk fills until that works");
    }
    let observed = finding(format!("WAL was archived last at {}", told(archiver.last_archived_at)));
    match archiver.last_archived_at {
        Some(at) if now.since(at) <= ARCHIVED_WITHIN => observed,
        // Nobody may have written anything.
        _ => observed.of(
            Status::Warn,
            "within 15 minutes",
            "set archive_timeout, so that little is lost when nobody writes much",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wal_that_is_not_archived_is_told_and_a_quiet_database_only_warned_of() {
        let now = Timestamp::from_micros(1_795_802_400_000_000);
        let before = |minutes: u64| Some(now.before(Duration::from_secs(60 * minutes)));
        for (last_archived_at, last_failed_at, status) in [
            (before(5), None, Status::Pass),
            (before(5), before(6), Status::Pass),
            (before(16), before(20), Status::Warn),
            (before(6), before(5), Status::Fail),
            (None, before(5), Status::Fail),
            (None, None, Status::Warn),
        ] {
            let archiver = Archiver { last_archived_at, last_failed_at };
            assert_eq!(archiver_says(&archiver, now).status, status, "{archiver:?}");
        }
    }
}
