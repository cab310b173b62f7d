//! What was acknowledged stays, however the server ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::serve::start;
use crate::support::{on_both, signal};

/// One connection, kept alive.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(address: &str) -> Self {
        Self(BufReader::new(TcpStream::connect(address).unwrap()))
    }

    /// Status and body of the answer, or what the connection says instead.
    pub(crate) fn call(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        body: &Value,
    ) -> std::io::Result<(u16, Value)> {
        // A body that the server doesn't read may make it close the connection behind its answer.
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.get_mut().write_all(request.as_bytes())?;
        let mut length = 0;
        let mut status = 0;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest[..3].parse().unwrap();
            }
            if let Some(rest) = line.to_lowercase().strip_prefix("content-length:") {
                length = rest.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok((status, serde_json::from_slice(&body).unwrap()))
    }
}

pub(crate) const ADA: &str = r#"{"email":"ada@example.org","password":"correct horse battery","displayName":"Ada"}"#;

on_both! {
    fn no_acknowledged_write_is_lost_when_the_server_is_killed(place) {
        let place = place.unlimited();
        let (mut server, address) = start(&place, "--migrate");
        let ada: Value = serde_json::from_str(ADA).unwrap();
        let (status, session) = Client::connect(&address).call("POST", "/api/v1/auth/register", "", &ada).unwrap();
        assert_eq!(status, 201, "{session}");
        let token = session["data"]["accessToken"].as_str().unwrap().to_owned();

        let (acknowledge, acknowledged) = mpsc::channel();
        let writers: Vec<_> = (0..4).map(|_| {
            let (address, token, acknowledge) = (address.clone(), token.clone(), acknowledge.clone());
            std::thread::spawn(move || {
                let mut client = Client::connect(&address);
                let rex = json!({"name": "Rex", "species": "dog"});
                while let Ok((status, pet)) = client.call("POST", "/api/v1/pets", &token, &rex) {
                    assert_eq!(status, 201, "{pet}");
                    acknowledge.send(pet["data"]["id"].as_str().unwrap().to_owned()).unwrap();
                }
            })
        }).collect();
        drop(acknowledge);
        let mut written: Vec<String> = acknowledged.iter().take(100).collect();
        signal(&server, Signal::KILL);
        server.wait().unwrap();
        written.extend(acknowledged.iter());
        for writer in writers {
            writer.join().unwrap();
        }

        let (server, address) = start(&place, "");
        let mut client = Client::connect(&address);
        for id in &written {
            let (status, _) = client.call("GET", &format!("/api/v1/pets/{id}"), &token, &json!({})).unwrap();
            assert_eq!(status, 200, "{id} was acknowledged, and is lost");
        }
        let (_, page) = client.call("GET", "/api/v1/pets?limit=1&offset=0", &token, &json!({})).unwrap();
        let stored = page["pagination"]["total"].as_u64().unwrap();
        let known = written.len() as u64;
        assert!((known..=known + 4).contains(&stored), "{stored} stored, {known} acknowledged, 4 in flight");
        signal(&server, Signal::TERM);
    }
}

#[test]
fn no_secret_is_ever_in_the_log() {
    let place = crate::support::Place::sqlite()
        .with("LOG_LEVEL", "trace")
        .with("JWT_SECRET", "the-key-that-signs-tokens-0123456789");
    let (mut server, address) = start(&place, "");
    // Read all the while: a full pipe would stop the server.
    let mut pipe = server.stderr.take().unwrap();
    let log = std::thread::spawn(move || {
        let mut log = String::new();
        pipe.read_to_string(&mut log).unwrap();
        log
    });
    let mut client = Client::connect(&address);
    let ada: Value = serde_json::from_str(ADA).unwrap();
    let (_, session) = client.call("POST", "/api/v1/auth/register", "", &ada).unwrap();
    let text = |name: &str| session["data"][name].as_str().unwrap().to_owned();
    let (access, refresh) = (text("accessToken"), text("refreshToken"));
    let refresh_body = json!({"refreshToken": refresh});
    client
        .call(
            "POST",
            "/api/v1/auth/login",
            "",
            &json!({"email": "ada@example.org", "password": "correct horse battery"}),
        )
        .unwrap();
    client
        .call("POST", "/api/v1/auth/login", "", &json!({"email": "ada@example.org", "password": "a wrong guess of it"}))
        .unwrap();
    client.call("GET", "/api/v1/auth/me?token=in-the-query", &access, &json!({})).unwrap();
    client.call("GET", "/no/such/path-with-a-token", &access, &json!({})).unwrap();
    let (_, renewed) = client.call("POST", "/api/v1/auth/refresh", "", &refresh_body).unwrap();
    client.call("POST", "/api/v1/auth/logout", &access, &refresh_body).unwrap();
    signal(&server, Signal::TERM);
    server.wait().unwrap();
    let log = log.join().unwrap();
    assert!(log.contains("/api/v1/auth/refresh"), "the access log is in it");
    let renewed = renewed["data"]["refreshToken"].as_str().unwrap();
    for secret in [
        "correct horse",
        "wrong guess",
        "in-the-query",
        "path-with-a-token",
        "the-key-that-signs",
        "argon2id$",
        &access,
        access.rsplit('.').next().unwrap(),
        &refresh,
        renewed,
    ] {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} is in the log: {line:?}");
    }
}
