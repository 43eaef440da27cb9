//! The path to a problem can be followed again, whatever the program calls on the way.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test binary uses its part of the support")]

mod support;

use isa::InsnIdx;
use program::ProgramId;
use verifier::{Observer, Reason, Rejection, View};

/// The last instruction that was shown.
struct Last(Option<InsnIdx>);

impl Observer for Last {
    fn step(&mut self, at: InsnIdx, _state: &View<'_>) {
        self.0 = Some(at);
    }
}

/// Problems of the whole program, which no path leads to, and loops, whose path ends where it was, or
/// of whose rounds most were not followed.
fn has_no_path(rejection: &Rejection) -> bool {
    let of_loops = matches!(
        rejection.kind,
        Reason::Budget { .. } | Reason::Memory { .. } | Reason::EndlessLoop
    );
    of_loops || rejection.in_any_round_of.is_some()
}

#[test]
fn every_problem_of_the_cases_can_be_reached_again() {
    let mut reached = 0;
    let mut lost = Vec::new();
    for (_, case) in support::all() {
        let object = case.object();
        let Err(rejected) = verifier::verify(&object, ProgramId(0), &case.options) else {
            continue;
        };
        for rejection in &rejected.rejections {
            let is_of_shape = rejection.registers.is_empty() && rejection.path.is_empty();
            if is_of_shape || has_no_path(rejection) {
                continue;
            }
            let mut last = Last(None);
            verifier::follow(&object, ProgramId(0), rejection, &mut last);
            match last.0 == Some(rejection.at) {
                true => reached += 1,
                false => lost.push(case.name.clone()),
            }
        }
    }
    assert!(lost.is_empty(), "{lost:?}");
    assert!(reached > 150, "{reached}");
}

/// What the explanation of a case tells on the way.
fn told(file: &str, name: &str) -> Vec<String> {
    let cases = support::all().into_iter();
    let mut cases = cases.filter(|(of, case)| of.contains(file) && case.name == name);
    let (_, case) = cases.next().unwrap();
    let object = case.object();
    let rejected = verifier::verify(&object, ProgramId(0), &case.options).unwrap_err();
    let told = verifier::explain(&object, ProgramId(0), &rejected.rejections[0]);
    told.path.into_iter().map(|step| step.text).collect()
}

#[test]
fn functions_that_are_called_later_have_a_path() {
    let told = told("callbacks", "a timer whose callback leaks");
    assert!(told[0].contains("called later"), "{told:?}");
    assert!(told[1].starts_with("r0 is"), "{told:?}");
}

#[test]
fn a_path_goes_on_behind_a_function_with_a_contract() {
    let told = told("contracts", "the result of such a function is any number");
    assert!(told[0].contains("of which nothing is known"), "{told:?}");
}

#[test]
fn a_path_goes_on_behind_a_helper_with_what_its_function_changed() {
    let name = "what a callback may have changed is not known behind the helper";
    let told = told("callbacks", name);
    // Before the helper it is the constant 0.
    assert!(told[0].contains("r10-8 is a number in"), "{told:?}");
}
