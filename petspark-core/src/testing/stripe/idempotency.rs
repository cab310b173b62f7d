//! Answers kept by idempotency key for a day, as Stripe promises.

use std::collections::HashMap;

use super::form::Form;
use super::refusal::Refusal;

const KEPT_FOR: i64 = 24 * 3600;

/// A status and a body.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) request_id: String,
}

struct Kept {
    request: (String, Form),
    answer: Answer,
    at: i64,
}

#[derive(Default)]
pub(super) struct Keys {
    kept: HashMap<String, Kept>,
}

impl Keys {
    /// What was answered to the same request with this key, if anything.
    pub(super) fn find(&self, key: &str, path: &str, form: &Form, now: i64) -> Result<Option<Answer>, Refusal> {
        match self.kept.get(key).filter(|kept| now - kept.at < KEPT_FOR) {
            None => Ok(None),
            Some(kept) if kept.request.0 == path && kept.request.1 == *form => Ok(Some(kept.answer.clone())),
            Some(_) => Err(Refusal::other_request(key)),
        }
    }

    pub(super) fn keep(&mut self, key: &str, path: &str, form: &Form, answer: &Answer, now: i64) {
        let kept = Kept { request: (path.to_owned(), form.clone()), answer: answer.clone(), at: now };
        self.kept.insert(key.to_owned(), kept);
    }
}
