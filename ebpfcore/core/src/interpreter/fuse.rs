//! Joining of neighbouring operations: fewer operations to fetch and dispatch.
//!
//! A pair is joined only when control cannot enter between its halves; the translation knows that.
//! The joined operation computes exactly what the pair computes, including what is left in every
//! register, because the first half's result is overwritten by the second.

use super::op::{Op, Opcode, Source};
use isa::Width;

/// One operation that does what `first` and then `second` do, if there is one.
pub(super) fn fuse(first: Op, second: Op) -> Option<Op> {
    join_move(first, second).or_else(|| join_shifts(first, second))
}

/// `a = b; a op= c` becomes `a = b op c`.
fn join_move(first: Op, second: Op) -> Option<Op> {
    let (code, width, source) = second.code.after_move()?;
    let moved = match first.code {
        Opcode::Mov64R => Width::W64,
        Opcode::Mov32R => Width::W32,
        _ => return None,
    };
    // `c` may be `a` itself, whose new value is `b`.
    let third = if second.src == first.dst {
        first.src
    } else {
        second.src
    };
    let same = moved == width && first.dst == second.dst;
    let third = if source == Source::Register { third } else { 0 };
    same.then_some(Op {
        code,
        dst: first.dst,
        src: first.src,
        third,
        offset: 0,
        imm: second.imm,
    })
}

/// `a <<= 32; a >>= 32` truncates or sign-extends.
fn join_shifts(first: Op, second: Op) -> Option<Op> {
    let code = match (first.code, second.code) {
        (Opcode::Lsh64I, Opcode::Rsh64I) => Opcode::Mov32R,
        (Opcode::Lsh64I, Opcode::Arsh64I) => Opcode::Sx64W,
        (Opcode::MovLsh64I, Opcode::Rsh64I) => Opcode::Mov32R,
        (Opcode::MovLsh64I, Opcode::Arsh64I) => Opcode::Sx64W,
        _ => return None,
    };
    let src = match first.code {
        Opcode::Lsh64I => first.dst,
        _ => first.src,
    };
    let whole = first.imm == 32 && second.imm == 32 && first.dst == second.dst;
    whole.then_some(Op {
        code,
        dst: first.dst,
        src,
        third: 0,
        offset: 0,
        imm: 0,
    })
}
