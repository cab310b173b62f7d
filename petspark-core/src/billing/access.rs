//! What a subscription allows at a moment: a pure function of what Stripe says of it and of the time. It is
//! asked when somebody wants something, so that no lost message can prolong anything.

use std::time::Duration;

use super::status::SubscriptionStatus;
use crate::clock::Timestamp;
use crate::database::text_enum;

text_enum! {
    /// What a subscription allows.
    pub enum Access {
        /// Nothing.
        None = "none",
        /// Everything of its plan, for a while, though a payment is owed.
        Grace = "grace",
        /// Everything of its plan.
        Full = "full",
    }
}

/// How patient we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a plan goes on after a payment failed.
    pub grace: Duration,
    /// How long after the end of what was paid we wait for word of the next period.
    pub slack: Duration,
}

/// What decides about access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Where it is in its life.
    pub status: SubscriptionStatus,
    /// The end of what is paid for, or of the trial.
    pub period_end: Option<Timestamp>,
    /// When it ends by itself.
    pub cancel_at: Option<Timestamp>,
    /// It ends with the period.
    pub cancel_at_period_end: bool,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Collection is paused, and meanwhile nothing is owed nor given.
    pub is_void: bool,
    /// When the first payment failed that is still owed.
    pub failing_since: Option<Timestamp>,
    /// What the last status allowed that was known.
    pub last_access: Access,
}

impl Standing {
    /// What it allows at `now`.
    #[must_use]
    pub fn access(&self, now: Timestamp, patience: Patience) -> Access {
        if self.ends_at(patience).is_some_and(|end| end <= now) { Access::None } else { self.allowed() }
    }

    /// What its status allows as long as no date is reached.
    #[must_use]
    pub fn allowed(&self) -> Access {
        if self.is_void {
            return Access::None;
        }
        match &self.status {
            SubscriptionStatus::Trialing | SubscriptionStatus::Active => Access::Full,
            SubscriptionStatus::PastDue => Access::Grace,
            SubscriptionStatus::Incomplete
            | SubscriptionStatus::IncompleteExpired
            | SubscriptionStatus::Unpaid
            | SubscriptionStatus::Paused
            | SubscriptionStatus::Canceled => Access::None,
            SubscriptionStatus::Other(_) => self.last_access,
        }
    }

