//! Whether Stripe is asked at all: after it failed some times in a row it isn't for a while, so that nobody
//! waits for what won't come.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::billing::remote::RemoteError;
use crate::clock::{Clock, Timestamp};

/// Attempts in a row that fail before nothing is asked any more.
const FAILURES: u32 = 6;
/// For how long; then one may try.
const PAUSE: Duration = Duration::from_secs(10);

pub(super) struct Breaker {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failures: u32,
    open_until: Option<Timestamp>,
    cause: String,
}

impl Breaker {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// Lets a call pass, unless Stripe is thought to be away. When the pause is over, one passes; what becomes
    /// of it decides about the others.
    pub(super) fn admit(&self) -> Result<(), RemoteError> {
        let now = self.clock.now();
        let mut state = self.state();
        match state.open_until {
            Some(until) if until > now => Err(RemoteError::Unavailable(state.told())),
            Some(_) => {
                state.open_until = Some(now.after(PAUSE));
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub(super) fn succeeded(&self) {
        *self.state() = State::default();
    }

    pub(super) fn failed(&self, cause: &str) {
        let now = self.clock.now();
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES {
            if state.open_until.is_none() {
                tracing::warn!(cause, "Stripe failed too often in a row and isn't asked for a while");
            }
            state.open_until = Some(now.after(PAUSE));
            state.cause = cause.to_owned();
        }
    }

    pub(super) fn outage(&self) -> Option<String> {
        let state = self.state();
        state.open_until.is_some().then(|| state.told())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn told(&self) -> String {
        format!("Stripe isn't asked, as it failed {} times in a row: {}", self.failures, self.cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_failures_in_a_row_one_call_tries_for_all() {
        let clock = Clock::manual(Timestamp::from_micros(0));
        let breaker = Breaker::new(clock.clone());
        for _ in 1..FAILURES {
            breaker.failed("502");
        }
        assert!(breaker.admit().is_ok() && breaker.outage().is_none());
        breaker.succeeded();
        for _ in 0..FAILURES {
            assert!(breaker.admit().is_ok());
            breaker.failed("502");
        }
        assert!(breaker.admit().is_err());
        assert!(breaker.outage().unwrap().ends_with("502"));
        clock.advance(PAUSE);
        assert!(breaker.admit().is_ok());
        assert!(breaker.admit().is_err(), "two try");
        breaker.failed("502");
        clock.advance(PAUSE - Duration::from_micros(1));
        assert!(breaker.admit().is_err());
        clock.advance(Duration::from_micros(1));
        assert!(breaker.admit().is_ok());
        breaker.succeeded();
        assert!(breaker.admit().is_ok() && breaker.outage().is_none());
    }
}
