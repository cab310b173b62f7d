//! What PetSpark's `GET /api/v1/pets/:id` is compared with: hyper and a sqlx pool, the same
//! SELECT, the same bytes in the body, and nothing else. No sign-in, no log, no time limits.
//!
//! `bare DATABASE_URL [PORT]`, where the URL is `sqlite:PATH` or `postgres://...` of a database
//! that PetSpark has made.
#![allow(clippy::print_stdout, reason = "says where it listens")]

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use petspark_core::media::Links;
use petspark_core::{Caller, Clock, PetId, pets};
use petspark_http::wire::{Data, Pet};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{ConnectOptions, Connection, PgPool, SqlitePool, query_as};
use tokio::net::TcpListener;

/// As `find_pet` of petspark-core has it, but for whom owner and viewer have blocked.
const SELECT: &str = "SELECT p.id, p.owner_id, u.display_name AS owner_display_name, p.name, p.species, p.breed, \
     p.birth_date, p.birth_date_is_estimate, p.gender, p.size, p.personality, p.bio, p.city, p.country, \
     p.shown_latitude, p.shown_longitude, p.latitude, p.longitude, p.verified, p.status, p.version, p.created_at, \
     p.updated_at, p.favorite_count, p.photos, u.avatar AS owner_avatar \
     FROM pets p JOIN users u ON u.id = p.owner_id WHERE p.deleted_at IS NULL AND p.id = $1";

enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Pools with the options that petspark-core gives its own.
impl Pool {
    fn open(url: &str) -> Result<Self, sqlx::Error> {
        let patience = Duration::from_secs(5);
        if url.starts_with("postgres") {
            let options: PgConnectOptions = url.parse()?;
            let pool = PgPoolOptions::new()
                .max_connections(10)
                .acquire_timeout(patience)
                .test_before_acquire(false)
                .before_acquire(|connection, meta| {
                    Box::pin(async move {
                        if meta.idle_for >= Duration::from_secs(1) {
                            connection.ping().await?;
                        }
                        Ok(true)
                    })
                })
                .connect_lazy_with(options.disable_statement_logging());
            return Ok(Self::Postgres(pool));
        }
        let options: SqliteConnectOptions = url.parse()?;
        let cores = std::thread::available_parallelism().map_or(2, |n| u32::try_from(n.get()).unwrap_or(8));
        let pool = SqlitePoolOptions::new()
            .max_connections(cores.clamp(2, 8))
            .acquire_timeout(patience)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options.read_only(true).disable_statement_logging());
        Ok(Self::Sqlite(pool))
    }

    async fn find(&self, id: PetId) -> Result<Option<pets::Pet>, sqlx::Error> {
        match self {
            Self::Sqlite(pool) => query_as(SELECT).bind(id).fetch_optional(pool).await,
            Self::Postgres(pool) => query_as(SELECT).bind(id).fetch_optional(pool).await,
        }
    }
}

async fn answer(
    pool: &Pool,
    clock: &Clock,
    links: &Links,
    request: &Request<Incoming>,
) -> io::Result<Response<Full<Bytes>>> {
    let id = request.uri().path().strip_prefix("/pets/").and_then(|id| id.parse().ok());
    let pet = match (request.method(), id) {
        (&Method::GET, Some(id)) => pool.find(id).await.map_err(io::Error::other)?,
        _ => None,
    };
    let mut response = Response::new(Full::default());
    match pet {
        Some(pet) => {
            let mut body = Vec::with_capacity(1024);
            serde_json::to_writer(&mut body, &Data { data: Pet::of(pet, &Caller::anonymous(), clock.now(), links) })?;
            *response.body_mut() = Full::from(body);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        None => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    Ok(response)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let url = args.next().ok_or("usage: bare DATABASE_URL [PORT]")?;
    let port = args.next().map_or(Ok(0), |port| port.parse())?;
    let state = Arc::new((Pool::open(&url)?, Clock::system(), Links::of_no_server()?));
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let state = state.clone();
                async move { answer(&state.0, &state.1, &state.2, &request).await }
            });
            // A client that goes away is not this program's problem.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
