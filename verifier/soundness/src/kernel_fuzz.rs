//! Programs that nobody wrote, given to the kernel when we accept them.
//!
//! Each is run by the checked machine as well. What the kernel refuses is put in a class by its last
//! words, without the numbers; every class must stand in `verifier/tests/kernel-classes.tsv` with the
//! reason why we accept such programs. On a version of the kernel that the inventory does not name,
//! classes that are not listed are printed and do not fail the run.

use isa::{Insn, InsnIdx};
use soundness::campaign::Supply;
use soundness::check::{Effort, check};
use soundness::kernel::{Judge, Verdict, version};
use soundness::mutate::cut_unreachable;
use soundness::{minimise, sources};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Instructions up to which a program is given to the kernel.
const MAX_INSNS: usize = 1000;

/// Programs of one class.
struct Class {
    count: u64,
    /// The shortest of them, as a test case, and what the kernel says about it.
    example: String,
    insns: usize,
}

/// What came out.
#[derive(Default)]
struct Outcome {
    both: u64,
    refused: u64,
    not_judged: BTreeMap<String, u64>,
    classes: BTreeMap<String, Class>,
}

fn path() -> PathBuf {
    sources::root().join("verifier/tests/kernel-classes.tsv")
}

/// Gives the kernel a number of programs that we accept.
pub(super) fn run(programs: &str, seed: &str) -> Result<bool, String> {
    let number = |text: &str| {
        text.parse::<u64>()
            .map_err(|error| format!("`{text}`: {error}"))
    };
    let (programs, seed) = (number(programs)?, number(seed)?);
    let mut supply = Supply::new(seed)?;
    let mut outcome = Outcome::default();
    let mut tried = 0u64;
    while outcome.both + outcome.refused < programs {
        let mut object = supply.next_program()?;
        let is_ours = object.platform == abi::Platform::Linux
            && object
                .programs
                .iter()
                .all(|one| one.insns.len() <= MAX_INSNS);
        if !is_ours {
            continue;
        }
        object.programs.iter_mut().for_each(cut_unreachable);
        tried += 1;
        match check(&object, Effort::SMALL, seed.wrapping_add(tried)) {
            Ok(None) => continue,
            Ok(Some(_)) => {}
            Err(finding) => {
                let case = minimise::case(&object, "unsafe");
                return Err(format!("at {}: {}\n{case}", finding.at, finding.why));
            }
        }
        outcome.ask(&object);
        supply.keep(object);
    }
    outcome.tell(tried, seed);
    outcome.report()
}

impl Outcome {
    /// How many were tried, and what became of them.
    fn tell(&self, tried: u64, seed: u64) {
        println!(
            "kernel: {tried} programs of seed {seed}, {} accepted by us and judged by Linux {}: {} \
             accepted, {} refused in {} classes",
            self.both + self.refused,
            version().unwrap_or_default(),
            self.both,
            self.refused,
            self.classes.len()
        );
        for (why, count) in &self.not_judged {
            println!("{count:>6} not judged: {why}");
        }
    }

    fn ask(&mut self, object: &program::Object) {
        match Judge::new(object).judge(program::ProgramId(0)) {
            Verdict::Accepted => self.both += 1,
            Verdict::NotJudged(why) => *self.not_judged.entry(class_of(&why)).or_default() += 1,
            verdict => {
                self.refused += 1;
                let insns = object.programs.first().map_or(0, |one| one.insns.len());
                let class = match alive_verdict(object, &verdict) {
                    Some(alive) => class_of(alive.last_line()),
                    None => DEAD.to_owned(),
                };
                let class = self.classes.entry(class);
                let class = class.or_insert(Class {
                    count: 0,
                    example: String::new(),
                    insns: usize::MAX,
                });
                class.count += 1;
                if insns < class.insns {
                    class.insns = insns;
                    class.example = minimise::case(object, verdict.last_line());
                }
            }
        }
    }

    /// Compares with the inventory of classes.
    fn report(&self) -> Result<bool, String> {
        let text = std::fs::read_to_string(path()).map_err(|error| error.to_string())?;
        let rows: Vec<Vec<&str>> = text
            .lines()
            .skip(1)
            .map(|line| line.split('\t').collect())
            .collect();
        let version = version().unwrap_or_default();
        let of = |cells: &Vec<&str>| {
            cells
                .get(1)
                .is_some_and(|all| all.split(' ').any(|one| one == version))
        };
        let is_known = rows.iter().any(of);
        let mut ok = true;
        for (what, class) in &self.classes {
            let row = rows
                .iter()
                .find(|cells| cells.first() == Some(&what.as_str()));
            let why = row.and_then(|cells| cells.get(2).copied()).unwrap_or("");
            println!(
                "{:>6} {what}: {}",
                class.count,
                if why.is_empty() { "NOT EXPLAINED" } else { why }
            );
            if why.is_empty() {
                println!("{}", class.example);
                ok = false;
            }
        }
        Ok(ok || !is_known)
    }
}

/// Refusals at instructions that never run.
const DEAD: &str = "(in code of which we prove that it never runs)";

/// What the kernel refuses beyond what we prove never to run: nothing when the last instruction that
/// its log names is dead, or when it accepts the program without its dead ways.
fn alive_verdict(object: &program::Object, verdict: &Verdict) -> Option<Verdict> {
    let Verdict::Refused(log) = verdict else {
        return Some(verdict.clone());
    };
    let options = verifier::Options::default();
    let Ok(verified) = verifier::verify(object, program::ProgramId(0), &options) else {
        return Some(verdict.clone());
    };
    let named = log.lines().rev().find_map(|line| {
        let (number, rest) = line.split_once(": (")?;
        rest.get(2..3).filter(|after| *after == ")")?;
        number.parse::<u32>().ok()
    });
    if named.is_some_and(|at| !verified.facts().at(InsnIdx(at)).reached) {
        return None;
    }
    let alive = without_dead_ways(object, verified.facts());
    match Judge::new(&alive).judge(program::ProgramId(0)) {
        Verdict::Accepted => None,
        Verdict::NotJudged(_) => Some(verdict.clone()),
        refused => Some(refused),
    }
}

/// The program with jumps in place of branches of which one way is never taken.
fn without_dead_ways(object: &program::Object, facts: &verifier::Facts) -> program::Object {
    let mut alive = object.clone();
    let Some(program) = alive.programs.first_mut() else {
        return alive;
    };
    for (at, insn) in (0..).map(InsnIdx).zip(&mut program.insns) {
        let (Insn::JumpIf { offset, .. } | Insn::MayGoto { offset }) = insn else {
            continue;
        };
        let fact = facts.at(at);
        if fact.reached && fact.taken != fact.fallthrough {
            let offset = if fact.taken { i32::from(*offset) } else { 0 };
            *insn = Insn::Jump {
                offset,
                long: false,
            };
        }
    }
    cut_unreachable(program);
    alive
}

/// The kernel's words without what differs between programs of a kind: numbers become `#`, and
/// lists in brackets end the class.
fn class_of(words: &str) -> String {
    let words = words
        .find("infinite loop detected")
        .map_or(words, |at| &words[at..]);
    let mut out = String::new();
    let mut rest = words.trim().chars().peekable();
    while let Some(letter) = rest.next() {
        if !letter.is_ascii_digit() {
            out.push(letter);
            continue;
        }
        let is_hex = letter == '0' && rest.next_if_eq(&'x').is_some();
        while rest
            .next_if(|next| next.is_ascii_digit() || (is_hex && next.is_ascii_hexdigit()))
            .is_some()
        {}
        out.push('#');
    }
    out.replace("-#", "#")
}
