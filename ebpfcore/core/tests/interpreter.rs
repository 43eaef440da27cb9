//! The interpreter against `isa::semantics`, per operation, and the checks of checked memory.
#![expect(unsafe_code, reason = "memories are made over addresses")]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod support;

use ebpfcore::{
    Machine, RawMemory,
    interpreter::{
        Callee, CheckedMemory, Initialization, Links, Region, RegionKind, TranslateErrorKind,
        TrapKind, translate,
    },
    raw::Start,
};
use isa::{
    AluOp, AtomicOp, CallTarget, Cond, Endian, Imm64, Insn, InsnIdx, Operand, Reg, Size, Width,
    semantics,
};
use support::Random;

struct NoLinks;

impl Links for NoLinks {
    fn map(&self, _: u32) -> Option<u64> {
        None
    }
    fn map_value(&self, _: u32) -> Option<u64> {
        None
    }
    fn helper(&self, _: i32) -> Option<Callee> {
        None
    }
    fn btf_function(&self, _: i32) -> Option<Callee> {
        None
    }
}

fn machine(insns: &[Insn]) -> Machine {
    Machine::new(translate(insns, &NoLinks).unwrap(), Vec::new())
}

fn start(r1: u64, r2: u64) -> Start {
    Start {
        r1,
        r2,
        budget: 1_000_000,
    }
}

fn run(insns: &[Insn]) -> u64 {
    // SAFETY: the programs below access their own stack only.
    let mut memory = unsafe { RawMemory::new() };
    let raw = machine(insns).run(&mut memory, start(0, 0)).unwrap();
    let checked = run_checked(insns).unwrap();
    assert_eq!(raw, checked, "{insns:?}");
    raw
}

fn run_checked(insns: &[Insn]) -> Result<u64, TrapKind> {
    let maps = [];
    // SAFETY: no regions.
    let mut memory = unsafe { CheckedMemory::new(Vec::new(), &maps, Initialization::Required) };
    let done = machine(insns).run(&mut memory, start(0, 0));
    done.map_err(|trap| trap.kind)
}

fn constant(dst: Reg, value: u64) -> [Insn; 2] {
    let imm = Imm64::Const(value);
    [Insn::LoadImm64 { dst, imm }, Insn::Imm64High]
}

fn mov(dst: Reg, src: Operand) -> Insn {
    let (op, width) = (AluOp::Mov, Width::W64);
    Insn::Alu {
        op,
        width,
        dst,
        src,
    }
}

const EDGES: [u64; 14] = [
    0,
    1,
    2,
    31,
    63,
    0x7f,
    0x8000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];
#[test]
fn arithmetic_alone_and_joined_with_a_move() {
    for op in AluOp::ALL {
        for width in Width::ALL {
            for a in EDGES {
                for b in EDGES {
                    arithmetic_case(op, width, (a, b));
                }
            }
        }
    }
}

fn arithmetic_case(op: AluOp, width: Width, (a, b): (u64, u64)) {
    let moved = |value: u64| semantics::alu(AluOp::Mov, width, 0, value);
    let cases = [
        // The destination is not moved to just before: nothing is joined.
        (
            Reg::R1,
            Operand::Reg(Reg::R2),
            false,
            semantics::alu(op, width, a, b),
        ),
        (
            Reg::R1,
            Operand::Imm(b as i32),
            false,
            semantics::alu(op, width, a, semantics::imm(b as i32)),
        ),
        // r0 = r1; r0 op= r2
        (
            Reg::R0,
            Operand::Reg(Reg::R2),
            true,
            semantics::alu(op, width, moved(a), b),
        ),
        (
            Reg::R0,
            Operand::Imm(b as i32),
            true,
            semantics::alu(op, width, moved(a), semantics::imm(b as i32)),
        ),
        // r0 = r1; r0 op= r0
        (
            Reg::R0,
            Operand::Reg(Reg::R0),
            true,
            semantics::alu(op, width, moved(a), moved(a)),
        ),
        // r0 = r1; r0 op= r1
        (
            Reg::R0,
            Operand::Reg(Reg::R1),
            true,
            semantics::alu(op, width, moved(a), a),
        ),
    ];
    for (dst, src, joined, expected) in cases {
        let mut insns = constant(Reg::R1, a).to_vec();
        insns.extend(constant(Reg::R2, b));
        if joined {
            let src = Operand::Reg(Reg::R1);
            insns.push(Insn::Alu {
                op: AluOp::Mov,
                width,
                dst,
                src,
            });
        }
        insns.push(Insn::Alu {
            op,
            width,
            dst,
            src,
        });
        if dst != Reg::R0 {
            insns.push(mov(Reg::R0, Operand::Reg(dst)));
        }
        insns.push(Insn::Exit);
        assert_eq!(
            run(&insns),
            expected,
            "{op:?} {width:?} {src:?} {a:#x} {b:#x}"
        );
    }
}

