//! `/api/v1/auth`: links in mails, and changing one's password and address. Following a link
//! changes nothing: its page sends the token by POST, since mail scanners follow links, too.

use axum::extract::State;
use http::StatusCode;
use petspark_core::auth::Password;

use crate::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{AUTH_BODY, Anybody, Json, Signed};
use crate::transport::{Transport, WithCookie};
use crate::wire::{Accepted, AddressBody, Data, EmailBody, PasswordBody, ResetBody, Success, TokenBody, TokenPair};

/// What is under way; the answer is always the same.
type Underway = (StatusCode, Data<Accepted>);

const UNDERWAY: Underway = (StatusCode::ACCEPTED, Data { data: Accepted::YES });

/// Ask for a link that sets a new password. The answer is the same whether there is such an account or not.
#[utoipa::path(post, path = "/auth/forgot-password", operation_id = "forgotPassword", tag = "auth", security(()), request_body = AddressBody, responses(
    (status = 202, description = "If there is such an account, a mail is on its way", body = Data<Accepted>),
    (status = 400, description = "VALIDATION_FAILED: not an e-mail address", body = ErrorBody),
    (status = 429, description = "RATE_LIMITED", body = ErrorBody),
))]
pub(super) async fn forgot_password(
    State(app): State<App>,
    Anybody(caller): Anybody,
    Json(body): Json<AddressBody, AUTH_BODY>,
) -> Result<Underway, ApiError> {
    app.petspark().auth().forgot_password(&caller, &body.email).await?;
    Ok(UNDERWAY)
}

/// Ask for the link that verifies an e-mail address anew. The answer is always the same.
#[utoipa::path(post, path = "/auth/resend-verification", operation_id = "resendVerification", tag = "auth", security(()), request_body = AddressBody, responses(
    (status = 202, description = "If there is such an account and its address isn't verified, a mail is on its way", body = Data<Accepted>),
    (status = 400, description = "VALIDATION_FAILED: not an e-mail address", body = ErrorBody),
    (status = 429, description = "RATE_LIMITED", body = ErrorBody),
))]
pub(super) async fn resend_verification(
    State(app): State<App>,
    Anybody(caller): Anybody,
    Json(body): Json<AddressBody, AUTH_BODY>,
) -> Result<Underway, ApiError> {
    app.petspark().auth().resend_verification(&caller, &body.email).await?;
    Ok(UNDERWAY)
}

/// Set a new password with the token of a mail, an invitation's included. All sessions end, and
/// none begins: sign in with the new password next.
#[utoipa::path(post, path = "/auth/reset-password", operation_id = "resetPassword", tag = "auth", security(()), request_body = ResetBody, responses(
    (status = 200, description = "The password is set", body = Data<Success>),
    (status = 400, description = "AUTH_009: the token was used, has expired, or is unknown; VALIDATION_FAILED: the password can't be accepted, and the token can be used again", body = ErrorBody),
))]
pub(super) async fn reset_password(
    State(app): State<App>,
    Anybody(caller): Anybody,
    Json(body): Json<ResetBody, AUTH_BODY>,
) -> Result<Success, ApiError> {
    app.petspark().auth().reset_password(&caller, &body.token, Password::new(body.new_password)).await?;
    Ok(Success::YES)
}

/// Prove an e-mail address with the token of a mail. No session begins.
#[utoipa::path(post, path = "/auth/verify-email", operation_id = "verifyEmail", tag = "auth", security(()), request_body = TokenBody, responses(
    (status = 200, description = "The address is verified", body = Data<Success>),
    (status = 400, description = "AUTH_009: the token was used, has expired, or is unknown", body = ErrorBody),
))]
pub(super) async fn verify_email(
    State(app): State<App>,
    Anybody(caller): Anybody,
    Json(body): Json<TokenBody, AUTH_BODY>,
) -> Result<Success, ApiError> {
    app.petspark().auth().verify_email(&caller, &body.token).await?;
    Ok(Success::YES)
}

