//! Backups that other programs make, looked at by those programs: is the newest fresh, and is it all
//! there? Nothing is changed, in their archives or at their settings. Exit codes alone are not believed:
//! `pgbackrest verify` ends with 0 over a changed file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::files::REQUIRED;
use super::says::{Archive, barman_says, litestream_says, pgbackrest_says, wal_g_says};
use super::state::{SKEW, fresh};
use super::tool::{Answer, run};
use super::{Finding, Status};
use crate::backup::drill::DRILL;
use crate::backup::scratch::Scratch;
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
            ExternalTool::WalG => self.wal_g(external).await,
        };
        let name = external.tool.as_str();
        let findings = match looked {
            Err(Unknown(why)) => vec![Finding::pass("backup.external", why).of(
                Status::Error,
                format!("an answer of {name}"),
                "install it where this runs, or name it by backup.external_program; see backup.external_name",
            )],
            Ok(Archive { newest, observed, problems, warnings }) => {
                let whole = if problems.is_empty() && warnings.is_empty() {
                    Finding::pass("backup.external", observed)
                } else if problems.is_empty() {
                    Finding::pass("backup.external", warnings.join("; ")).of(
                        Status::Warn,
                        "an archive that is all there",
                        format!("see what {name} says of it; it may only be late"),
                    )
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
        let mut findings: Vec<_> = findings.into_iter().map(|finding| Finding { target: name, ..finding }).collect();
        findings.extend(self.archiver(external.tool).await);
        findings
    }

    async fn ask(&self, external: &External, args: &[&str], limit: Option<Duration>) -> Result<Answer, Unknown> {
        let program = external.program.clone().unwrap_or_else(|| PathBuf::from(external.tool.as_str()));
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let needs = external.tool.needs();
        let ran =
            blocking(move || Ok(run(&program, &args.iter().map(String::as_str).collect::<Vec<_>>(), needs, limit)));
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

    async fn wal_g(&self, external: &External) -> Result<Archive, Unknown> {
        let config = format!("--config={}", external.name);
        let listed = self.ask_json(external, &[&config, "backup-list", "--detail", "--json"]).await?;
        let verified = self.ask_json(external, &[&config, "wal-verify", "integrity", "timeline", "--json"]).await?;
        Ok(wal_g_says(&listed, &verified))
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
        self.clear_leftovers()?;
        let work = Scratch::new(self.settings().backup.work_folder.join(format!("{DRILL}{}", BackupId::new())))?;
        let copy = work.0.join("restored.sqlite");
        let output = copy.to_string_lossy().into_owned();
        let answer = self.ask(external, &["restore", "-o", &output, &external.name], None).await?;
        if !answer.succeeded {
            return Ok(vec![format!("it can't be restored: {}", answer.said)]);
        }
        let mut direct = Direct::sqlite(&copy, true).await?;
        let examined = Contents::examine(&mut direct).await;
        direct.close().await;
        let contents = match examined {
            Ok(Ok(contents)) => contents,
            Ok(Err(damage)) => return Ok(vec![damage]),
            Err(fault) => return Ok(vec![fault.chain()]),
        };
        let is_there = |name: &str| contents.tables.iter().any(|table| table.name == name);
        Ok(REQUIRED.iter().filter(|name| !is_there(name)).map(|name| format!("the table {name} is missing")).collect())
    }
}

/// When the database, or what is yet to be merged into it, was last written.
fn last_change(path: &Path) -> Option<Timestamp> {
    let wal = PathBuf::from(format!("{}-wal", path.display()));
    let changed = [path, &wal].into_iter().filter_map(|file| file.metadata().ok()?.modified().ok());
    changed.map(Timestamp::from).max()
}
