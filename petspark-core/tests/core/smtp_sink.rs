//! A mail server for tests: SMTP over a real socket, with TLS from the start, by `STARTTLS` or
//! not at all, with a password or without, refusing what the test wants refused.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// When the sink speaks TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    Never,
    Upgrade,
    Always,
}

/// A mail that the sink took.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) to: String,
    pub(crate) data: String,
}

#[derive(Default)]
struct State {
    taken: Vec<Taken>,
    /// What to answer to the next mails instead of taking them.
    refusals: VecDeque<&'static str>,
    connections: usize,
    silent: bool,
}

/// The server; it ends with the test's run-time.
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    /// The authority behind its certificate, as PEM.
    pub(crate) authority: String,
    state: Arc<Mutex<State>>,
}

/// What its users sign in with.
pub(crate) const LOGIN: (&str, &str) = ("petspark", "hunter2-of-the-mail-server");

impl Sink {
    pub(crate) async fn start(tls: Tls) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, tls)
    }

    pub(crate) fn on(listener: TcpListener, tls: Tls) -> Self {
        let (authority, config) = certificates();
        let state = Arc::new(Mutex::new(State::default()));
        let sink = Self { address: listener.local_addr().unwrap(), authority, state: Arc::clone(&state) };
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            loop {
                let Ok((socket, _)) = listener.accept().await else { return };
                state.lock().unwrap().connections += 1;
                let (acceptor, state) = (acceptor.clone(), Arc::clone(&state));
                tokio::spawn(async move {
                    // A client that hangs up is no matter of ours.
                    let _: std::io::Result<()> = async {
                        if tls == Tls::Always {
                            let mut stream = BufReader::new(acceptor.accept(socket).await?);
                            greet(&mut stream).await?;
                            return session(&mut stream, &state, false).await.map(drop);
                        }
                        let mut stream = BufReader::new(socket);
                        greet(&mut stream).await?;
                        if session(&mut stream, &state, tls == Tls::Upgrade).await? {
                            let mut stream = BufReader::new(acceptor.accept(stream.into_inner()).await?);
                            session(&mut stream, &state, false).await?;
                        }
                        Ok(())
                    }
                    .await;
                });
            }
        });
        sink
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.state.lock().unwrap().taken.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    /// Answers this to the recipient of the next mail.
    pub(crate) fn refuse_next(&self, answer: &'static str) {
        self.state.lock().unwrap().refusals.push_back(answer);
    }

    /// From now on no recipient is answered at all.
    pub(crate) fn fall_silent(&self, silent: bool) {
        self.state.lock().unwrap().silent = silent;
    }
}

async fn greet(stream: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
    stream.write_all(b"220 sink.test ESMTP\r\n").await
}

/// Talks until the client leaves, or says `STARTTLS`: then `true`.
async fn session<S>(stream: &mut BufReader<S>, state: &Mutex<State>, offer_tls: bool) -> std::io::Result<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut to = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(false);
        }
        let command = line.trim_end();
        let verb = command.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "EHLO" if offer_tls => "250-sink.test\r\n250-STARTTLS\r\n250 8BITMIME".to_owned(),
            "EHLO" => "250-sink.test\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME".to_owned(),
            "STARTTLS" if offer_tls => {
                stream.write_all(b"220 go ahead\r\n").await?;
                return Ok(true);
            }
            "AUTH" if command == auth_plain() => "235 welcome".to_owned(),
            "AUTH" => format!("535 5.7.8 {command} is wrong"),
            "MAIL" | "NOOP" | "RSET" => "250 ok".to_owned(),
            "RCPT" => {
                to = command.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                if state.lock().unwrap().silent {
                    continue;
                }
                let refusal = state.lock().unwrap().refusals.pop_front();
                refusal.map_or_else(|| "250 ok".to_owned(), |refusal| format!("{refusal} <{to}>"))
            }
            "DATA" => {
                stream.write_all(b"354 go ahead\r\n").await?;
                let data = read_data(stream).await?;
                state.lock().unwrap().taken.push(Taken { to: to.clone(), data });
                "250 taken".to_owned()
            }
            "QUIT" => "221 bye".to_owned(),
            _ => "500 what?".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
        if verb == "QUIT" {
            return Ok(false);
        }
    }
}

async fn read_data<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> std::io::Result<String> {
    let mut data = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" {
            return Ok(data);
        }
        data.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}

fn auth_plain() -> String {
    use base64::Engine as _;
    let (user, password) = LOGIN;
    format!("AUTH PLAIN {}", base64::engine::general_purpose::STANDARD.encode(format!("\0{user}\0{password}")))
}

/// An authority of this test's own, and a certificate of `localhost` that it vouches for.
pub(crate) fn certificates() -> (String, ServerConfig) {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = parameters.self_signed(&key).unwrap();
    let issuer = Issuer::new(parameters, key);
    let own_key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&own_key, &issuer).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], PrivateKeyDer::Pkcs8(own_key.serialize_der().into()))
        .unwrap();
    (authority.pem(), config)
}
