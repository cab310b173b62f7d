//! `/api/v1/auth`: accounts and sessions.

use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode};
use petspark_core::auth::{AuthError, NewAccount, Password};

use crate::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{AUTH_BODY, ClientInfo, Json, Signed, bearer};
use crate::wire::{Credentials, Data, LogoutBody, RefreshBody, Registration, Session, Success, TokenPair, User};

/// Make an account and sign in.
#[utoipa::path(post, path = "/auth/register", operation_id = "registerAccount", tag = "auth", security(()), request_body = Registration, responses(
    (status = 201, description = "The account and its first session", body = Data<Session>),
    (status = 400, description = "VALIDATION_FAILED", body = ErrorBody),
    (status = 409, description = "AUTH_002: the address is taken", body = ErrorBody),
))]
pub(super) async fn register(
    State(app): State<App>,
    ClientInfo(client): ClientInfo,
    Json(body): Json<Registration, AUTH_BODY>,
) -> Result<impl IntoResponse, ApiError> {
    let account =
        NewAccount { email: body.email, password: Password::new(body.password), display_name: body.display_name };
    let signed_in = app.petspark().auth().register(account, client).await?;
    Ok((StatusCode::CREATED, Data { data: Session::from(signed_in) }))
}

/// Sign in.
#[utoipa::path(post, path = "/auth/login", operation_id = "login", tag = "auth", security(()), request_body = Credentials, responses(
    (status = 200, description = "A new session", body = Data<Session>),
    (status = 401, description = "AUTH_001: e-mail or password is wrong", body = ErrorBody),
    (status = 403, description = "AUTH_012: suspended", body = ErrorBody),
    (status = 503, description = "UNAVAILABLE: too many sign-ins at the moment", body = ErrorBody),
))]
pub(super) async fn login(
    State(app): State<App>,
    ClientInfo(client): ClientInfo,
    Json(body): Json<Credentials, AUTH_BODY>,
) -> Result<Data<Session>, ApiError> {
    let signed_in = app.petspark().auth().login(&body.email, Password::new(body.password), client).await?;
    Ok(Data { data: signed_in.into() })
}

/// Exchange a refresh token for the next pair of tokens.
#[utoipa::path(post, path = "/auth/refresh", operation_id = "refreshTokens", tag = "auth", security(()), request_body = RefreshBody, responses(
    (status = 200, description = "The next pair", body = Data<TokenPair>),
    (status = 401, description = "AUTH_003 missing, AUTH_004 invalid, AUTH_005 expired, AUTH_008 used before", body = ErrorBody),
))]
pub(super) async fn refresh(
    State(app): State<App>,
    Json(body): Json<RefreshBody, AUTH_BODY>,
) -> Result<Data<TokenPair>, ApiError> {
    let token = body.refresh_token.filter(|token| !token.is_empty()).ok_or(AuthError::RefreshMissing)?;
    let tokens = app.petspark().auth().refresh(&token).await?;
    Ok(Data { data: tokens.into() })
}

/// End the session that the refresh token or the access token belongs to. An expired access
/// token will do.
#[utoipa::path(post, path = "/auth/logout", operation_id = "logout", tag = "auth", security((), ("bearer" = [])), request_body = LogoutBody, responses(
    (status = 200, description = "Signed out", body = Data<Success>),
))]
pub(super) async fn logout(
    State(app): State<App>,
    headers: HeaderMap,
    Json(body): Json<LogoutBody, AUTH_BODY>,
) -> Result<Success, ApiError> {
    app.petspark().auth().logout(body.refresh_token.as_deref(), bearer(&headers)).await?;
    Ok(Success::YES)
}

/// The caller's own account.
#[utoipa::path(get, path = "/auth/me", operation_id = "getMe", tag = "auth", responses(
    (status = 200, description = "The caller", body = Data<User>),
    (status = 401, description = "AUTH_006: not signed in", body = ErrorBody),
))]
pub(super) async fn me(State(app): State<App>, Signed(caller): Signed) -> Result<Data<User>, ApiError> {
    let user = app.petspark().auth().me(&caller).await?;
    Ok(Data { data: user.into() })
}
