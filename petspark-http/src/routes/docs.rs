//! The OpenAPI document, and a page to browse it whose assets are all in the binary.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::OriginalUri;
use axum::routing::get;
use http::{HeaderValue, header};
use utoipa::openapi::{OpenApi, Server};
use utoipa_swagger_ui::{Config, SwaggerUi};

/// Where the document is.
const DOCUMENT: &str = "/api/openapi.json";

/// The same seen from the page `docs/`, so that it is found wherever PetSpark is nested.
const DOCUMENT_FROM_PAGE: &str = "../api/openapi.json";

/// The page seen from its address without the slash. Swagger UI's own redirect is absolute, and
/// would lead out of the router that PetSpark is nested in.
const PAGE_FROM_NO_SLASH: &str = "docs/";

/// Swagger UI needs inline styles and images as `data:`; scripts only of our own.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Routes for the document and the page.
pub(crate) fn docs<S: Clone + Send + Sync + 'static>(document: &OpenApi) -> Result<Router<S>, serde_json::Error> {
    // Written once: it is the same for everybody, unless PetSpark is nested.
    let text = Bytes::from(serde_json::to_vec(document)?);
    let document = Arc::new(document.clone());
    let page = SwaggerUi::new("/docs").config(Config::from(DOCUMENT_FROM_PAGE));
    let page = Router::<S>::from(page).layer(axum::middleware::map_response(complete_page));
    let answer = move |OriginalUri(uri): OriginalUri| async move {
        let prefix = uri.path().strip_suffix(DOCUMENT).unwrap_or_default();
        let text = if prefix.is_empty() { text } else { nested(&document, prefix) };
        ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text)
    };
    Ok(Router::new().route(DOCUMENT, get(answer)).merge(page))
}

/// The document for whoever reaches the routes behind `prefix`.
fn nested(document: &OpenApi, prefix: &str) -> Bytes {
    let mut document = document.clone();
    document.servers = Some(vec![Server::new(prefix)]);
    // It could be written without the prefix.
    serde_json::to_vec(&document).unwrap_or_default().into()
}

async fn complete_page(mut response: axum::response::Response) -> axum::response::Response {
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    if response.status().is_redirection() {
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_static(PAGE_FROM_NO_SLASH));
    }
    response
}
