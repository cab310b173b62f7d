//! Backups that other programs make, looked at by those programs: is the newest fresh, and is it all
//! there? Nothing is changed, in their archives or at their settings. Exit codes alone are not believed:
//! `pgbackrest verify` ends with 0 over a changed file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::files::REQUIRED;
use super::state::{SKEW, fresh};
use super::tool::{Answer, run};
use super::{Finding, Status};
use crate::backup::create::Scratch;
use crate::backup::drill::DRILL;
use crate::backup::settings::{External, ExternalTool};
use crate::backup::target::blocking;
use crate::backup::{BackupError, Backups};
use crate::clock::Timestamp;
use crate::config::DatabaseUrl;
use crate::database::{Contents, Direct};
use crate::error::{Fault, chain};
use crate::id::BackupId;

/// How long a list may take. Reading a whole archive takes as long as it takes.
const LIMIT: Duration = Duration::from_secs(60);

/// What is known of an archive.
struct Archive {
    /// When the newest backup that is all right was complete.
    newest: Option<Timestamp>,
    /// What was seen, for a person.
    observed: String,
    problems: Vec<String>,
}

/// Why nothing is known of it.
struct Unknown(String);

impl From<String> for Unknown {
    fn from(why: String) -> Self {
        Self(why)
    }
}

impl From<BackupError> for Unknown {
    fn from(error: BackupError) -> Self {
        Self(chain(&error))
    }
}

impl From<Fault> for Unknown {
    fn from(fault: Fault) -> Self {
        Self(fault.chain())
    }
}

impl Backups {
    /// With `all` the whole archive is read, too.
    pub(super) async fn external(&self, external: &External, all: bool) -> Vec<Finding> {
        let looked = match external.tool {
            ExternalTool::PgBackRest => self.pgbackrest(external, all).await,
            ExternalTool::Barman => self.barman(external).await,
            ExternalTool::Litestream => self.litestream(external, all).await,
        };
        let name = external.tool.as_str();
        let findings = match looked {
            Err(Unknown(why)) => vec![Finding::pass("backup.external", why).of(
                Status::Error,
                format!("an answer of {name}"),
                "install it where this runs, or name it by backup.external_program; see backup.external_name",
            )],
            Ok(Archive { newest, observed, problems }) => {
                let whole = if problems.is_empty() {
                    Finding::pass("backup.external", observed)
                } else {
                    Finding::pass("backup.external", problems.join("; ")).fail(
                        "an archive that is all there",
                        format!("see what {name} says of it, and make another backup"),
                    )
                };
                let max_age = self.settings().backup.max_age;
                let mut fresh = fresh(newest, self.clock().now(), max_age);
                if fresh.status != Status::Pass {
                    fresh.hint = format!("find out why {name} makes no backups");
                }
                vec![whole, fresh]
            }
        };
        findings.into_iter().map(|finding| Finding { target: name, ..finding }).collect()
    }

    async fn ask(&self, external: &External, args: &[&str], limit: Option<Duration>) -> Result<Answer, Unknown> {
        let program = external.program.clone().unwrap_or_else(|| PathBuf::from(external.tool.as_str()));
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let ran = blocking(move || Ok(run(&program, &args.iter().map(String::as_str).collect::<Vec<_>>(), limit)));
        Ok(ran.await??)
    }

    async fn ask_json(&self, external: &External, args: &[&str]) -> Result<Value, Unknown> {
        let answer = self.ask(external, args, Some(LIMIT)).await?;
        let name = external.tool.as_str();
        if !answer.succeeded {
            return Err(Unknown(format!("{name} failed: {}", answer.said)));
        }
        serde_json::from_str(&answer.stdout).map_err(|error| Unknown(format!("{name} didn't answer in JSON: {error}")))
    }

    async fn pgbackrest(&self, external: &External, all: bool) -> Result<Archive, Unknown> {
        let stanza = format!("--stanza={}", external.name);
        let told = self.ask_json(external, &["info", &stanza, "--output=json"]).await?;
        let mut archive = pgbackrest_says(&told, &external.name);
        if all {
            let answer = self.ask(external, &["verify", &stanza, "--output=text", "--verbose"], None).await?;
            let is_ok = answer.stdout.lines().any(|line| line.trim() == "status: ok");
            if is_ok && answer.succeeded {
                archive.observed.push_str("; every file was read");
            } else {
                let wrong = answer.stdout.lines().map(str::trim).find(|line| line.starts_with("status:"));
                archive.problems.push(format!("verify: {}", wrong.unwrap_or(&answer.said)));
            }
        }
        Ok(archive)
    }

