//! Arithmetic, byte swaps and sign-extending moves (RFC 9669 §4.1, §4.2).
//!
//! 32-bit operations work on the low halves and zero-extend their result. Cranelift's shifts mask
//! their amount as eBPF's do. Its divisions trap on zero (and on MIN / -1), so these cases branch
//! around them; that is cheaper than replacing the divisor, since the branch predicts well.

use super::Lowering;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use isa::{AluOp, Endian, Operand, Reg, Size, Width};

/// The Cranelift type of a width.
pub(super) fn width_type(width: Width) -> Type {
    match width {
        Width::W32 => I32,
        Width::W64 => I64,
    }
}

/// The Cranelift type of an access size.
pub(super) fn size_type(size: Size) -> Type {
    match size {
        Size::B => I8,
        Size::H => I16,
        Size::W => I32,
        Size::Dw => I64,
    }
}

impl Lowering<'_> {
    pub(super) fn alu(&mut self, (op, width): (AluOp, Width), dst: Reg, src: Operand) {
        // A move does not read its destination, which may be uninitialised.
        if op == AluOp::Mov {
            let value = self.operand(src);
            let value = self.truncated(value, width);
            return self.set_extended(dst, value);
        }
        let x = self.get(dst);
        let x = self.truncated(x, width);
        let y = self.operand(src);
        let y = self.truncated(y, width);
        let ins = self.builder.ins();
        let value = match op {
            AluOp::Add => ins.iadd(x, y),
            AluOp::Sub => ins.isub(x, y),
            AluOp::Mul => ins.imul(x, y),
            AluOp::Or => ins.bor(x, y),
            AluOp::And => ins.band(x, y),
            AluOp::Xor => ins.bxor(x, y),
            AluOp::Lsh => ins.ishl(x, y),
            AluOp::Rsh => ins.ushr(x, y),
            AluOp::Arsh => ins.sshr(x, y),
            AluOp::Div | AluOp::Mod => self.unsigned_division(op, (x, y), src),
            AluOp::SDiv | AluOp::SMod => self.signed_division(op, (x, y), src),
            AluOp::Mov => y,
        };
        self.set_extended(dst, value);
    }

    fn unsigned_division(&mut self, op: AluOp, (x, y): (Value, Value), src: Operand) -> Value {
        if matches!(src, Operand::Imm(imm) if imm != 0) {
            return self.divide(op, x, y);
        }
        let ty = self.builder.func.dfg.value_type(x);
        let [divide, done] = [(); 2].map(|()| self.builder.create_block());
        let result = self.builder.append_block_param(done, ty);
        let by_zero = match op {
            AluOp::Div => self.builder.ins().iconst(ty, 0),
            _ => x,
        };
        let ins = self.builder.ins();
        ins.brif(y, divide, &[], done, &[by_zero.into()]);
        self.enter(divide);
        let value = self.divide(op, x, y);
        self.builder.ins().jump(done, &[value.into()]);
        self.enter(done);
        result
    }

    fn signed_division(&mut self, op: AluOp, (x, y): (Value, Value), src: Operand) -> Value {
        if matches!(src, Operand::Imm(imm) if imm != 0 && imm != -1) {
            return self.divide(op, x, y);
        }
        let ty = self.builder.func.dfg.value_type(x);
        let [divide, special, done] = [(); 3].map(|()| self.builder.create_block());
        let result = self.builder.append_block_param(done, ty);
        // 0 and -1 are the divisors whose successor is below 2.
        let one = self.builder.ins().iconst(ty, 1);
        let two = self.builder.ins().iconst(ty, 2);
        let successor = self.builder.ins().iadd(y, one);
        let ins = self.builder.ins();
        let is_special = ins.icmp(IntCC::UnsignedLessThan, successor, two);
        let ins = self.builder.ins();
        ins.brif(is_special, special, &[], divide, &[]);
        self.enter(divide);
        let value = self.divide(op, x, y);
        self.builder.ins().jump(done, &[value.into()]);
        self.builder.set_cold_block(special);
        self.enter(special);
        // Quotient: 0 for 0, -x for -1. Remainder: x for 0, 0 for -1.
        let factor = if op == AluOp::SDiv { y } else { successor };
        let value = self.builder.ins().imul(x, factor);
        self.builder.ins().jump(done, &[value.into()]);
        self.enter(done);
        result
    }

    /// Divides by something that is not 0, and for signed operations not -1.
    fn divide(&mut self, op: AluOp, x: Value, y: Value) -> Value {
        let ins = self.builder.ins();
        match op {
            AluOp::Div => ins.udiv(x, y),
            AluOp::SDiv => ins.sdiv(x, y),
            AluOp::SMod => ins.srem(x, y),
            _ => ins.urem(x, y),
        }
    }

    pub(super) fn neg(&mut self, width: Width, dst: Reg) {
        let value = self.get(dst);
        let value = self.truncated(value, width);
        let value = self.builder.ins().ineg(value);
        self.set_extended(dst, value);
    }

    pub(super) fn mov_sx(&mut self, width: Width, (dst, src): (Reg, Reg), size: Size) {
        let value = self.get(src);
        let value = self.narrowed(value, size_type(size));
        let wide = width_type(width);
        let value = if self.builder.func.dfg.value_type(value) == wide {
            value
        } else {
            self.builder.ins().sextend(wide, value)
        };
        self.set_extended(dst, value);
    }

    pub(super) fn endian(&mut self, kind: Endian, dst: Reg, size: Size) {
        let value = self.get(dst);
        let value = self.narrowed(value, size_type(size));
        // The target is little-endian, so "to little" only truncates.
        let value = match kind {
            Endian::ToLittle => value,
            Endian::ToBig | Endian::Swap if size == Size::B => value,
            Endian::ToBig | Endian::Swap => self.builder.ins().bswap(value),
        };
        self.set_extended(dst, value);
    }

    /// The low half of a 64-bit value for a 32-bit operation.
    pub(super) fn truncated(&mut self, value: Value, width: Width) -> Value {
        self.narrowed(value, width_type(width))
    }

    /// The low bits of a 64-bit value.
    pub(super) fn narrowed(&mut self, value: Value, ty: Type) -> Value {
        if ty == I64 {
            return value;
        }
        self.builder.ins().ireduce(ty, value)
    }

    /// Sets a register to a zero-extended value.
    pub(super) fn set_extended(&mut self, dst: Reg, value: Value) {
        let value = self.zero_extended(value);
        self.set(dst, value);
    }

    /// A value of any integer type as 64 bits.
    pub(super) fn zero_extended(&mut self, value: Value) -> Value {
        if self.builder.func.dfg.value_type(value) == I64 {
            return value;
        }
        self.builder.ins().uextend(I64, value)
    }
}
