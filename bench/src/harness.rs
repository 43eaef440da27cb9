//! Runs benchmarks and prints their results.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Which benchmarks to run, and how many there were.
pub(crate) struct Bench {
    mode: Mode,
    matched: u32,
}

enum Mode {
    List,
    Run(Vec<String>),
}

/// Rounds per benchmark; the fastest counts.
const ROUNDS: u32 = 7;

/// Least duration of a round, so that the clock's resolution does not matter.
const ROUND: Duration = Duration::from_millis(40);

impl Bench {
    /// Only prints names.
    pub(crate) fn listing() -> Bench {
        Bench {
            mode: Mode::List,
            matched: 0,
        }
    }

    /// Runs benchmarks whose names contain one of `filters`, all of them when there is none.
    pub(crate) fn running(filters: Vec<String>) -> Bench {
        Bench {
            mode: Mode::Run(filters),
            matched: 0,
        }
    }

    /// Did no name match?
    pub(crate) fn is_empty(&self) -> bool {
        self.matched == 0
    }

    /// One benchmark: `run` does `operations` operations.
    pub(crate) fn measure<T>(&mut self, name: &str, operations: usize, mut run: impl FnMut() -> T) {
        self.register(name, operations, |runs| time(runs, &mut run));
    }

    /// One benchmark that takes the time of its `operations` operations itself, for work that needs
    /// preparing each time.
    pub(crate) fn measure_timed(
        &mut self,
        name: &str,
        operations: usize,
        mut run: impl FnMut() -> Duration,
    ) {
        self.register(name, operations, |runs| (0..runs).map(|_| run()).sum());
    }

    /// One benchmark that runs once and prints its own report.
    pub(crate) fn report(&mut self, name: &str, run: impl FnOnce()) {
        match &self.mode {
            Mode::List => println!("{name}"),
            Mode::Run(filters) if !is_wanted(name, filters) => return,
            Mode::Run(_) => run(),
        }
        self.matched = self.matched.saturating_add(1);
    }

    /// Runs a benchmark or prints its name. `time` gives the duration of so many runs.
    fn register(&mut self, name: &str, operations: usize, time: impl FnMut(u32) -> Duration) {
        match &self.mode {
            Mode::List => println!("{name}"),
            Mode::Run(filters) => {
                if !is_wanted(name, filters) {
                    return;
                }
                let seconds = fastest(time).as_secs_f64() / operations.max(1) as f64;
                println!(
                    "{name:<36} {:>10.2} ns {:>14.0} /s",
                    seconds * 1e9,
                    1.0 / seconds
                );
            }
        }
        self.matched = self.matched.saturating_add(1);
    }
}

fn is_wanted(name: &str, filters: &[String]) -> bool {
    filters.is_empty() || filters.iter().any(|filter| name.contains(filter))
}

/// The duration of one run in the fastest round.
fn fastest(mut time: impl FnMut(u32) -> Duration) -> Duration {
    let mut runs: u32 = 1;
    while time(runs) < ROUND && runs < u32::MAX / 2 {
        runs *= 2;
    }
    let rounds = (0..ROUNDS).map(|_| time(runs));
    rounds.min().unwrap_or_default() / runs
}

fn time<T>(runs: u32, run: &mut impl FnMut() -> T) -> Duration {
    let start = Instant::now();
    for _ in 0..runs {
        black_box(run());
    }
    start.elapsed()
}
