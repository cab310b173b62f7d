//! Whether the server lives, whether it can work, and which one it is.

use std::time::{Duration, Instant};

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use petspark_core::auth::Role;
use petspark_core::mail::MailHealth;
use petspark_core::{PetSpark, Timestamp, chain};
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::App;
use crate::extract::bearer;
use crate::wire::json;

/// It lives.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    #[schema(example = "healthy")]
    status: &'static str,
    #[schema(value_type = String, format = "date-time")]
    timestamp: Timestamp,
    /// Seconds since the start.
    uptime: u64,
}

/// Whether it can work, and what is in the way.
#[derive(Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ready {
    #[schema(example = "ready")]
    status: &'static str,
    #[schema(value_type = String, format = "date-time")]
    timestamp: Timestamp,
    checks: Checks,
    /// For administrators who ask with `?verbose`.
    #[serde(skip_serializing_if = "Option::is_none")]
    backups: Option<LastBackups>,
    /// The same: why `billing` failed. Stripe is away, or the key is of another account, or doesn't count.
    #[serde(skip_serializing_if = "Option::is_none")]
    billing_problem: Option<String>,
}

/// When backups last went well, as far as this database was told.
#[derive(Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LastBackups {
    /// When the last backup was complete.
    #[schema(value_type = Option<String>, format = "date-time")]
    created_at: Option<Timestamp>,
    /// When a drill last proved one.
    #[schema(value_type = Option<String>, format = "date-time")]
    proven_at: Option<Timestamp>,
    /// When they were last looked at.
    #[schema(value_type = Option<String>, format = "date-time")]
    checked_at: Option<Timestamp>,
    /// Whether that found nothing wrong.
    check_passed: Option<bool>,
}

/// Each `ok` or `failed`; why it failed stands in the log.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Checks {
    #[schema(example = "ok")]
    database: &'static str,
    #[schema(example = "ok")]
    migrations: &'static str,
    /// `failed` while uploads can't be kept or read. All else is answered.
    #[schema(example = "ok")]
    media_store: &'static str,
    /// Whether work gets done that is done later. Requests are answered all the same.
    #[schema(example = "ok")]
    jobs: &'static str,
    /// `failed` while the mail server takes no mails. They wait, and requests are served.
    #[schema(example = "ok")]
    mail: &'static str,
    /// `failed` while Stripe isn't asked because it failed too often, or because the key isn't one for the payments
    /// that are kept here; left out where there are none. All else is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "ok")]
    billing: Option<&'static str>,
}

/// Which build answers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Version<'a> {
    #[schema(example = "0.1.0")]
    version: &'a str,
    #[schema(example = "v1")]
    api_version: &'static str,
    #[schema(example = "production")]
    environment: &'static str,
    commit: &'a str,
    rust_version: &'a str,
}

/// Says that the process lives. Touches nothing else.
#[utoipa::path(get, path = "/healthz", operation_id = "getHealth", tag = "operations", security(()), responses(
    (status = 200, description = "It lives", body = Health),
))]
pub(super) async fn healthz(State(app): State<App>) -> Response {
    json(&Health {
        status: "healthy",
        timestamp: app.petspark().clock().now(),
        uptime: app.started().elapsed().as_secs(),
    })
}

/// Says whether requests can be served. The answer is held for a second, so that probes can't
/// overload anything.
#[utoipa::path(get, path = "/readyz", operation_id = "getReadiness", tag = "operations", security((), ("bearer" = [])), params(
    ("verbose" = Option<String>, Query, description = "With an administrator's access token: when backups last went well, and why payments don't work, too", max_length = 10),
), responses(
    (status = 200, description = "Ready", body = Ready),
    (status = 503, description = "Not ready: a critical check failed", body = Ready),
))]
pub(super) async fn readyz(State(app): State<App>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let mut ready = app.readiness().get(app.petspark()).await;
    let is_verbose = query.is_some_and(|query| query.split('&').any(|part| part.split('=').next() == Some("verbose")));
    if is_verbose
        && let Some(token) = bearer(&headers)
        && is_administrator(app.petspark(), token).await
    {
        ready.backups = last_backups(app.petspark()).await;
        ready.billing_problem = app.petspark().billing().check().await.err().and_then(|error| error.cause());
    }
    let mut response = json(&ready);
    if ready.status != READY {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        response.extensions_mut().insert(crate::layer::OwnBody);
    }
    response.into_response()
}

