//! The built-in commands, a file each. They translate the command line to calls of the library;
//! rules of the product are not here.

mod admin;
mod apikey;
mod args;
mod audit;
mod auth;
mod billing;
mod completions;
mod config;
mod job;
mod key;
mod mail;
mod man;
mod media;
mod mfa;
mod migrate;
mod moderation;
mod pet;
mod plugin;
mod progress;
mod seed;
#[cfg(feature = "serve")]
mod serve;
mod session;
mod sink;
mod source;
mod throttle;
mod token;
mod user;
mod version;

use crate::plugin::Plugin;

/// In the order of `--help`.
pub(crate) fn all() -> Vec<Box<dyn Plugin>> {
    vec![
        #[cfg(feature = "serve")]
        Box::new(serve::Serve),
        Box::new(migrate::Migrate),
        Box::new(admin::Admin),
        Box::new(user::User),
        Box::new(auth::Accounts),
        Box::new(mfa::Mfa),
        Box::new(pet::Pet),
        Box::new(media::Media),
        Box::new(moderation::Moderation),
        Box::new(billing::Billing),
        Box::new(throttle::Throttle),
        Box::new(audit::Audit),
        Box::new(job::Job),
        Box::new(mail::Mail),
        Box::new(session::Session),
        Box::new(token::Token),
        Box::new(key::Key),
        Box::new(apikey::ApiKeys),
        Box::new(seed::Seed),
        Box::new(config::Config),
        Box::new(plugin::Plugins),
        Box::new(completions::Completions),
        Box::new(man::Man),
        Box::new(version::Version),
    ]
}
