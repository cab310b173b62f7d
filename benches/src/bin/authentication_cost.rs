//! What signing in to a request costs: `authentication_cost` asks two routes that do nothing, with
//! all that surrounds PetSpark's routes, one of which wants an access token first. In turns, on
//! one thread, without a socket. Reports nanoseconds as JSON: a request without a token, and what
//! a token adds, by kind of signature, seen before or new. The session's state is fresh.
#![allow(clippy::print_stdout, reason = "the report is what this program is for")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use hyper::{HeaderMap, Request, StatusCode};
use petspark_core::auth::{Client, KeyStep, NewAccount, Password, Registered, Tokens};
use petspark_core::config::Settings;
use petspark_core::{Caller, Origin, PetSpark, Secret};
use petspark_http::{HttpSettings, surrounded};
use tower::ServiceExt as _;

/// Tokens of one kind that are new in a round, and requests of any kind in it.
const BATCH: usize = 200;
const ROUNDS: usize = 31;

/// As petspark-http does it for its own routes.
async fn signed(State(petspark): State<PetSpark>, headers: HeaderMap) -> Result<&'static str, StatusCode> {
    let header = headers.get("authorization").and_then(|value| value.to_str().ok());
    let token = header.and_then(|header| header.strip_prefix("Bearer ")).ok_or(StatusCode::UNAUTHORIZED)?;
    petspark.auth().authenticate(token).await.map_err(|_| StatusCode::UNAUTHORIZED)?;
    Ok("ok")
}

/// A server without its socket, and somebody who is signed in.
struct Bench {
    petspark: PetSpark,
    router: Router,
    refresh: Secret,
    folder: PathBuf,
}

impl Bench {
    async fn open() -> Result<Self, Box<dyn Error>> {
        let folder = std::env::temp_dir().join(format!("petspark-authentication-cost-{}", std::process::id()));
        let mut settings = Settings::in_folder(&folder);
        // One session is renewed for every token here.
        settings.auth.refresh_per_minute = 0;
        let petspark = PetSpark::open(settings).await?;
        let routes = Router::new().route("/open", get(async || "ok")).route("/signed", get(signed));
        let mut settings = HttpSettings::default();
        settings.rate_limit.enabled = false;
        let router = surrounded(routes.with_state(petspark.clone()), petspark.clone(), settings);
        let (email, display_name) = ("ada@example.org".to_owned(), "Ada".to_owned());
        let account = NewAccount { email, password: Password::new("correct horse battery"), display_name };
        let Registered::SignedIn(signed_in) = petspark.auth().register(account, Client::default()).await? else {
            return Err("registered, and not signed in".into());
        };
        Ok(Self { petspark, router, refresh: signed_in.tokens.refresh, folder })
    }

    /// From now on tokens are signed by an Ed25519 key.
    async fn sign_by_key(&self) -> Result<(), Box<dyn Error>> {
        let (auth, operator) = (self.petspark.auth(), Caller::operator("bench"));
        let made = auth.change_keys(&operator, &KeyStep::Generate).await?.made.ok_or("no key was made")?;
        auth.change_keys(&operator, &KeyStep::Promote { kid: made.kid, force: true }).await?;
        Ok(())
    }

    /// Access tokens that nobody has presented yet. The last one is used up for what the first
    /// use of a refreshed session's token writes down.
    async fn new_tokens(&mut self) -> Result<Vec<String>, Box<dyn Error>> {
        let mut tokens = Vec::with_capacity(BATCH);
        let mut last = String::new();
        for _ in 0..=BATCH {
            let Tokens { access, refresh, .. } =
                self.petspark.auth().refresh(self.refresh.expose(), Origin::default()).await?;
            self.refresh = refresh;
            tokens.push(std::mem::replace(&mut last, format!("Bearer {}", access.expose())));
        }
        self.get("/signed", &last).await?;
        Ok(tokens.split_off(1))
    }

    /// Nanoseconds that each of these requests took.
    async fn get_all(&self, path: &str, bearers: impl Iterator<Item = &str>) -> Result<f64, Box<dyn Error>> {
        let (started, mut requests) = (Instant::now(), 0_u32);
        for bearer in bearers {
            self.get(path, bearer).await?;
            requests += 1;
        }
        Ok(started.elapsed().as_nanos() as f64 / f64::from(requests.max(1)))
    }

    async fn get(&self, path: &str, bearer: &str) -> Result<(), Box<dyn Error>> {
        let request = Request::get(path).header("authorization", bearer).body(Body::empty())?;
        let answer = self.router.clone().oneshot(request).await?;
        if answer.status() != StatusCode::OK {
            return Err(format!("{path} answers {}", answer.status()).into());
        }
        Ok(())
    }
}

/// Adds what this kind of token costs in a few rounds.
async fn measure(
    bench: &mut Bench,
    kind: &str,
    figures: &mut BTreeMap<String, Vec<f64>>,
) -> Result<(), Box<dyn Error>> {
    for _ in 0..ROUNDS {
        let tokens = bench.new_tokens().await?;
        let bearers = || tokens.iter().map(String::as_str);
        let open = bench.get_all("/open", bearers()).await?;
        let new = bench.get_all("/signed", bearers()).await?;
        let seen = bench.get_all("/signed", bearers()).await?;
        figures.entry("without_token".to_owned()).or_default().push(open);
        figures.entry(format!("{kind}_new")).or_default().push(new - open);
        figures.entry(format!("{kind}_seen")).or_default().push(seen - open);
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut bench = Bench::open().await?;
    let mut figures = BTreeMap::new();
    let mut measured = measure(&mut bench, "hs256", &mut figures).await;
    if measured.is_ok() {
        bench.sign_by_key().await?;
        measured = measure(&mut bench, "eddsa", &mut figures).await;
    }
    let Bench { petspark, folder, .. } = bench;
    petspark.close().await;
    std::fs::remove_dir_all(folder)?;
    measured?;
    let medians: BTreeMap<_, _> = figures
        .into_iter()
        .map(|(name, mut values)| {
            values.sort_unstable_by(f64::total_cmp);
            (name, values.get(values.len() / 2).map_or(0.0, |value| value.round()))
        })
        .collect();
    println!("{}", serde_json::to_string(&medians)?);
    Ok(())
}
