//! What was proved once is proved again: each finished state of an accepted program, relaxed to
//! what was needed of it, is itself the start of an analysis that must succeed.
//!
//! A need that is too weak leaves a state that covers more than was proved; from there some check
//! fails, or a branch is followed that the facts call dead. So this tests every rule of `effect`,
//! `need` and `relax` at once.

use super::{Env, Explorer};
use crate::facts::{Extent, Facts};
use crate::options::Options;
use crate::reason::Reason;
use crate::reject::Rejection;
use crate::state::Role;
use crate::trace::Silent;
use program::Object;

#[path = "../../tests/support/mod.rs"]
mod support;

/// States of one program that are checked, spread over all that were stored.
const STATES: usize = 40;
/// The same for real programs, which are large.
const STATES_OF_REAL: usize = 5;

/// Steps of a program that is checked: what is refused for its length is not followed to the end of
/// the usual budget first.
const STEPS: u64 = 100_000;

/// How many states were checked; `None` when the program is refused.
fn recheck(object: &Object, program: usize, most: usize, name: &str) -> Option<usize> {
    let program = &object.programs[program];
    let options = Options {
        steps: STEPS,
        ..Options::default()
    };
    let env = Env::of(object, program).ok()?;
    let mut silent = Silent;
    let mut first = Explorer::new(&env, &options, &mut silent);
    first.follow_program();
    if !first.rejections.is_empty() {
        return None;
    }
    // Inside a callback the proof counts on what holds where it was called.
    let finished = || {
        let all = first.visited.finished();
        all.filter(|(_, state)| {
            let mut frames = state.frames().iter();
            frames.all(|frame| !matches!(frame.role, Role::CalledBack { .. }))
        })
    };
    let every = finished().count() / most + 1;
    // Attempts to sum up loops may go otherwise from another state, and then round after round is
    // followed: to give up says nothing about needs.
    let options = Options {
        steps: 2 * first.steps + 1_000,
        ..options
    };
    let mut states = 0;
    for (at, state) in finished().step_by(every) {
        states += 1;
        let mut silent = Silent;
        let mut again = Explorer::new(&env, &options, &mut silent);
        again.fresh = first.fresh;
        again.follow_all(at, state.clone());
        let gave_up = |refused: &Rejection| matches!(refused.kind, Reason::Budget { .. });
        if again.rejections.iter().any(gave_up) {
            states -= 1;
            continue;
        }
        let refused = again.rejections.first();
        let refused = refused.map(|refused| (refused.at, &refused.kind));
        assert!(refused.is_none(), "{name} from {at}: {refused:?}\n{state}");
        // A guess that was wrong leaves facts behind that claim less than is true.
        if again.failed_guesses.is_empty() {
            compare(&again.facts, &first.facts, name);
        }
    }
    Some(states)
}

/// Nothing may have happened that the first facts exclude.
fn compare(again: &Facts, first: &Facts, name: &str) {
    for (slot, (now, known)) in again.insns.iter().zip(&first.insns).enumerate() {
        let holds = now.reached <= known.reached
            && now.taken <= known.taken
            && now.fallthrough <= known.fallthrough
            && (!now.reached || known.map.is_none() || now.map == known.map)
            && (!now.reached || known.memory.is_none() || now.memory == known.memory)
            && (!now.reached
                || known
                    .extent
                    .is_none_or(|known| is_inside(now.extent, known)));
        assert!(holds, "{name}: i{slot} {now:?}, not {known:?}");
    }
    let mut stacks = again.stack_bytes.iter().zip(&first.stack_bytes);
    assert!(stacks.all(|(now, known)| now <= known), "{name}: stack");
}

fn is_inside(now: Option<Extent>, known: Extent) -> bool {
    now.is_some_and(|now| {
        now.low >= known.low && now.high <= known.high && now.align >= known.align
    })
}

#[test]
fn cases() {
    let mut states = 0;
    for (_, case) in support::all() {
        states += recheck(&case.object(), 0, STATES, &case.name).unwrap_or(0);
    }
    assert!(states > 100, "only {states} states");
}

#[test]
fn corpus() {
    let Some(folder) = corpus::folder() else {
        return;
    };
    let mut last = None;
    for row in corpus::rows(&folder) {
        if last.as_ref().is_none_or(|(file, _)| *file != row.file) {
            last = Some((
                row.file.clone(),
                corpus::load(&folder, &row.file, program::Unlinkable::LeaveOut),
            ));
        }
        let Some((_, Ok(object))) = &last else {
            continue;
        };
        let Some(id) = corpus::find(object, &row) else {
            continue;
        };
        let name = format!("{},{},{}", row.file, row.section, row.function);
        recheck(object, usize::from(id.0), STATES_OF_REAL, &name);
    }
}
