//! Checks of external commands: those that say `"checks": true` of themselves are called as
//! `NAME check --format jsonl`, and what they find joins what `check` tells. Their ids are their own, whatever
//! they say. One that doesn't answer as it should, or can't be asked any more, is a check that could not be
//! carried out: nobody's checks are lost without a word.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::Deserialize;

use super::describe::Answer;
use super::remembered::Remembered;
use super::run::Told;
use super::{Program, all, describe, is_taken, run};
use crate::check::{About, CheckResult, Severity, SkipReason, Verdict};
use crate::context::Context;

/// How long one may take for all of its checks.
const LIMIT: Duration = Duration::from_secs(5);
/// How long all of them may take to say whether they have checks.
const PATIENCE: Duration = Duration::from_secs(2);
/// The check that fails, in its way, when it doesn't answer as it should.
const ANSWER: &str = "answer";
/// More than these are nobody's to read.
const MOST: usize = 200;
/// How one ends that has said what it found: as our own `check` does.
const ENDS: [i32; 4] = [0, 10, 11, 12];

/// A program that has checks, or may have some and can't be asked.
pub(crate) struct Checker {
    program: Program,
    /// What its ids begin with.
    pub(crate) prefix: String,
    /// Why it can't be asked.
    silent: Option<String>,
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

/// Every program that would be run as a command, and has checks; and those that had some, or may have, and
/// don't say so.
pub(crate) fn checkers(cx: &Context) -> Vec<Checker> {
    let mut programs = BTreeMap::new();
    for program in all(cx).into_iter().filter(|program| !is_taken(&program.name, cx.command())) {
        programs.entry(program.name.clone()).or_insert(program);
    }
    let tool = cx.command().get_name();
    let before = Remembered::read(tool);
    let had_checks = |path: &Path| before.last(path).map(|description| description.checks);
    let (refused, safe): (Vec<_>, Vec<_>) =
        programs.into_values().partition(|program| program.unsafe_because().is_some());
    let answers = describe(tool, &safe.iter().collect::<Vec<_>>(), PATIENCE);
    let asked = safe.into_iter().zip(answers).filter_map(|(program, answer)| {
        let had_checks = had_checks(&program.path);
        let silent = match answer {
            Answer::Description(description) => return description.checks.then(|| Checker::of(program, None)),
            Answer::Late if had_checks == Some(false) => return None,
            Answer::Late => format!("it doesn't say within {} s whether it has checks", PATIENCE.as_secs()),
            Answer::Broken(why) if had_checks != Some(false) => why,
            Answer::Broken(_) => return None,
            Answer::Unknown if had_checks == Some(true) => {
                "it said that it has checks, and doesn't answer --petspark-describe any more".to_owned()
            }
            // It was never one that describes itself.
            Answer::Unknown => return None,
        };
        Some(Checker::of(program, Some(silent)))
    });
    let unasked = refused.into_iter().filter_map(|program| {
        let matters = match had_checks(&program.path) {
            Some(had_checks) => had_checks,
            None => !program.is_excluded(),
        };
        let silent = format!("it is not run: {}", program.unsafe_because().filter(|_| matters)?);
        Some(Checker::of(program, Some(silent)))
    });
    let mut checkers: Vec<_> = asked.chain(unasked).collect();
    checkers.sort_by(|one, other| one.program.name.cmp(&other.program.name));
    checkers
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

    fn of(program: Program, silent: Option<String>) -> Self {
        Self { prefix: format!("x.{}.", program.name), program, silent }
    }

    async fn run(&self, cx: &Context, lenient: bool, required: &[String]) -> Vec<CheckResult> {
        let started = Instant::now();
        let (mut found, problem) = self.ask(cx).await;
        if let Some(problem) = problem {
            let about = About {
                id: format!("{}{ANSWER}", self.prefix),
                title: "The program answers".to_owned(),
                items: Vec::new(),
                docs_url: None,
                severity: Severity::Error,
            };
            found.push((about, Verdict::Broken(problem)));
        }
        found.into_iter().map(|(about, verdict)| about.with(verdict, lenient, required, started.elapsed())).collect()
    }

    /// What it found, and what is wrong with how it answered: then there may be more than that.
    async fn ask(&self, cx: &Context) -> (Vec<(About, Verdict)>, Option<String>) {
        if let Some(why) = &self.silent {
            return (Vec::new(), Some(why.clone()));
        }
        match run::capture(cx, &self.program, &["check", "--format", "jsonl"], LIMIT).await {
            Ok(Told { text, status }) => {
                let mut found = Vec::new();
                let read = self.read(&text, &mut found);
                let problems: Vec<_> = ended_otherwise(status).into_iter().chain(read.err()).collect();
                (found, (!problems.is_empty()).then(|| problems.join("; ")))
            }
            Err(problem) => (Vec::new(), Some(problem)),
        }
    }

    fn read(&self, text: &str, found: &mut Vec<(About, Verdict)>) -> Result<(), String> {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let value: serde_json::Value = serde_json::from_str(line).map_err(|_| not_as_it_should(line))?;
            if value.get("summary").is_some() {
                continue;
            }
            if found.len() == MOST {
                return Err(format!("it tells of more than {MOST} checks; the others are not read"));
            }
            found.push(self.told(serde_json::from_value(value).map_err(|_| not_as_it_should(line))?)?);
        }
        if found.is_empty() { Err("it told of no check".to_owned()) } else { Ok(()) }
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

/// What is odd about how it ended: whoever dies half-way has told the half.
fn ended_otherwise(status: ExitStatus) -> Option<String> {
    let is_usual = status.code().is_some_and(|code| ENDS.contains(&code));
    (!is_usual).then(|| format!("it ended with {status}, and not with exit code 0, 10, 11 or 12"))
}

fn not_as_it_should(line: &str) -> String {
    let beginning: String = line.chars().take(80).collect();
    format!("it doesn't answer as docs/PLUGINS.md has it: {}", beginning.escape_debug())
}
