//! The server: binds, accepts, and ends gracefully. What a request means is the router's business.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use petspark_core::{Failure, Kind, PetSpark};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service as _;

use crate::patience::{Patience, Watched};
use crate::settings::HttpSettings;

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// A server that listens already and serves once it runs.
pub struct Server {
    listener: TcpListener,
    router: Router,
    settings: HttpSettings,
}

/// The server can't listen where it was told to.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address}: {}{}", .source, hint(.source))]
pub struct BindError {
    /// Where.
    pub address: SocketAddr,
    source: io::Error,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; stop the program that has the port, or choose another by PORT or --port",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege, choose another by PORT or --port",
        io::ErrorKind::AddrNotAvailable => "; HOST must be an address of this machine",
        _ => "",
    }
}

impl Failure for BindError {
    fn kind(&self) -> Kind {
        Kind::Unavailable
    }

    fn code(&self) -> &'static str {
        "BIND_FAILED"
    }
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every request that had begun was answered.
    Completely,
    /// This many connections were cut off when their time was over.
    CutOff(usize),
}

impl Server {
    /// Listens where `settings` say, for [`router_with`](crate::router_with)'s routes.
    ///
    /// # Errors
    /// [`BindError`] names the address and what to do.
    pub async fn bind(petspark: PetSpark, settings: HttpSettings) -> Result<Self, BindError> {
        let address = SocketAddr::new(settings.host, settings.port);
        let listener = TcpListener::bind(address).await.map_err(|source| BindError { address, source })?;
        Ok(Self::on(listener, crate::router_with(petspark, settings.clone()), settings))
    }

    /// Serves any router on a listener that somebody else opened.
    #[must_use]
    pub fn on(listener: TcpListener, router: Router, settings: HttpSettings) -> Self {
        Self { listener, router, settings }
    }

    /// Where it listens; with the real port, if 0 was asked for.
    ///
    /// # Errors
    /// When the system doesn't know.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` is done, then stops accepting and lets requests in flight finish,
    /// for at most `http.shutdown_timeout`.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Drained {
        let Self { listener, router, settings } = self;
        let shutdown = std::pin::pin!(shutdown);
        let places = Arc::new(Semaphore::new(settings.max_connections as usize));
        let graceful = GracefulShutdown::new();
        let serving = accept_all(&listener, &router, &settings, &places, &graceful);
        tokio::select! {
            never = serving => match never {},
            () = shutdown => {}
        }
        drop(listener);
        let open = graceful.count();
        tracing::info!(open_connections = open, "stopping: no new connections, requests in flight may finish");
        let before = settings.max_connections as usize;
        match tokio::time::timeout(settings.shutdown_timeout, graceful.shutdown()).await {
            Ok(()) => Drained::Completely,
            Err(_) => Drained::CutOff(before.saturating_sub(places.available_permits())),
        }
    }
}

async fn accept_all(
    listener: &TcpListener,
    router: &Router,
    settings: &HttpSettings,
    places: &Arc<Semaphore>,
    graceful: &GracefulShutdown,
) -> Infallible {
    let builder = connection_builder(settings);
    loop {
        // First a place, then a connection: who finds none waits in the system's queue.
        let Ok(place) = places.clone().acquire_owned().await else { return std::future::pending().await };
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Without it the last packet of an answer may wait 40 ms for an acknowledgement.
                let _ = stream.set_nodelay(true);
                serve(stream, Peer(peer), router.clone(), &builder, settings, place, graceful);
            }
            // A connection that ended before we took it; nothing to wait for.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                // Out of file descriptors, most likely: some will be given back.
                tracing::error!(%error, "can't accept connections");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn connection_builder(settings: &HttpSettings) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Heads and idle connections are timed by `patience`: hyper has one timer for both.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(settings.keep_alive_timeout)
        .keep_alive_timeout(settings.header_read_timeout)
        .max_concurrent_streams(200)
        .max_header_list_size(64 * 1024);
    builder
}

fn serve(
    stream: TcpStream,
    peer: Peer,
    router: Router,
    builder: &Builder<TokioExecutor>,
    settings: &HttpSettings,
    place: OwnedSemaphorePermit,
    graceful: &GracefulShutdown,
) {
    let patience = Arc::new(Patience::new(settings.header_read_timeout, settings.keep_alive_timeout));
    let io = TokioIo::new(Watched::new(stream, patience.clone()));
    let in_service = patience.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let in_flight = in_service.clone().begin(request.version() == http::Version::HTTP_2);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = router.clone().call(request);
        async move {
            let answer = answer.await;
            drop(in_flight);
            answer
        }
    });
    let connection = graceful.watch(builder.serve_connection(io, service).into_owned());
    tokio::spawn(async move {
        let connection = std::pin::pin!(connection);
        tokio::select! {
            // Clients that go away in the middle, or talk something else, are no news.
            result = connection => if let Err(error) = result { tracing::debug!(error, "connection ended"); },
            () = patience.run_out() => tracing::debug!("connection closed: idle, or too slow with a request's head"),
        }
        drop(place);
    });
}
