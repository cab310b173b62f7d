//! Running another program to be told something: with a limit, and only so much of its answer.

use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::program;

/// Longest answer that is looked at.
const MAX_ANSWER: u64 = 16 << 20;
/// What is kept of what it complained about.
const MAX_SAID: usize = 500;

/// How long one that has ended is listened to for what it complained about.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a program answered.
pub(super) struct Answer {
    pub(super) succeeded: bool,
    pub(super) stdout: String,
    /// What it complained about, in one line.
    pub(super) said: String,
}

/// Runs a program to its end, with those variables of our environment that it needs. Blocks.
///
/// # Errors
/// For a person: it can't be started, or doesn't end in time.
pub(super) fn run(path: &Path, args: &[&str], needs: &[&str], limit: Option<Duration>) -> Result<Answer, String> {
    let name = path.display();
    let mut command = program::command(path, needs);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("can't start {name}: {error}"))?;
    let (out, complaints) = (child.stdout.take().map(read), child.stderr.take().map(read));
    // It has ended when nobody holds the other end of its output any more.
    let stdout = out.and_then(|out| match limit {
        Some(limit) => out.recv_timeout(limit).ok(),
        None => out.recv().ok(),
    });
    if stdout.is_none() {
        // One that is beyond that gets no more attention.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| format!("{name}: {error}"))?;
    let Some(stdout) = stdout else {
        return Err(format!("{name} didn't end within {} s", limit.unwrap_or_default().as_secs()));
    };
    // A process that it left behind, such as a kept connection, may hold this one for ever.
    let said = complaints.and_then(|said| said.recv_timeout(LAST_WORDS).ok()).unwrap_or_default();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = said.chars().take(MAX_SAID).collect();
    Ok(Answer { succeeded: status.success(), stdout, said })
}

/// All of it, once it is at its end.
fn read(mut from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What can't be read any more ends it; the rest is read too, so that the program can end.
        let _ = (&mut from).take(MAX_ANSWER).read_to_end(&mut bytes);
        let _ = std::io::copy(&mut from, &mut std::io::sink());
        // Nobody waits any more after the limit.
        let _ = tell.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    told
}
