//! What a token says and which rules it keeps, for an operator who wonders why one is refused.
//! Whether it counts is decided by [`Auth::authenticate`], and of a refresh token by what [`Auth::refresh`]
//! asks too, and only repeated here.

mod refresh;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto;
use serde_json::{Map, Value};

use super::access_token::{AUDIENCE, ISSUER, LEEWAY, MAX_BYTES, TYPE};
use super::session::SessionState;
use super::signing_keys::KeyRing;
use super::{ApiKeyState, Auth, AuthError, Permission, api_key, refresh_token, store};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::text_enum;
use crate::id::{ApiKeyId, SessionId, UserId};

text_enum! {
    /// What a rule says of a token.
    pub enum Verdict {
        /// It is kept.
        Pass = "pass",
        /// It is broken.
        Fail = "fail",
        /// Can't be told, because of another rule that is broken.
        Unknown = "unknown",
    }
}

text_enum! {
    /// What a token is for.
    pub enum TokenKind {
        /// Requests of somebody who is signed in.
        Access = "access",
        /// Renewing a session.
        Refresh = "refresh",
        /// Requests of another service.
        ApiKey = "api_key",
    }
}

/// A rule, and whether a token keeps it.
#[derive(Clone, Debug)]
pub struct RuleVerdict {
    /// Which, in a word.
    pub rule: &'static str,
    /// Whether it is kept.
    pub verdict: Verdict,
    /// What was found. Never any part of the signature.
    pub found: String,
}

/// What is to be known of a token. Its signature isn't in it.
#[derive(Clone, Debug)]
pub struct TokenReport {
    /// What it is for. What is no token at all is looked at as an access token.
    pub kind: TokenKind,
    /// Whether a request with this token would be let in now; of a refresh token, whether it would get the next.
    /// How often a session may be renewed is counted by servers, and isn't looked at.
    pub accepted: bool,
    /// The API key's name.
    pub api_key: Option<String>,
    /// The session that it is of, and whose that is; of an access token only if it is one of ours, expired or not.
    pub holder: Option<(SessionId, UserId)>,
    /// The header, as far as it can be read.
    pub header: Map<String, Value>,
    /// The claims, as far as they can be read; believed only if the signature is right.
    pub claims: Map<String, Value>,
    /// Every rule.
    pub rules: Vec<RuleVerdict>,
}

