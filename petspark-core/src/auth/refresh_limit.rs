//! How often one session may be renewed. Counted in memory, by each process for itself, so that
//! a renewal costs no statement more. What one address may ask for is the front door's business.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::future::Cache;

use super::refresh_token::Presented;
use crate::clock::Timestamp;
use crate::id::SessionId;

const MINUTE: Duration = Duration::from_secs(60);
/// Sessions remembered at most; about 15 MB.
const CAPACITY: u64 = 100_000;

/// The newest generation that was let pass, and when the minute that is counted began.
struct Counted {
    generation: i64,
    since: Timestamp,
    count: u32,
}

pub(super) struct RefreshLimit {
    per_minute: u32,
    sessions: Cache<SessionId, Arc<Mutex<Counted>>>,
}

impl RefreshLimit {
    /// `per_minute` 0 is no limit.
    pub(super) fn new(per_minute: u32) -> Self {
        Self { per_minute, sessions: Cache::builder().max_capacity(CAPACITY).time_to_idle(2 * MINUTE).build() }
    }

    /// Lets a renewal pass, or says how long it has to wait. The same token again is not counted:
    /// it renews nothing, however many tabs present it at the same moment.
    pub(super) async fn admit(&self, presented: Presented, now: Timestamp) -> Result<(), Duration> {
        if self.per_minute == 0 {
            return Ok(());
        }
        let fresh = async { Arc::new(Mutex::new(Counted { generation: -1, since: now, count: 0 })) };
        let counted = self.sessions.get_with(presented.session, fresh).await;
        let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
        if presented.generation <= counted.generation {
            return Ok(());
        }
        if now.since(counted.since) >= MINUTE {
            (counted.since, counted.count) = (now, 0);
        }
        if counted.count >= self.per_minute {
            return Err(MINUTE.saturating_sub(now.since(counted.since)));
        }
        counted.count += 1;
        counted.generation = presented.generation;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_same_token_is_free_and_a_new_minute_begins_anew() {
        let (limit, session, start) = (RefreshLimit::new(2), SessionId::new(), Timestamp::from_micros(0));
        let admit = |generation, seconds| {
            limit.admit(Presented { session, generation }, start.after(Duration::from_secs(seconds)))
        };
        assert_eq!(admit(0, 0).await, Ok(()));
        assert_eq!(admit(1, 10).await, Ok(()));
        assert_eq!(admit(2, 20).await, Err(Duration::from_secs(40)));
        assert_eq!(admit(2, 21).await, Err(Duration::from_secs(39)), "a refusal lets nothing pass");
        assert_eq!(admit(1, 22).await, Ok(()));
        let other = Presented { session: SessionId::new(), generation: 9 };
        assert_eq!(limit.admit(other, start).await, Ok(()));
        assert_eq!(admit(2, 60).await, Ok(()));
    }

    #[tokio::test]
    async fn zero_is_no_limit() {
        let (limit, session) = (RefreshLimit::new(0), SessionId::new());
        for generation in 0..100 {
            assert_eq!(limit.admit(Presented { session, generation }, Timestamp::from_micros(0)).await, Ok(()));
        }
    }
}