    async fn barman(&self, external: &External) -> Result<Archive, Unknown> {
        let told = self.ask_json(external, &["--format", "json", "list-backups", &external.name]).await?;
        let mut archive = barman_says(&told, &external.name);
        let checked = self.ask(external, &["check", "--nagios", &external.name], Some(LIMIT)).await?;
        if !checked.succeeded {
            archive.problems.push(format!("check: {}", checked.stdout.lines().next().unwrap_or(&checked.said).trim()));
        }
        Ok(archive)
    }

    async fn litestream(&self, external: &External, all: bool) -> Result<Archive, Unknown> {
        let mut answer = self.ask(external, &["ltx", &external.name], Some(LIMIT)).await?;
        if !answer.succeeded {
            // As releases before 0.5 say it.
            let older = self.ask(external, &["wal", &external.name], Some(LIMIT)).await?;
            if !older.succeeded {
                return Err(Unknown(format!("litestream failed: {}", answer.said)));
            }
            answer = older;
        }
        let mut archive = litestream_says(&answer.stdout);
        if let (Some(newest), DatabaseUrl::Sqlite(path)) = (archive.newest, &self.settings().database.url)
            && last_change(path).is_some_and(|at| at <= newest.after(SKEW))
        {
            // Nothing was written since: there is nothing newer to have.
            archive.newest = Some(self.clock().now());
        }
        if all {
            let problems = self.restore_by(external).await?;
            if problems.is_empty() {
                archive.observed.push_str("; restored, and sound");
            }
            archive.problems.extend(problems);
        }
        Ok(archive)
    }

    /// What is wrong with what litestream restores.
    async fn restore_by(&self, external: &External) -> Result<Vec<String>, Unknown> {
        let work = Scratch::new(self.settings().backup.work_folder.join(format!("{DRILL}{}", BackupId::new())))?;
        let copy = work.0.join("restored.sqlite");
        let output = copy.to_string_lossy().into_owned();
        let answer = self.ask(external, &["restore", "-o", &output, &external.name], None).await?;
        if !answer.succeeded {
            return Ok(vec![format!("it can't be restored: {}", answer.said)]);
        }
        let mut direct = Direct::sqlite(&copy, true).await?;
        let read = async { Ok::<_, Fault>((direct.damage().await?, Contents::read(&mut direct).await?)) }.await;
        direct.close().await;
        let (mut problems, contents) = match read {
            Ok(read) => read,
            Err(fault) => return Ok(vec![fault.chain()]),
        };
        let is_there = |name: &str| contents.tables.iter().any(|table| table.name == name);
        problems
            .extend(REQUIRED.iter().filter(|name| !is_there(name)).map(|name| format!("the table {name} is missing")));
        Ok(problems)
    }
}

