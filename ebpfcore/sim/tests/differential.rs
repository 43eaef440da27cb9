//! Finished images against the runtime's interpreter: every opcode over edge values, and random
//! programs, straight-line and branching, with memory. Results and memory must be equal.
//!
//! One program folds the results of an operation over all pairs of edge values into r0, so that a
//! hundred programs cover all operations. Random programs are made of a seed; a failure names it.
#![cfg(all(unix, target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

use ebpfcore_sim::{Engine, conformance};
use isa::{AluOp, AtomicOp, Cond, Endian, Insn, Operand, Reg, Size, Width};

/// Values at which operations change their behaviour.
const EDGES: [u64; 12] = [
    0,
    1,
    2,
    7,
    31,
    63,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// Both engines must leave the same.
#[track_caller]
fn compare(what: &str, insns: &[Insn], memory: &[u8]) {
    let bytes = isa::encode::program(insns).unwrap();
    let run = |engine| {
        conformance::run(&bytes, memory, engine).unwrap_or_else(|error| panic!("{what}: {error}"))
    };
    assert_eq!(run(Engine::Native), run(Engine::Interpreter), "{what}");
}

fn reg(number: u8) -> Reg {
    Reg::new(number).unwrap()
}

fn alu(op: AluOp, width: Width, dst: u8, src: Operand) -> Insn {
    Insn::Alu {
        op,
        width,
        dst: reg(dst),
        src,
    }
}

fn mov(dst: u8, src: u8) -> Insn {
    alu(AluOp::Mov, Width::W64, dst, Operand::Reg(reg(src)))
}

fn load(dst: u8, index: usize) -> Insn {
    Insn::Load {
        size: Size::Dw,
        signed: false,
        dst: reg(dst),
        base: Reg::R6,
        offset: 8 * index as i16,
    }
}

/// Memory with the edge values; r6 keeps its address.
fn edges() -> Vec<u8> {
    EDGES.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Runs `body` on every pair of edge values in r7 and r8; it leaves its result in r7.
fn over_pairs(body: impl Fn(u64) -> Vec<Insn>) -> Vec<Insn> {
    let imm = |value| Operand::Imm(value);
    let mut insns = vec![mov(6, 1), alu(AluOp::Mov, Width::W64, 9, imm(1))];
    for left in 0..EDGES.len() {
        for (right, value) in EDGES.iter().enumerate() {
            insns.extend([load(7, left), load(8, right)]);
            insns.extend(body(*value));
            insns.push(alu(AluOp::Mul, Width::W64, 9, imm(0x0100_0193)));
            insns.push(alu(AluOp::Xor, Width::W64, 9, Operand::Reg(reg(7))));
        }
    }
    insns.extend([mov(0, 9), Insn::Exit]);
    insns
}

#[test]
fn arithmetic() {
    for op in AluOp::ALL {
        for width in Width::ALL {
            let by_register = over_pairs(|_| vec![alu(op, width, 7, Operand::Reg(Reg::R8))]);
            compare(
                &format!("{op:?} {width:?} register"),
                &by_register,
                &edges(),
            );
            let by_number =
                over_pairs(|value| vec![alu(op, width, 7, Operand::Imm(value as u32 as i32))]);
            compare(&format!("{op:?} {width:?} immediate"), &by_number, &edges());
        }
    }
}

#[test]
fn unary_operations() {
    let dst = Reg::R7;
    for width in Width::ALL {
        compare(
            &format!("neg {width:?}"),
            &over_pairs(|_| vec![Insn::Neg { width, dst }]),
            &edges(),
        );
        for size in [Size::B, Size::H, Size::W] {
            if (width, size) == (Width::W32, Size::W) {
                continue; // No such instruction.
            }
            let src = Reg::R8;
            let insn = Insn::MovSx {
                width,
                dst,
                src,
                size,
            };
            compare(&format!("{insn}"), &over_pairs(|_| vec![insn]), &edges());
        }
    }
    for kind in Endian::ALL {
        for size in [Size::H, Size::W, Size::Dw] {
            let insn = Insn::Endian { kind, dst, size };
            compare(&format!("{insn}"), &over_pairs(|_| vec![insn]), &edges());
        }
    }
}

#[test]
fn conditional_jumps() {
    for cond in Cond::ALL {
        for width in Width::ALL {
            for immediate in [false, true] {
                let body = |value: u64| {
                    let src = match immediate {
                        true => Operand::Imm(value as u32 as i32),
                        false => Operand::Reg(Reg::R8),
                    };
                    let jump = Insn::JumpIf {
                        cond,
                        width,
                        dst: Reg::R7,
                        src,
                        offset: 1,
                    };
                    vec![jump, alu(AluOp::Xor, Width::W64, 7, Operand::Imm(0x55))]
                };
                let what = format!("{cond:?} {width:?}, immediate: {immediate}");
                compare(&what, &over_pairs(body), &edges());
            }
        }
    }
}

#[test]
fn memory_and_atomics() {
    for size in Size::ALL {
        for signed in [false, true] {
            if signed && size == Size::Dw {
                continue; // No such instruction.
            }
            let body = |value: u64| vec![store(size, value), load_back(size, signed)];
            compare(
                &format!("{size:?} signed {signed}"),
                &over_pairs(body),
                &edges(),
            );
        }
    }
    for op in AtomicOp::ALL {
        for size in [Size::W, Size::Dw] {
            for fetch in [false, true] {
                if !fetch && matches!(op, AtomicOp::Xchg | AtomicOp::CmpXchg) {
                    continue; // These always fetch.
                }
                compare(
                    &format!("{op:?} {size:?} fetch {fetch}"),
                    &over_pairs(|value| atomic(op, size, fetch, value)),
                    &edges(),
                );
            }
        }
    }
}

fn store(size: Size, value: u64) -> Insn {
    let src = match value & 1 {
        0 => Operand::Reg(Reg::R7),
        _ => Operand::Imm(value as u32 as i32),
    };
    Insn::Store {
        size,
        base: Reg::R10,
        offset: -8,
        src,
    }
}

fn load_back(size: Size, signed: bool) -> Insn {
    Insn::Load {
        size,
        signed,
        dst: Reg::R7,
        base: Reg::R10,
        offset: -8,
    }
}

/// An atomic operation on the stack; compare-and-exchange hits with every other value.
fn atomic(op: AtomicOp, size: Size, fetch: bool, value: u64) -> Vec<Insn> {
    let cell = Insn::Store {
        size: Size::Dw,
        base: Reg::R10,
        offset: -8,
        src: Operand::Reg(Reg::R7),
    };
    let operation = Insn::Atomic {
        op,
        fetch,
        size,
        base: Reg::R10,
        offset: -8,
        src: Reg::R8,
    };
    let expected = if value & 1 == 0 { 7 } else { 8 };
    vec![
        cell,
        mov(0, expected),
        operation,
        load_back(Size::Dw, false),
        alu(AluOp::Add, Width::W64, 7, Operand::Reg(Reg::R8)),
        alu(AluOp::Xor, Width::W64, 7, Operand::Reg(Reg::R0)),
    ]
}

/// xorshift64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// A register that programs may change: r0 to r5, r7 to r9.
    fn scratch(&mut self) -> Reg {
        reg(self.pick(&[0, 1, 2, 3, 4, 5, 7, 8, 9]))
    }

    fn operand(&mut self) -> Operand {
        match self.below(2) {
            0 => Operand::Reg(self.scratch()),
            _ => Operand::Imm(self.next() as u32 as i32),
        }
    }

    /// One instruction; jumps go forward by at most `room` slots.
    fn insn(&mut self, room: usize) -> Insn {
        let (dst, src) = (self.scratch(), self.scratch());
        let (width, size) = (self.pick(&Width::ALL), self.pick(&Size::ALL));
        let base = self.pick(&[Reg::R6, Reg::R10]);
        let place = 8 * self.below(8) as i16;
        let offset = if base == Reg::R10 { place - 64 } else { place };
        let operand = self.operand();
        match self.below(if room == 0 { 6 } else { 8 }) {
            0..=2 => Insn::Alu {
                op: self.pick(&AluOp::ALL),
                width,
                dst,
                src: operand,
            },
            3 => Insn::Load {
                size,
                signed: size != Size::Dw && self.below(2) == 0,
                dst,
                base,
                offset,
            },
            4 => Insn::Store {
                size,
                base,
                offset,
                src: operand,
            },
            5 => Insn::Atomic {
                op: self.pick(&AtomicOp::ALL),
                fetch: true,
                size: self.pick(&[Size::W, Size::Dw]),
                base,
                offset,
                src,
            },
            _ => Insn::JumpIf {
                cond: self.pick(&Cond::ALL),
                width,
                dst,
                src: operand,
                offset: self.below(room.min(12)) as i16,
            },
        }
    }

    /// A program over the memory and 64 initialised bytes of stack.
    fn program(&mut self, len: usize, branching: bool) -> Vec<Insn> {
        let mut insns = vec![mov(6, 1)];
        for number in [0, 1, 2, 3, 4, 5, 7, 8, 9] {
            insns.push(load(number, usize::from(number)));
        }
        for slot in 1..=8 {
            let src = Operand::Reg(self.scratch());
            insns.push(Insn::Store {
                size: Size::Dw,
                base: Reg::R10,
                offset: -8 * slot,
                src,
            });
        }
        for at in 0..len {
            let room = if branching { len - at - 1 } else { 0 };
            insns.push(self.insn(room));
        }
        for number in [1, 2, 3, 4, 5, 7, 8, 9] {
            insns.push(alu(AluOp::Xor, Width::W64, 0, Operand::Reg(reg(number))));
        }
        insns.push(Insn::Exit);
        insns
    }
}

#[test]
fn random_programs() {
    for seed in 1..=160_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let len = 10 + random.below(120);
        let program = random.program(len, seed % 2 == 0);
        compare(&format!("seed {seed}"), &program, &edges());
    }
}
