//! Whatever becomes of the log, the server goes on.

use std::fs::File;
use std::io::Read as _;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::durability::Client;
use crate::serve::start;
use crate::support::{Place, exit_code, signal, wait_for};

const FORMATS: [&str; 2] = ["json", "text"];

fn place(format: &str) -> Place {
    Place::sqlite().unlimited().with("LOG_LEVEL", "info").with("PETSPARK__LOG__FORMAT", format)
}

/// Sends requests that make long log lines, and wants an answer to each.
fn ask(address: &str, times: usize) {
    let mut client = Client::connect(address);
    // The client takes any text for a token; this one adds a header behind it.
    let token = format!("x\r\nUser-Agent: {}", "long ".repeat(200));
    for n in 0..times {
        let answer = client.call("GET", "/no/such/path", &token, &Value::Null);
        assert_eq!(answer.unwrap_or_else(|error| panic!("request {n}: {error}")).0, 404);
    }
}

/// Fails instead of waiting for ever for a server that hangs, and ends that one.
fn within_a_minute(server: &mut Child, work: impl FnOnce() + Send + 'static) {
    let (done, told) = mpsc::channel();
    let worker = std::thread::spawn(move || {
        work();
        // Nobody listens any more if it took too long.
        let _ = done.send(());
    });
    if told.recv_timeout(Duration::from_secs(60)) == Err(mpsc::RecvTimeoutError::Timeout) {
        server.kill().unwrap();
        panic!("the server hangs");
    }
    worker.join().unwrap();
}

/// Ends a server without reading its log.
#[track_caller]
fn stop(mut server: Child) {
    let stderr = server.stderr.take();
    signal(&server, Signal::TERM);
    let pid = rustix::process::Pid::from_raw(i32::try_from(server.id()).unwrap()).unwrap();
    let (done, told) = mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let status = server.wait().unwrap();
        let _ = done.send(());
        status
    });
    if told.recv_timeout(Duration::from_secs(30)).is_err() {
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
        panic!("the server doesn't end");
    }
    assert_eq!(exit_code(waiter.join().unwrap()), 0);
    drop(stderr);
}

#[test]
fn a_log_that_nobody_reads_holds_up_neither_requests_nor_the_end() {
    for format in FORMATS {
        let (mut server, address) = start(&place(format), "");
        within_a_minute(&mut server, move || ask(&address, 2_000));
        stop(server);
    }
}

#[test]
fn a_reader_that_was_away_is_told_how_much_was_lost() {
    let (mut server, address) = start(&place("json"), "");
    within_a_minute(&mut server, move || ask(&address, 2_000));
    let mut log = std::io::BufReader::new(server.stderr.take().unwrap());
    let line: Value = serde_json::from_str(&wait_for(&mut log, "log lines were lost")).unwrap();
    assert!(line["lost"].as_u64() > Some(0), "{line}");
    signal(&server, Signal::TERM);
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("stopping"), "{rest}");
    assert_eq!(exit_code(server.wait().unwrap()), 0);
}

#[test]
fn a_log_whose_reader_is_gone_costs_no_answer() {
    for format in FORMATS {
        let (mut server, address) = start(&place(format), "");
        drop(server.stderr.take());
        within_a_minute(&mut server, move || ask(&address, 200));
        stop(server);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_on_a_full_disk_costs_no_answer() {
    for format in FORMATS {
        let place = place(format);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = place.command(["serve", "--port", "0"]);
        let mut server = command.stdout(Stdio::piped()).stderr(full).spawn().unwrap();
        let mut lines = std::io::BufReader::new(server.stdout.take().unwrap());
        let line = wait_for(&mut lines, "http://");
        let address = line.trim_end().split("http://").nth(1).unwrap().to_owned();
        within_a_minute(&mut server, move || ask(&address, 200));
        stop(server);
    }
}

#[test]
fn a_log_that_is_read_is_complete() {
    for format in FORMATS {
        let (mut server, address) = start(&place(format), "");
        let mut pipe = server.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            pipe.read_to_string(&mut log).unwrap();
            log
        });
        within_a_minute(&mut server, move || ask(&address, 500));
        stop(server);
        let log = log.join().unwrap();
        assert_eq!(log.lines().filter(|line| line.contains("long long")).count(), 500, "{format}");
        assert!(!log.contains("were lost"), "{format}");
    }
}
