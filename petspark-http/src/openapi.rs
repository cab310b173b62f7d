//! What the OpenAPI document says besides the routes: who we are, and how to sign requests.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{OpenApi, SecurityRequirement};
use utoipa::{Modify, OpenApi as _};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "PetSpark", description = "Accounts and pets for pet platforms.", license(name = "MIT OR Apache-2.0")),
    modifiers(&BearerByDefault),
    tags(
        (name = "auth", description = "Accounts and sessions"),
        (name = "pets", description = "Pets"),
        (name = "operations", description = "Whether the server lives, works, and which one it is"),
    )
)]
struct Document;

/// Every operation needs a bearer token, unless it says that it doesn't.
struct BearerByDefault;

impl Modify for BearerByDefault {
    fn modify(&self, document: &mut OpenApi) {
        let bearer = Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        document.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(bearer));
        document.security = Some(vec![SecurityRequirement::new("bearer", Vec::<String>::new())]);
    }
}

/// The document of the routes, completed.
pub(crate) fn complete(routes: OpenApi) -> OpenApi {
    let mut document = Document::openapi();
    document.merge(routes);
    document
}
