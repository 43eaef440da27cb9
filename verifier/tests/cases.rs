//! Small programs in `cases/*.bpf`, each with what the verifier must say.
//!
//! A file holds several cases; each begins with `=== name`, then directives, then assembler text:
//!
//! - `@type linux/xdp`: platform and program type (when there is none, `windows/xdp` with any number
//!   as verdict, which keeps the cases short)
//! - `@hook cgroup/connect4`: attach type, by section name
//! - `@map array key=4 value=8 max=16`: one map, numbered from 0; also `frozen`, `lock=OFFSET`,
//!   `timer=OFFSET`, `inner=NUMBER`
//! - `@global 1 number memory=8? context dynptr returns`: the contract of a function by number (the first
//!   that is called is 1); `?` allows NULL
//! - `@functions bpf_dynptr_size`: names of the functions of the platform, by number (one that nobody
//!   knows, when there are none)
//! - `@arguments number trusted=task_struct passed=file nullable=path`: the program is called like a
//!   function of the kernel; what the structures hold is in `support`
//! - `@kernel known`: the types of the kernel are given, as with `@arguments`
//! - `@constants unknown`: only the target system knows what frozen maps hold
//! - `@steps 1000`: step budget
//!
//! A comment `; BN0218` after an instruction says that the first rejection has this code and is
//! there. A case without such a mark must be accepted.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use program::ProgramId;
use support::Case;

fn judge(case: &Case) -> Result<(), String> {
    let object = case.object();
    let result = verifier::verify(&object, ProgramId(0), &case.options);
    let found = match &result {
        Ok(_) => None,
        Err(rejected) => {
            let first = &rejected.rejections[0];
            Some((first.at.0, first.code().to_string()))
        }
    };
    if found == case.expected {
        return Ok(());
    }
    let told = match &result {
        Ok(_) => "accepted".into(),
        Err(rejected) => verifier::render::text(&object, rejected),
    };
    Err(format!(
        "{}: expected {}, but\n{told}",
        case.name,
        match &case.expected {
            Some((at, code)) => format!("{code} at i{at}"),
            None => "to be accepted".into(),
        }
    ))
}

#[test]
fn every_case_gets_the_verdict_that_it_states() {
    let mut wrong = Vec::new();
    let (mut accepted, mut refused) = (0, 0);
    for (file, case) in support::all() {
        match case.expected {
            Some(_) => refused += 1,
            None => accepted += 1,
        }
        if let Err(error) = judge(&case) {
            wrong.push(format!("{file}: {error}"));
        }
    }
    assert!(
        accepted > 60 && refused > 150,
        "{accepted} and {refused} cases"
    );
    assert!(
        wrong.is_empty(),
        "{} wrong\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
