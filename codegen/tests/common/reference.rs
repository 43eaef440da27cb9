//! A plain interpreter over `isa::semantics`, to compare compiled code with.

use isa::{AtomicOp, CallTarget, Imm64, Insn, InsnIdx, Operand, Reg, Size, Width, semantics};
use program::Program;

/// Steps after which a test program counts as endless.
const STEPS: u64 = 1 << 22;

struct Frame {
    return_to: InsnIdx,
    saved: [u64; 4],
    stack: Vec<u64>,
    frame_pointer: u64,
}

/// Runs a program whose memory operands are addresses of this process.
pub(crate) fn run(program: &Program, r1: u64, r2: u64) -> u64 {
    let mut registers = [0u64; Reg::COUNT];
    let mut frames: Vec<Frame> = Vec::new();
    let mut stack = vec![0u64; 64];
    (registers[1], registers[2]) = (r1, r2);
    registers[10] = stack.as_mut_ptr_range().end as u64;
    let mut at = InsnIdx(0);
    for _ in 0..STEPS {
        let insn = program.insns[at.index()];
        let mut next = InsnIdx(at.0 + insn.slots());
        match insn {
            Insn::Jump { offset, .. } => next = at.jump(offset).unwrap(),
            Insn::JumpIf {
                cond,
                width,
                dst,
                src,
                offset,
            } => {
                let (a, b) = (registers[dst.index()], operand(&registers, src));
                if semantics::cond(cond, width, a, b) {
                    next = at.jump(i32::from(offset)).unwrap();
                }
            }
            Insn::Call(CallTarget::Local(offset)) => {
                frames.push(Frame {
                    return_to: next,
                    saved: registers[6..10].try_into().unwrap(),
                    stack: std::mem::replace(&mut stack, vec![0; 64]),
                    frame_pointer: registers[10],
                });
                registers[10] = stack.as_mut_ptr_range().end as u64;
                next = at.jump(offset).unwrap();
            }
            Insn::Exit => {
                let Some(frame) = frames.pop() else {
                    return registers[0];
                };
                registers[6..10].copy_from_slice(&frame.saved);
                registers[10] = frame.frame_pointer;
                stack = frame.stack;
                next = frame.return_to;
            }
            _ => step(&mut registers, insn),
        }
        at = next;
    }
    panic!("endless program");
}

fn operand(registers: &[u64; Reg::COUNT], operand: Operand) -> u64 {
    match operand {
        Operand::Reg(reg) => registers[reg.index()],
        Operand::Imm(imm) => semantics::imm(imm),
    }
}

fn step(r: &mut [u64; Reg::COUNT], insn: Insn) {
    match insn {
        Insn::Alu {
            op,
            width,
            dst,
            src,
        } => {
            r[dst.index()] = semantics::alu(op, width, r[dst.index()], operand(r, src));
        }
        Insn::MovSx {
            width,
            dst,
            src,
            size,
        } => r[dst.index()] = semantics::mov_sx(width, size, r[src.index()]),
        Insn::Neg { width, dst } => r[dst.index()] = semantics::neg(width, r[dst.index()]),
        Insn::Endian { kind, dst, size } => {
            r[dst.index()] = semantics::endian(kind, size, r[dst.index()]);
        }
        Insn::LoadImm64 {
            dst,
            imm: Imm64::Const(value),
        } => r[dst.index()] = value,
        Insn::Load {
            size,
            signed,
            dst,
            base,
            offset,
        } => {
            let raw = read(address(r, base, offset), size);
            r[dst.index()] = semantics::load_extend(size, signed, raw);
        }
        Insn::Store {
            size,
            base,
            offset,
            src,
        } => write(address(r, base, offset), size, operand(r, src)),
        Insn::LoadAcquire {
            size,
            dst,
            base,
            offset,
        } => r[dst.index()] = read(address(r, base, offset), size),
        Insn::StoreRelease {
            size,
            base,
            offset,
            src,
        } => write(address(r, base, offset), size, r[src.index()]),
        Insn::Atomic { .. } => atomic(r, insn),
        other => panic!("the reference does not know {other:?}"),
    }
}

fn atomic(r: &mut [u64; Reg::COUNT], insn: Insn) {
    let Insn::Atomic {
        op,
        fetch,
        size,
        base,
        offset,
        src,
    } = insn
    else {
        return;
    };
    let at = address(r, base, offset);
    let width = if size == Size::Dw {
        Width::W64
    } else {
        Width::W32
    };
    let truncate = |value: u64| match width {
        Width::W32 => u64::from(value as u32),
        Width::W64 => value,
    };
    let old = read(at, size);
    let value = r[src.index()];
    let new = match op {
        AtomicOp::Add => old.wrapping_add(value),
        AtomicOp::Or => old | value,
        AtomicOp::And => old & value,
        AtomicOp::Xor => old ^ value,
        AtomicOp::Xchg => value,
        AtomicOp::CmpXchg if old == truncate(r[0]) => value,
        AtomicOp::CmpXchg => old,
    };
    write(at, size, new);
    match op {
        AtomicOp::CmpXchg => r[0] = old,
        _ if fetch => r[src.index()] = old,
        _ => {}
    }
}

fn address(r: &[u64; Reg::COUNT], base: Reg, offset: i16) -> u64 {
    r[base.index()].wrapping_add_signed(i64::from(offset))
}

/// Reads the low bytes of a number at an address.
fn read(address: u64, size: Size) -> u64 {
    let bytes = super::read_bytes(address, size.bytes() as usize);
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(&bytes);
    u64::from_le_bytes(wide)
}

fn write(address: u64, size: Size, value: u64) {
    super::write_bytes(address, &value.to_le_bytes()[..size.bytes() as usize]);
}
