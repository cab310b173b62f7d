//! A closed-loop HTTP/1.1 load generator: each connection sends the next request when it has the
//! answer to the last. Deliberately little of HTTP, so that the server is what is measured.

mod connection;
mod report;
mod script;

pub use connection::{Answer, Connection};
pub use report::Report;
pub use script::{Bodies, Head};

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use script::Script;

/// What to send, and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to, and how.
    pub head: Head,
    /// With what.
    pub bodies: Bodies,
    /// How many at the same time.
    pub connections: u32,
    /// How long.
    pub duration: Duration,
    /// How many a second at most, all connections together; without it, as fast as it goes.
    pub rate: Option<u32>,
}

/// An `http://` URL of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where to connect.
    pub address: SocketAddr,
    /// Path and query.
    pub path: String,
}

impl std::str::FromStr for Target {
    type Err = String;

    /// Accepts loopback addresses only: nobody shall put load on a machine that isn't theirs by
    /// a slip of the keyboard.
    fn from_str(url: &str) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").ok_or("must begin with http://")?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
        let address = match authority.strip_prefix("localhost:") {
            Some(port) => SocketAddr::new(
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                port.parse().map_err(|_| "must have a port after localhost:")?,
            ),
            None => authority.parse().map_err(|_| "must name an IP address and a port, as 127.0.0.1:3000")?,
        };
        if !address.ip().is_loopback() {
            return Err(format!("{} is not an address of this machine's loopback", address.ip()));
        }
        if path.contains(|c: char| c.is_ascii_control() || c == ' ') {
            return Err("has a space or a control character in its path".to_owned());
        }
        Ok(Self { address, path: path.to_owned() })
    }
}

impl Plan {
    /// Does it, and reports what came of it.
    pub async fn run(&self) -> Report {
        let connections = self.connections.max(1);
        let end = Instant::now() + self.duration;
        let interval = self.rate.map(|rate| Duration::from_secs(1) * connections / rate.max(1));
        let mut workers = Vec::new();
        for script in Script::all(&self.head, &self.bodies, connections as usize) {
            workers.push(tokio::spawn(keep_asking(self.head.target.address, script, interval, end)));
        }
        let mut samples = Samples::default();
        for worker in workers {
            // A worker that outlives the end by this much has a server that doesn't answer.
            match tokio::time::timeout_at((end + Duration::from_secs(5)).into(), worker).await {
                Ok(Ok(more)) => samples.add(more),
                _ => samples.failed("no answer within 5 s of the end"),
            }
        }
        Report::new(samples, self.duration)
    }
}

/// What the connections saw.
#[derive(Debug, Default)]
struct Samples {
    latencies: Vec<Duration>,
    /// Answers that say when to come again.
    refused: u64,
    errors: u64,
    /// One of the errors, for a person to see what went wrong.
    example: Option<String>,
}

impl Samples {
    fn failed(&mut self, error: impl ToString) {
        self.errors += 1;
        self.example.get_or_insert_with(|| error.to_string());
    }

    fn add(&mut self, more: Self) {
        self.latencies.extend(more.latencies);
        self.refused += more.refused;
        self.errors += more.errors;
        self.example = self.example.take().or(more.example);
    }
}

async fn keep_asking(address: SocketAddr, mut script: Script, interval: Option<Duration>, end: Instant) -> Samples {
    let mut samples = Samples::default();
    let mut connection = None;
    loop {
        let asked = Instant::now();
        if asked >= end {
            return samples;
        }
        let Some(request) = script.request() else {
            samples.failed("nothing to send on this connection");
            return samples;
        };
        let answer = match &mut connection {
            Some(open) => Connection::ask(open, request).await,
            None => match Connection::open(address).await {
                Ok(open) => Connection::ask(connection.insert(open), request).await,
                Err(error) => Err(error),
            },
        };
        let now = Instant::now();
        let next = interval.map(|interval| asked + interval);
        match answer {
            // What comes after the end isn't part of what was measured.
            _ if now > end => return samples,
            Ok(answer) => {
                if answer.is_success() {
                    match script.answered(&answer.body) {
                        Ok(()) => samples.latencies.push(now - asked),
                        Err(problem) => samples.failed(problem),
                    }
                } else if answer.says_when {
                    samples.refused += 1;
                } else {
                    samples.failed(format!("status {}", answer.status));
                }
                if answer.closes {
                    connection = None;
                }
            }
            Err(error) => {
                samples.failed(error);
                connection = None;
                // A server that refuses connections isn't asked in a busy loop.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        if let Some(next) = next {
            tokio::time::sleep_until(next.min(end).into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_put_under_load() {
        for (url, path) in [
            ("http://127.0.0.1:3000/a?b=c", "/a?b=c"),
            ("http://[::1]:3000", "/"),
            ("http://localhost:3000/healthz", "/healthz"),
        ] {
            let target: Target = url.parse().unwrap();
            assert!(target.address.ip().is_loopback() && target.address.port() == 3000, "{url}");
            assert_eq!(target.path, path);
        }
        for url in ["http://192.0.2.1:80/", "http://example.org:80/", "https://127.0.0.1:1/", "http://127.0.0.1/", ""] {
            assert!(url.parse::<Target>().is_err(), "{url}");
        }
    }
}
