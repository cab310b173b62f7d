//! `/api/v1/auth/mfa` and `/api/v1/auth/step-up`: second factors, and proving oneself anew.

use axum::extract::State;
use petspark_core::FieldErrors;
use petspark_core::auth::{Password, StepUp};

use crate::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{AUTH_BODY, ClientInfo, Json, Signed};
use crate::transport::{Transport, WithCookie};
use crate::wire::{
    Code, Data, Enrolled, Factors, OptionalCode, RecoveryCodes, SecondFactor, Session, StepUpBody, Success, TokenPair,
    TotpEnrolment,
};

/// Give the second factor, after a sign-in that was answered with AUTH_010.
#[utoipa::path(post, path = "/auth/mfa/verify", operation_id = "verifySecondFactor", tag = "auth", security(()), request_body = SecondFactor, responses(
    (status = 200, description = "A new session", body = Data<Session>),
    (status = 400, description = "AUTH_018: the code is wrong; AUTH_009: the token was used, has expired or had five wrong codes: begin again with the password", body = ErrorBody),
    (status = 403, description = "AUTH_012: suspended", body = ErrorBody),
    (status = 429, description = "RATE_LIMITED: too many wrong codes", body = ErrorBody),
))]
pub(super) async fn verify(
    State(app): State<App>,
    ClientInfo(client): ClientInfo,
    transport: Transport,
    Json(body): Json<SecondFactor, AUTH_BODY>,
) -> Result<WithCookie<Data<Session>>, ApiError> {
    let signed_in = app.petspark().auth().verify_second_factor(&body.mfa_token, &body.code, client).await?;
    Ok(transport.signed_in(signed_in, app.links()))
}

/// The caller's second factors.
#[utoipa::path(get, path = "/auth/mfa", operation_id = "getSecondFactors", tag = "auth", responses(
    (status = 200, description = "What there is", body = Data<Factors>),
    (status = 401, description = "AUTH_006: not signed in", body = ErrorBody),
))]
pub(super) async fn factors(State(app): State<App>, Signed(caller): Signed) -> Result<Data<Factors>, ApiError> {
    let factors = app.petspark().auth().my_factors(&caller).await?;
    Ok(Data { data: factors.into() })
}

/// Begin to set up an authenticator app.
#[utoipa::path(post, path = "/auth/mfa/totp", operation_id = "beginTotp", tag = "auth", responses(
    (status = 200, description = "What the app needs; shown this once", body = Data<TotpEnrolment>),
    (status = 401, description = "AUTH_006: not signed in", body = ErrorBody),
    (status = 403, description = "AUTH_013: prove yourself anew first", body = ErrorBody),
    (status = 409, description = "AUTH_021: there is one already", body = ErrorBody),
))]
pub(super) async fn begin(State(app): State<App>, Signed(caller): Signed) -> Result<Data<TotpEnrolment>, ApiError> {
    let enrolment = app.petspark().auth().begin_totp(&caller).await?;
    Ok(Data { data: enrolment.into() })
}

/// Set up the authenticator app whose code this is. All other sessions end, and this one goes on
/// with new tokens.
#[utoipa::path(post, path = "/auth/mfa/totp/confirm", operation_id = "confirmTotp", tag = "auth", request_body = Code, responses(
    (status = 200, description = "Recovery codes, shown this once, and new tokens", body = Data<Enrolled>),
    (status = 400, description = "AUTH_018: the code is wrong", body = ErrorBody),
    (status = 401, description = "AUTH_006: not signed in", body = ErrorBody),
    (status = 409, description = "AUTH_022: nothing to confirm, or begun too long ago", body = ErrorBody),
))]
pub(super) async fn confirm(
    State(app): State<App>,
    Signed(caller): Signed,
    transport: Transport,
    Json(body): Json<Code, AUTH_BODY>,
) -> Result<WithCookie<Data<Enrolled>>, ApiError> {
    let enrolled = app.petspark().auth().confirm_totp(&caller, &body.code).await?;
    let codes = RecoveryCodes::of(&enrolled.recovery_codes);
    Ok(transport.renewed_with(&enrolled.tokens, |tokens| Enrolled { codes, tokens }))
}