/// Change the caller's password. Their other sessions end; their own goes on with the tokens of
/// this answer, and the tokens before stop working.
#[utoipa::path(post, path = "/auth/change-password", operation_id = "changePassword", tag = "auth", request_body = PasswordBody, responses(
    (status = 200, description = "The password is changed; the session's next tokens", body = Data<TokenPair>),
    (status = 400, description = "VALIDATION_FAILED: the new password can't be accepted", body = ErrorBody),
    (status = 401, description = "AUTH_006: not signed in", body = ErrorBody),
    (status = 403, description = "AUTH_017: the current password is wrong", body = ErrorBody),
    (status = 429, description = "RATE_LIMITED", body = ErrorBody),
))]
pub(super) async fn change_password(
    State(app): State<App>,
    Signed(caller): Signed,
    transport: Transport,
    Json(body): Json<PasswordBody, AUTH_BODY>,
) -> Result<WithCookie<Data<TokenPair>>, ApiError> {
    let (current, new) = (Password::new(body.current_password), Password::new(body.new_password));
    let tokens = app.petspark().auth().change_password(&caller, current, new).await?;
    Ok(transport.renewed(&tokens))
}

/// Ask for the account to be moved to another e-mail address, which gets a link that does so. The
/// answer is the same if the address is somebody's already.
#[utoipa::path(post, path = "/auth/change-email", operation_id = "changeEmail", tag = "auth", request_body = EmailBody, responses(
    (status = 202, description = "A mail is on its way", body = Data<Accepted>),
    (status = 400, description = "VALIDATION_FAILED: not an e-mail address, or the one they have", body = ErrorBody),
    (status = 401, description = "AUTH_006: not signed in", body = ErrorBody),
    (status = 403, description = "AUTH_017: the password is wrong", body = ErrorBody),
    (status = 429, description = "RATE_LIMITED", body = ErrorBody),
))]
pub(super) async fn change_email(
    State(app): State<App>,
    Signed(caller): Signed,
    Json(body): Json<EmailBody, AUTH_BODY>,
) -> Result<Underway, ApiError> {
    app.petspark().auth().change_email(&caller, &body.new_email, Password::new(body.password)).await?;
    Ok(UNDERWAY)
}

/// Move the account to the address that the token was sent to. The address before gets a mail
/// with a link that undoes it.
#[utoipa::path(post, path = "/auth/confirm-email-change", operation_id = "confirmEmailChange", tag = "auth", security(()), request_body = TokenBody, responses(
    (status = 200, description = "The account has the new address", body = Data<Success>),
    (status = 400, description = "AUTH_009: the token was used, has expired, or is unknown, or the address was taken since", body = ErrorBody),
))]
pub(super) async fn confirm_email_change(
    State(app): State<App>,
    Anybody(caller): Anybody,
    Json(body): Json<TokenBody, AUTH_BODY>,
) -> Result<Success, ApiError> {
    app.petspark().auth().confirm_email_change(&caller, &body.token).await?;
    Ok(Success::YES)
}

/// Move the account back to the address that the token was sent to. All sessions end, the
/// password counts no more, and a link for a new one is sent.
#[utoipa::path(post, path = "/auth/undo-email-change", operation_id = "undoEmailChange", tag = "auth", security(()), request_body = TokenBody, responses(
    (status = 200, description = "The account has its old address", body = Data<Success>),
    (status = 400, description = "AUTH_009: the token was used, has expired, or is unknown", body = ErrorBody),
))]
pub(super) async fn undo_email_change(
    State(app): State<App>,
    Anybody(caller): Anybody,
    Json(body): Json<TokenBody, AUTH_BODY>,
) -> Result<Success, ApiError> {
    app.petspark().auth().undo_email_change(&caller, &body.token).await?;
    Ok(Success::YES)
}