#[test]
fn one_operand_instructions() {
    type Expected = Box<dyn Fn(u64) -> u64>;
    let mut cases: Vec<(Insn, Expected)> = Vec::new();
    let dst = Reg::R0;
    for width in Width::ALL {
        cases.push((
            Insn::Neg { width, dst },
            Box::new(move |value| semantics::neg(width, value)),
        ));
        for size in [Size::B, Size::H, Size::W] {
            if (width, size) != (Width::W32, Size::W) {
                let insn = Insn::MovSx {
                    width,
                    dst,
                    src: Reg::R0,
                    size,
                };
                cases.push((insn, Box::new(move |v| semantics::mov_sx(width, size, v))));
            }
        }
    }
    for kind in Endian::ALL {
        for size in [Size::H, Size::W, Size::Dw] {
            let insn = Insn::Endian { kind, dst, size };
            cases.push((insn, Box::new(move |v| semantics::endian(kind, size, v))));
        }
    }
    for (insn, expected) in cases {
        for value in EDGES.into_iter().chain([0x1122_3344_5566_7788]) {
            let mut insns = constant(dst, value).to_vec();
            insns.extend([insn, Insn::Exit]);
            assert_eq!(run(&insns), expected(value), "{insn:?} {value:#x}");
        }
    }
}

#[test]
fn conditional_jumps() {
    for cond in Cond::ALL {
        for width in Width::ALL {
            for (a, b) in EDGES.iter().flat_map(|a| EDGES.map(|b| (*a, b))) {
                for src in [Operand::Reg(Reg::R2), Operand::Imm(b as i32)] {
                    let right = match src {
                        Operand::Reg(_) => b,
                        Operand::Imm(imm) => semantics::imm(imm),
                    };
                    let mut insns = constant(Reg::R1, a).to_vec();
                    insns.extend(constant(Reg::R2, b));
                    let (dst, offset) = (Reg::R1, 2);
                    insns.push(Insn::JumpIf {
                        cond,
                        width,
                        dst,
                        src,
                        offset,
                    });
                    insns.extend([mov(Reg::R0, Operand::Imm(0)), Insn::Exit]);
                    insns.extend([mov(Reg::R0, Operand::Imm(1)), Insn::Exit]);
                    let expected = u64::from(semantics::cond(cond, width, a, right));
                    assert_eq!(
                        run(&insns),
                        expected,
                        "{cond:?} {width:?} {a:#x} {right:#x}"
                    );
                }
            }
        }
    }
}

#[test]
fn loads_stores_and_atomics_on_the_stack() {
    let mut random = Random(7);
    for size in Size::ALL {
        for signed in [false, true] {
            let value = random.next() | 0x8080_8080_8080_8080;
            let mut insns = constant(Reg::R1, value).to_vec();
            let (base, offset) = (Reg::R10, -8);
            insns.push(Insn::Store {
                size,
                base,
                offset,
                src: Operand::Reg(Reg::R1),
            });
            insns.push(Insn::Load {
                size,
                signed: signed && size != Size::Dw,
                dst: Reg::R0,
                base,
                offset,
            });
            insns.push(Insn::Exit);
            let expected = semantics::load_extend(size, signed, value);
            assert_eq!(run(&insns), expected);
        }
    }
    for size in [Size::W, Size::Dw] {
        for op in AtomicOp::ALL {
            for fetch in [false, true] {
                atomic_case(op, size, fetch, random.next());
            }
        }
    }
}

fn atomic_case(op: AtomicOp, size: Size, fetch: bool, old: u64) {
    let fetch = fetch || matches!(op, AtomicOp::Xchg | AtomicOp::CmpXchg);
    for expected in [old, !old] {
        let operand = old.rotate_left(13);
        let (base, offset) = (Reg::R10, -16);
        let store = Insn::Store {
            size: Size::Dw,
            base,
            offset,
            src: Operand::Reg(Reg::R1),
        };
        let load = |dst| Insn::Load {
            size: Size::Dw,
            signed: false,
            dst,
            base,
            offset,
        };
        let src = Reg::R2;
        let atomic = Insn::Atomic {
            op,
            fetch,
            size,
            base,
            offset,
            src,
        };
        let mut insns = constant(Reg::R1, old).to_vec();
        insns.extend(constant(Reg::R2, operand));
        insns.extend(constant(Reg::R0, expected));
        insns.extend([store, atomic]);
        let cut = |value| semantics::truncate(size, value);
        let new = semantics::atomic(op, size, old, operand, expected);
        let memory = if size == Size::Dw {
            new
        } else {
            (old & !0xffff_ffff) | new
        };
        let (r0, r2) = match op {
            AtomicOp::CmpXchg => (cut(old), operand),
            _ if fetch => (expected, cut(old)),
            _ => (expected, operand),
        };
        let with = |last: &[Insn]| {
            let mut all = insns.clone();
            all.extend_from_slice(last);
            all.push(Insn::Exit);
            run(&all)
        };
        assert_eq!(with(&[]), r0, "{op:?} {size:?} fetch {fetch}");
        assert_eq!(
            with(&[mov(Reg::R0, Operand::Reg(Reg::R2))]),
            r2,
            "{op:?} {size:?}"
        );
        assert_eq!(with(&[load(Reg::R0)]), memory, "{op:?} {size:?}");
    }
}

