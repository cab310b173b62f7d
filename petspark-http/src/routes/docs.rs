//! The OpenAPI document, and a page to browse it whose assets are all in the binary.

use axum::Router;
use axum::body::Bytes;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{HeaderValue, header};
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

/// Where the document is.
const DOCUMENT: &str = "/api/openapi.json";

/// The same seen from the page, so that it is found wherever PetSpark is nested.
const DOCUMENT_FROM_PAGE: &str = "../api/openapi.json";

/// Swagger UI needs inline styles and images as `data:`; scripts only of our own.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Routes for the document and the page.
pub(crate) fn docs<S: Clone + Send + Sync + 'static>(document: &OpenApi) -> Result<Router<S>, serde_json::Error> {
    // Written once: it is the same for everybody.
    let text = Bytes::from(serde_json::to_vec(document)?);
    let page = SwaggerUi::new("/docs").config(Config::from(DOCUMENT_FROM_PAGE));
    let page = Router::<S>::from(page).layer(axum::middleware::map_response(with_policy));
    Ok(Router::new().route(DOCUMENT, get(move || answer(text.clone()))).merge(page))
}

async fn answer(text: Bytes) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text)
}

async fn with_policy(mut response: axum::response::Response) -> axum::response::Response {
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    response
}
