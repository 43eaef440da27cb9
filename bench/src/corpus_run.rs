//! The whole corpus, loaded and verified in one run on one thread.
//!
//! Prints the total against the sum of the times that PREVAIL takes for the same programs, the
//! slowest programs and the peak memory. Objects are loaded one after the other and dropped when
//! their last program is done. What is left out: judging verdicts (the verifier's tests do).

use crate::harness::Bench;
use crate::process;
use corpus::{Expect, Row};
use program::{Object, Unlinkable};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Programs in the list of the slowest.
const SLOWEST: usize = 10;

/// One verified program.
struct Timed {
    time: Duration,
    steps: u64,
    name: String,
}

/// What is added up over the corpus.
#[derive(Default)]
struct Totals {
    objects: usize,
    load: Duration,
    programs: Vec<Timed>,
    /// Programs that should be accepted, and how many of them were.
    safe: (usize, usize),
    prevail_seconds: f64,
}

pub(crate) fn register(bench: &mut Bench) {
    bench.report("corpus", || {
        if let Some(folder) = corpus::folder() {
            run(&folder);
        }
    });
}

fn run(folder: &Path) {
    let start = Instant::now();
    let mut files: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in corpus::rows(folder) {
        files.entry(row.file.clone()).or_default().push(row);
    }
    let mut totals = Totals::default();
    for (file, rows) in files {
        totals.verify_file(folder, &file, &rows);
    }
    totals.print(start.elapsed());
}

impl Totals {
    fn verify_file(&mut self, folder: &Path, file: &str, rows: &[Row]) {
        let start = Instant::now();
        let object = corpus::load(folder, file, Unlinkable::LeaveOut);
        self.load += start.elapsed();
        self.objects += 1;
        for row in rows {
            self.prevail_seconds += row.prevail_seconds;
            self.safe.0 += usize::from(row.expect == Expect::Accept);
            if let Ok(object) = &object {
                self.verify(object, row);
            }
        }
    }

    fn verify(&mut self, object: &Object, row: &Row) {
        let Some(id) = corpus::find(object, row) else {
            return;
        };
        let start = Instant::now();
        let result = verifier::verify(object, id, &verifier::Options::default());
        let time = start.elapsed();
        let steps = match &result {
            Ok(verified) => verified.facts().steps,
            Err(rejected) => rejected.steps,
        };
        self.safe.1 += usize::from(row.expect == Expect::Accept && result.is_ok());
        let name = format!("{} {} {}", row.file, row.section, row.function);
        self.programs.push(Timed { time, steps, name });
    }

    fn print(&mut self, wall: Duration) {
        let verify: Duration = self.programs.iter().map(|program| program.time).sum();
        let steps: u64 = self.programs.iter().map(|program| program.steps).sum();
        println!(
            "corpus: {} objects, {} programs, {} of {} safe ones accepted",
            self.objects,
            self.programs.len(),
            self.safe.1,
            self.safe.0
        );
        println!(
            "  {:.3} s in all: load {:.3} s, verify {:.3} s ({steps} steps, {:.0} ns each)",
            wall.as_secs_f64(),
            self.load.as_secs_f64(),
            verify.as_secs_f64(),
            verify.as_secs_f64() * 1e9 / steps.max(1) as f64
        );
        self.print_ratio("clock", wall);
        if let Some(time) = process::processor_time() {
            self.print_ratio("processor time, process start included", time);
        }
        if let Some(bytes) = process::peak_memory() {
            println!("  peak memory {:.1} MB", bytes as f64 / 1e6);
        }
        self.programs.sort_by_key(|program| program.time);
        for Timed { time, steps, name } in self.programs.iter().rev().take(SLOWEST) {
            println!("  {:>9.2} ms {steps:>8} steps  {name}", millis(*time));
        }
    }

    fn print_ratio(&self, what: &str, time: Duration) {
        println!(
            "  {:.3} s {what}: PREVAIL {:.1} s, ratio {:.1}",
            time.as_secs_f64(),
            self.prevail_seconds,
            self.prevail_seconds / time.as_secs_f64()
        );
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
