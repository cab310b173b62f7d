//! Checks of external commands: those that say `"checks": true` of themselves are called as
//! `NAME check --format jsonl`, and what they find joins what `check` tells. Their ids are their own, whatever
//! they say, and one that doesn't answer as it should is a check that could not be carried out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::Deserialize;

use super::{Program, all, describe, is_taken, run};
use crate::check::{About, CheckResult, Severity, SkipReason, Verdict};
use crate::context::Context;

/// How long one may take for all of its checks.
const LIMIT: Duration = Duration::from_secs(5);
/// How long all of them may take to say whether they have checks.
const PATIENCE: Duration = Duration::from_secs(2);
/// The check that fails, in its way, when it doesn't answer as it should.
const ANSWER: &str = "answer";
/// More lines are nobody's to read.
const MOST: usize = 200;

/// A program that has checks.
pub(crate) struct Checker {
    program: Program,
    /// What its ids begin with.
    pub(crate) prefix: String,
}

/// A line of what it tells; more fields may be there.
#[derive(Deserialize)]
struct Line {
    id: String,
    status: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    severity: Option<String>,
    #[serde(default)]
    observed: String,
    #[serde(default)]
    expected: Option<String>,
    #[serde(default)]
    hint: Option<String>,
    #[serde(default)]
    items: Vec<String>,
    #[serde(default)]
    docs_url: Option<String>,
}

/// Every program that would be run as a command, and has checks.
pub(crate) fn checkers(cx: &Context) -> Vec<Checker> {
    let mut programs = BTreeMap::new();
    for program in all(cx).into_iter().filter(|program| !is_taken(&program.name, cx.command())) {
        programs.entry(program.name.clone()).or_insert(program);
    }
    programs.retain(|_, program| program.unsafe_because.is_none());
    let paths: Vec<_> = programs.values().map(|program| &*program.path).collect();
    let told = describe(cx.command().get_name(), &paths, PATIENCE);
    let has_checks = told.into_iter().map(|description| description.is_some_and(|it| it.checks)).collect::<Vec<_>>();
    let chosen = programs.into_values().zip(has_checks).filter(|(_, has_checks)| *has_checks);
    chosen.map(|(program, _)| Checker { prefix: format!("x.{}.", program.name), program }).collect()
}

/// Runs them all at the same time; the results are in the order of their names.
pub(crate) async fn check(cx: &Context, checkers: &[Checker], lenient: bool, required: &[String]) -> Vec<CheckResult> {
    let results = join_all(checkers.iter().map(|checker| checker.run(cx, lenient, required))).await;
    results.into_iter().flatten().collect()
}

impl Checker {
    /// Whether this id is that of its having to answer.
    pub(crate) fn is_answer(&self, id: &str) -> bool {
        id.strip_prefix(&self.prefix) == Some(ANSWER)
    }

    async fn run(&self, cx: &Context, lenient: bool, required: &[String]) -> Vec<CheckResult> {
        let started = Instant::now();
        let told = match run::capture(cx, &self.program, &["check", "--format", "jsonl"], LIMIT).await {
            Ok(text) => self.read(&text),
            Err(problem) => Err(problem),
        };
        let found = told.unwrap_or_else(|problem| {
            let about = About {
                id: format!("{}{ANSWER}", self.prefix),
                title: "The program answers".to_owned(),
                items: Vec::new(),
                docs_url: None,
                severity: Severity::Error,
            };
            vec![(about, Verdict::Broken(problem))]
        });
        found.into_iter().map(|(about, verdict)| about.with(verdict, lenient, required, started.elapsed())).collect()
    }

    fn read(&self, text: &str) -> Result<Vec<(About, Verdict)>, String> {
        let mut found = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()).take(MOST) {
            let value: serde_json::Value = serde_json::from_str(line).map_err(|_| not_as_it_should(line))?;
            if value.get("summary").is_some() {
                continue;
            }
            found.push(self.told(serde_json::from_value(value).map_err(|_| not_as_it_should(line))?)?);
        }
        if found.is_empty() { Err("it told of no check".to_owned()) } else { Ok(found) }
    }

    fn told(&self, line: Line) -> Result<(About, Verdict), String> {
        let own = line.id.strip_prefix(&self.prefix).unwrap_or(&line.id);
        if own.is_empty() || !own.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c)) {
            let id = own.escape_debug();
            return Err(format!("the id \"{id}\" has other characters than a-z, 0-9, dots, hyphens and underscores"));
        }
        let severity = match (&*line.status, line.severity.as_deref()) {
            ("warn", _) | (_, Some("warn")) => Severity::Warn,
            (_, Some("info")) => Severity::Info,
            _ => Severity::Error,
        };
        let about = About {
            id: format!("{}{own}", self.prefix),
            title: line.title,
            items: line.items,
            docs_url: line.docs_url,
            severity,
        };
        let failed = |observed| Verdict::Fail {
            observed,
            expected: line.expected.unwrap_or_else(|| "otherwise".to_owned()),
            hint: line.hint.unwrap_or_default(),
        };
        let verdict = match &*line.status {
            "pass" => Verdict::Pass(line.observed),
            "fail" | "warn" => failed(line.observed),
            "skip" => Verdict::Skip(SkipReason::NotApplicable, line.observed),
            "error" => Verdict::Broken(line.observed),
            other => return Err(format!("the status \"{}\" is none", other.escape_debug())),
        };
        Ok((about, verdict))
    }
}

fn not_as_it_should(line: &str) -> String {
    let beginning: String = line.chars().take(80).collect();
    format!("it doesn't answer as docs/PLUGINS.md has it: {}", beginning.escape_debug())
}
