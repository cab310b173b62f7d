//! The built-in commands, a file each. They translate the command line to calls of the library;
//! rules of the product are not here.

mod admin;
mod apikey;
pub(crate) mod args;
mod audit;
mod auth;
mod backup;
mod billing;
mod check;
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
mod records;
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

use std::sync::Arc;

use crate::plugin::Plugin;

/// In the order of `--help`.
pub(crate) fn all() -> Vec<Arc<dyn Plugin>> {
    vec![
        #[cfg(feature = "serve")]
        Arc::new(serve::Serve),
        Arc::new(migrate::Migrate),
        Arc::new(check::Checks),
        Arc::new(admin::Admin),
        Arc::new(user::User),
        Arc::new(auth::Accounts),
        Arc::new(mfa::Mfa),
        Arc::new(pet::Pet),
        Arc::new(media::Media),
        Arc::new(moderation::Moderation),
        Arc::new(billing::Billing),
        Arc::new(throttle::Throttle),
        Arc::new(audit::Audit),
        Arc::new(backup::Backup),
        Arc::new(job::Job),
        Arc::new(mail::Mail),
        Arc::new(session::Session),
        Arc::new(token::Token),
        Arc::new(key::Key),
        Arc::new(apikey::ApiKeys),
        Arc::new(seed::Seed),
        Arc::new(config::Config),
        Arc::new(plugin::Plugins),
        Arc::new(completions::Completions),
        Arc::new(man::Man),
        Arc::new(version::Version),
    ]
}
