//! Programs made to be expensive to analyse get an answer all the same, and soon.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use isa::{AluOp, CallTarget, Cond, Insn, Operand, Reg, Width};
use program::{Object, ProgramId, RawProgram};
use std::time::{Duration, Instant};
use verifier::{Options, verify};

/// Far more than any of these takes on a busy machine, less than what is quadratic in their size would.
const PATIENCE: Duration = Duration::from_secs(120);

fn mov(dst: Reg, value: i32) -> Insn {
    Insn::Alu {
        op: AluOp::Mov,
        width: Width::W64,
        dst,
        src: Operand::Imm(value),
    }
}

fn jump(offset: i32) -> Insn {
    Insn::Jump { offset, long: true }
}

fn object(insns: &[Insn]) -> Object {
    let bytes = isa::encode::program(insns).expect("encodable");
    let program_type = abi::program_type::by_name(abi::Platform::Windows, "xdp");
    let raw = RawProgram {
        name: "large",
        platform: abi::Platform::Windows,
        program_type: program_type.expect("xdp"),
        bytes: &bytes,
        maps: Vec::new(),
    };
    program::from_bytecode(raw).expect("well-formed")
}

/// Whether the program is accepted, after at most the time that patience allows.
fn verdict(insns: &[Insn]) -> bool {
    let object = object(insns);
    let start = Instant::now();
    let verdict = verify(&object, ProgramId(0), &Options::default());
    assert!(start.elapsed() < PATIENCE, "took {:?}", start.elapsed());
    verdict.is_ok()
}

#[test]
fn many_functions() {
    let functions = 100_000;
    let mut insns: Vec<Insn> = (0..functions)
        .map(|index| Insn::Call(CallTarget::Local(functions - index + 1 + 2 * index)))
        .collect();
    insns.extend([mov(Reg::R0, 1), Insn::Exit]);
    for _ in 0..functions {
        insns.extend([mov(Reg::R0, 1), Insn::Exit]);
    }
    assert!(verdict(&insns));
}

#[test]
fn jumps_against_the_order_of_instructions() {
    let blocks = 200_000;
    let mut insns = vec![mov(Reg::R6, 1), jump(2 * blocks + 1)];
    insns.extend([
        Insn::Alu {
            op: AluOp::Mov,
            width: Width::W64,
            dst: Reg::R0,
            src: Operand::Reg(Reg::R6),
        },
        Insn::Exit,
    ]);
    for _ in 0..blocks {
        insns.extend([mov(Reg::R7, 1), jump(-4)]);
    }
    insns[1] = jump(2 * blocks);
    assert!(verdict(&insns));
}

/// Two to the number of branches paths, none of which can be cut short.
#[test]
fn many_paths() {
    let mut insns = vec![mov(Reg::R6, 0)];
    for bit in 0..31 {
        let set = Insn::Alu {
            op: AluOp::Or,
            width: Width::W64,
            dst: Reg::R6,
            src: Operand::Imm(1 << bit),
        };
        let random = Insn::Call(CallTarget::Helper(6));
        let branch = Insn::JumpIf {
            cond: Cond::Eq,
            width: Width::W64,
            dst: Reg::R0,
            src: Operand::Imm(bit),
            offset: 1,
        };
        insns.extend([random, branch, set]);
    }
    // The number decides how often the loop runs, so that paths do not join again.
    let count = Insn::Alu {
        op: AluOp::Sub,
        width: Width::W64,
        dst: Reg::R6,
        src: Operand::Imm(1),
    };
    let again = Insn::JumpIf {
        cond: Cond::Sgt,
        width: Width::W64,
        dst: Reg::R6,
        src: Operand::Imm(0),
        offset: -2,
    };
    insns.extend([count, again, mov(Reg::R0, 1), Insn::Exit]);
    assert!(!verdict(&insns));
}

fn add(dst: Reg, value: i32) -> Insn {
    Insn::Alu {
        op: AluOp::Add,
        width: Width::W64,
        dst,
        src: Operand::Imm(value),
    }
}

fn jump_if(cond: Cond, dst: Reg, value: i32, offset: i16) -> Insn {
    Insn::JumpIf {
        cond,
        width: Width::W64,
        dst,
        src: Operand::Imm(value),
        offset,
    }
}

/// As many instructions as a program may have, and some of them more than once.
#[test]
fn the_largest_program() {
    let mut insns = vec![
        mov(Reg::R6, 0),
        add(Reg::R6, 1),
        jump_if(Cond::Lt, Reg::R6, 9, -2),
    ];
    insns.resize(abi::limits::PROGRAM_SLOTS as usize - 2, mov(Reg::R0, 1));
    insns.extend([mov(Reg::R0, 1), Insn::Exit]);
    assert!(verdict(&insns));
}

/// Far more loops than rounds are counted of.
#[test]
fn many_loops() {
    let mut insns = Vec::new();
    for _ in 0..20_000 {
        insns.extend([
            mov(Reg::R6, 0),
            add(Reg::R6, 1),
            jump_if(Cond::Lt, Reg::R6, 4, -2),
        ]);
    }
    insns.extend([mov(Reg::R0, 1), Insn::Exit]);
    assert!(verdict(&insns));
}

/// Each branch changes a number that is only stored in the end: what it is does not matter, and two
/// to the number of branches paths are followed in time linear in it.
#[test]
fn many_branches_that_decide_nothing() {
    let mut insns = vec![mov(Reg::R6, 0)];
    for bit in 0..20_000 {
        let random = Insn::Call(CallTarget::Helper(6));
        insns.extend([random, jump_if(Cond::Eq, Reg::R0, 5, 1), add(Reg::R6, bit)]);
    }
    let store = Insn::Store {
        size: isa::Size::Dw,
        base: Reg::R10,
        offset: -8,
        src: Operand::Reg(Reg::R6),
    };
    insns.extend([store, mov(Reg::R0, 1), Insn::Exit]);
    assert!(verdict(&insns));
}

/// Rounds of a loop with a branch in it that nothing decides, and of which a number depends, until a
/// number that jumps to and fro is `end`.
fn rounds_with_a_branch(end: i32) -> Vec<Insn> {
    let times_five = Insn::Alu {
        op: isa::AluOp::Mul,
        width: isa::Width::W64,
        dst: Reg::R6,
        src: Operand::Imm(5),
    };
    vec![
        mov(Reg::R6, 0),
        mov(Reg::R7, 0),
        Insn::Call(CallTarget::Helper(6)),
        jump_if(Cond::Eq, Reg::R0, 5, 1),
        add(Reg::R7, 1),
        times_five,
        add(Reg::R6, 1),
        jump_if(Cond::Ne, Reg::R6, end, -6),
        mov(Reg::R0, 1),
        Insn::Exit,
    ]
}

/// The way through a loop does not fit into the memory: the program is refused and says so, before
/// the steps are used up.
#[test]
fn a_way_too_long_for_the_memory() {
    let insns = rounds_with_a_branch(100_000);
    let little = Options {
        memory: 1 << 20,
        ..Options::default()
    };
    let object = object(&insns);
    let refused = verify(&object, ProgramId(0), &little).expect_err("no room");
    assert_eq!(refused.code(), abi::diagnostic::VERIFY_MEMORY);
    assert!(refused.steps < 50_000, "{} steps", refused.steps);
}
