//! Which handler answers where. A handler parses, calls one service method, and renders.

mod admin_users;
mod audit;
mod auth;
mod billing;
mod blocks;
mod dashboard;
mod docs;
mod favorites;
mod health;
mod jobs;
mod keys;
mod media;
mod moderation;
mod people;
mod pets;
mod photos;
mod recovery;
mod second_factor;
mod sessions;
mod uploads;

use axum::extract::DefaultBodyLimit;
use http::Method;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::settings::HttpSettings;
use crate::{App, cors};

pub(crate) use docs::docs;
pub(crate) use health::Readiness;

/// Whether a request sends a file, which takes as long as its sender's connection needs.
pub(crate) fn takes_file(method: &Method, route: Option<&str>) -> bool {
    let ends_with = |end| route.is_some_and(|route| route.ends_with(end));
    method == Method::PUT && ends_with("/media/{*key}") || method == Method::POST && ends_with("/uploads")
}

/// Every documented route.
pub(crate) fn api(settings: &HttpSettings) -> OpenApiRouter<App> {
    // Where the cookie is a credential.
    let by_cookie = OpenApiRouter::new()
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::logout))
        .route_layer(cors::same_origin(&settings.cors_origins));
    let version_one = OpenApiRouter::new()
        .merge(by_cookie)
        .routes(routes!(auth::register))
        .routes(routes!(auth::login))
        .routes(routes!(auth::me))
        .routes(routes!(recovery::forgot_password))
        .routes(routes!(recovery::resend_verification))
        .routes(routes!(recovery::reset_password))
        .routes(routes!(recovery::verify_email))
        .routes(routes!(recovery::change_password))
        .routes(routes!(recovery::change_email))
        .routes(routes!(recovery::confirm_email_change))
        .routes(routes!(recovery::undo_email_change))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::retry))
        .routes(routes!(audit::list))
        .routes(routes!(second_factor::verify))
        .routes(routes!(second_factor::factors))
        .routes(routes!(second_factor::begin, second_factor::remove))
        .routes(routes!(second_factor::confirm))
        .routes(routes!(second_factor::renew_codes))
        .routes(routes!(second_factor::step_up))
        .routes(routes!(sessions::list, sessions::end_others))
        .routes(routes!(sessions::end))
        .routes(routes!(dashboard::get))
        .routes(routes!(admin_users::list))
        .routes(routes!(admin_users::get, admin_users::patch))
        .routes(routes!(admin_users::end_sessions))
        .routes(routes!(admin_users::reset_password))
        .routes(routes!(moderation::list))
        .routes(routes!(moderation::take))
        .routes(routes!(moderation::decide))
        .routes(routes!(billing::products))
        .routes(routes!(billing::checkout))
        .routes(routes!(billing::portal))
        .routes(routes!(billing::create_intent))
        .routes(routes!(billing::confirm))
        .routes(routes!(billing::subscriptions))
        .routes(routes!(billing::subscribe))
        .routes(routes!(billing::patch_subscription, billing::cancel_subscription))
        .routes(routes!(billing::resume_subscription))
        .routes(routes!(billing::entitlements, billing::grant))
        .routes(routes!(billing::refund))
        .routes(routes!(billing::invoices))
        .routes(routes!(billing::webhook))
        .routes(routes!(people::profile, people::put_profile, people::patch_profile))
        .routes(routes!(people::preferences, people::put_preferences))
        .routes(routes!(people::export))
        .routes(routes!(people::delete))
        .routes(routes!(favorites::list))
        .routes(routes!(blocks::list))
        .routes(routes!(blocks::block, blocks::unblock))
        .routes(routes!(pets::list, pets::create))
        .routes(routes!(pets::breeds))
        .routes(routes!(pets::get, pets::put, pets::patch, pets::delete))
        .routes(routes!(pets::restore))
        .routes(routes!(favorites::add, favorites::remove))
        .routes(routes!(moderation::report))
        .routes(routes!(photos::order))
        .routes(routes!(photos::list))
        .routes(routes!(photos::duplicates))
        .routes(routes!(photos::get, photos::delete))
        .routes(routes!(uploads::sign))
        .routes(routes!(uploads::complete))
        .routes(routes!(uploads::delete));
    // Core counts what it reads; these read what isn't JSON.
    let files = OpenApiRouter::new().routes(routes!(uploads::upload)).layer(DefaultBodyLimit::disable());
    OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::version))
        .routes(routes!(keys::jwks))
        .routes(routes!(media::get, media::put))
        .nest("/api/v1", version_one.merge(files))
}
