//! What only shows on a real socket: time-outs, limits, HTTP/2, and a graceful end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use petspark_core::testing::{Engine, TestApp};
use petspark_http::{Drained, HttpSettings, Limit, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Drained>,
}

async fn run(router: Router, settings: HttpSettings) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::on(listener, router, settings);
    let address = server.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(server.run(async { drop(stopped.await) }));
    Running { address, stop, ended }
}

fn short() -> HttpSettings {
    HttpSettings {
        header_read_timeout: Duration::from_millis(200),
        keep_alive_timeout: Duration::from_millis(600),
        shutdown_timeout: Duration::from_millis(300),
        ..HttpSettings::default()
    }
}

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

async fn read_answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while !answer.ends_with(b"hello") {
        let n = stream.read(&mut buffer).await.unwrap();
        assert_ne!(n, 0, "closed after {}", String::from_utf8_lossy(&answer));
        answer.extend(&buffer[..n]);
    }
    String::from_utf8(answer).unwrap()
}

/// How long until the other side closes.
async fn closed_after(stream: &mut TcpStream) -> Duration {
    let started = Instant::now();
    let mut rest = Vec::new();
    // A reset is as closed as an end.
    let _ = stream.read_to_end(&mut rest).await;
    started.elapsed()
}

#[tokio::test]
async fn a_client_that_is_slow_with_a_head_is_cut_off_and_an_idle_one_may_wait_longer() {
    let server = run(hello(), short()).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    assert!(closed_after(&mut silent).await < Duration::from_millis(550));
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(b"GET / HT").await.unwrap();
    assert!(closed_after(&mut half).await < Duration::from_millis(550));
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(GET).await.unwrap();
    read_answer(&mut idle).await;
    let waited = closed_after(&mut idle).await;
    assert!(waited >= Duration::from_millis(590), "{waited:?}");
    let mut second_half = TcpStream::connect(server.address).await.unwrap();
    second_half.write_all(GET).await.unwrap();
    read_answer(&mut second_half).await;
    second_half.write_all(b"GET").await.unwrap();
    assert!(closed_after(&mut second_half).await < Duration::from_millis(550));
}

#[tokio::test]
async fn a_long_answer_to_a_slow_reader_is_not_taken_for_an_idle_connection() {
    const LENGTH: usize = 64 << 20;
    let router = Router::new().route("/", get(|| async { vec![b'x'; LENGTH] }));
    let settings = HttpSettings { keep_alive_timeout: Duration::from_millis(300), ..short() };
    let server = run(router, settings).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(GET).await.unwrap();
    let started = Instant::now();
    let mut buffer = vec![0; 4 << 20];
    let mut read = 0;
    let mut pause = tokio::time::interval(Duration::from_millis(60));
    while read < LENGTH {
        let n = client.read(&mut buffer).await.unwrap();
        assert_ne!(n, 0, "cut off after {read} bytes");
        read += n;
        if read % (4 << 20) < n {
            pause.tick().await;
        }
    }
    assert!(started.elapsed() > Duration::from_millis(600), "the reader was too fast to prove anything");
}

