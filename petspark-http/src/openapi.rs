//! What the OpenAPI document says besides the routes: who we are, how to sign requests, and what
//! every operation may answer.

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::response::Response;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Required, Schema, SecurityRequirement};
use utoipa::{Modify, OpenApi as _};

use crate::error::ErrorBody;
use crate::wire::PetSort;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "PetSpark", description = "Accounts and pets for pet platforms.", license(name = "MIT OR Apache-2.0")),
    modifiers(&BearerByDefault),
    // utoipa collects no schemas from query parameters; the other words stand in bodies too.
    components(schemas(ErrorBody, PetSort)),
    tags(
        (name = "auth", description = "Accounts and sessions"),
        (name = "users", description = "What people say of themselves, and leaving"),
        (name = "admin", description = "For administrators and for services with an API key"),
        (name = "pets", description = "Pets"),
        (name = "payments", description = "What can be bought, and what somebody has"),
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

/// A header that a request may have; with `max_length`, it may not be empty.
pub(crate) fn header_parameter(name: &str, about: &str, max_length: Option<usize>) -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(max_length.map(|_| 1)).max_length(max_length);
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header).required(Required::False);
    parameter.description(Some(about)).schema(Some(text)).build()
}

/// The answers that are the same for every operation, by their names in the document.
const ERROR: &str = "Error";
const UNAUTHENTICATED: &str = "Unauthenticated";

/// The document of the routes, completed.
pub(crate) fn complete(routes: OpenApi) -> OpenApi {
    let mut document = Document::openapi();
    document.merge(routes);
    let components = document.components.get_or_insert_default();
    for schema in components.schemas.values_mut() {
        without_defaults(schema);
    }
    let error = "Any other error, such as 413, 415, 429 (see Retry-After), 500 or 503";
    components.responses.insert(ERROR.to_owned(), RefOr::T(error_response(error)));
    let unauthenticated = "AUTH_006: not signed in, or the access token is no longer valid";
    components.responses.insert(UNAUTHENTICATED.to_owned(), RefOr::T(error_response(unauthenticated)));
    // OpenAPI has no sign of its own for a parameter that takes slashes.
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    document.paths.paths.values_mut().flat_map(operations).for_each(with_common_answers);
    document
}

fn error_response(description: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name("ErrorBody")));
    Response::builder().description(description).content("application/json", content).build()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, options, head, patch, trace, .. } = item;
    [get, put, post, delete, options, head, patch, trace].into_iter().flatten()
}

fn with_common_answers(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    responses.entry("default".to_owned()).or_insert_with(|| Ref::from_response_name(ERROR).into());
    // Those that need no token say so themselves.
    if operation.security.is_none() {
        responses.entry("401".to_owned()).or_insert_with(|| Ref::from_response_name(UNAUTHENTICATED).into());
    }
}

/// Takes away what `#[serde(default)]` put there: it tells how we read a body, not what a missing
/// field means. In a change, missing is "stays as it is" and null is "clear".
fn without_defaults(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => {
            object.default = None;
            object.properties.values_mut().for_each(without_defaults);
        }
        Schema::Array(array) => array.default = None,
        Schema::OneOf(one_of) => {
            one_of.default = None;
            one_of.items.iter_mut().for_each(without_defaults);
        }
        Schema::AllOf(all_of) => {
            all_of.default = None;
            all_of.items.iter_mut().for_each(without_defaults);
        }
        Schema::AnyOf(any_of) => {
            any_of.default = None;
            any_of.items.iter_mut().for_each(without_defaults);
        }
        _ => {}
    }
}
