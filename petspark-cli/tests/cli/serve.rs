use std::io::{BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};

use rustix::process::Signal;

use crate::check::in_production;
use crate::migrate::{apply_future, newest};
use crate::support::{Place, exit_code, on_both, signal, wait_for};

/// Starts a server on a free port, and waits for the line that says where.
pub(crate) fn start(place: &Place, options: &str) -> (Child, String) {
    let mut child = place.start(&format!("serve --port 0 {options}"), Stdio::null());
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let line = wait_for(&mut lines, "http://");
    let address = line.split("http://").nth(1).unwrap().trim_end_matches(['\n', '"', '}']).to_owned();
    (child, address)
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[track_caller]
fn ends_with(mut child: Child, code: i32) -> String {
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(exit_code(child.wait().unwrap()), code, "{stderr}");
    stderr
}

on_both! {
    fn servers_of_before_go_on_beside_a_newer_release_as_long_as_the_schema_lets_them(place) {
        // Each is asked once: an answer is held for a second.
        let servers = [start(&place, "--migrate"), start(&place, "")];
        apply_future(&place, 98, newest());
        assert!(get(&servers[0].1, "/readyz").starts_with("HTTP/1.1 200"));
        let (gone_back_to, _) = start(&place, "");
        signal(&gone_back_to, Signal::TERM);
        let log = ends_with(gone_back_to, 0);
        assert!(log.contains("WARN") && log.contains("0098_future"), "{log}");
        apply_future(&place, 99, 99);
        assert!(get(&servers[1].1, "/readyz").starts_with("HTTP/1.1 503"));
        for options in ["", "--migrate"] {
            place.run(&format!("serve --port 0 {options}")).expect(5).says("newer release").says("0099_future");
        }
        for (child, _) in servers {
            signal(&child, Signal::TERM);
            ends_with(child, 0);
        }
    }

    fn it_serves_says_where_and_ends_in_good_order(place) {
        for stop in [Signal::TERM, Signal::INT] {
            let (child, address) = start(&place, "--migrate");
            assert!(get(&address, "/healthz").starts_with("HTTP/1.1 200"));
            assert!(get(&address, "/readyz").starts_with("HTTP/1.1 200"));
            signal(&child, stop);
            let log = ends_with(child, 0);
            assert!(log.contains(&format!("http://{address}")), "the address belongs in the log, too: {log}");
        }
    }
}

#[test]
fn the_line_that_says_where_is_json_on_request() {
    let place = Place::sqlite();
    let mut child = place.start("serve --port 0 --json", Stdio::null());
    let line = wait_for(&mut BufReader::new(child.stdout.take().unwrap()), "{");
    let record: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(record["schema"], "petspark.serve/v1");
    assert!(record["url"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    signal(&child, Signal::TERM);
    ends_with(child, 0);
}

#[test]
fn it_tells_which_build_it_is() {
    let place = Place::sqlite();
    let build = place.ok("version --json").json();
    let (child, address) = start(&place, "");
    let answer = get(&address, "/api/version");
    assert!(answer.contains(build["version"].as_str().unwrap()), "{answer}");
    assert!(answer.contains(build["commit"].as_str().unwrap()), "{answer}");
    signal(&child, Signal::TERM);
    ends_with(child, 0);
}

#[test]
fn a_port_in_use_is_7_with_the_address_and_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let ran = Place::sqlite().run(&format!("serve --port {}", address.port())).expect(7);
    ran.says(&address.to_string()).says("--port");
    Place::sqlite().run("serve --host 192.0.2.1 --port 0").expect(7).says("192.0.2.1");
    Place::sqlite().run("serve --port 65536").expect(2);
    Place::sqlite().run("serve --host example.org").expect(2);
}

#[test]
fn flags_win_over_the_environment() {
    let place = Place::sqlite().with("PORT", "1").with("HOST", "192.0.2.1");
    let (child, address) = start(&place, "--host 127.0.0.1");
    assert!(address.starts_with("127.0.0.1:"));
    signal(&child, Signal::TERM);
    ends_with(child, 0);
}

#[test]
fn wrong_settings_are_3_before_anything_is_made() {
    let place = Place::sqlite().with("PORT", "http").with("TRUSTED_PROXIES", "everybody");
    place.run("serve").expect(3).says("http.port").says("http.trusted_proxies");
    assert!(!place.path().join("petspark-data").exists());
}

#[test]
fn a_postgresql_without_migrations_is_refused() {
    Place::postgres().run("serve --port 0").expect(5).says("--migrate");
}

#[test]
fn production_migrates_a_new_file_unasked_and_one_with_data_only_when_told() {
    let new = in_production(Place::sqlite());
    let (child, _) = start(&new, "");
    signal(&child, Signal::TERM);
    ends_with(child, 0);
    new.ok("migrate status");
    let older = in_production(Place::sqlite());
    older.ok("migrate run --to 24");
    crate::check::tamper(
        &older,
        "INSERT INTO users (id, email, display_name, role, status, created_at, updated_at) \
        VALUES (zeroblob(16), 'bob@example.org', 'Bob', 'user', 'active', 0, 0)",
    );
    let refused = older.run("serve --port 0").expect(5).says("1 migration is pending");
    refused.says("`petspark-cli migrate run --backup-first`").says("--migrate");
    older.run("migrate status").expect(5);
    let (child, _) = start(&older, "--migrate");
    signal(&child, Signal::TERM);
    ends_with(child, 0);
    older.ok("migrate status");
}

#[test]
fn development_migrates_a_file_with_data_and_says_so() {
    let place = Place::sqlite();
    for (pending, says) in [(true, true), (false, false)] {
        if pending {
            place.ok("migrate run --to 24");
        }
        let (child, _) = start(&place, "");
        signal(&child, Signal::TERM);
        let log = ends_with(child, 0);
        assert_eq!(log.contains("because this is development"), says, "{log}");
        place.ok("migrate status");
    }
}

#[test]
fn a_damaged_secret_is_3_and_is_left_as_it_is() {
    let place = Place::sqlite();
    place.ok("migrate run");
    let secret = place.write("petspark-data/jwt-secret", "short");
    for line in ["serve --port 0", "user list"] {
        place.run(line).expect(3).says("jwt-secret").says("put back what it was");
    }
    assert_eq!(std::fs::read_to_string(secret).unwrap(), "short");
}

#[test]
fn a_signal_ends_the_waiting_for_a_database() {
    // Listens, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://me@{}/petspark", silent.local_addr().unwrap());
    let place = Place::sqlite().with("DATABASE_URL", &url);
    for (kind, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let child = place.start("serve --port 0", Stdio::null());
        let _connection = silent.accept().unwrap();
        signal(&child, kind);
        ends_with(child, code);
    }
}

/// A request whose body never comes, and proof that the server is at it.
fn hang_on(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                Content-Length: 100\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let place = Place::sqlite();
    for (kind, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let (mut child, address) = start(&place, "");
        let _hanging = hang_on(&address);
        signal(&child, kind);
        // Only when it said that it is stopping: two signals at once would count as one.
        let mut log = BufReader::new(child.stderr.take().unwrap());
        wait_for(&mut log, "stopping");
        signal(&child, kind);
        assert_eq!(exit_code(child.wait().unwrap()), code);
    }
}

#[test]
fn requests_that_do_not_end_in_time_are_cut_off() {
    let place = Place::sqlite().with("PETSPARK__HTTP__SHUTDOWN_TIMEOUT", "50ms");
    let (child, address) = start(&place, "");
    let _hanging = hang_on(&address);
    signal(&child, Signal::TERM);
    let log = ends_with(child, 143);
    assert!(log.contains("cut off"), "{log}");
}
