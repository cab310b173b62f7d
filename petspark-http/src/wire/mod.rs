//! The shapes of requests and answers, and nothing else: rules are core's.

mod admin_user;
mod audit;
mod auth;
mod billing;
mod block;
mod breed;
mod dashboard;
mod job;
mod key;
mod media;
mod moderation;
mod people;
mod pet;
mod pet_query;
mod recovery;
mod second_factor;
mod session;
mod words;

pub(crate) use admin_user::{UserDetails, UserPatch, UserQuery};
pub(crate) use audit::{AuditEntry, AuditQuery, Shape};
pub(crate) use auth::{Credentials, LogoutBody, RefreshBody, Registration, Session, TokenPair, User, VerificationSent};
pub(crate) use billing::{
    CheckoutBody, ConfirmBody, Entitlements, Grant, GrantBody, Intent, IntentBody, Invoice, Page, Payment, PortalBody,
    Product, Refund, RefundBody, Subscription, SubscriptionBody, SubscriptionPatch, WebhookTaken,
};
pub(crate) use block::Blocked;
pub(crate) use breed::{Breed, BreedQuery};
pub(crate) use dashboard::Dashboard;
pub(crate) use job::{Job, JobQuery};
pub(crate) use key::KeySet;
pub(crate) use media::{
    CompleteBody, DuplicateBody, Duplicates, OrderBody, PetPhoto, Photo, PhotoQuery, Reserved, SignBody,
};
pub(crate) use moderation::{DecisionBody, Report, ReportBody, TakenTask, Task, TaskQuery};
pub(crate) use people::{Deletion, DeletionBody, Profile, ProfileBody};
pub use pet::Pet;
pub(crate) use pet::PetBody;
pub(crate) use pet_query::PetQuery;
pub(crate) use recovery::{Accepted, AddressBody, EmailBody, PasswordBody, ResetBody, TokenBody};
pub(crate) use second_factor::{
    Code, Enrolled, Factors, OptionalCode, RecoveryCodes, SecondFactor, StepUpBody, TotpEnrolment,
};
pub(crate) use session::{Ended, LiveSession};
pub(crate) use words::PetSort;

use std::convert::Infallible;

use axum::response::{IntoResponse, IntoResponseParts, Response, ResponseParts};
use http::{HeaderName, HeaderValue, header};
use petspark_core::{FieldErrors, InvalidPage, PageRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::ApiError;

/// Success: `{"data": ...}`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Data<T> {
    /// What was asked for.
    pub data: T,
}

/// A page of a list: `{"data": [...], "pagination": {...}}`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    data: Vec<T>,
    pagination: Pagination,
}

/// Where a page stands in its list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pagination {
    /// Most items in the page.
    limit: u32,
    /// Ask for the next page with `cursor` set to this; null at the end.
    #[schema(required)]
    next_cursor: Option<String>,
    /// All items; only when asked for by `offset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// The offset asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u32>,
}

/// It was done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Success {
    success: bool,
}

impl Success {
    pub(crate) const YES: Self = Self { success: true };
}

impl<T> List<T> {
    pub(crate) fn of<U>(page: petspark_core::Page<U>, item: impl FnMut(U) -> T) -> Self {
        let page = page.map(item);
        let pagination =
            Pagination { limit: page.limit, next_cursor: page.next_cursor, total: page.total, offset: page.offset };
        Self { data: page.items, pagination }
    }
}

impl<T: Serialize> IntoResponse for Data<T> {
    fn into_response(self) -> Response {
        json(&self)
    }
}

impl<T: Serialize> IntoResponse for List<T> {
    fn into_response(self) -> Response {
        json(&self)
    }
}

impl IntoResponse for Success {
    fn into_response(self) -> Response {
        Data { data: self }.into_response()
    }
}

/// Whether this is the answer to an earlier request with the same idempotency key.
pub(crate) struct Replayed(pub(crate) bool);

impl IntoResponseParts for Replayed {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        if self.0 {
            let name = HeaderName::from_static("idempotency-replayed");
            parts.headers_mut().insert(name, HeaderValue::from_static("true"));
        }
        Ok(parts)
    }
}

/// A JSON answer that no cache keeps: it is about one signed-in user.
pub(crate) fn json(value: &impl Serialize) -> Response {
    encode(value).map_or_else(IntoResponse::into_response, json_body)
}

pub(crate) fn encode(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::with_capacity(1024);
    serde_json::to_writer(&mut body, value).map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(body)
}

/// The same of what is encoded already.
pub(crate) fn json_body(body: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, body).into_response()
}

/// Which part of a list that has nothing else to choose from.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Most items in the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    limit: Option<String>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

impl PageQuery {
    pub(crate) fn check(self) -> Result<PageRequest, ApiError> {
        let mut errors = FieldErrors::default();
        let page = page_request(&mut errors, self.limit, self.cursor, None);
        errors.finish(Some(page)).map_err(|fields| ApiError::invalid_fields(&fields))
    }
}

/// The page that `limit`, `cursor` and `offset` ask for; problems are added to `errors`.
pub(crate) fn page_request(
    errors: &mut FieldErrors,
    limit: Option<String>,
    cursor: Option<String>,
    offset: Option<String>,
) -> PageRequest {
    let limit = match limit {
        None => Ok(PageRequest::default()),
        Some(text) => text.parse().map_err(|_| InvalidPage::Limit).and_then(PageRequest::first),
    };
    let page = errors.check("limit", limit).unwrap_or_default();
    match (cursor, offset) {
        (Some(_), Some(_)) => {
            errors.add("offset", "can't be combined with cursor");
            page
        }
        (Some(cursor), None) => page.after(cursor),
        (None, Some(text)) => {
            let skipped = text.parse().map_err(|_| InvalidPage::Offset).and_then(|offset| page.clone().skip(offset));
            errors.check("offset", skipped).unwrap_or(page)
        }
        (None, None) => page,
    }
}

/// Tells "not sent" (`None`) from `null` (`Some(None)`).
pub(crate) fn sent<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}
