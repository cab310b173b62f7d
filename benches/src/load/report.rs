//! What a run of load came to.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::Samples;

/// Counts and latencies; only successful answers have a latency here.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Successful answers.
    pub requests: usize,
    /// Successful answers a second.
    pub per_second: f64,
    /// Answers that say when to come again: too much at the moment.
    pub refused: u64,
    /// Anything else: other statuses, broken connections.
    pub errors: u64,
    /// One of the errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_example: Option<String>,
    /// Microseconds, as all that follow.
    pub mean_us: u128,
    /// Half were faster.
    pub p50_us: u128,
    /// One in ten was slower.
    pub p90_us: u128,
    /// One in a hundred was slower.
    pub p99_us: u128,
    /// The slowest.
    pub max_us: u128,
}

impl Report {
    pub(super) fn new(mut samples: Samples, duration: Duration) -> Self {
        let latencies = &mut samples.latencies;
        latencies.sort_unstable();
        let count = latencies.len();
        let at = |percent: usize| latencies.get(count * percent / 100).map_or(0, Duration::as_micros);
        Self {
            requests: count,
            per_second: count as f64 / duration.as_secs_f64(),
            refused: samples.refused,
            errors: samples.errors,
            error_example: samples.example,
            mean_us: latencies.iter().sum::<Duration>().as_micros().checked_div(count as u128).unwrap_or(0),
            p50_us: at(50),
            p90_us: at(90),
            p99_us: at(99),
            max_us: latencies.last().map_or(0, Duration::as_micros),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, per_second, refused, errors, mean_us, p50_us, p90_us, p99_us, max_us, .. } = self;
        writeln!(f, "{per_second:.0} requests/s ({requests} in all, {refused} refused for now, {errors} errors)")?;
        write!(f, "latency in us: mean {mean_us}, p50 {p50_us}, p90 {p90_us}, p99 {p99_us}, max {max_us}")?;
        match &self.error_example {
            Some(example) => write!(f, "\nan error: {example}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_latencies() {
        let latencies = (1..=100).rev().map(Duration::from_micros).collect();
        let report = Report::new(Samples { latencies, ..Samples::default() }, Duration::from_secs(2));
        assert_eq!((report.p50_us, report.p99_us, report.max_us, report.mean_us), (51, 100, 100, 50));
        assert!((report.per_second - 50.0).abs() < f64::EPSILON);
        assert_eq!(Report::new(Samples::default(), Duration::from_secs(1)).p99_us, 0);
    }
}
