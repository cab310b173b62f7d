//! Faults that a test orders.

use std::collections::VecDeque;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429, before anything is done.
    RateLimit,
    /// 500, before anything is done; the same key may succeed later.
    ServerError,
    /// 500, kept under the idempotency key: the same key will be answered so again.
    SavedServerError,
    /// 502 with a page of HTML from something in between, before anything is done.
    BadGateway,
    /// The connection is cut before anything is done.
    Refused,
    /// No answer, and nothing is done. The connection stays open until the caller ends it.
    Hang,
    /// It is done, and the connection is cut before the answer.
    DoneThenCut,
    /// It is done, and no answer comes. The connection stays open until the caller ends it.
    DoneThenHang,
    /// It is done, and the answer is 200 with JSON that is no such object.
    DoneThenGarbled,
}

impl Fault {
    /// Whether the call still has its effect.
    pub(super) fn performs(self) -> bool {
        matches!(self, Self::DoneThenCut | Self::DoneThenHang | Self::DoneThenGarbled)
    }
}

#[derive(Default)]
pub(super) struct Faults {
    ordered: VecDeque<(Option<String>, Fault)>,
}

impl Faults {
    pub(super) fn order(&mut self, call: Option<String>, times: usize, fault: Fault) {
        self.ordered.extend(std::iter::repeat_n((call, fault), times));
    }

    /// The first that is meant for this call, once.
    pub(super) fn take(&mut self, route: &str) -> Option<Fault> {
        let at = self.ordered.iter().position(|(call, _)| call.as_deref().is_none_or(|call| call == route))?;
        self.ordered.remove(at).map(|(_, fault)| fault)
    }
}
