//! HTTP: who may ask, faults, idempotency keys, and what Stripe says in headers.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpListener;

use super::VERSION;
use super::expand::expand;
use super::fault::Fault;
use super::form::Form;
use super::idempotency::Answer;
use super::refusal::Refusal;
use super::routes::{self, Route};
use super::world::{Origin, World};

pub(super) const SECRET_KEY: &str = "sk_test_petspark0000000000000000000";
const BODY_LIMIT: usize = 1 << 20;
const HTML: &str = "<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>";

/// A call that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it was, such as `POST /v1/customers/{}`; `?` when there is no such thing.
    pub route: String,
    /// Its path, with ids.
    pub path: String,
    /// Its parameters, encoded as they came.
    pub parameters: String,
    /// Its idempotency key, if it had one.
    pub idempotency_key: Option<String>,
    /// What was or would have been answered; 0 when a fault left nothing.
    pub status: u16,
    /// Whether it was answered as before, without being done again.
    pub replayed: bool,
}

/// Serves until the run-time ends.
pub(super) async fn run(listener: TcpListener, world: Arc<Mutex<World>>) {
    while let Ok((socket, _)) = listener.accept().await {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let answer = service_fn(move |request| serve(Arc::clone(&world), request));
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            // A client that hangs up is no matter of ours.
            let _ = server.serve_connection(TokioIo::new(socket), answer).await;
        });
    }
}

/// An answer that ends the connection instead.
#[derive(Debug, thiserror::Error)]
#[error("cut as ordered")]
struct Cut;

async fn serve(world: Arc<Mutex<World>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(|_| Cut)?.to_bytes();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let asked = Asked {
        key_is_right: header(AUTHORIZATION.as_str()).is_some_and(|value| value == format!("Bearer {SECRET_KEY}")),
        idempotency_key: header("idempotency-key").filter(|_| head.method == Method::POST),
        // In the query or in the body, as the library likes.
        parameters: match head.uri.query() {
            Some(query) if body.is_empty() => query.to_owned(),
            Some(query) => format!("{query}&{}", String::from_utf8_lossy(&body)),
            None => String::from_utf8_lossy(&body).into_owned(),
        },
        path: head.uri.path().to_owned(),
        method: head.method,
    };
    let lock = || world.lock().unwrap_or_else(PoisonError::into_inner);
    let (route, fault, held) = {
        let mut world = lock();
        let route = route_of(&asked);
        let fault = world.faults.take(&route);
        (route, fault, world.held.clone())
    };
    if fault == Some(Fault::Delayed) {
        held.wait().await;
    }
    let outcome = {
        let mut world = lock();
        world.catch_up();
        decide(&mut world, &asked, route, fault)
    };
    if fault == Some(Fault::DoneThenDelayed) {
        held.wait().await;
    }
    match fault {
        Some(Fault::Refused | Fault::DoneThenCut) => Err(Cut),
        Some(Fault::Hang | Fault::DoneThenHang) => Ok(hang().await),
        Some(Fault::BadGateway) => Ok(response(502, "text/html", HTML.to_owned(), &[])),
        Some(Fault::DoneThenGarbled) => {
            Ok(response(200, "application/json", "{\"object\":\"garble\"}".to_owned(), &[]))
        }
        Some(
            Fault::RateLimit
            | Fault::Forbidden
            | Fault::ServerError
            | Fault::SavedServerError
            | Fault::DoneThenServerError
            | Fault::Delayed
            | Fault::DoneThenDelayed,
        )
        | None => Ok(render(&asked, outcome)),
    }
}

struct Asked {
    method: Method,
    path: String,
    parameters: String,
    key_is_right: bool,
    idempotency_key: Option<String>,
}

/// A call without HTTP, faults, keys or a count.
pub(super) fn directly(world: &mut World, method: &str, path: &str, parameters: &[(&str, &str)]) -> (u16, Value) {
    let done = Method::from_bytes(method.as_bytes()).ok().and_then(|method| routes::find(&method, path));
    let Some((route, id)) = done else {
        let refusal = Refusal::route(method, path);
        return (refusal.status, refusal.body());
    };
    let form = Form::of(parameters);
    match (route.handler)(world, id, &form).and_then(|object| expand(world, object, &form.texts("expand")?)) {
        Ok(object) => (200, object),
        Err(refusal) => (refusal.status, refusal.body()),
    }
}