fn pgbackrest_says(told: &Value, stanza: &str) -> Archive {
    let none = |problem: String| Archive { newest: None, observed: String::new(), problems: vec![problem] };
    let stanzas = told.as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(found) = stanzas.iter().find(|found| found["name"] == stanza) else {
        return none(format!("there is no stanza {stanza}"));
    };
    let mut problems = Vec::new();
    if found["status"]["code"] != 0 {
        problems.push(found["status"]["message"].as_str().unwrap_or("its status is not ok").to_owned());
    }
    let backups = found["backup"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(last) = backups.last() else {
        problems.push("it has no backup".to_owned());
        return Archive { newest: None, observed: String::new(), problems };
    };
    let label = last["label"].as_str().unwrap_or("the newest");
    if last["error"] == true {
        problems.push(format!("{label} has pages whose checksums are wrong"));
    }
    let archives = found["archive"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(needed) = last["archive"]["stop"].as_str()
        && !archives.iter().filter_map(|archive| archive["max"].as_str()).any(|last| last >= needed)
    {
        problems.push(format!("{label} needs the WAL up to {needed}, which isn't archived"));
    }
    let good = backups.iter().filter(|backup| backup["error"] != true);
    let newest = good.filter_map(|backup| backup["timestamp"]["stop"].as_i64()).max().map(at_second);
    Archive { newest, observed: format!("{} backups, the newest {label}", backups.len()), problems }
}

fn barman_says(told: &Value, server: &str) -> Archive {
    let backups = told[server].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_done = |backup: &&Value| backup["status"] == "DONE";
    let second = |backup: &Value| match &backup["end_time_timestamp"] {
        Value::String(text) => text.parse().ok(),
        number => number.as_i64(),
    };
    let done: Vec<_> = backups.iter().filter(is_done).collect();
    let mut problems = Vec::new();
    if done.is_empty() {
        problems.push(format!("it has no complete backup of {server}"));
    }
    problems.extend(
        backups
            .iter()
            .filter(|backup| backup["status"] == "FAILED")
            .map(|backup| format!("{} failed", backup["backup_id"].as_str().unwrap_or("a backup"))),
    );
    let newest = done.iter().filter_map(|backup| second(backup)).max().map(at_second);
    Archive { newest, observed: format!("{} complete backups", done.len()), problems }
}

/// A table of files, each with the time of its making.
fn litestream_says(table: &str) -> Archive {
    let time = |word: &str| serde_json::from_value::<Timestamp>(Value::from(word)).ok();
    let times: Vec<_> = table.split_whitespace().filter_map(time).collect();
    let problems = if times.is_empty() { vec!["it has no files of this database".to_owned()] } else { Vec::new() };
    Archive { newest: times.iter().max().copied(), observed: format!("{} files", times.len()), problems }
}

fn at_second(second: i64) -> Timestamp {
    Timestamp::from_micros(second.saturating_mul(1_000_000))
}

/// When the database, or what is yet to be merged into it, was last written.
fn last_change(path: &Path) -> Option<Timestamp> {
    let wal = PathBuf::from(format!("{}-wal", path.display()));
    let changed = [path, &wal].into_iter().filter_map(|file| file.metadata().ok()?.modified().ok());
    changed.map(Timestamp::from).max()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stanza(change: impl FnOnce(&mut Value)) -> Archive {
        let mut stanza = json!({
            "name": "main",
            "status": { "code": 0, "message": "ok" },
            "archive": [{ "id": "15-1", "min": "000000010000000000000001", "max": "000000010000000000000009" }],
            "backup": [
                { "label": "20261126-010000F", "error": false, "timestamp": { "start": 100, "stop": 200 },
                  "archive": { "start": "000000010000000000000002", "stop": "000000010000000000000003" } },
                { "label": "20261127-010000F", "error": false, "timestamp": { "start": 300, "stop": 400 },
                  "archive": { "start": "000000010000000000000007", "stop": "000000010000000000000008" } },
            ],
        });
        change(&mut stanza);
        pgbackrest_says(&json!([{ "name": "other" }, stanza]), "main")
    }

    #[test]
    fn pgbackrest_is_believed_when_all_it_says_is_well() {
        let archive = stanza(|_| {});
        assert_eq!((archive.newest, archive.problems), (Some(at_second(400)), vec![]));
        for (problem, change) in [
            ("stanza", (|it: &mut Value| it["name"] = json!("another")) as fn(&mut Value)),
            ("missing stanza path", |it| it["status"] = json!({ "code": 1, "message": "missing stanza path" })),
            ("no backup", |it| it["backup"] = json!([])),
            ("checksums", |it| it["backup"][1]["error"] = json!(true)),
            ("isn't archived", |it| it["archive"][0]["max"] = json!("000000010000000000000005")),
            ("isn't archived", |it| it["archive"] = json!([])),
        ] {
            let archive = stanza(change);
            assert!(archive.problems.join("; ").contains(problem), "{problem}: {:?}", archive.problems);
        }
        let damaged = stanza(|it| it["backup"][1]["error"] = json!(true));
        assert_eq!(damaged.newest, Some(at_second(200)), "the one before is the newest that is good");
    }

    #[test]
    fn of_barman_complete_backups_count() {
        let told = json!({ "main": [
            { "backup_id": "20261127T020000", "status": "FAILED" },
            { "backup_id": "20261127T010000", "status": "WAITING_FOR_WALS", "end_time_timestamp": "900" },
            { "backup_id": "20261126T010000", "status": "DONE", "end_time_timestamp": "400" },
        ] });
        let archive = barman_says(&told, "main");
        assert_eq!(
            (archive.newest, archive.problems),
            (Some(at_second(400)), vec!["20261127T020000 failed".to_owned()])
        );
        assert_eq!(barman_says(&told, "other").newest, None);
    }

    #[test]
    fn of_litestream_the_newest_file_counts() {
        let table =
            "min_txid  max_txid  size  created\n1  1  4096  2026-11-27T01:00:00Z\n2  9  512  2026-11-27T02:00:00Z\n";
        let archive = litestream_says(table);
        assert_eq!(archive.newest.unwrap().to_string(), "2026-11-27T02:00:00Z");
        assert!(archive.problems.is_empty() && archive.observed == "2 files");
        assert_eq!(litestream_says("min_txid  max_txid  size  created\n").problems.len(), 1);
    }
}
