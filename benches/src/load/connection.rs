//! One keep-alive connection that understands as much of an answer as counting needs: its status,
//! how long its body is, whether the connection ends with it.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A head longer than this is no answer of ours.
const MAX_HEAD: usize = 16 * 1024;

/// To one server, one request at a time.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// 200 and so on.
    pub status: u16,
    /// Has a `Retry-After`.
    pub says_when: bool,
    /// All of it.
    pub body: Vec<u8>,
    pub(super) closes: bool,
}

/// What the head of an answer says.
#[derive(Debug, PartialEq, Eq)]
struct AnswerHead {
    status: u16,
    closes: bool,
    says_when: bool,
    body_bytes: usize,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn open(address: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(MAX_HEAD) })
    }

    /// Sends a request and reads the whole answer to it.
    ///
    /// # Errors
    /// When the connection breaks, or the answer isn't one that is understood here.
    pub async fn ask(&mut self, request: &[u8]) -> Result<Answer, Error> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (head_bytes, head) = loop {
            self.read_more().await?;
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break (end + 4, parse_head(&self.buffer[..end])?);
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(malformed("its head is too long"));
            }
        };
        while self.buffer.len() < head_bytes + head.body_bytes {
            self.read_more().await?;
        }
        let AnswerHead { status, closes, says_when, .. } = head;
        Ok(Answer { status, closes, says_when, body: self.buffer[head_bytes..].to_vec() })
    }

    async fn read_more(&mut self) -> Result<(), Error> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn parse_head(head: &[u8]) -> Result<AnswerHead, Error> {
    let head = std::str::from_utf8(head).map_err(|_| malformed("its head is not text"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let mut answer = AnswerHead {
        status: status.ok_or_else(|| malformed("no status"))?,
        closes: false,
        says_when: false,
        body_bytes: usize::MAX,
    };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            answer.body_bytes = value.parse().map_err(|_| malformed("its content-length is no number"))?;
        } else if name.eq_ignore_ascii_case("connection") {
            answer.closes = value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("retry-after") {
            answer.says_when = true;
        }
    }
    match (answer.status, answer.body_bytes) {
        (204 | 304, usize::MAX) => Ok(AnswerHead { body_bytes: 0, ..answer }),
        (_, usize::MAX) => Err(malformed("it has no content-length, and chunks aren't understood here")),
        _ => Ok(answer),
    }
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("can't read the answer: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_how_much_follows() {
        let parse = |head: &str| parse_head(head.as_bytes());
        assert_eq!(
            parse("HTTP/1.1 200 OK\r\nContent-Length: 12\r\nx: y").unwrap(),
            AnswerHead { status: 200, closes: false, says_when: false, body_bytes: 12 }
        );
        assert_eq!(
            parse("HTTP/1.1 503 Busy\r\ncontent-length:0\r\nRetry-After: 1\r\nconnection: Close").unwrap(),
            AnswerHead { status: 503, closes: true, says_when: true, body_bytes: 0 }
        );
        assert_eq!(parse("HTTP/1.1 304 Not Modified").unwrap().body_bytes, 0);
        for head in ["", "HTTP/1.1 2", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\nContent-Length: many"] {
            assert!(parse(head).is_err(), "{head}");
        }
    }
}