/// Remove the second factor. Needs a code, in the body or lately in this session; the password
/// alone won't do. All other sessions end.
#[utoipa::path(delete, path = "/auth/mfa/totp", operation_id = "removeTotp", tag = "auth", request_body = OptionalCode, responses(
    (status = 200, description = "There is none any more", body = Data<Success>),
    (status = 400, description = "AUTH_018: the code is wrong", body = ErrorBody),
    (status = 401, description = "AUTH_006: not signed in", body = ErrorBody),
    (status = 403, description = "AUTH_013: a code is needed", body = ErrorBody),
    (status = 409, description = "AUTH_022: there is none", body = ErrorBody),
    (status = 429, description = "RATE_LIMITED: too many wrong codes", body = ErrorBody),
))]
pub(super) async fn remove(
    State(app): State<App>,
    Signed(caller): Signed,
    Json(body): Json<OptionalCode, AUTH_BODY>,
) -> Result<Success, ApiError> {
    app.petspark().auth().remove_totp(&caller, body.code.as_deref()).await?;
    Ok(Success::YES)
}

/// Ten new recovery codes in place of the old. Needs a code, in the body or lately in this session.
#[utoipa::path(post, path = "/auth/mfa/recovery-codes", operation_id = "renewRecoveryCodes", tag = "auth", request_body = OptionalCode, responses(
    (status = 200, description = "The new codes; shown this once", body = Data<RecoveryCodes>),
    (status = 400, description = "AUTH_018: the code is wrong", body = ErrorBody),
    (status = 401, description = "AUTH_006: not signed in", body = ErrorBody),
    (status = 403, description = "AUTH_013: a code is needed", body = ErrorBody),
    (status = 409, description = "AUTH_022: there is no second factor", body = ErrorBody),
    (status = 429, description = "RATE_LIMITED: too many wrong codes", body = ErrorBody),
))]
pub(super) async fn renew_codes(
    State(app): State<App>,
    Signed(caller): Signed,
    Json(body): Json<OptionalCode, AUTH_BODY>,
) -> Result<Data<RecoveryCodes>, ApiError> {
    let codes = app.petspark().auth().renew_recovery_codes(&caller, body.code.as_deref()).await?;
    Ok(Data { data: RecoveryCodes::of(&codes) })
}

/// Prove yourself anew, after an answer AUTH_013: by password, or by a code of the second factor.
/// This session goes on with new tokens.
#[utoipa::path(post, path = "/auth/step-up", operation_id = "stepUp", tag = "auth", request_body = StepUpBody, responses(
    (status = 200, description = "New tokens", body = Data<TokenPair>),
    (status = 400, description = "VALIDATION_FAILED: not one of the two; AUTH_018: the code is wrong", body = ErrorBody),
    (status = 401, description = "AUTH_006: not signed in", body = ErrorBody),
    (status = 403, description = "AUTH_017: the password is wrong", body = ErrorBody),
    (status = 409, description = "AUTH_022: there is no second factor", body = ErrorBody),
    (status = 429, description = "RATE_LIMITED: too many attempts", body = ErrorBody),
))]
pub(super) async fn step_up(
    State(app): State<App>,
    Signed(caller): Signed,
    transport: Transport,
    Json(body): Json<StepUpBody, AUTH_BODY>,
) -> Result<WithCookie<Data<TokenPair>>, ApiError> {
    let proof = match (body.password, body.code) {
        (Some(password), None) => StepUp::Password(Password::new(password)),
        (None, Some(code)) => StepUp::Code(code),
        _ => return Err(ApiError::invalid_fields(&FieldErrors::one("body", "must have either a password or a code"))),
    };
    Ok(transport.renewed(&app.petspark().auth().step_up(&caller, proof).await?))
}
