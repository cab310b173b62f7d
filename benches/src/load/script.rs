//! What a connection sends next, and what it takes from an answer for that.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Target;

/// What requests carry.
#[derive(Clone, Debug)]
pub enum Bodies {
    /// Nothing.
    None,
    /// JSON documents: each request has the next one, and then again from the first.
    InTurn(Vec<String>),
    /// Refresh tokens of as many sessions: a connection renews its share of them in turn, each
    /// with the token that it got the last time.
    RefreshTokens(Vec<String>),
}

/// The part of a request that is always the same.
#[derive(Clone, Debug)]
pub struct Head {
    /// Where to.
    pub target: Target,
    /// `GET`, `POST` and so on.
    pub method: String,
    /// Whole header lines, `Name: value`.
    pub headers: Vec<String>,
}

impl Head {
    /// A whole request; a body is sent as JSON.
    #[must_use]
    pub fn request(&self, body: Option<&str>) -> Vec<u8> {
        let Target { address, path } = &self.target;
        let mut request = format!("{} {path} HTTP/1.1\r\nHost: {address}\r\n", self.method);
        for header in &self.headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        if let Some(body) = body {
            request.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        request.push_str(body.unwrap_or_default());
        request.into_bytes()
    }
}

/// One connection's.
pub(super) enum Script {
    /// Made beforehand, so that what is measured is the server.
    Repeat {
        requests: Arc<[Vec<u8>]>,
        next: usize,
    },
    Renew {
        head: Head,
        sessions: VecDeque<String>,
        request: Vec<u8>,
    },
}

impl Script {
    /// For so many connections; each begins somewhere else.
    pub(super) fn all(head: &Head, bodies: &Bodies, connections: usize) -> Vec<Self> {
        let repeat = |requests: Vec<Vec<u8>>| {
            let requests: Arc<[Vec<u8>]> = requests.into();
            let start = |n| n * requests.len() / connections;
            (0..connections).map(|n| Self::Repeat { requests: requests.clone(), next: start(n) }).collect()
        };
        match bodies {
            Bodies::None => repeat(vec![head.request(None)]),
            Bodies::InTurn(bodies) => repeat(bodies.iter().map(|body| head.request(Some(body))).collect()),
            Bodies::RefreshTokens(tokens) => (0..connections)
                .map(|n| tokens.iter().skip(n).step_by(connections).cloned().collect())
                .map(|sessions| Self::Renew { head: head.clone(), sessions, request: Vec::new() })
                .collect(),
        }
    }

    /// What to send; `None` if there is nothing.
    pub(super) fn request(&mut self) -> Option<&[u8]> {
        match self {
            Self::Repeat { requests, next } => {
                let request = requests.get(*next % requests.len().max(1))?;
                *next += 1;
                Some(request)
            }
            Self::Renew { head, sessions, request } => {
                *request = head.request(Some(&json!({ "refreshToken": sessions.front()? }).to_string()));
                Some(request)
            }
        }
    }

    /// Takes what a successful answer has for later; says if it lacks that.
    pub(super) fn answered(&mut self, body: &[u8]) -> Result<(), String> {
        let Self::Renew { sessions, .. } = self else { return Ok(()) };
        let answer: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let token = answer["data"]["refreshToken"].as_str().ok_or("no refresh token in the answer")?;
        sessions.pop_front();
        sessions.push_back(token.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let target = "http://127.0.0.1:1/x".parse().unwrap();
        Head { target, method: "POST".to_owned(), headers: vec!["a: b".to_owned()] }
    }

    #[test]
    fn bodies_are_sent_in_turn_and_each_connection_begins_elsewhere() {
        let bodies = Bodies::InTurn(["1", "2", "3"].map(str::to_owned).to_vec());
        let mut scripts = Script::all(&head(), &bodies, 2);
        let mut last = |n: usize| scripts[n].request().unwrap().last().copied().unwrap();
        assert_eq!([last(0), last(0), last(0), last(0)], *b"1231");
        assert_eq!([last(1), last(1)], *b"23");
        let request = String::from_utf8(head().request(Some("1"))).unwrap();
        assert!(request.starts_with("POST /x HTTP/1.1\r\nHost: 127.0.0.1:1\r\na: b\r\n"), "{request}");
        assert!(request.ends_with("Content-Length: 1\r\n\r\n1"), "{request}");
    }

    #[test]
    fn a_session_is_renewed_with_what_it_got_the_last_time() {
        let tokens = Bodies::RefreshTokens(["a", "b", "c"].map(str::to_owned).to_vec());
        let mut script = Script::all(&head(), &tokens, 2).remove(0);
        for (sent, got) in [("a", "a2"), ("c", "c2"), ("a2", "a3")] {
            let request = String::from_utf8(script.request().unwrap().to_vec()).unwrap();
            assert!(request.ends_with(&format!("{{\"refreshToken\":\"{sent}\"}}")), "{request}");
            assert!(script.answered(b"{}").is_err());
            script.answered(format!("{{\"data\":{{\"refreshToken\":\"{got}\"}}}}").as_bytes()).unwrap();
        }
    }
}
