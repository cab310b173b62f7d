//! Where Stripe's pages may lead back to: nobody is led elsewhere by a link to them.

use std::sync::PoisonError;

use url::Url;

use super::{Billing, BillingError};
use crate::caller::Caller;
use crate::config::Settings;
use crate::error::FieldErrors;

impl Billing {
    pub(super) async fn require_own_urls(
        &self,
        caller: &Caller,
        tried: &str,
        urls: &[(&str, &str)],
    ) -> Result<(), BillingError> {
        let mut problems = FieldErrors::default();
        let allowed = self.return_origins.read().unwrap_or_else(PoisonError::into_inner).clone();
        for (field, url) in urls.iter().filter(|(_, url)| !leads_home(url, &allowed)) {
            let long = if url.len() > MAX_URL { " of at most 2000 characters" } else { "" };
            problems.add(field, format!("must be a URL{long} on an origin that is allowed here"));
        }
        match problems.finish(Some(())) {
            Ok(()) => Ok(()),
            Err(problems) => Err(self.refuse(caller, tried, BillingError::Invalid(problems)).await),
        }
    }
}

const MAX_URL: usize = 2000;

/// Whether a URL leads to one of these origins, and to nobody else however it is read.
fn leads_home(url: &str, origins: &[String]) -> bool {
    // What a browser would quietly mend, such as a tab in the scheme or a backslash for a slash, isn't a URL here.
    if url.len() > MAX_URL || url.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
        return false;
    }
    let Ok(parsed) = Url::parse(url) else { return false };
    let plain = parsed.username().is_empty() && parsed.password().is_none();
    plain && matches!(parsed.scheme(), "http" | "https") && origins.contains(&parsed.origin().ascii_serialization())
}

/// The origins that the settings allow.
pub(super) fn allowed_origins(settings: &Settings) -> Vec<String> {
    let web = settings.public_web_url.iter().chain(&settings.billing.return_origins).map(|url| url.as_str().to_owned());
    let development = (settings.public_web_url.is_none()
        && settings.environment == crate::config::Environment::Development)
        .then(|| "http://localhost:3000".to_owned());
    let parsed = web.chain(development).filter_map(|url| Url::parse(&url).ok());
    parsed.map(|url| url.origin().ascii_serialization()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_url_leads_home_however_it_is_read() {
        let origins = ["https://app.example.org".to_owned(), "http://localhost:3000".to_owned()];
        for good in [
            "https://app.example.org",
            "https://app.example.org/thanks?session={CHECKOUT_SESSION_ID}#top",
            "https://APP.example.org:443/",
            "http://localhost:3000/x",
        ] {
            assert!(leads_home(good, &origins), "{good}");
        }
        let long = format!("https://app.example.org/{}", "x".repeat(2000));
        for wrong in [
            "",
            "/thanks",
            "//app.example.org",
            "http://app.example.org",
            "https://app.example.org.evil.com",
            "https://app.example.org@evil.com",
            "https://evil.com@app.example.org",
            "https://evil.com/https://app.example.org",
            "https://evil.com\\@app.example.org",
            "https:app.example.org\\.evil.com",
            "ht\ttps://app.example.org",
            " https://app.example.org",
            "https://app.example.org:8443",
            "http://localhost:3001",
            "javascript:alert(1)",
            "data:text/html,x",
            &long,
        ] {
            assert!(!leads_home(wrong, &origins), "{wrong}");
        }
    }
}
