//! What continuous integration runs, as a list of steps.
//!
//! A step that this machine cannot run (a tool is missing) is reported as such and does not fail the
//! run: the summary says plainly what was not checked. Steps continue after a failure, so that one
//! run shows everything that is wrong. A slow step that keeps one processor busy runs beside the next
//! one, whose time is given; what it prints comes when it has ended.

use crate::judges;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print the steps and stop
    #[arg(long)]
    list: bool,
    /// Run only these steps
    #[arg(value_name = "STEP")]
    only: Vec<String>,
}

/// One step: a command in the workspace, and what it needs.
struct Step {
    name: &'static str,
    what: &'static str,
    command: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    needs: Need,
}

/// The steps that the next one does not wait for.
const BESIDE: &[&str] = &["tsan", "miri"];

/// What a step cannot do without.
enum Need {
    Nothing,
    /// A cargo subcommand; installed with `cargo install`.
    Cargo(&'static str),
    /// A program; a package of the system.
    Command(&'static str),
    /// A target of the toolchain; installed with `rustup target add`.
    Target(&'static str),
    /// Miri and the library's sources, with the compiler that [`judges`] names.
    Miri,
}

enum Outcome {
    Passed(Duration),
    Failed(Duration),
    NotRun(String),
}

/// In the order of how fast they find mistakes.
#[rustfmt::skip] // One row per step, in columns.
const STEPS: &[Step] = &[
    Step { name: "fmt", what: "formatting", command: &["cargo", "fmt", "--all", "--", "--check"], environment: &[], needs: Need::Nothing },
    Step { name: "lint", what: "length, nesting and headers", command: &["cargo", "xtask", "lint"], environment: &[], needs: Need::Nothing },
    Step { name: "clippy", what: "clippy without warnings", command: &["cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], environment: &[], needs: Need::Nothing },
    Step { name: "no-std", what: "crates of the kernel side without std", command: &["cargo", "check", "--target", NO_STD, "--package", "isa", "--package", "abi", "--package", "program", "--package", "verifier", "--package", "ebpfcore", "--no-default-features"], environment: &[], needs: Need::Target(NO_STD) },
    Step { name: "test", what: "all tests", command: &["cargo", "test", "--workspace", "--quiet", "--no-fail-fast"], environment: &[], needs: Need::Nothing },
    Step { name: "doc", what: "documentation without warnings", command: &["cargo", "doc", "--workspace", "--no-deps", "--quiet"], environment: &[("RUSTDOCFLAGS", "-D warnings")], needs: Need::Nothing },
    Step { name: "deny", what: "licences, advisories and duplicates of dependencies", command: &["cargo", "deny", "check"], environment: &[], needs: Need::Cargo("deny") },
    Step { name: "wine", what: "drivers and programs under Wine", command: &["cargo", "xtask", "wine"], environment: &[], needs: Need::Command("wine") },
    Step { name: "demo", what: "a driver protects a name server on this machine", command: &["examples/dnsflood/demo-linux.sh", "--seconds", "2"], environment: &[], needs: Need::Nothing },
    Step { name: "demo-wine", what: "the tutorial's commands under Wine", command: &["cargo", "xtask", "wine", "--demo"], environment: &[], needs: Need::Command("wine") },
    Step { name: "tsan", what: "tests in which threads meet under the thread sanitizer", command: &["cargo", "xtask", "tsan"], environment: &[], needs: Need::Miri },
    Step { name: "fuzz", what: "every fuzz target for five seconds", command: &["cargo", "xtask", "fuzz", "--seconds", "5"], environment: &[], needs: Need::Nothing },
    Step { name: "miri", what: "tests over raw memory under Miri", command: &["cargo", "xtask", "miri"], environment: &[], needs: Need::Miri },
    Step { name: "soundness", what: "accepted programs run for two minutes", command: &["cargo", "xtask", "fuzz", "soundness", "--seconds", "120"], environment: &[], needs: Need::Nothing },
    Step { name: "kernel", what: "verdicts beside those of the Linux kernel", command: &["cargo", "xtask", "kernel"], environment: &[], needs: Need::Nothing },
    Step { name: "kernel-fuzz", what: "random accepted programs given to the Linux kernel", command: &["cargo", "xtask", "kernel", "--fuzz", "2000"], environment: &[("BPF_CORPUS", "none")], needs: Need::Nothing },
    Step { name: "fuzz-build", what: "coverage-guided fuzz targets compile", command: &["cargo", "check", "--quiet", "--manifest-path", "fuzz/Cargo.toml", "--target-dir", "target"], environment: &[], needs: Need::Nothing },
];

/// A target that has no std.
const NO_STD: &str = "x86_64-unknown-none";

pub(crate) fn run(root: &Path, args: &Args) -> Result<bool, String> {
    let known = |name: &String| STEPS.iter().any(|step| step.name == name);
    if let Some(unknown) = args.only.iter().find(|name| !known(name)) {
        return Err(format!("no step `{unknown}`; see `cargo xtask ci --list`"));
    }
    let is_wanted =
        |step: &&Step| args.only.is_empty() || args.only.iter().any(|name| name == step.name);
    let steps = STEPS.iter().filter(is_wanted);
    if args.list {
        let print = |step: &Step| {
            println!(
                "{:<11} {:<52} {}",
                step.name,
                step.what,
                step.command.join(" ")
            );
        };
        steps.for_each(print);
        return Ok(true);
    }
    let outcomes = run_all(root, steps);
    println!();
    outcomes
        .iter()
        .for_each(|(step, outcome)| outcome.print(step));
    Ok(!outcomes
        .iter()
        .any(|(_, outcome)| matches!(outcome, Outcome::Failed(_))))
}

/// All steps, one after the other but for the one that runs beside the next.
fn run_all(
    root: &Path,
    steps: impl Iterator<Item = &'static Step>,
) -> Vec<(&'static Step, Outcome)> {
    let mut outcomes = Vec::new();
    let mut beside = None;
    for step in steps {
        if BESIDE.contains(&step.name) {
            let (root, output) = (root.to_owned(), root.join("target/ci-beside.txt"));
            let run = move || (step, step.run(&root, Some(&output)), output);
            beside = Some(std::thread::spawn(run));
            continue;
        }
        outcomes.push((step, step.run(root, None)));
        outcomes.extend(beside.take().and_then(finished));
    }
    outcomes.extend(beside.and_then(finished));
    outcomes
}

/// Waits for the step beside the others, and prints what it printed.
fn finished(
    running: std::thread::JoinHandle<(&'static Step, Outcome, PathBuf)>,
) -> Option<(&'static Step, Outcome)> {
    let (step, outcome, output) = running.join().ok()?;
    println!("\n== {}, beside the step before", step.name);
    print!("{}", std::fs::read_to_string(output).unwrap_or_default());
    Some((step, outcome))
}

impl Step {
    /// Runs it; what it prints goes to a file where one is given.
    fn run(&self, root: &Path, output: Option<&Path>) -> Outcome {
        println!("\n== {}: {}", self.name, self.command.join(" "));
        if let Some(missing) = self.needs.missing() {
            println!("{missing}");
            return Outcome::NotRun(missing);
        }
        let start = Instant::now();
        let [program, arguments @ ..] = self.command else {
            return Outcome::NotRun("step without a command".into());
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(self.environment.iter().copied())
            .current_dir(root);
        if let Some(output) = output {
            let file = std::fs::File::create(output);
            let both = file.and_then(|file| Ok((file.try_clone()?, file)));
            let (out, err) = match both {
                Ok(both) => both,
                Err(error) => return Outcome::NotRun(format!("{}: {error}", output.display())),
            };
            command.stdout(out).stderr(err);
        }
        match command.status() {
            Ok(status) if status.success() => Outcome::Passed(start.elapsed()),
            Ok(_) => Outcome::Failed(start.elapsed()),
            Err(error) => Outcome::NotRun(format!("cannot start {program}: {error}")),
        }
    }
}

impl Need {
    /// What is missing and how to get it.
    fn missing(&self) -> Option<String> {
        match self {
            Need::Nothing => None,
            Need::Cargo(tool) => {
                let found = succeeds("cargo", &[tool, "--version"]);
                (!found).then(|| {
                    format!("cargo-{tool} is not installed: cargo install cargo-{tool} --locked")
                })
            }
            Need::Command(program) => {
                let found = succeeds(program, &["--version"]);
                (!found).then(|| format!("{program} is not installed"))
            }
            Need::Miri => {
                let nightly = format!("+{}", judges::NIGHTLY);
                let found = succeeds("cargo", &[&nightly, "miri", "--version"]);
                (!found).then(|| "Miri is not installed: see `cargo xtask miri`".to_owned())
            }
            Need::Target(target) => {
                let found = std_of(target).is_some_and(|folder| Path::new(&folder).exists());
                (!found).then(|| {
                    format!("target {target} is not installed: rustup target add {target}")
                })
            }
        }
    }
}

/// Where the toolchain keeps the compiled libraries of a target.
fn std_of(target: &str) -> Option<String> {
    let arguments = ["--print", "target-libdir", "--target", target];
    let output = Command::new("rustc").args(arguments).output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Outcome {
    fn print(&self, step: &Step) {
        let name = step.name;
        match self {
            Outcome::Passed(time) => println!("{name:<11} ok       {:>6.1} s", time.as_secs_f64()),
            Outcome::Failed(time) => println!("{name:<11} FAILED   {:>6.1} s", time.as_secs_f64()),
            Outcome::NotRun(reason) => println!("{name:<11} not run  {reason}"),
        }
    }
}
