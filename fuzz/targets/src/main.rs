//! The stable harness: damages seeds for some seconds and watches each target.
//!
//! Usage: `fuzz-targets SECONDS SEED [TARGET...]`, or `fuzz-targets reproduce TARGET FILE`, or
//! `fuzz-targets seeds TARGET FOLDER`, which writes the seeds for another engine.
//!
//! Every target runs in a process of its own. Before each run the input is written to a file, so
//! that whatever ends the process (a panic, a stack overflow, an abort in the allocator, the
//! watchdog) leaves the input behind. What is left out: shrinking; `cargo fuzz tmin` does that.
#![forbid(unsafe_code)]

use cap::Cap;
use fuzz_targets::mutate::{Random, mutate};
use fuzz_targets::{TARGETS, Target};
use std::alloc::System;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Memory that one run may use beyond what was there before it.
const MAX_MEMORY: usize = 256 << 20;
/// Time that one run may take.
const MAX_TIME: Duration = Duration::from_secs(10);
/// Inputs with new outcomes that are kept.
const MAX_CORPUS: usize = 4096;

/// Runs begun; the watchdog sees here whether one hangs.
static RUNS: AtomicU64 = AtomicU64::new(0);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["reproduce", name, file] => target(name).and_then(|target| reproduce(target, file)),
        ["seeds", name, folder] => {
            target(name).and_then(|target| write_seeds(target, Path::new(folder)))
        }
        ["child", name, seconds, seed, current] => child(name, (seconds, seed), Path::new(current)),
        [seconds, seed, names @ ..] => all(seconds, seed, names),
        _ => Err("usage: fuzz-targets SECONDS SEED [TARGET...]".to_owned()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fuzz-targets: {error}");
            ExitCode::from(2)
        }
    }
}

fn target(name: &str) -> Result<&'static Target, String> {
    let names = TARGETS.each_ref().map(|target| target.name).join(", ");
    let found = TARGETS.iter().find(|target| target.name == name);
    found.ok_or_else(|| format!("no target `{name}`; there are {names}"))
}

fn reproduce(target: &Target, file: &str) -> Result<bool, String> {
    let input = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    println!("{}", (target.run)(&input));
    Ok(true)
}

fn write_seeds(target: &Target, folder: &Path) -> Result<bool, String> {
    let fail = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(fail)?;
    for (number, seed) in (target.seeds)()?.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed).map_err(fail)?;
    }
    Ok(true)
}

/// Runs the targets one after the other, each in a child process.
fn all(seconds: &str, seed: &str, names: &[&str]) -> Result<bool, String> {
    let chosen = match names {
        [] => TARGETS.iter().collect(),
        names => names
            .iter()
            .map(|name| target(name))
            .collect::<Result<Vec<_>, _>>()?,
    };
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let current = format!("bpf2native-fuzz-{}", std::process::id());
    let current = std::env::temp_dir().join(current);
    let mut ok = true;
    for target in chosen {
        let arguments = ["child", target.name, seconds, seed];
        let status = Command::new(&this).args(arguments).arg(&current).status();
        let status = status.map_err(|error| format!("cannot start a child: {error}"))?;
        // 2 is a harness that could not begin; everything else is a finding.
        if status.code() == Some(2) {
            return Err(format!("target {} did not run", target.name));
        }
        if !status.success() {
            ok = false;
            report(target, &current)?;
        }
    }
    // It is only there when a run was begun; what matters was copied.
    let _ = std::fs::remove_file(&current);
    Ok(ok)
}

/// Keeps the input that ended the child.
fn report(target: &Target, current: &Path) -> Result<(), String> {
    let input = kept(current).map_err(|error| format!("{}: {error}", current.display()))?;
    let folder = root().join("fuzz/artifacts").join(target.name);
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let path = folder.join(format!("crash-{hash:016x}"));
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, &input));
    written.map_err(|error| format!("{}: {error}", path.display()))?;
    let (name, path) = (target.name, path.display());
    println!("{name}: FAILED, input kept in {path}");
    println!("    again: cargo run -p fuzz-targets -- reproduce {name} {path}");
    Ok(())
}

