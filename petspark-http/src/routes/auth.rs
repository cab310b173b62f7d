//! `/api/v1/auth`: accounts and sessions.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use petspark_core::auth::{AuthError, NewAccount, Password, Registered};

use crate::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{AUTH_BODY, ClientInfo, Json, Signed, bearer};
use crate::transport::{Transport, WithCookie};
use crate::wire::{
    Credentials, Data, LogoutBody, RefreshBody, Registration, Session, Success, TokenPair, User, VerificationSent,
};

/// Make an account. Unless the server asks for a verified address first, it is signed in.
#[utoipa::path(post, path = "/auth/register", operation_id = "registerAccount", tag = "auth", security(()), request_body = Registration, responses(
    (status = 201, description = "The account and its first session", body = Data<Session>),
    (status = 202, description = "The server asks for a verified address first; whether there is an account already isn't told", body = Data<VerificationSent>),
    (status = 400, description = "VALIDATION_FAILED", body = ErrorBody),
    (status = 409, description = "AUTH_002: the address is taken", body = ErrorBody),
    (status = 429, description = "RATE_LIMITED: too many registrations from this address, or for this e-mail address", body = ErrorBody),
))]
pub(super) async fn register(
    State(app): State<App>,
    ClientInfo(client): ClientInfo,
    transport: Transport,
    Json(body): Json<Registration, AUTH_BODY>,
) -> Result<Response, ApiError> {
    let account =
        NewAccount { email: body.email, password: Password::new(body.password), display_name: body.display_name };
    Ok(match app.petspark().auth().register(account, client).await? {
        Registered::SignedIn(signed_in) => {
            (StatusCode::CREATED, transport.signed_in(*signed_in, app.links())).into_response()
        }
        Registered::VerificationSent => {
            (StatusCode::ACCEPTED, Data { data: VerificationSent::default() }).into_response()
        }
    })
}

/// Sign in.
#[utoipa::path(post, path = "/auth/login", operation_id = "login", tag = "auth", security(()), request_body = Credentials, responses(
    (status = 200, description = "A new session", body = Data<Session>),
    (status = 401, description = "AUTH_001: e-mail or password is wrong", body = ErrorBody),
    (status = 403, description = "AUTH_011: not verified yet, AUTH_012: suspended; both with the right password only", body = ErrorBody),
    (status = 429, description = "RATE_LIMITED: too many failures", body = ErrorBody),
    (status = 503, description = "UNAVAILABLE: too many sign-ins at the moment", body = ErrorBody),
))]
pub(super) async fn login(
    State(app): State<App>,
    ClientInfo(client): ClientInfo,
    transport: Transport,
    Json(body): Json<Credentials, AUTH_BODY>,
) -> Result<WithCookie<Data<Session>>, ApiError> {
    let signed_in = app.petspark().auth().login(&body.email, Password::new(body.password), client).await?;
    Ok(transport.signed_in(signed_in, app.links()))
}

/// Exchange a refresh token for the next pair of tokens. Browsers have it in their cookie, and
/// must send `X-PetSpark-Client`.
#[utoipa::path(post, path = "/auth/refresh", operation_id = "refreshTokens", tag = "auth", security(()), request_body = RefreshBody, responses(
    (status = 200, description = "The next pair", body = Data<TokenPair>),
    (status = 400, description = "VALIDATION_FAILED: also when cookie and body have different tokens", body = ErrorBody),
    (status = 401, description = "AUTH_003 missing, AUTH_004 invalid, AUTH_005 expired, AUTH_008 used before", body = ErrorBody),
    (status = 403, description = "CSRF_REFUSED: a cookie, sent by a page that may not", body = ErrorBody),
    (status = 429, description = "RATE_LIMITED: this session was renewed too often in the last minute", body = ErrorBody),
))]
pub(super) async fn refresh(
    State(app): State<App>,
    transport: Transport,
    ClientInfo(client): ClientInfo,
    Json(body): Json<RefreshBody, AUTH_BODY>,
) -> Result<WithCookie<Data<TokenPair>>, ApiError> {
    let token = transport.presented(body.refresh_token)?.ok_or(AuthError::RefreshMissing)?;
    let tokens = app.petspark().auth().refresh(&token, client.origin).await?;
    Ok(transport.renewed(&tokens))
}

/// End the session that the refresh token or the access token belongs to. An expired access
/// token will do.
#[utoipa::path(post, path = "/auth/logout", operation_id = "logout", tag = "auth", security((), ("bearer" = [])), request_body = LogoutBody, responses(
    (status = 200, description = "Signed out; the cookie is taken back", body = Data<Success>),
    (status = 403, description = "CSRF_REFUSED: a cookie, sent by a page that may not", body = ErrorBody),
))]
pub(super) async fn logout(
    State(app): State<App>,
    headers: HeaderMap,
    transport: Transport,
    ClientInfo(client): ClientInfo,
    Json(body): Json<LogoutBody, AUTH_BODY>,
) -> Result<WithCookie<Success>, ApiError> {
    let token = transport.presented(body.refresh_token)?;
    app.petspark().auth().logout(token.as_deref(), bearer(&headers), client.origin).await?;
    Ok(transport.signed_out())
}

/// The caller's own account.
#[utoipa::path(get, path = "/auth/me", operation_id = "getMe", tag = "auth", responses(
    (status = 200, description = "The caller", body = Data<User>),
    (status = 401, description = "AUTH_006: not signed in", body = ErrorBody),
))]
pub(super) async fn me(State(app): State<App>, Signed(caller): Signed) -> Result<Data<User>, ApiError> {
    let user = app.petspark().auth().me(&caller).await?;
    Ok(Data { data: User::of(user, app.links()) })
}