/// Says which build answers.
#[utoipa::path(get, path = "/api/version", operation_id = "getVersion", tag = "operations", security(()), responses(
    (status = 200, description = "The build", body = Version),
))]
pub(super) async fn version(State(app): State<App>) -> Response {
    let build = &app.settings().build;
    json(&Version {
        version: &build.version,
        api_version: "v1",
        environment: app.petspark().settings().environment.as_str(),
        commit: &build.commit,
        rust_version: &build.rust_version,
    })
}

const READY: &str = "ready";
/// How long an answer is held.
const HELD: Duration = Duration::from_secs(1);
/// Each check gives up after this.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// The last answer. Those who ask while a check runs wait for its answer.
#[derive(Default)]
pub(crate) struct Readiness(Mutex<Option<(Instant, Ready)>>);

impl Readiness {
    async fn get(&self, petspark: &PetSpark) -> Ready {
        let mut held = self.0.lock().await;
        if let Some((at, ready)) = &*held
            && at.elapsed() < HELD
        {
            return ready.clone();
        }
        let ready = check(petspark).await;
        *held = Some((Instant::now(), ready.clone()));
        ready
    }
}

async fn is_administrator(petspark: &PetSpark, token: &str) -> bool {
    petspark.auth().authenticate_afresh(token).await.is_ok_and(|caller| caller.has_role(Role::Admin))
}

/// `None` when the database doesn't answer: that says enough.
async fn last_backups(petspark: &PetSpark) -> Option<LastBackups> {
    let last = petspark.backups().last_operations().await.ok()?;
    Some(LastBackups {
        created_at: last.backup.map(|done| done.finished_at),
        proven_at: last.drill.map(|done| done.finished_at),
        checked_at: last.check.as_ref().map(|done| done.finished_at),
        check_passed: last.check.map(|done| done.succeeded),
    })
}

async fn check(petspark: &PetSpark) -> Ready {
    let database = petspark.database();
    let payments = petspark.billing();
    let (answers, migrations, media_store, jobs, billing) = tokio::join!(
        verdict("database", async { database.ping().await.map_err(|fault| fault.chain()) }),
        verdict("migrations", async {
            database.migrations().require_current().await.map_err(|error| error.to_string())
        }),
        verdict("mediaStore", async { petspark.media().check().await.map_err(|error| chain(&error)) }),
        verdict("jobs", async { petspark.jobs().check().await.map_err(|fault| fault.chain()) }),
        verdict("billing", async {
            payments.check().await.map_err(|error| error.cause().unwrap_or_else(|| error.to_string()))
        }),
    );
    let mail = if petspark.mail().health() == MailHealth::Failing { "failed" } else { "ok" };
    let billing = payments.is_configured().then_some(billing);
    let checks = Checks { database: answers, migrations, media_store, jobs, mail, billing };
    // Photos, jobs, mails and payments can wait: to be left out of the balance for them would help nobody.
    let ready = [checks.database, checks.migrations].into_iter().all(|verdict| verdict == "ok");
    let status = if ready { READY } else { "not ready" };
    Ready { status, timestamp: petspark.clock().now(), checks, backups: None, billing_problem: None }
}

async fn verdict(check: &str, result: impl Future<Output = Result<(), String>>) -> &'static str {
    let reason = match tokio::time::timeout(CHECK_TIMEOUT, result).await {
        Ok(Ok(())) => return "ok",
        Ok(Err(reason)) => reason,
        Err(_) => "took too long".to_owned(),
    };
    tracing::warn!(check, reason, "not ready");
    "failed"
}
