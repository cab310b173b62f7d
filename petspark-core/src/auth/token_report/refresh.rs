//! What renewing by a refresh token would say, without doing it.

use serde_json::Map;

use super::{ENDED, MAY_NOT, NO_SESSION, RuleVerdict, TokenKind, TokenReport, Verdict, distance, rule};
use crate::auth::refresh_token::Presented;
use crate::auth::refresh_worth::Worth;
use crate::auth::store::{self, SessionRow};
use crate::auth::{Auth, AuthError};
use crate::clock::Timestamp;

impl Auth {
    pub(super) async fn report_refresh(&self, presented: Presented) -> Result<TokenReport, AuthError> {
        let (now, grace) = (self.0.clock.now(), self.0.settings.refresh_grace);
        let row = store::find_session(&self.0.db, presented.session).await?;
        let worth = row.as_ref().map(|row| Worth::of(presented, row, now, grace));
        let mut rules =
            vec![rule("form", true, "a refresh token".to_owned()), rule("signature", true, "right".to_owned())];
        rules.extend(by_worth(row.as_ref().zip(worth), now));
        let accepted = worth.is_some_and(Worth::is_renewed);
        let (header, claims) = (Map::new(), Map::new());
        let holder = row.map(|row| (presented.session, row.user_id));
        Ok(TokenReport { kind: TokenKind::Refresh, accepted, api_key: None, holder, header, claims, rules })
    }
}

/// Session, time and generation of a refresh token. Renewing asks in this order, and no further than what is broken.
fn by_worth(found: Option<(&SessionRow, Worth)>, now: Timestamp) -> [RuleVerdict; 3] {
    let unknown = |rule, found: &str| RuleVerdict { rule, verdict: Verdict::Unknown, found: found.to_owned() };
    let without_session =
        |why: &str| [rule("session", false, why.to_owned()), unknown("expires", why), unknown("generation", why)];
    let Some((row, worth)) = found else { return without_session(NO_SESSION) };
    let (session, expires) = (rule("session", true, "alive".to_owned()), distance(row.expires_at().as_seconds(), now));
    let generation = match worth {
        Worth::SessionEnded if row.revoked_at.is_some() => return without_session(ENDED),
        Worth::SessionEnded => return without_session(MAY_NOT),
        Worth::SessionExpired => {
            let is_too_old = row.absolute_expires_at <= now;
            let why = if is_too_old { "begun too long ago" } else { "not renewed for too long" };
            return [session, rule("expires", false, format!("{expires}, {why}")), unknown("generation", why)];
        }
        Worth::Renews => "the present one",
        Worth::SameAgain => "the one before, whose answer may have been lost",
        Worth::Newer => "newer than its session: was the database restored, or did a key leak?",
        Worth::Overtaken => "outdated by a new password or a second factor",
        Worth::Stolen => "used already: presenting it ends the session",
    };
    [session, rule("expires", true, expires), rule("generation", worth.is_renewed(), generation.to_owned())]
}
