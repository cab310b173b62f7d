//! What external commands say of themselves when they are asked with `--petspark-describe`: one
//! JSON object on standard output, at once. Who can't is listed by name alone.

use std::io::Read as _;
use std::process::{Child, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Program;
use super::remembered::Remembered;
use crate::exit::Exit;
use crate::plugin::Failure;

/// The answer to `--petspark-describe`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Description {
    /// Of this interface: 1.
    api: u32,
    /// What it does, in a line.
    pub(crate) about: String,
    #[serde(default)]
    pub(crate) version: String,
    /// Its arguments, in a line.
    #[serde(default)]
    pub(crate) usage: String,
    /// Whether `check` is to ask it.
    #[serde(default)]
    pub(crate) checks: bool,
}

/// How long all of them together may take when somebody waits for the help.
pub(super) const LIMIT: Duration = Duration::from_millis(300);
/// And one that somebody asks for by its name.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer in bytes.
const MAX_ANSWER: u64 = 16 * 1024;

/// What came of asking a program what it is.
pub(super) enum Answer {
    Description(Description),
    /// Nothing yet, when its time was over.
    Late,
    /// Nothing that could be understood: it doesn't know the question.
    Unknown,
    /// It can't be run, or what it says is nearly an answer; why.
    Broken(String),
}

impl Answer {
    pub(super) fn description(self) -> Option<Description> {
        match self {
            Self::Description(description) => Some(description),
            Self::Late | Self::Unknown | Self::Broken(_) => None,
        }
    }
}

/// What programs say of themselves, in their order. Those that said it before, and are the same still,
/// aren't asked again; the others are all asked at the same time, and have so long for it together.
pub(super) fn describe(tool: &str, programs: &[&Program], limit: Duration) -> Vec<Answer> {
    let mut remembered = Remembered::read(tool);
    let started = Instant::now();
    let asked: Vec<_> = programs
        .iter()
        .map(|program| match remembered.get(&program.path) {
            Some(description) => Known::Already(description),
            None => Known::Asked(Asked::ask(program)),
        })
        .collect();
    let told: Vec<_> = asked
        .into_iter()
        .zip(programs)
        .map(|(known, program)| match known {
            Known::Already(description) => Answer::Description(description),
            Known::Asked(Err(failure)) => Answer::Broken(failure.message().to_owned()),
            Known::Asked(Ok(asked)) => {
                let answer = asked.answer(limit.saturating_sub(started.elapsed()));
                if let Answer::Description(description) = &answer {
                    remembered.set(&program.path, description);
                }
                answer
            }
        })
        .collect();
    remembered.write();
    told
}

enum Known {
    Already(Description),
    Asked(Result<Asked, Failure>),
}

/// Asks one program, whatever it said before, and with more patience.
pub(crate) fn ask_one(tool: &str, program: &Program) -> Option<Description> {
    let description = Asked::ask(program).ok()?.answer(PATIENCE).description()?;
    let mut remembered = Remembered::read(tool);
    remembered.set(&program.path, &description);
    remembered.write();
    Some(description)
}

/// A program that was asked, and where its answer comes.
struct Asked {
    child: Child,
    told: Receiver<std::io::Result<Vec<u8>>>,
}

impl Asked {
    fn ask(program: &Program) -> Result<Self, Failure> {
        // Nothing of our environment but how to find an interpreter: describing needs no more.
        let mut process = program.process();
        process.arg("--petspark-describe").env_clear();
        if let Some(path) = crate::os::variable("PATH") {
            process.env("PATH", path);
        }
        process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = program.start(&mut process)?;
        let mut stdout = child.stdout.take().ok_or_else(|| Failure::new(Exit::NotExecutable, "it has no output"))?;
        let (tell, told) = std::sync::mpsc::channel();
        // A thread of its own, because a program that doesn't answer may also not end.
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let read = stdout.by_ref().take(MAX_ANSWER).read_to_end(&mut text);
            // Nobody waits any more after the limit.
            let _ = tell.send(read.map(|_| text));
        });
        Ok(Self { child, told })
    }

    fn answer(mut self, limit: Duration) -> Answer {
        let started = Instant::now();
        let answer = match self.told.recv_timeout(limit) {
            Ok(text) => match text.unwrap_or_default() {
                // Whoever can't run it says so by how it ends.
                text if text.is_empty() => self.ended(limit.saturating_sub(started.elapsed())),
                text => understood(&text),
            },
            Err(_) => Answer::Late,
        };
        // It has said what it had to, or is too late.
        let _ = self.child.kill();
        let _ = self.child.wait();
        answer
    }

    /// What its end says of a program that says nothing, if it ends within `limit`.
    fn ended(&mut self, limit: Duration) -> Answer {
        let started = Instant::now();
        loop {
            match self.child.try_wait().map(|status| status.map(|status| status.code())) {
                Ok(Some(Some(code @ (CANNOT_RUN | NOT_FOUND)))) => {
                    return Answer::Broken(format!("it can't be run: it ended with {code} at once"));
                }
                Ok(None) if started.elapsed() < limit => std::thread::sleep(Duration::from_millis(2)),
                _ => return Answer::Unknown,
            }
        }
    }
}

/// How shells and `env` end for what they find and can't run, and for what they don't find.
const CANNOT_RUN: i32 = 126;
const NOT_FOUND: i32 = 127;

fn understood(text: &[u8]) -> Answer {
    match serde_json::from_slice::<Description>(text) {
        Ok(description) if description.api == 1 => Answer::Description(description.without_controls()),
        Ok(_) => Answer::Broken("it is for another release of the interface".to_owned()),
        Err(error) if text.trim_ascii_start().starts_with(b"{") => {
            Answer::Broken(format!("its answer to --petspark-describe isn't what it should be: {error}"))
        }
        Err(_) => Answer::Unknown,
    }
}

/// Whether it moves the cursor, or turns what follows around.
fn moves(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl Description {
    /// As a terminal may have it: a line each, without anything that moves the cursor.
    pub(super) fn without_controls(self) -> Self {
        let line = |text: &str| text.chars().map(|c| if moves(c) { ' ' } else { c }).take(200).collect();
        Self { about: line(&self.about), version: line(&self.version), usage: line(&self.usage), ..self }
    }
}
