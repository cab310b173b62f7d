//! Faults that a test orders.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429, before anything is done.
    RateLimit,
    /// 500, before anything is done; the same key may succeed later.
    ServerError,
    /// 500, kept under the idempotency key: the same key will be answered so again.
    SavedServerError,
    /// It is done, and 500 is answered, kept under the idempotency key as the one before.
    DoneThenServerError,
    /// 502 with a page of HTML from something in between, before anything is done.
    BadGateway,
    /// 403: the key may not do this.
    Forbidden,
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
    /// Nothing is done until the test lets it go; then it is done, and answered.
    Delayed,
    /// It is done, and answered when the test lets it go.
    DoneThenDelayed,
}

impl Fault {
    /// Whether the call still has its effect.
    pub(super) fn performs(self) -> bool {
        matches!(
            self,
            Self::DoneThenServerError
                | Self::DoneThenCut
                | Self::DoneThenHang
                | Self::DoneThenGarbled
                | Self::Delayed
                | Self::DoneThenDelayed
        )
    }
}

/// Where calls wait that are held: each says that it came, and goes when it is let.
#[derive(Clone)]
pub(super) struct Held {
    came: Arc<Semaphore>,
    let_go: Arc<Semaphore>,
}

impl Default for Held {
    fn default() -> Self {
        Self { came: Arc::new(Semaphore::new(0)), let_go: Arc::new(Semaphore::new(0)) }
    }
}

impl Held {
    /// A call waits here.
    pub(super) async fn wait(&self) {
        self.came.add_permits(1);
        take(&self.let_go).await;
    }

    /// Until one more call waits.
    pub(super) async fn arrival(&self) {
        take(&self.came).await;
    }

    /// Lets one go, or the next that comes.
    pub(super) fn let_go(&self) {
        self.let_go.add_permits(1);
    }
}

async fn take(from: &Semaphore) {
    // It is never closed.
    if let Ok(permit) = from.acquire().await {
        permit.forget();
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

    /// No more of them.
    pub(super) fn forget(&mut self) {
        self.ordered.clear();
    }

    /// The first that is meant for this call, once.
    pub(super) fn take(&mut self, route: &str) -> Option<Fault> {
        let at = self.ordered.iter().position(|(call, _)| call.as_deref().is_none_or(|call| call == route))?;
        self.ordered.remove(at).map(|(_, fault)| fault)
    }
}
