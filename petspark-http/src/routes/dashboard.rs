//! `/api/v1/admin/dashboard`: how many there are of everything.

use axum::extract::State;

use crate::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::SignedNow;
use crate::wire::{Dashboard, Data};

/// How many there are of everything. Nothing is counted for it.
#[utoipa::path(get, path = "/admin/dashboard", operation_id = "getDashboard", tag = "admin", responses(
    (status = 200, description = "The numbers", body = Data<Dashboard>),
    (status = 403, description = "ADMIN_001: for administrators", body = ErrorBody),
))]
pub(super) async fn get(State(app): State<App>, SignedNow(caller): SignedNow) -> Result<Data<Dashboard>, ApiError> {
    let numbers = app.petspark().dashboard().read(&caller).await?;
    Ok(Data { data: numbers.into() })
}
