//! Stands in front of an S3 server and does to its clients what networks and busy servers do: one
//! act a connection, and when all were played, the truth.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use petspark_core::config::{Value as _, WebUrl};
use petspark_core::media::objects::S3Settings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};

/// What happens to a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// The request is answered with this status and body, and goes no further.
    Answer(u16, &'static str),
    /// Nothing is answered, ever.
    Silence,
    /// It is cut when so many bytes of the request have come.
    CutRequest(usize),
    /// The request is done, and the answer lost.
    LoseAnswer,
    /// It is cut when so many bytes of the answer have gone.
    CutAnswer(u64),
    /// The same, but it stays open and nothing more comes.
    StallAnswer(u64),
}

/// The stand-in; it ends with the test's run-time.
pub(crate) struct StandIn {
    connections: Arc<Mutex<usize>>,
}

impl StandIn {
    /// Plays `acts` to clients of the server that `settings` lead to, whom they then lead here.
    pub(crate) async fn before(settings: &mut S3Settings, acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = settings.endpoint_url.take().unwrap().as_str().replace("http://", "");
        settings.endpoint_url = Some(WebUrl::parse(&format!("http://{address}")).unwrap());
        let acts = Arc::new(Mutex::new(acts.into_iter().collect::<VecDeque<_>>()));
        let connections = Arc::<Mutex<usize>>::default();
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acts, counted, server) = (Arc::clone(&acts), Arc::clone(&counted), server.clone());
                tokio::spawn(async move {
                    // A client may open one more than it needs, and keep it for later.
                    if client.peek(&mut [0]).await? == 0 {
                        return Ok(());
                    }
                    *counted.lock().unwrap() += 1;
                    let act = acts.lock().unwrap().pop_front();
                    // However a connection ends is what its client has to cope with.
                    play(act, client, &server).await
                });
            }
        });
        Self { connections }
    }

    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

async fn play(act: Option<Act>, mut client: TcpStream, server: &str) -> io::Result<()> {
    match act {
        None => {
            let mut server = TcpStream::connect(server).await?;
            tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
        }
        Some(Act::Answer(status, body)) => {
            request(&mut client).await?;
            let length = body.len();
            let answer = format!("HTTP/1.1 {status} no\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            client.write_all(answer.as_bytes()).await
        }
        Some(Act::Silence) => {
            request(&mut client).await?;
            std::future::pending().await
        }
        Some(Act::CutRequest(bytes)) => client.read_exact(&mut vec![0; bytes]).await.map(drop),
        Some(Act::LoseAnswer) => forwarded(&mut client, server).await?.read(&mut [0]).await.map(drop),
        Some(Act::CutAnswer(bytes)) => {
            let answer = forwarded(&mut client, server).await?;
            copy(&mut answer.take(bytes), &mut client).await.map(drop)
        }
        Some(Act::StallAnswer(bytes)) => {
            let answer = forwarded(&mut client, server).await?;
            copy(&mut answer.take(bytes), &mut client).await?;
            std::future::pending().await
        }
    }
}

/// The server, after it got the client's request.
async fn forwarded(client: &mut TcpStream, server: &str) -> io::Result<TcpStream> {
    let request = request(client).await?;
    let mut server = TcpStream::connect(server).await?;
    server.write_all(&request).await?;
    Ok(server)
}

/// One whole request.
pub(crate) async fn request(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        if client.read_buf(&mut request).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
        if request.len() >= end + 4 + length.unwrap_or(0) {
            return Ok(request);
        }
    }
}
