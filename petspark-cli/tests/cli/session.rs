//! Ending sessions from the terminal, and how soon running servers know.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::serve::start;
use crate::support::{Place, on_both, signal};

const PASSWORD: &str = "correct horse battery";

/// Sends one request with a JSON body, and gives status and body.
fn call(address: &str, head: &str, token: Option<&str>, body: &Value) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    let body = body.to_string();
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = body.len();
    write!(
        stream,
        "{head} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{token}\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

pub(crate) fn register(address: &str, name: &str) -> String {
    let body = json!({"email": format!("{name}@example.org"), "password": PASSWORD, "displayName": name});
    let (status, answer) = call(address, "POST /api/v1/auth/register", None, &body);
    assert_eq!(status, 201, "{answer}");
    answer["data"]["accessToken"].as_str().unwrap().to_owned()
}

pub(crate) fn me(address: &str, token: &str) -> u16 {
    call(address, "GET /api/v1/auth/me", Some(token), &json!({})).0
}

/// Asks until the token is refused, and says how long that took. Asking is what a client does,
/// and keeps the server's memory of the session warm: the worst case.
#[track_caller]
fn time_until_refused(address: &str, token: &str) -> Duration {
    let started = Instant::now();
    loop {
        let status = me(address, token);
        if status == 401 {
            return started.elapsed();
        }
        assert_eq!(status, 200, "never an answer that is neither yes nor no");
        assert!(started.elapsed() < Duration::from_secs(10), "the token still counts after ten seconds");
    }
}

/// What a revocation takes at most to be felt by another process, and the time to ask about it.
const BOUND: Duration = Duration::from_millis(2500);

on_both! {
    fn asvs_7_4_1_what_the_tool_ends_is_over_on_running_servers_within_two_seconds(place) {
        let place = place.unlimited();
        let (first, one) = start(&place, "--migrate");
        let (second, two) = start(&place, "");
        for command in ["session revoke --user ada@example.org --yes", "user set-role ada@example.org moderator",
                        "session revoke --all --confirm all --reason drill"] {
            let (status, answer) = call(&one, "POST /api/v1/auth/login", None, &json!({"email": "ada@example.org", "password": PASSWORD}));
            let token = match status {
                200 => answer["data"]["accessToken"].as_str().unwrap().to_owned(),
                _ => register(&one, "ada"),
            };
            assert_eq!((me(&one, &token), me(&two, &token)), (200, 200));
            place.ok(command);
            for server in [&one, &two] {
                let took = time_until_refused(server, &token);
                assert!(took < BOUND, "{command}: {took:?}");
            }
        }
        signal(&first, rustix::process::Signal::TERM);
        signal(&second, rustix::process::Signal::TERM);
    }

    fn what_one_server_ends_is_over_there_at_once_and_elsewhere_within_two_seconds(place) {
        let place = place.unlimited();
        let (first, one) = start(&place, "--migrate");
        let (second, two) = start(&place, "");
        let token = register(&one, "ada");
        assert_eq!((me(&one, &token), me(&two, &token)), (200, 200));
        assert_eq!(call(&one, "POST /api/v1/auth/logout", Some(&token), &json!({})).0, 200);
        assert_eq!(me(&one, &token), 401);
        assert!(time_until_refused(&two, &token) < BOUND);
        signal(&first, rustix::process::Signal::TERM);
        signal(&second, rustix::process::Signal::TERM);
    }

    fn sessions_are_listed_and_ended_one_by_one(place) {
        let place = place.unlimited();
        let (server, address) = start(&place, "--migrate");
        let token = register(&address, "ada");
        let list = place.ok("session list ada@example.org --json").json();
        let id = list["sessions"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!((list["sessions"].as_array().unwrap().len(), &list["sessions"][0]["ip"]), (1, &json!("127.0.0.1")));
        let shown = place.ok("user show ada@example.org --json").json();
        assert_eq!((&shown["sessions"][0]["id"], &shown["last_login_at"]), (&list["sessions"][0]["id"], &shown["sessions"][0]["created_at"]));
        let plan = place.ok(&format!("session revoke {id} --dry-run --json")).json();
        assert_eq!((&plan["sessions"], &plan["dry_run"]), (&json!(1), &json!(true)));
        place.run(&format!("session revoke {id}")).expect(6).says("--yes");
        assert_eq!(me(&address, &token), 200, "nothing was done so far");
        assert_eq!(place.ok(&format!("session revoke {id} --yes --json")).json()["sessions"], 1);
        place.run(&format!("session revoke {id} --yes")).expect(4);
        assert_eq!(place.ok("session list ada@example.org --json").json()["sessions"], json!([]));
        signal(&server, rustix::process::Signal::TERM);
    }
}

#[test]
fn ending_sessions_needs_to_be_told_which_and_everybodys_a_typed_word() {
    let place = Place::sqlite();
    place.ok("migrate run");
    place.run("session revoke").expect(2);
    place.run("session revoke --all --yes").expect(6).says("--confirm all");
    place.run("session revoke --all --confirm everybody").expect(6);
    place.run("session revoke nonsense").expect(2);
    place.run("session revoke --user nobody@example.org --yes").expect(4);
    place.run("session list nobody@example.org").expect(4);
}
