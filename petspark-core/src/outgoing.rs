//! Calls to other people's servers by HTTP: connections are kept, time and size have limits, and TLS
//! believes whom browsers believe. What is said, and what an answer means, is the caller's.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::error::Fault;

/// Cheap to clone; clones share connections.
#[derive(Clone)]
pub(crate) struct Outgoing(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Outgoing {
    /// # Errors
    /// For a person: why there is no TLS.
    pub(crate) fn new() -> Result<Self, String> {
        // By name: where two providers are linked, rustls doesn't choose, it panics.
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| format!("TLS can't be set up: {error}"))?;
        let pool = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .build(tls.https_or_http().enable_http1().build());
        Ok(Self(pool))
    }

    /// Sends a request, and gives the whole answer, redirections included. All of it takes at most
    /// `limit`, and the body has at most `max` bytes.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        limit: Duration,
        max: usize,
    ) -> Result<Response<Bytes>, Fault> {
        let answer = async {
            let (head, body) = self.0.request(request).await.map_err(Fault::unavailable)?.into_parts();
            let body = Limited::new(body, max).collect().await.map_err(Fault::unavailable)?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        let late = |_| Fault::unavailable(format!("no answer within {}ms", limit.as_millis()));
        tokio::time::timeout(limit, answer).await.map_err(late)?
    }
}
