//! What a check is, what it finds, and running many at once. Which there are is decided by the
//! commands and plug-ins; `check` runs them all.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use serde::Serialize;

use crate::context::Context;

/// How bad it is when a check fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The installation isn't fit for production. In development it only warns.
    Error,
    /// Somebody should look at it.
    Warn,
    /// Good to know.
    Info,
}

/// Why a check says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// What it is about is switched off.
    FeatureOff,
    /// It makes no sense here.
    NotApplicable,
    /// We may not look.
    NoPermission,
}

/// What a check found. Texts are for a person, and hold no secret.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// All is well; what was seen.
    Pass(String),
    /// It isn't.
    Fail {
        /// What was seen.
        observed: String,
        /// What should have been.
        expected: String,
        /// How to mend it.
        hint: String,
    },
    /// Nothing can be said, and that is fine.
    Skip(SkipReason, String),
    /// The check could not be carried out: that is never a pass.
    Broken(String),
}

/// One thing to look at. It changes nothing.
pub trait Check: Send + Sync {
    /// Its name, as in `db.migrations`; of a plug-in `x.COMMAND.NAME`. Lower-case letters,
    /// digits, dots, hyphens and underscores.
    fn id(&self) -> &str;

    /// What should be so, in a few words.
    fn title(&self) -> &str;

    /// Items of the production checklist that it answers, such as `2.2`.
    fn items(&self) -> &[&str] {
        &[]
    }

    /// Where it is explained.
    fn docs_url(&self) -> Option<&str> {
        None
    }

    /// How bad it is when it isn't.
    fn severity(&self) -> Severity {
        Severity::Error
    }

    /// Looks. After five seconds it counts as not carried out.
    fn run<'a>(&'a self, cx: &'a Context) -> BoxFuture<'a, Verdict>;
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Pass,
    Warn,
    Fail,
    Skip,
    Error,
}

/// A check and what it found, as it is shown.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CheckResult {
    pub(crate) id: String,
    pub(crate) items: Vec<String>,
    pub(crate) title: String,
    pub(crate) severity: Severity,
    pub(crate) status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<SkipReason>,
    pub(crate) observed: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) docs_url: Option<String>,
    pub(crate) duration_ms: u64,
}

/// How long one may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How many run at the same time; the results come in the order of the checks all the same.
const AT_ONCE: usize = 8;

/// Runs checks. `lenient` is development, where what is an error in production warns, but for
/// `config.complete`; `required` ones must not be skipped.
pub(crate) async fn run_all(
    cx: &Context,
    checks: &[&dyn Check],
    lenient: bool,
    required: &[String],
) -> Vec<CheckResult> {
    let mut running: Vec<BoxFuture<'_, CheckResult>> = Vec::new();
    for check in checks {
        running.push(Box::pin(run_one(cx, *check, lenient, required)));
    }
    futures_util::stream::iter(running).buffered(AT_ONCE).collect().await
}

async fn run_one(cx: &Context, check: &dyn Check, lenient: bool, required: &[String]) -> CheckResult {
    let started = Instant::now();
    let verdict = match tokio::time::timeout(LIMIT, check.run(cx)).await {
        Ok(verdict) => verdict,
        Err(_) => Verdict::Broken(format!("no answer within {} s", LIMIT.as_secs())),
    };
    About::of(check).with(verdict, lenient, required, started.elapsed())
}

/// What is told of a check beside what it found.
pub(crate) struct About {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) items: Vec<String>,
    pub(crate) docs_url: Option<String>,
    pub(crate) severity: Severity,
}

impl About {
    fn of(check: &dyn Check) -> Self {
        Self {
            id: check.id().to_owned(),
            title: check.title().to_owned(),
            items: check.items().iter().map(|item| (*item).to_owned()).collect(),
            docs_url: check.docs_url().map(str::to_owned),
            severity: check.severity(),
        }
    }

    /// The whole result.
    pub(crate) fn with(self, verdict: Verdict, lenient: bool, required: &[String], took: Duration) -> CheckResult {
        let Self { id, title, items, docs_url, severity } = self;
        let severity = match severity {
            Severity::Error if lenient && id != "config.complete" => Severity::Warn,
            severity => severity,
        };
        let failed = if severity == Severity::Error { Status::Fail } else { Status::Warn };
        let (status, reason, observed, expected, hint) = match verdict {
            Verdict::Pass(observed) => (Status::Pass, None, observed, None, None),
            Verdict::Fail { observed, expected, hint } => (failed, None, observed, Some(expected), Some(hint)),
            Verdict::Skip(reason, why) if required.contains(&id) => {
                (Status::Fail, Some(reason), why, Some("not skipped".to_owned()), None)
            }
            Verdict::Skip(reason, why) => (Status::Skip, Some(reason), why, None, None),
            Verdict::Broken(why) => (Status::Error, None, why, None, None),
        };
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        CheckResult { id, items, title, severity, status, reason, observed, expected, hint, docs_url, duration_ms }
    }
}

/// Whether an id is one that this pattern means: `*` stands for anything.
pub(crate) fn matches(pattern: &str, id: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == id,
        Some((start, rest)) => id
            .strip_prefix(start)
            .is_some_and(|tail| (0..=tail.len()).any(|n| tail.is_char_boundary(n) && matches(rest, &tail[n..]))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, id, is) in [
            ("db.*", "db.connect", true),
            ("*", "db.connect", true),
            ("*.connect", "db.connect", true),
            ("d*n*t", "db.connect", true),
            ("db", "db.connect", false),
            ("db.*", "media.store", false),
            ("db.connect", "db.connect", true),
        ] {
            assert_eq!(matches(pattern, id), is, "{pattern} {id}");
        }
    }
}