#[tokio::test]
async fn requests_in_flight_are_answered_after_the_end_was_announced() {
    let (arrived, mut arrivals) = tokio::sync::mpsc::channel(1);
    let (go_on, gate) = tokio::sync::watch::channel(false);
    let router = Router::new().route(
        "/",
        get(move || {
            let (arrived, mut gate) = (arrived.clone(), gate.clone());
            async move {
                arrived.send(()).await.unwrap();
                gate.wait_for(|open| *open).await.unwrap();
                "hello"
            }
        }),
    );
    let settings = HttpSettings { shutdown_timeout: Duration::from_secs(20), ..short() };
    let server = run(router, settings).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(GET).await.unwrap();
    arrivals.recv().await.unwrap();
    server.stop.send(()).unwrap();
    go_on.send(true).unwrap();
    assert!(read_answer(&mut client).await.starts_with("HTTP/1.1 200"));
    assert_eq!(server.ended.await.unwrap(), Drained::Completely);
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut_off_and_counted() {
    let (arrived, mut arrivals) = tokio::sync::mpsc::channel(1);
    let router = Router::new().route(
        "/",
        get(move || {
            let arrived = arrived.clone();
            async move {
                arrived.send(()).await.unwrap();
                std::future::pending::<&'static str>().await
            }
        }),
    );
    let server = run(router, short()).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(GET).await.unwrap();
    arrivals.recv().await.unwrap();
    server.stop.send(()).unwrap();
    assert_eq!(server.ended.await.unwrap(), Drained::CutOff(1));
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let server = run(hello(), HttpSettings { max_connections: 1, ..short() }).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(GET).await.unwrap();
    read_answer(&mut first).await;
    let mut second = TcpStream::connect(server.address).await.unwrap();
    second.write_all(GET).await.unwrap();
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(100), second.peek(&mut byte)).await;
    assert!(early.is_err(), "the second connection must wait while the first is open");
    drop(first);
    read_answer(&mut second).await;
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up() {
    let app = TestApp::open(Engine::Sqlite).await;
    let never = Router::new().route("/never", get(|| async { std::future::pending::<()>().await }));
    let settings = HttpSettings { request_timeout: Duration::from_millis(50), ..HttpSettings::default() };
    let router = petspark_http::surrounded(never, app.petspark.clone(), settings);
    let api = crate::support::Api { app, router };
    api.get("/never").send().await.assert_error(503, "UNAVAILABLE");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_the_clients_fault() {
    let settings = HttpSettings { request_timeout: Duration::from_millis(50), ..HttpSettings::default() };
    let api = crate::support::Api::with(TestApp::open(Engine::Sqlite).await, settings);
    let stalled = axum::body::Body::from_stream(futures_util::stream::pending::<std::io::Result<Vec<u8>>>());
    let answer = api.post("/api/v1/auth/login").raw("application/json", stalled).send().await;
    answer.assert_error(408, "REQUEST_TIMEOUT");
}

#[tokio::test]
async fn a_peer_on_a_socket_is_limited_by_its_address() {
    let app = TestApp::open(Engine::Sqlite).await;
    let mut settings = short();
    settings.rate_limit.general = Limit::new(1, Duration::from_secs(3600), 1);
    let router = petspark_http::surrounded(hello(), app.petspark.clone(), settings.clone());
    let server = run(router, settings).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(GET).await.unwrap();
    assert!(read_answer(&mut first).await.starts_with("HTTP/1.1 200"));
    let mut second = TcpStream::connect(server.address).await.unwrap();
    second.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut refused = String::new();
    second.read_to_string(&mut refused).await.unwrap();
    assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("retry-after: 3600"), "{refused}");
}

#[tokio::test]
async fn http_2_is_spoken_too() {
    let server = run(hello(), short()).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get(format!("http://{}/", server.address)).body(axum::body::Body::empty()).unwrap();
    let answer = client.send_request(request).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2));
    // Longer than a head may take, shorter than a connection may be idle.
    assert!(tokio::time::timeout(Duration::from_millis(400), client.ready()).await.is_ok());
    tokio::time::timeout(Duration::from_millis(400), std::future::pending::<()>()).await.unwrap_err();
    let request = http::Request::get(format!("http://{}/", server.address)).body(axum::body::Body::empty()).unwrap();
    assert_eq!(client.send_request(request).await.unwrap().status(), 200);
    server.stop.send(()).unwrap();
    assert_eq!(server.ended.await.unwrap(), Drained::Completely);
    drop(client);
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_told_with_what_to_do() {
    let app = TestApp::open(Engine::Sqlite).await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let settings = HttpSettings { port: address.port(), ..HttpSettings::default() };
    let error = Server::bind(app.petspark.clone(), settings).await.err().unwrap().to_string();
    assert!(error.contains(&address.to_string()) && error.contains("PORT"), "{error}");
}