impl Auth {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] unless an administrator asks; [`AuthError::Fault`].
    pub async fn inspect_token(&self, caller: &Caller, token: &str) -> Result<TokenReport, AuthError> {
        caller.require(Permission::ManageSigningKeys)?;
        if let Some((id, _)) = api_key::parse(token) {
            return self.report_api_key(id, token).await;
        }
        if let Some(presented) = self.0.refresh.verify(token) {
            return self.report_refresh(presented).await;
        }
        // One that nothing of ours signed, or a secret that isn't set any more.
        for (prefix, kind) in [(refresh_token::PREFIX, TokenKind::Refresh), (api_key::PREFIX, TokenKind::ApiKey)] {
            if token.starts_with(prefix) {
                return Ok(TokenReport::of_nobody(kind));
            }
        }
        let now = self.0.clock.now();
        let ring = self.key_ring_with_news().await?;
        let mut parts = token.splitn(3, '.');
        let mut part = || parts.next().unwrap_or_default();
        let (header, claims, signature) = (object(part()), object(part()), part());
        let whole = header.is_some() && claims.is_some() && !signature.is_empty() && token.len() <= MAX_BYTES;
        let form = rule("form", whole, format!("{} bytes, {} parts", token.len(), token.split('.').count()));
        let (header, claims) = (header.unwrap_or_default(), claims.unwrap_or_default());
        let mut rules = vec![form, rule("type", header.get("typ") == Some(&TYPE.into()), shown(&header, "typ"))];
        rules.extend(by_key(&ring, &header, token));
        rules.push(rule("issuer", claims.get("iss") == Some(&ISSUER.into()), shown(&claims, "iss")));
        rules.push(rule("audience", claims.get("aud") == Some(&AUDIENCE.into()), shown(&claims, "aud")));
        rules.extend(by_time(&claims, now));
        rules.push(self.by_session(&claims).await?);
        let believed = self.0.access.verify_expired_too(&ring, token, now).ok();
        let holder = believed.map(|claims| (claims.sid, claims.sub));
        let accepted = self.lets_in(token).await?;
        Ok(TokenReport { kind: TokenKind::Access, accepted, api_key: None, holder, header, claims, rules })
    }

    async fn lets_in(&self, token: &str) -> Result<bool, AuthError> {
        match self.authenticate(token).await {
            Ok(_) => Ok(true),
            Err(AuthError::Unauthenticated) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn report_api_key(&self, id: ApiKeyId, token: &str) -> Result<TokenReport, AuthError> {
        let key = store::find_api_key(&self.0.db, id).await?.map(|row| row.key);
        // Not by letting it in: when it was last used is what one wants to know of a leaked one.
        let accepted = self.accepted_api_key(token).await?.is_some();
        let (accepted, state) = (accepted, key.as_ref().map(|key| key.state(self.0.clock.now())));
        let is_active = state == Some(ApiKeyState::Active);
        let found = state.map_or_else(|| "there is no such API key".to_owned(), |state| state.to_string());
        let mut rules = vec![rule("form", true, "an API key".to_owned()), rule("key", is_active, found)];
        if is_active {
            let found = if accepted { "the present one, or the one before" } else { "not the present one" };
            rules.push(rule("secret", accepted, found.to_owned()));
        }
        let api_key = key.map(|key| key.name);
        let (header, claims) = (Map::new(), Map::new());
        Ok(TokenReport { kind: TokenKind::ApiKey, accepted, api_key, holder: None, header, claims, rules })
    }

    async fn by_session(&self, claims: &Map<String, Value>) -> Result<RuleVerdict, AuthError> {
        let id = |name| claims.get(name).and_then(Value::as_str);
        let ids = id("sid")
            .and_then(|id| id.parse::<SessionId>().ok())
            .zip(id("sub").and_then(|id| id.parse::<UserId>().ok()));
        let Some((session, user)) = ids else {
            return Ok(rule("session", false, "the token names none".to_owned()));
        };
        let version = claims.get("sv").and_then(Value::as_i64).unwrap_or(-1);
        Ok(by_state(store::find_session_state(&self.0.db, session).await?, user, version))
    }
}

impl TokenReport {
    fn of_nobody(kind: TokenKind) -> Self {
        let found = "not signed by any secret that is set";
        let rules = vec![rule("signature", false, found.to_owned())];
        Self { kind, accepted: false, api_key: None, holder: None, header: Map::new(), claims: Map::new(), rules }
    }
}

/// Whether a session lets somebody in; an access token says as whom, and in which version of theirs.
fn by_state(state: Option<SessionState>, user: UserId, version: i64) -> RuleVerdict {
    let Some(state) = state else { return rule("session", false, NO_SESSION.to_owned()) };
    let alive = state.accepts(user, version);
    let found = if state.revoked {
        ENDED
    } else if state.session_version != version {
        "all sessions of the user were ended"
    } else if alive {
        "alive"
    } else {
        MAY_NOT
    };
    rule("session", alive, found.to_owned())
}

const NO_SESSION: &str = "there is no such session";
const ENDED: &str = "the session was ended";
const MAY_NOT: &str = "the user may not sign in";

fn rule(rule: &'static str, kept: bool, found: String) -> RuleVerdict {
    RuleVerdict { rule, verdict: if kept { Verdict::Pass } else { Verdict::Fail }, found }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// Cut short: whoever made the token chose how much this is.
fn shown(from: &Map<String, Value>, name: &str) -> String {
    from.get(name).map_or_else(|| "missing".to_owned(), |value| value.to_string().chars().take(80).collect())
}

/// Key, algorithm and signature.
fn by_key(ring: &KeyRing, header: &Map<String, Value>, token: &str) -> [RuleVerdict; 3] {
    let unknown = |rule| RuleVerdict { rule, verdict: Verdict::Unknown, found: "the key is unknown".to_owned() };
    let Some(verifier) = header.get("kid").and_then(Value::as_str).and_then(|kid| ring.verifier(kid)) else {
        return [rule("key", false, shown(header, "kid")), unknown("algorithm"), unknown("signature")];
    };
    let pinned = verifier.validation.algorithms[0];
    let is_pinned = header.get("alg").and_then(|alg| serde_json::from_value(alg.clone()).ok()) == Some(pinned);
    let signed = token
        .rsplit_once('.')
        .is_some_and(|(message, tag)| crypto::verify(tag, message.as_bytes(), &verifier.key, pinned).unwrap_or(false));
    let found = if signed { "right" } else { "wrong" };
    [
        rule("key", true, verifier.kid.to_string()),
        rule("algorithm", is_pinned, shown(header, "alg")),
        rule("signature", signed, found.to_owned()),
    ]
}

/// The three times, each with its distance to now.
fn by_time(claims: &Map<String, Value>, clock: Timestamp) -> [RuleVerdict; 3] {
    let now = clock.as_seconds();
    let one = |name: &'static str, kept: &dyn Fn(i64) -> bool| {
        let at = claims.get(name).and_then(Value::as_i64);
        let found = match at {
            Some(at) => distance(at, clock),
            None => shown(claims, name),
        };
        (at.is_some_and(kept), found)
    };
    let latest = now.saturating_add(LEEWAY);
    let (expires, not_before, issued) = (
        one("exp", &|at| at >= 0 && now < at.saturating_add(LEEWAY)),
        one("nbf", &|at| at <= latest),
        one("iat", &|at| at <= latest),
    );
    [
        rule("expires", expires.0, expires.1),
        rule("not before", not_before.0, not_before.1),
        rule("issued", issued.0, issued.1),
    ]
}

fn distance(second: i64, now: Timestamp) -> String {
    let now = now.as_seconds();
    if second > now {
        format!("in {} s", second.saturating_sub(now))
    } else {
        format!("{} s ago", now.saturating_sub(second))
    }
}