struct Outcome {
    answer: Answer,
    replayed: bool,
}

/// Waits for ever; the connection's end drops it.
async fn hang() -> Response<Full<Bytes>> {
    match std::future::pending::<Infallible>().await {}
}

/// As tests name it.
fn route_of(asked: &Asked) -> String {
    routes::find(&asked.method, &asked.path).map_or_else(|| "?".to_owned(), |(route, _)| route.name())
}

fn decide(world: &mut World, asked: &Asked, route: String, fault: Option<Fault>) -> Outcome {
    let found = routes::find(&asked.method, &asked.path);
    let request_id = world.id("req");
    world.origin = Origin { request_id: Some(request_id.clone()), idempotency_key: asked.idempotency_key.clone() };
    let outcome = match fault {
        Some(Fault::RateLimit) => refused(&Refusal::rate(), request_id),
        Some(Fault::ServerError) => refused(&Refusal::internal(), request_id),
        Some(Fault::Forbidden) => refused(&Refusal::permission("rak_as_the_test_wants"), request_id),
        Some(fault) if !fault.performs() && fault != Fault::SavedServerError => {
            Outcome { answer: Answer { status: 0, body: String::new(), request_id }, replayed: false }
        }
        _ => answer(world, asked, found, fault, request_id),
    };
    world.origin = Origin::default();
    world.calls.push(Call {
        route,
        path: asked.path.clone(),
        parameters: asked.parameters.clone(),
        idempotency_key: asked.idempotency_key.clone(),
        status: outcome.answer.status,
        replayed: outcome.replayed,
    });
    outcome
}

fn answer(
    world: &mut World,
    asked: &Asked,
    found: Option<(&Route, &str)>,
    fault: Option<Fault>,
    request_id: String,
) -> Outcome {
    if !asked.key_is_right {
        return refused(&Refusal::key(), request_id);
    }
    let Some((route, id)) = found else {
        return refused(&Refusal::route(asked.method.as_str(), &asked.path), request_id);
    };
    let form = match Form::parse(&asked.parameters) {
        Ok(form) => form,
        Err(refusal) => return refused(&refusal, request_id),
    };
    let now = world.now;
    if let Some(key) = &asked.idempotency_key {
        match world.keys.find(key, &asked.path, &form, now) {
            Ok(Some(answer)) => return Outcome { answer, replayed: true },
            Ok(None) => {}
            Err(refusal) => return refused(&refusal, request_id),
        }
    }
    let outcome = if fault == Some(Fault::SavedServerError) {
        Err(Refusal::internal())
    } else {
        // A refused call leaves nothing behind but what it means to: a declined charge.
        (route.handler)(world, id, &form).and_then(|object| expand(world, object, &form.texts("expand")?))
    };
    let answer = match outcome {
        Ok(_) if fault == Some(Fault::DoneThenServerError) => refused(&Refusal::internal(), request_id).answer,
        Ok(object) => Answer { status: 200, body: object.to_string(), request_id },
        Err(refusal) => refused(&refusal, request_id).answer,
    };
    // What fails before it begins isn't kept.
    if let (Some(key), 200 | 402 | 500) = (&asked.idempotency_key, answer.status) {
        world.keys.keep(key, &asked.path, &form, &answer, now);
    }
    Outcome { answer, replayed: false }
}

fn refused(refusal: &Refusal, request_id: String) -> Outcome {
    let answer = Answer { status: refusal.status, body: refusal.body().to_string(), request_id };
    Outcome { answer, replayed: false }
}

fn render(asked: &Asked, Outcome { answer, replayed }: Outcome) -> Response<Full<Bytes>> {
    let mut headers = vec![("request-id", answer.request_id), ("stripe-version", VERSION.to_owned())];
    if let Some(key) = &asked.idempotency_key {
        headers.push(("idempotency-key", key.clone()));
    }
    if replayed {
        headers.push(("idempotent-replayed", "true".to_owned()));
    }
    response(answer.status, "application/json", answer.body, &headers)
}

fn response(
    status: u16,
    kind: &'static str,
    body: String,
    headers: &[(&'static str, String)],
) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(status).header(CONTENT_TYPE, kind);
    for (name, value) in headers {
        response = response.header(HeaderName::from_static(name), value);
    }
    response.body(Full::from(body)).expect("an answer")
}
