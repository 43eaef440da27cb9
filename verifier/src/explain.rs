//! Everything there is to say about a rejection, in words: the one owner of its texts.
//!
//! The command line, logs and the kernel's trace lay out an [`Explanation`] each in their way; none
//! of them adds a word about the program. Made on demand, because following the path again costs
//! about as much as the analysis of that path.

use crate::explore::Env;
use crate::limits;
use crate::reason::Reason;
use crate::reject::Rejection;
use crate::replay::Replay;
use crate::slice::{self, Remark};
use crate::trace::{Observer, View};
use crate::value::Value;
use crate::words::{self, Names};
use abi::Code;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::{format, vec, vec::Vec};
use isa::InsnIdx;
use program::{Object, ProgramId};

/// A rejection in words.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The stable id.
    pub code: Code,
    /// The instruction concerned.
    pub at: InsnIdx,
    /// One line: what is wrong.
    pub message: String,
    /// What would have been needed, when that says more than the message.
    pub needed: Option<String>,
    /// What is known about the registers concerned.
    pub known: Vec<String>,
    /// For what rounds of a loop that holds, when these were not told apart.
    pub rounds: Option<String>,
    /// The steps on the path that made it so, in order, the last ones if there are many; empty when
    /// nothing on the path matters.
    pub path: Vec<Remark>,
    /// Earlier steps that are left out of `path`.
    pub skipped: usize,
    /// What would fix it.
    pub help: String,
}

/// Explains one rejection of a program of an object.
#[must_use]
pub fn explain(object: &Object, id: ProgramId, rejection: &Rejection) -> Explanation {
    let names = Names(Some(object));
    let mut path = steps(object, id, rejection);
    let skipped = path.len().saturating_sub(limits::EXPLAINED_STEPS);
    path.drain(..skipped);
    let message = rejection.kind.message(names).to_string();
    Explanation {
        code: rejection.code(),
        at: rejection.at,
        needed: rejection.kind.needed(),
        known: known(names, rejection, &message),
        rounds: rejection.in_any_round_of.map(rounds),
        message,
        path,
        skipped,
        help: rejection.kind.hint(),
    }
}

/// Follows the path to a problem once more: the observer is shown every step on it, the instruction
/// concerned last. Nothing is shown behind the point from which the path cannot be followed.
pub fn follow(object: &Object, id: ProgramId, rejection: &Rejection, observer: &mut dyn Observer) {
    let program = object.programs.get(usize::from(id.0));
    let Some(env) = program.and_then(|program| Env::of(object, program).ok()) else {
        return;
    };
    if rejection.path.len() >= limits::PATH_BRANCHES {
        return;
    }
    let mut replay = Replay::new(&env, rejection);
    loop {
        observer.step(replay.at, &View(&replay.state));
        if replay.advance(rejection.at).is_none() {
            return;
        }
    }
}

/// A value as a phrase for people; maps are called by their names.
#[must_use]
pub fn in_words(object: &Object, value: &Value) -> String {
    let words = Names(Some(object)).of(value).to_string();
    match value.pointer().and_then(words::existing) {
        Some(existing) => format!("{words} ({existing})"),
        None => words,
    }
}

fn steps(object: &Object, id: ProgramId, rejection: &Rejection) -> Vec<Remark> {
    if matches!(
        rejection.kind,
        Reason::Budget { .. } | Reason::Memory { .. }
    ) {
        return busiest_branch(rejection).into_iter().collect();
    }
    let program = object.programs.get(usize::from(id.0));
    let Some(env) = program.and_then(|program| Env::of(object, program).ok()) else {
        return Vec::new();
    };
    slice::of(&env, rejection)
}

/// What is known of the registers that the problem is about, beyond what the message says.
fn known(names: Names<'_>, rejection: &Rejection, message: &str) -> Vec<String> {
    let mut known = Vec::new();
    let subjects = rejection.kind.subjects();
    for reg in subjects.into_iter().flatten() {
        let Some((_, value)) = rejection.registers.iter().find(|(held, _)| *held == reg) else {
            continue;
        };
        let words = names.of(value).to_string();
        if !message.contains(&words) {
            known.push(format!("{reg} is {words}"));
        }
        match (&rejection.kind, value.pointer()) {
            (Reason::PacketBounds(_), Some(pointer)) => {
                known.extend(words::proved(&reg.to_string(), pointer));
            }
            (Reason::StackUninitialised { offset, .. }, Some(pointer)) => {
                let start = pointer.known_offset().filter(|start| start <= offset);
                let behind = start.map(|start| offset.saturating_sub(start));
                known.extend(behind.map(|byte| format!("that is byte {byte} behind {reg}")));
            }
            _ => {}
        }
    }
    known
}

/// What is known about a problem that was found when all rounds of a loop were taken together.
fn rounds(head: InsnIdx) -> String {
    format!(
        "this is so in any round of the loop at {head}, as far as its rounds have in common what is known; \
         told apart they may be safe, but they are too many to be followed one by one"
    )
}

/// The branch that the path took most often: the loop that does not end in time.
fn busiest_branch(rejection: &Rejection) -> Option<Remark> {
    let mut counts = BTreeMap::new();
    for decision in &rejection.path {
        *counts.entry(decision.at).or_insert(0usize) += 1;
    }
    let (at, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    (count > 1).then(|| Remark {
        at,
        way: None,
        text: format!("decided {count} times on the last path that was followed"),
    })
}

impl Explanation {
    /// The remarks with their labels, as every layout shows them: what was needed, what is known.
    #[must_use]
    pub fn notes(&self) -> Vec<(&'static str, String)> {
        let mut notes = vec![];
        notes.extend(self.needed.clone().map(|text| ("needed", text)));
        if !self.known.is_empty() {
            notes.push(("known", self.known.join("\n")));
        }
        notes.extend(self.rounds.clone().map(|text| ("rounds", text)));
        notes
    }
}