/// One target, for some seconds.
fn child(name: &str, (seconds, seed): (&str, &str), current: &Path) -> Result<bool, String> {
    let target = target(name)?;
    let number = |text: &str| {
        text.parse::<u64>()
            .map_err(|error| format!("`{text}`: {error}"))
    };
    let (seconds, seed) = (number(seconds)?, number(seed)?);
    let mut corpus = (target.seeds)()?;
    corpus.retain(|seed| seed.len() <= target.max_len);
    if corpus.is_empty() {
        return Err(format!(
            "every seed of {name} is longer than {} bytes",
            target.max_len
        ));
    }
    std::thread::spawn(watch);
    let fail = |error: std::io::Error| format!("{}: {error}", current.display());
    let mut run = Run {
        target,
        current: File::create(current).map_err(fail)?,
        corpus,
        outcomes: BTreeSet::new(),
        count: 0,
    };
    run.seeds()?;
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut random = Random::new(seed);
    while Instant::now() < until {
        run.step(&mut random)?;
    }
    println!(
        "{name:<10} {:>8} runs, {:>4} outcomes",
        run.count,
        run.outcomes.len()
    );
    Ok(true)
}

/// The state of one target.
struct Run {
    target: &'static Target,
    /// File that holds the input of the current run: its length, then the bytes.
    current: File,
    corpus: Vec<Vec<u8>>,
    outcomes: BTreeSet<String>,
    count: u64,
}

impl Run {
    fn seeds(&mut self) -> Result<(), String> {
        for at in 0..self.corpus.len() {
            let seed = self.corpus[at].clone();
            let outcome = self.one(&seed)?;
            self.outcomes.insert(outcome);
        }
        Ok(())
    }

    /// Damages an input; keeps it when the outcome is new.
    fn step(&mut self, random: &mut Random) -> Result<(), String> {
        let mut input = random.pick(&self.corpus).cloned().unwrap_or_default();
        let other = random.pick(&self.corpus).map_or(&[][..], Vec::as_slice);
        mutate(&mut input, other, self.target.max_len, random);
        let outcome = self.one(&input)?;
        if self.outcomes.insert(outcome) && self.corpus.len() < MAX_CORPUS {
            self.corpus.push(input);
        }
        Ok(())
    }

    /// One run, with its input on disk before it begins.
    fn one(&mut self, input: &[u8]) -> Result<String, String> {
        self.keep(input)
            .map_err(|error| format!("cannot keep the input: {error}"))?;
        self.count = RUNS.fetch_add(1, Ordering::Relaxed) + 1;
        let before = ALLOCATOR.allocated();
        let outcome = (self.target.run)(input);
        // The peak is that of the whole process, so the first run over the limit is the one.
        let used = ALLOCATOR.max_allocated().saturating_sub(before);
        let len = input.len();
        assert!(
            used < MAX_MEMORY,
            "{len} bytes of input took {} MiB of memory",
            used >> 20
        );
        Ok(outcome)
    }
}

impl Run {
    /// Overwrites in place: truncating a file anew for each run would wait for the disk.
    fn keep(&mut self, input: &[u8]) -> std::io::Result<()> {
        self.current.seek(SeekFrom::Start(0))?;
        self.current
            .write_all(&(input.len() as u64).to_le_bytes())?;
        self.current.write_all(input)
    }
}

/// The input that [`Run::keep`] wrote last.
fn kept(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = std::fs::read(path)?;
    let (len, input) = file
        .split_first_chunk()
        .ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let len = usize::try_from(u64::from_le_bytes(*len)).unwrap_or(usize::MAX);
    Ok(input.get(..len).unwrap_or(input).to_vec())
}

/// Ends the process when one run takes too long.
fn watch() {
    let mut last = 0;
    loop {
        std::thread::sleep(MAX_TIME);
        let now = RUNS.load(Ordering::Relaxed);
        if now == last && now != 0 {
            eprintln!("one run takes longer than {} s", MAX_TIME.as_secs());
            std::process::abort();
        }
        last = now;
    }
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}
