//! Many programs: generated ones, and changed ones of the cases, the examples and the corpus.
//!
//! Two threads each have their own sequence of random numbers and their own pool; what is accepted
//! joins the pool and is changed further, so that programs wander away from what anybody wrote.

use crate::check::{Accepted, Effort, Finding, check};
use crate::minimise::{case, minimise};
use crate::mutate::mutate;
use crate::random::Random;
use crate::{generate, sources};
use program::Object;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Accepted programs kept for further changes.
const POOL: usize = 3_000;
/// Longest program that is changed; longer ones take too long for too little.
const MAX_INSNS: usize = 600;
/// Most bytes of constants that come with a program.
const MAX_CONSTANTS: usize = 4 << 10;
/// Findings after which a thread stops.
const MAX_FINDINGS: usize = 5;

/// How long and from where.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Start of the random numbers.
    pub seed: u64,
    /// Programs to try, if that comes first.
    pub programs: u64,
    /// Time to take.
    pub time: Duration,
    /// Threads.
    pub threads: u64,
}

/// What came out.
#[derive(Default, Debug)]
pub struct Outcome {
    /// Programs tried.
    pub programs: u64,
    /// Those that were accepted.
    pub accepted: u64,
    /// Runs that ended.
    pub runs: u64,
    /// Runs that came to something that is not modelled.
    pub not_modelled: u64,
    /// Findings, each with its program as a test case.
    pub findings: Vec<(Finding, String)>,
}

impl core::fmt::Display for Outcome {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (programs, accepted, runs) = (self.programs, self.accepted, self.runs);
        write!(f, "{programs} programs, {accepted} accepted, {runs} runs")?;
        if self.not_modelled > 0 {
            write!(
                f,
                " and {} that came to something not modelled",
                self.not_modelled
            )?;
        }
        write!(f, ", {} findings", self.findings.len())
    }
}

impl Outcome {
    fn add(&mut self, other: Outcome) {
        self.programs += other.programs;
        self.accepted += other.accepted;
        self.runs += other.runs;
        self.not_modelled += other.not_modelled;
        self.findings.extend(other.findings);
    }
}

/// Runs a plan.
///
/// # Errors
/// Sources that cannot be read.
pub fn run(plan: &Plan) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    let results = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..plan.threads)
            .map(|number| scope.spawn(move || thread(plan, number)))
            .collect();
        let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.collect::<Vec<_>>()
    });
    for result in results {
        let result = result.map_err(|_| "the verifier or the machine panicked")?;
        outcome.add(result?);
    }
    Ok(outcome)
}

/// The programs to start from: one to an object, small enough.
fn seeds() -> Result<Vec<Object>, String> {
    let mut all = sources::cases();
    all.extend(sources::examples()?);
    all.extend(sources::corpus());
    let small = all.iter().filter_map(|source| {
        let program = source.object.programs.get(usize::from(source.id.0))?;
        let globals = source.object.globals.iter();
        let constants: usize = globals.map(|section| section.data.len()).sum();
        if program.insns.len() > MAX_INSNS || constants > MAX_CONSTANTS {
            return None;
        }
        let mut object = Object {
            programs: vec![program.clone()],
            notes: Vec::new(),
            ..(*source.object).clone()
        };
        object.programs[0].lines.clear();
        Some(object)
    });
    Ok(small.collect())
}

/// An endless supply of programs; what turns out to be accepted is changed further.
pub struct Supply {
    random: Random,
    pool: Vec<Object>,
    /// Programs of the pool that are never replaced.
    kept: usize,
}

impl Supply {
    /// One sequence of programs.
    ///
    /// # Errors
    /// Sources that cannot be read.
    pub fn new(seed: u64) -> Result<Supply, String> {
        let pool = seeds()?;
        Ok(Supply {
            random: Random::new(seed),
            kept: pool.len(),
            pool,
        })
    }

    /// A new program: generated, or changed in a few places.
    ///
    /// # Errors
    /// A mistake of the generator.
    pub fn next_program(&mut self) -> Result<Object, String> {
        let mut object = match self.random.below(3) {
            0 => {
                let object = generate::object(&mut self.random)?;
                if self.random.below(4) != 0 {
                    return Ok(object);
                }
                object
            }
            _ => self.random.pick(&self.pool).clone(),
        };
        let donor = self.random.below(self.pool.len() as u64) as usize;
        for _ in 0..=self.random.below(4) {
            mutate(&mut object, &self.pool[donor], &mut self.random);
        }
        Ok(object)
    }

    /// Keeps an accepted program for further changes.
    pub fn keep(&mut self, object: Object) {
        if self.pool.len() < self.kept + POOL {
            self.pool.push(object);
        } else {
            let index = self.kept + self.random.below(POOL as u64) as usize;
            self.pool[index] = object;
        }
    }
}

struct Thread {
    supply: Supply,
    outcome: Outcome,
}

fn thread(plan: &Plan, number: u64) -> Result<Outcome, String> {
    let mut thread = Thread {
        supply: Supply::new(plan.seed.wrapping_add(number << 32))?,
        outcome: Outcome::default(),
    };
    let until = Instant::now() + plan.time;
    if number == 0 {
        for index in 0..thread.supply.kept {
            let object = thread.supply.pool[index].clone();
            thread.one(&object);
        }
    }
    let most = plan.programs / plan.threads;
    while thread.outcome.programs < most && Instant::now() < until {
        let object = thread.supply.next_program()?;
        if thread.one(&object) {
            thread.supply.keep(object);
        }
        if thread.outcome.findings.len() >= MAX_FINDINGS {
            break;
        }
    }
    Ok(thread.outcome)
}

impl Thread {
    /// Checks a program; true when it was accepted.
    fn one(&mut self, object: &Object) -> bool {
        let seed = self.supply.random.any();
        self.outcome.programs += 1;
        match check(object, Effort::SMALL, seed) {
            Ok(None) => false,
            Ok(Some(Accepted { runs, not_modelled })) => {
                self.outcome.accepted += 1;
                self.outcome.runs += runs;
                self.outcome.not_modelled += not_modelled;
                true
            }
            Err(first) => {
                let mut small = object.clone();
                let finding = minimise(&mut small, Effort::SMALL, seed).unwrap_or(first);
                let text = case(&small, &format!("found with seed {seed}"));
                self.outcome.findings.push((finding, text));
                false
            }
        }
    }
}

/// Writes the findings where people look for them; the files.
///
/// # Errors
/// A folder that cannot be written.
pub fn write(outcome: &Outcome) -> Result<Vec<PathBuf>, String> {
    let folder = sources::root().join("fuzz/artifacts/soundness");
    let mut paths = Vec::new();
    for (finding, text) in &outcome.findings {
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let path = folder.join(format!("{hash:016x}.bpf"));
        let why = finding.why.replace('\n', "\n# ");
        let text = format!("# at {}: {why}\n{text}", finding.at);
        let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, text));
        written.map_err(|error| format!("{}: {error}", path.display()))?;
        paths.push(path);
    }
    Ok(paths)
}