#[test]
fn functions_have_frames_of_their_own() {
    // main: r6 = 5; *(r10-8) = 7; r1 = r6; call f; r0 += r6; r0 += *(r10-8)
    // f: r6 = 100; *(r10-8) = 1; r0 = r1
    let slot = |src| Insn::Store {
        size: Size::Dw,
        base: Reg::R10,
        offset: -8,
        src,
    };
    let add = |src| Insn::Alu {
        op: AluOp::Add,
        width: Width::W64,
        dst: Reg::R0,
        src: Operand::Reg(src),
    };
    let insns = [
        mov(Reg::R6, Operand::Imm(5)),
        slot(Operand::Imm(7)),
        mov(Reg::R1, Operand::Reg(Reg::R6)),
        Insn::Call(CallTarget::Local(4)),
        add(Reg::R6),
        Insn::Load {
            size: Size::Dw,
            signed: false,
            dst: Reg::R1,
            base: Reg::R10,
            offset: -8,
        },
        add(Reg::R1),
        Insn::Exit,
        mov(Reg::R6, Operand::Imm(100)),
        slot(Operand::Imm(1)),
        mov(Reg::R0, Operand::Reg(Reg::R1)),
        Insn::Exit,
    ];
    assert_eq!(run(&insns), 5 + 5 + 7);
}

#[test]
fn what_is_not_allowed_stops_a_checked_program() {
    let load = |base, offset| Insn::Load {
        size: Size::W,
        signed: false,
        dst: Reg::R0,
        base,
        offset,
    };
    let endless = Insn::Jump {
        offset: -1,
        long: false,
    };
    let recursion = Insn::Call(CallTarget::Local(-1));
    let null = [mov(Reg::R1, Operand::Imm(0)), load(Reg::R1, 0), Insn::Exit];
    let trap = |insns: &[Insn]| run_checked(insns).unwrap_err();
    assert_eq!(
        trap(&null),
        TrapKind::Read {
            address: 0,
            size: 4
        }
    );
    assert!(matches!(
        trap(&[load(Reg::R10, -8), Insn::Exit]),
        TrapKind::Uninitialized { size: 4, .. }
    ));
    assert!(matches!(
        trap(&[load(Reg::R10, 0), Insn::Exit]),
        TrapKind::Read { .. }
    ));
    assert_eq!(trap(&[endless]), TrapKind::Budget);
    assert_eq!(trap(&[recursion, Insn::Exit]), TrapKind::Frames);
}

#[test]
fn regions_bound_what_a_checked_program_reaches() {
    let memory = [1u8, 2, 3, 4, 5, 6, 7, 8];
    let address = memory.as_ptr() as u64;
    for (offset, size, kind, expected) in [
        (4, Size::W, RegionKind::ReadOnly, Ok(0x0807_0605)),
        (
            5,
            Size::W,
            RegionKind::ReadOnly,
            Err(TrapKind::Read {
                address: address + 5,
                size: 4,
            }),
        ),
        (
            -1,
            Size::B,
            RegionKind::ReadWrite,
            Err(TrapKind::Read {
                address: address - 1,
                size: 1,
            }),
        ),
    ] {
        let region = Region {
            start: address,
            size: 8,
            kind,
        };
        let maps = [];
        // SAFETY: the region is `memory`, which the program only reads.
        let mut checked =
            unsafe { CheckedMemory::new(vec![region], &maps, Initialization::Ignored) };
        let load = Insn::Load {
            size,
            signed: false,
            dst: Reg::R0,
            base: Reg::R1,
            offset,
        };
        let done = machine(&[load, Insn::Exit]).run(&mut checked, start(address, 8));
        assert_eq!(done.map_err(|trap| trap.kind), expected);
    }
}

#[test]
fn bad_programs_are_not_translated() {
    let jump = |offset| Insn::Jump {
        offset,
        long: false,
    };
    let high = constant(Reg::R0, 1);
    #[rustfmt::skip]
    let cases: [(&[Insn], u32, TranslateErrorKind); 8] = [
        (&[], 0, TranslateErrorKind::Empty),
        (&[jump(1), Insn::Exit], 0, TranslateErrorKind::Target),
        (&[jump(-2), Insn::Exit], 0, TranslateErrorKind::Target),
        (&[jump(1), high[0], high[1], Insn::Exit], 0, TranslateErrorKind::Target),
        (&[mov(Reg::R0, Operand::Imm(0))], 0, TranslateErrorKind::FallsOff),
        (&[mov(Reg::R10, Operand::Imm(0)), Insn::Exit], 0, TranslateErrorKind::FramePointer),
        (&[Insn::Call(CallTarget::Helper(1)), Insn::Exit], 0, TranslateErrorKind::Helper(1)),
        (&[Insn::Call(CallTarget::Register(Reg::R1)), Insn::Exit], 0, TranslateErrorKind::Unsupported),
    ];
    for (insns, at, kind) in cases {
        let error = translate(insns, &NoLinks).err().expect("not translated");
        assert_eq!((error.at, error.kind), (InsnIdx(at), kind), "{insns:?}");
    }
}
