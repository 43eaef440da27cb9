//! What callers see beyond the verdict: platform functions, observers, facts, rejection data.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use abi::{Guid, Platform, diagnostic, program_type};
use isa::{CallTarget, Insn, InsnIdx, Reg};
use program::{BtfFunction, Object, ProgramId, RawProgram};
use verifier::{Observer, Options, Rejected, Verified, View, Way, facts::Memory};

/// A program; `call 1` stands for the call of a platform function.
fn object(text: &str) -> Object {
    let insns = isa::asm::assemble(text).unwrap();
    let mut object = program::from_bytecode(RawProgram {
        name: "test",
        platform: Platform::Windows,
        program_type: program_type::by_name(Platform::Windows, "sample").unwrap(),
        bytes: &isa::encode::program(&insns).unwrap(),
        maps: Vec::new(),
    })
    .unwrap();
    for insn in &mut object.programs[0].insns {
        if *insn == Insn::Call(CallTarget::Helper(1)) {
            *insn = Insn::Call(CallTarget::Btf(0));
        }
    }
    object.btf_functions.push(BtfFunction {
        name: "lookup".into(),
        module: Guid::from_u128(1),
    });
    object
}

fn verify(object: &Object) -> Result<Verified<'_>, Rejected> {
    verifier::verify(object, ProgramId(0), &Options::default())
}

#[test]
fn platform_functions_take_numbers_and_the_context() {
    let object = object("r2 = 5\n call 1\n r0 = 0\n exit");
    verify(&object).unwrap();
}

#[test]
fn platform_functions_take_no_other_pointers() {
    for argument in ["r2 = r10", "r2 = r1\n r2 += 4", "r2 = *(u64 *)(r1 + 0)"] {
        let object = object(&format!("{argument}\n call 1\n r0 = 0\n exit"));
        let rejected = verify(&object).expect_err(argument);
        assert_eq!(rejected.code(), diagnostic::VERIFY_PLATFORM_ARGUMENT);
    }
}

#[test]
fn platform_functions_may_move_the_packet() {
    let text = "r6 = r1\n r7 = *(u64 *)(r1 + 0)\n r1 = 1\n call 1\n r0 = r7\n exit";
    let rejected = verify(&object(text)).expect_err("a stale pointer");
    assert_eq!(rejected.code(), diagnostic::VERIFY_UNREADABLE);
    assert_eq!(rejected.rejections[0].at, InsnIdx(4));
}

#[test]
fn an_unknown_platform_function_is_refused() {
    let mut object = object("call 1\n r0 = 0\n exit");
    object.btf_functions.clear();
    let rejected = verify(&object).expect_err("there is no such function");
    assert_eq!(rejected.code(), diagnostic::VERIFY_UNSUPPORTED);
}

struct Trace(Vec<(u32, String)>);

impl Observer for Trace {
    fn step(&mut self, at: InsnIdx, state: &View<'_>) {
        assert!(state.register(Reg::R10).is_readable());
        self.0.push((at.0, state.to_string()));
    }
}

#[test]
fn an_observer_sees_each_step_with_its_state() {
    let object = object("r0 = 7\n r6 = r0\n *(u64 *)(r10 - 8) = r6\n exit");
    let mut trace = Trace(Vec::new());
    verifier::verify_observed(&object, ProgramId(0), &Options::default(), &mut trace).unwrap();
    let expected = [
        (0, "r1 = context"),
        (1, "r0 = number = 7; r1 = context"),
        (2, "r0 = number = 7; r1 = context; r6 = number = 7"),
        (
            3,
            "r0 = number = 7; r1 = context; r6 = number = 7; [r10-8] = number = 7",
        ),
    ];
    let expected = expected.map(|(at, text)| (at, text.to_owned()));
    assert_eq!(trace.0, expected);
}

#[test]
fn facts_say_what_every_path_does() {
    let object = object(
        "r0 = 1\n if r0 == 1 goto +1\n r0 = 2\n *(u32 *)(r10 - 20) = 0\n r2 = *(u32 *)(r1 + 16)\n exit",
    );
    let verified = verify(&object).unwrap();
    let facts = verified.facts();
    let jump = facts.at(InsnIdx(1));
    assert!(jump.reached && jump.taken && !jump.fallthrough);
    assert!(!facts.at(InsnIdx(2)).reached);
    assert_eq!(facts.at(InsnIdx(3)).memory, Some(Memory::Stack));
    assert_eq!(facts.at(InsnIdx(4)).memory, Some(Memory::Context));
    assert_eq!(facts.stack_bytes, [20]);
}

#[test]
fn a_rejection_tells_registers_and_decisions() {
    let object = object("r2 = *(u32 *)(r1 + 16)\n if r2 > 5 goto +1\n r0 = r9\n r0 = 0\n exit");
    let rejected = verify(&object).expect_err("r9 was never written");
    let rejection = &rejected.rejections[0];
    assert_eq!(rejection.at, InsnIdx(2));
    assert_eq!(rejection.path.len(), 1);
    assert_eq!(rejection.path[0].way, Way::FallThrough);
    let (reg, value) = rejection.registers[1];
    assert_eq!(
        (reg, value.to_string().as_str()),
        (Reg::R2, "number [0, 5]")
    );
    assert_eq!(
        rejection.to_string(),
        "BN0209 at i2: r9 is read, but it is not initialised"
    );
}

#[test]
fn several_problems_are_reported_once_each() {
    let object = object(
        "r2 = *(u32 *)(r1 + 16)\n if r2 > 5 goto +2\n r0 = r9\n exit\n r0 = *(u64 *)(r10 - 8)\n exit",
    );
    let rejected = verify(&object).expect_err("two problems");
    let found: Vec<_> = rejected.rejections.iter().map(|one| one.at.0).collect();
    assert_eq!(found, [2, 4]);
}

#[test]
fn a_program_that_does_not_exist_is_refused() {
    let object = object("r0 = 0\n exit");
    assert!(verifier::verify(&object, ProgramId(1), &Options::default()).is_err());
}

#[test]
fn facts_count_the_most_that_a_run_does() {
    let text = "r6 = *(u32 *)(r1 + 16)\n r0 = 0\n again:\n r0 += 1\n if r0 == r6 goto out\n \
                if r0 < 10 goto again\n out:\n r0 = 0\n exit";
    let object = object(text);
    let verified = verify(&object).unwrap();
    let work = verified.facts().work.clone().unwrap();
    // Two, ten times three, two.
    assert_eq!(work.insns, 34);
    let [only] = work.loops.as_slice() else {
        panic!("{work:?}")
    };
    assert_eq!((only.head, only.rounds), (InsnIdx(2), 9));
}