    /// When access ends if nothing more is heard; `None` where it has none to end, or no date is known.
    #[must_use]
    pub fn ends_at(&self, patience: Patience) -> Option<Timestamp> {
        // Whoever said that it ends then meant then; else the next period follows, and word of it may be late.
        let period = match self.cancel_at_period_end {
            true => self.period_end,
            false => self.period_end.map(|end| end.after(patience.slack)),
        };
        let grace = match self.status {
            // Owed since nobody knows when: as if since the beginning of time.
            SubscriptionStatus::PastDue => {
                Some(self.failing_since.map_or(Timestamp::from_micros(0), |since| since.after(patience.grace)))
            }
            _ => None,
        };
        // Past due, the period that began is the unpaid one: grace decides, not its end.
        let period = if grace.is_some() && !self.cancel_at_period_end { None } else { period };
        [period, grace, self.cancel_at, self.ended_at].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::billing::dice::Dice;

    const DAY: Duration = Duration::from_secs(86_400);
    const PATIENCE: Patience = Patience { grace: DAY.saturating_mul(7), slack: DAY.saturating_mul(2) };

    fn day(n: u64) -> Timestamp {
        Timestamp::from_micros(1_790_000_000_000_000).after(DAY * u32::try_from(n).unwrap())
    }

    fn any(dice: &mut Dice) -> Standing {
        let date = |dice: &mut Dice| (dice.below(2) == 0).then(|| day(dice.below(60)));
        let status = match dice.below(10) {
            n @ 0..8 => SubscriptionStatus::KNOWN[n as usize].clone(),
            _ => SubscriptionStatus::Other("hibernating".to_owned()),
        };
        Standing {
            status,
            period_end: date(dice),
            cancel_at: date(dice),
            cancel_at_period_end: dice.below(3) == 0,
            ended_at: date(dice),
            is_void: dice.below(8) == 0,
            failing_since: date(dice),
            last_access: Access::ALL[dice.below(3) as usize],
        }
    }

    fn active() -> Standing {
        Standing {
            status: SubscriptionStatus::Active,
            period_end: Some(day(30)),
            cancel_at: None,
            cancel_at_period_end: false,
            ended_at: None,
            is_void: false,
            failing_since: None,
            last_access: Access::Full,
        }
    }

    #[test]
    fn every_status_allows_what_it_should() {
        let allowed = |status: SubscriptionStatus| {
            Standing { status, failing_since: Some(day(0)), ..active() }.access(day(1), PATIENCE)
        };
        for (status, access) in SubscriptionStatus::KNOWN.into_iter().zip([
            Access::None,
            Access::None,
            Access::Full,
            Access::Full,
            Access::Grace,
            Access::None,
            Access::None,
            Access::None,
        ]) {
            assert_eq!(allowed(status.clone()), access, "{status}");
            assert_eq!(SubscriptionStatus::from(status.as_str().to_owned()), status);
        }
        assert_eq!(SubscriptionStatus::from("new".to_owned()), SubscriptionStatus::Other("new".to_owned()));
    }

    #[test]
    fn dates_end_what_a_status_allows() {
        let access = |standing: &Standing, at: u64| standing.access(day(at), PATIENCE);
        // The next period's word may be two days late.
        assert_eq!((access(&active(), 31), access(&active(), 32)), (Access::Full, Access::None));
        let ending = Standing { cancel_at_period_end: true, ..active() };
        assert_eq!((access(&ending, 29), access(&ending, 30)), (Access::Full, Access::None));
        let at = Standing { cancel_at: Some(day(10)), ..active() };
        assert_eq!((access(&at, 9), access(&at, 10)), (Access::Full, Access::None));
        let failing = Standing {
            status: SubscriptionStatus::PastDue,
            failing_since: Some(day(3)),
            period_end: Some(day(5)),
            ..active()
        };
        assert_eq!((access(&failing, 9), access(&failing, 10)), (Access::Grace, Access::None));
        let since_when = Standing { failing_since: None, ..failing };
        assert_eq!(access(&since_when, 1), Access::None);
        assert_eq!(access(&Standing { is_void: true, ..active() }, 1), Access::None);
    }

    #[test]
    fn time_only_takes_away() {
        let mut dice = Dice::new(11);
        for _ in 0..20_000 {
            let standing = any(&mut dice);
            let (earlier, later) = (dice.below(70), dice.below(70));
            let (earlier, later) = (day(earlier.min(later)), day(earlier.max(later)));
            let (first, then) = (standing.access(earlier, PATIENCE), standing.access(later, PATIENCE));
            assert!(then == first || then == Access::None, "{standing:?}: {first} and then {then}");
            assert!(first <= standing.allowed(), "{standing:?}");
            // Nothing is allowed past what was paid for, or grace, or the day it was to end.
            if first != Access::None {
                assert!(standing.ended_at.is_none_or(|end| end > earlier), "{standing:?}");
                assert!(standing.cancel_at.is_none_or(|end| end > earlier), "{standing:?}");
                match standing.status {
                    SubscriptionStatus::PastDue => {
                        assert!(standing.failing_since.is_some_and(|at| at.after(PATIENCE.grace) > earlier));
                    }
                    _ => assert!(standing.period_end.is_none_or(|end| end.after(PATIENCE.slack) > earlier)),
                }
            }
        }
    }

    #[test]
    fn a_status_from_the_future_keeps_what_was() {
        let mut dice = Dice::new(13);
        for _ in 0..5_000 {
            let before = Standing { last_access: Access::None, ..any(&mut dice) };
            let next = Standing {
                last_access: before.allowed(),
                status: SubscriptionStatus::Other("hibernating".to_owned()),
                ..before.clone()
            };
            assert_eq!(next.allowed(), before.allowed());
        }
    }
}
