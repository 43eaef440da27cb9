//! Stage times for `--timings`.

use std::time::{Duration, Instant};

/// Times of the stages of one job, in order.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    stages: Vec<(&'static str, Duration)>,
}

impl Stopwatch {
    /// Runs a stage and records how long it took, whether it succeeds or not.
    pub(crate) fn time<T>(&mut self, stage: &'static str, run: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = run();
        self.record(stage, start.elapsed());
        result
    }

    /// Adds a stage that was timed elsewhere.
    pub(crate) fn record(&mut self, stage: &'static str, time: Duration) {
        self.stages.push((stage, time));
    }

    /// The stages and their times.
    pub(crate) fn stages(&self) -> &[(&'static str, Duration)] {
        &self.stages
    }

    /// One line for people: `load 0.3 ms, verify 1.2 ms, ...; together 5.0 ms`.
    pub(crate) fn line(&self) -> String {
        let total: Duration = self.stages.iter().map(|(_, time)| time).sum();
        let stage = |(name, time): &(&str, Duration)| format!("{name} {}", millis(*time));
        let parts: Vec<String> = self.stages.iter().map(stage).collect();
        format!("{}; together {}", parts.join(", "), millis(total))
    }
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
