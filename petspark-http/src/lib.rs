//! The PetSpark HTTP server: a thin translation of HTTP to `petspark-core`.
//!
//! [`router`] gives an axum [`Router`] that others can nest; [`Server`] runs it on a listener
//! with an accept loop of its own: time-outs, connection limit, graceful end.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use petspark_core::{PetSpark, config::Settings};
//! use petspark_http::{HttpSettings, Server};
//!
//! let petspark = PetSpark::open(Settings::default()).await?;
//! let server = Server::bind(petspark, HttpSettings::default()).await?;
//! println!("http://{}", server.local_addr()?);
//! server.run(async { tokio::signal::ctrl_c().await.unwrap_or_default() }).await;
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod cookie;
mod cors;
mod error;
mod etag;
mod extract;
mod layer;
mod listen;
mod openapi;
mod patience;
mod rate_limit;
mod routes;
mod settings;
mod transport;
pub mod wire;

pub use cookie::{CookieSettings, SameSite};
pub use listen::{BindError, Drained, Peer, Server};
pub use rate_limit::{Limit, RateLimitSettings};
pub use settings::{BuildInfo, HttpSettings, Origin};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Router;
use petspark_core::PetSpark;
use petspark_core::config::Value;
use petspark_core::media::Links;
use tower_http::cors::CorsLayer;

use cookie::RefreshCookie;
use rate_limit::RateLimits;

/// What every handler can reach.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

struct Inner {
    petspark: PetSpark,
    settings: HttpSettings,
    started: Instant,
    readiness: routes::Readiness,
    rate_limits: Option<RateLimits>,
    cors: Option<CorsLayer>,
    unknown_proxy_seen: AtomicBool,
}

impl App {
    pub(crate) fn petspark(&self) -> &PetSpark {
        &self.0.petspark
    }

    /// Where photos are.
    pub(crate) fn links(&self) -> &Links {
        self.petspark().media().links()
    }

    pub(crate) fn settings(&self) -> &HttpSettings {
        &self.0.settings
    }

    pub(crate) fn started(&self) -> Instant {
        self.0.started
    }

    pub(crate) fn readiness(&self) -> &routes::Readiness {
        &self.0.readiness
    }

    pub(crate) fn refresh_cookie(&self) -> RefreshCookie {
        let Inner { petspark, settings, .. } = &*self.0;
        RefreshCookie::of(settings.cookie, petspark.settings().environment, settings.host.is_loopback())
    }

    pub(crate) fn rate_limits(&self) -> Option<&RateLimits> {
        self.0.rate_limits.as_ref()
    }

    pub(crate) fn cors(&self) -> Option<&CorsLayer> {
        self.0.cors.as_ref()
    }

    /// Whether a proxy that isn't trusted is seen for the first time: it is worth one line in the
    /// log, not one a request.
    pub(crate) fn first_unknown_proxy(&self) -> bool {
        let seen = &self.0.unknown_proxy_seen;
        !seen.load(Ordering::Relaxed) && !seen.swap(true, Ordering::Relaxed)
    }
}

/// All of PetSpark's routes, with everything that surrounds a request: ids, time limit, the
/// error envelope (also for unknown routes), the access log. Nest it, or serve it as it is.
pub fn router(petspark: PetSpark) -> Router {
    router_with(petspark, HttpSettings::default())
}

/// The same by other settings than the defaults.
pub fn router_with(petspark: PetSpark, settings: HttpSettings) -> Router {
    let (router, document) = routes::api(&settings).split_for_parts();
    let mut document = openapi::complete(document);
    document.info.version = settings.build.version.to_string();
    let docs = if settings.docs { routes::docs(&document) } else { Ok(Router::new()) };
    let docs = docs.unwrap_or_else(|error| {
        tracing::error!(%error, "the API document can't be written; going on without /docs");
        Router::new()
    });
    let router = router.merge(docs).fallback(|| async { http::StatusCode::NOT_FOUND });
    surround(router, petspark, settings)
}

/// Puts around somebody else's routes what surrounds ours: request ids, time limit, CORS, the
/// error envelope, the access log. For routes that belong to PetSpark but are not of this crate.
pub fn surrounded(router: Router, petspark: PetSpark, settings: HttpSettings) -> Router {
    surround(router.with_state(()), petspark, settings)
}

fn surround(router: Router<App>, petspark: PetSpark, settings: HttpSettings) -> Router {
    // Whoever may call from a page may be led back to it.
    petspark.billing().allow_returns_to(settings.cors_origins.iter().map(Value::render));
    let cors = cors::layer(&settings.cors_origins);
    let router = match &cors {
        Some(cors) => router.layer(cors.clone()),
        None => router,
    };
    let app = App(Arc::new(Inner {
        rate_limits: RateLimits::new(&settings.rate_limit),
        cors,
        unknown_proxy_seen: AtomicBool::new(false),
        petspark,
        settings,
        started: Instant::now(),
        readiness: routes::Readiness::default(),
    }));
    router.layer(axum::middleware::from_fn_with_state(app.clone(), layer::surround)).with_state(app)
}
