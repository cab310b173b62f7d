//! Whether an answer's time tells what its words don't: `in_turns URL THESE THOSE` posts the lines
//! of two files of JSON bodies, one of these and one of those at a time on one connection, and
//! reports both medians as JSON. Answers of different statuses are an error.
#![allow(clippy::print_stdout, reason = "the report is what this program is for")]

use std::error::Error;
use std::time::{Duration, Instant};

use petspark_benches::load::{Connection, Head, Target};

/// A connection, and what has been seen on it.
struct Asking {
    head: Head,
    connection: Connection,
    status: Option<u16>,
}

impl Asking {
    async fn ask(&mut self, body: &str) -> Result<Duration, Box<dyn Error>> {
        let request = self.head.request(Some(body));
        let started = Instant::now();
        let answer = self.connection.ask(&request).await?;
        let time = started.elapsed();
        match *self.status.get_or_insert(answer.status) {
            status if status == answer.status => Ok(time),
            status => Err(format!("{status} before, and now {} to {body}", answer.status).into()),
        }
    }
}

fn median(times: &mut [Duration]) -> Result<u128, &'static str> {
    times.sort_unstable();
    times.get(times.len() / 2).map(Duration::as_micros).ok_or("nothing to send")
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, these, those] = args.as_slice() else { return Err("usage: in_turns URL THESE THOSE".into()) };
    let target: Target = url.parse()?;
    let connection = Connection::open(target.address).await?;
    let mut asking =
        Asking { head: Head { target, method: "POST".to_owned(), headers: Vec::new() }, connection, status: None };
    let (these, those) = (std::fs::read_to_string(these)?, std::fs::read_to_string(those)?);
    let (mut times_of_these, mut times_of_those) = (Vec::new(), Vec::new());
    for (n, (this, that)) in these.lines().zip(those.lines()).enumerate() {
        // What one leaves behind for the server to do falls on both alike.
        if n % 2 == 0 {
            times_of_these.push(asking.ask(this).await?);
            times_of_those.push(asking.ask(that).await?);
        } else {
            times_of_those.push(asking.ask(that).await?);
            times_of_these.push(asking.ask(this).await?);
        }
    }
    let (these, those) = (median(&mut times_of_these)?, median(&mut times_of_those)?);
    let difference = (these as f64 - those as f64) / those as f64 * 100.0;
    let (pairs, status) = (times_of_these.len(), asking.status);
    let report = serde_json::json!({
        "pairs": pairs, "status": status, "these_us": these, "those_us": those, "difference_percent": difference,
    });
    println!("{report}");
    Ok(())
}
