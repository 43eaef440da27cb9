//! Arithmetic, byte swaps and sign-extending moves (RFC 9669 §4.1, §4.2).
//!
//! 32-bit operations work on the low halves and zero-extend their result. Cranelift's shifts mask
//! their amount as eBPF's do. Its divisions trap on zero (and on MIN / -1), so the divisor is
//! replaced by 1 in those cases and the result chosen afterwards; both are conditional moves.

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
        let divide = |this: &mut Self, divisor| match op {
            AluOp::Div => this.builder.ins().udiv(x, divisor),
            _ => this.builder.ins().urem(x, divisor),
        };
        if matches!(src, Operand::Imm(imm) if imm != 0) {
            return divide(self, y);
        }
        let ty = self.builder.func.dfg.value_type(x);
        let zero = self.builder.ins().iconst(ty, 0);
        let one = self.builder.ins().iconst(ty, 1);
        let by_zero = self.builder.ins().icmp(IntCC::Equal, y, zero);
        let divisor = self.builder.ins().select(by_zero, one, y);
        let value = divide(self, divisor);
        let otherwise = if op == AluOp::Div { zero } else { x };
        self.builder.ins().select(by_zero, otherwise, value)
    }

    fn signed_division(&mut self, op: AluOp, (x, y): (Value, Value), src: Operand) -> Value {
        let divide = |this: &mut Self, divisor| match op {
            AluOp::SDiv => this.builder.ins().sdiv(x, divisor),
            _ => this.builder.ins().srem(x, divisor),
        };
        if matches!(src, Operand::Imm(imm) if imm != 0 && imm != -1) {
            return divide(self, y);
        }
        let ty = self.builder.func.dfg.value_type(x);
        let zero = self.builder.ins().iconst(ty, 0);
        let one = self.builder.ins().iconst(ty, 1);
        let two = self.builder.ins().iconst(ty, 2);
        // 0 and -1 are the divisors whose successor is below 2.
        let successor = self.builder.ins().iadd(y, one);
        let is_special = self
            .builder
            .ins()
            .icmp(IntCC::UnsignedLessThan, successor, two);
        let divisor = self.builder.ins().select(is_special, one, y);
        let value = divide(self, divisor);
        let by_zero = self.builder.ins().icmp(IntCC::Equal, y, zero);
        if op == AluOp::SMod {
            // By -1 the remainder is 0, as by 1.
            return self.builder.ins().select(by_zero, x, value);
        }
        // By -1 the quotient is -x, MIN for MIN.
        let negated = self.builder.ins().ineg(x);
        let special = self.builder.ins().select(by_zero, zero, negated);
        self.builder.ins().select(is_special, special, value)
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
