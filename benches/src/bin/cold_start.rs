//! How long a server needs from its start to its first 200 on `/healthz`:
//! `cold_start RUNS COMMAND...`, where the command prints the URL that it listens on. Reports the
//! median in milliseconds.
#![allow(clippy::print_stdout, reason = "the median is what this program is for")]

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Starts the command, asks it, and says how long that took.
fn once(command: &[String]) -> Result<Duration, Box<dyn Error>> {
    let (program, args) = command.split_first().ok_or("no command to start")?;
    let started = Instant::now();
    let mut child = Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let answered = ask(&mut child).map(|()| started.elapsed());
    // It is asked to end, and not killed: the next start shall find its database in good order.
    Command::new("kill").arg(child.id().to_string()).status()?;
    child.wait()?;
    answered
}

fn ask(child: &mut Child) -> Result<(), Box<dyn Error>> {
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output to read")?).read_line(&mut line)?;
    let address = line.trim().rsplit_once("http://").ok_or("it did not say where it listens")?.1;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(format!("not healthy: {answer}").into()) }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (runs, command) = args.split_first().ok_or("usage: cold_start RUNS COMMAND...")?;
    let mut times = (0..runs.parse()?).map(|_| once(command)).collect::<Result<Vec<_>, _>>()?;
    times.sort_unstable();
    let median = times.get(times.len() / 2).ok_or("no runs")?;
    println!("{:.1}", median.as_secs_f64() * 1000.0);
    Ok(())
}
