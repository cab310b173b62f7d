//! Calls to other people's servers by HTTP: connections are kept, time and size have limits, and TLS
//! believes whom browsers believe. What is said, and what an answer means, is the caller's.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::error::Fault;

/// Cheap to clone; clones share connections.
#[derive(Clone)]
pub(crate) struct Outgoing(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Outgoing {
    pub(crate) fn new() -> Self {
        let connector = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
        Self(Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(60)).build(connector))
    }

    /// Sends a request, and gives status and body of the answer, redirections included. All of it
    /// takes at most `limit`, and the body has at most `max` bytes.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        limit: Duration,
        max: usize,
    ) -> Result<(StatusCode, Bytes), Fault> {
        let answer = async {
            let response = self.0.request(request).await.map_err(Fault::unavailable)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), max).collect().await.map_err(Fault::unavailable)?;
            Ok((status, body.to_bytes()))
        };
        tokio::time::timeout(limit, answer).await.map_err(|_| Fault::unavailable("no answer in time"))?
    }
}
