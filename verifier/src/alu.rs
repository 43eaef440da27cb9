//! Arithmetic on numbers and pointers.

use crate::domain::Scalar;
use crate::limits;
use crate::link::Link;
use crate::reason::Reason;
use crate::state::Distance;
use crate::step::Step;
use crate::value::{Pointer, Region, Value};
use isa::{AluOp, Endian, Operand, Reg, Size, Width};

/// A number or pointer and the register it came from.
type From = (Reg, Value);

impl Step<'_, '_> {
    /// `dst = dst op src`
    pub(crate) fn alu(
        &mut self,
        op: AluOp,
        width: Width,
        dst: Reg,
        src: Operand,
    ) -> Result<(), Reason> {
        let right = self.operand(src)?;
        if op == AluOp::Mov {
            return self.mov(width, dst, src, right);
        }
        let left = self.read(dst)?;
        let result = match (left.scalar(), right.scalar()) {
            (Some(a), Some(b)) => {
                let same = src == Operand::Reg(dst)
                    || (left.link().is_some() && left.link() == right.link());
                match (op, left.link().minus(right.link(), width), src) {
                    (AluOp::Sub | AluOp::Xor, _, _) if same => Value::constant(0),
                    (AluOp::Sub, Some(difference), _) => difference_of_linked(difference, width),
                    (_, _, Operand::Reg(reg)) => {
                        let how = (op, width);
                        let result = linked_result(how, (a, left.link()), (b, right.link()));
                        self.note_total(how, &left, (reg, right), result)?
                    }
                    _ => linked_result((op, width), (a, left.link()), (b, right.link())),
                }
            }
            _ => {
                let from = match src {
                    Operand::Reg(reg) => reg,
                    Operand::Imm(_) => dst,
                };
                self.pointer_alu(op, width, (dst, left), (from, right))?
            }
        };
        self.set(dst, result)
    }

    fn mov(&mut self, width: Width, dst: Reg, src: Operand, value: Value) -> Result<(), Reason> {
        let Some(scalar) = value.scalar().copied() else {
            if width == Width::W32 {
                let Operand::Reg(reg) = src else {
                    return Ok(());
                };
                if !self.may_leak() && self.is_subtracted_next(dst) {
                    // The next instruction takes the lower half itself.
                    return self.set(dst, value);
                }
                self.refuse_partial(reg, value, "a 32-bit move")?;
                return self.set(dst, Value::number(Scalar::UNKNOWN.truncate32()));
            }
            return self.set(dst, value);
        };
        let shared = match src {
            Operand::Reg(reg) if reg != dst => self.link(reg, value)?,
            _ => value,
        };
        let copy = match width {
            Width::W64 => shared,
            Width::W32 => Value::Number {
                scalar: scalar.truncate32(),
                link: shared.link().low(&scalar),
            },
        };
        self.set(dst, copy)
    }

    /// Is a register's lower half all that is read of it next, and gone then? Compilers move the
    /// end of a packet like this to compute its length in 32 bits. The whole pointer stands for its
    /// lower half until then: no other instruction sees it, and the difference of two pointers in
    /// 32 bits does not depend on the upper halves.
    fn is_subtracted_next(&self, dst: Reg) -> bool {
        let next = self
            .env
            .program
            .insns
            .get(self.at.index().saturating_add(1));
        next.is_some_and(|insn| insn.is_difference_of_halves(dst))
    }

    /// Gives the number in a register a link, so that a second place can share it. Constants need
    /// none. `reg` is left alone when it does not hold `value` (immediates).
    pub(crate) fn link(&mut self, reg: Reg, value: Value) -> Result<Value, Reason> {
        let Value::Number { scalar, link } = value else {
            return Ok(value);
        };
        if link.is_some() || scalar.is_const().is_some() || self.state.top().register(reg) != value
        {
            return Ok(value);
        }
        let link = Link::to(self.fresh());
        let shared = Value::Number { scalar, link };
        self.set(reg, shared)?;
        Ok(shared)
    }

    /// Operations that would make a number of part of an address.
    fn refuse_partial(&self, reg: Reg, found: Value, what: &'static str) -> Result<(), Reason> {
        if self.may_leak() {
            return Ok(());
        }
        Err(Reason::PointerArithmetic { reg, found, what })
    }

    /// `dst = (size)src`, sign-extended.
    pub(crate) fn mov_sx(
        &mut self,
        width: Width,
        dst: Reg,
        src: Reg,
        size: Size,
    ) -> Result<(), Reason> {
        let found = self.read(src)?;
        let Some(scalar) = found.scalar().copied() else {
            let what = "a sign-extending move";
            return Err(Reason::PointerArithmetic {
                reg: src,
                found,
                what,
            });
        };
        let link = match (width, size) {
            (Width::W64, Size::W) if src != dst => self.link(src, found)?.link(),
            (Width::W64, Size::W) => found.link(),
            _ => Link::NONE,
        };
        let link = link.signed_low(&scalar);
        let scalar = Scalar::mov_sx(width, size, &scalar);
        self.set(dst, Value::Number { scalar, link })
    }

    /// `dst = -dst`
    pub(crate) fn neg(&mut self, width: Width, dst: Reg) -> Result<(), Reason> {
        self.unary(dst, "negation", |scalar| Scalar::neg(width, scalar))
    }

    /// Byte order conversion.
    pub(crate) fn endian(&mut self, kind: Endian, dst: Reg, size: Size) -> Result<(), Reason> {
        self.unary(dst, "a byte order conversion", |scalar| {
            Scalar::endian(kind, size, scalar)
        })
    }

    fn unary(
        &mut self,
        dst: Reg,
        what: &'static str,
        op: impl Fn(&Scalar) -> Scalar,
    ) -> Result<(), Reason> {
        let found = self.read(dst)?;
        let Some(scalar) = found.scalar() else {
            return Err(Reason::PointerArithmetic {
                reg: dst,
                found,
                what,
            });
        };
        self.set(dst, Value::number(op(scalar)))
    }

    fn pointer_alu(
        &mut self,
        op: AluOp,
        width: Width,
        left: From,
        right: From,
    ) -> Result<Value, Reason> {
        let (reg, found) = if left.1.pointer().is_some() {
            left
        } else {
            right
        };
        if width == Width::W32 {
            return self.pointer_alu32(op, (left.1, right.1), (reg, found));
        }
        match (op, &left.1, &right.1) {
            (AluOp::Add, Value::Pointer(pointer), Value::Number { scalar, .. }) => {
                let moved = self.move_pointer(reg, pointer, scalar)?;
                let link = self.link(right.0, right.1)?.link();
                Ok(self.note_move(pointer, moved, (link, scalar)))
            }
            (AluOp::Add, Value::Number { scalar, link }, Value::Pointer(pointer)) => {
                let moved = self.move_pointer(reg, pointer, scalar)?;
                Ok(self.note_move(pointer, moved, (*link, scalar)))
            }
            (AluOp::Sub, Value::Pointer(pointer), Value::Number { scalar, .. }) => {
                self.move_pointer(reg, pointer, &Scalar::neg(Width::W64, scalar))
            }
            (AluOp::Sub, Value::Pointer(a), Value::Pointer(b)) => self.distance(reg, a, b),
            _ => Err(Reason::PointerArithmetic {
                reg,
                found,
                what: op_name(op),
            }),
        }
    }

    /// Half of an address means nothing, but the distance of two pointers fits in 32 bits.
    fn pointer_alu32(
        &mut self,
        op: AluOp,
        operands: (Value, Value),
        (reg, found): From,
    ) -> Result<Value, Reason> {
        if let (AluOp::Sub, Value::Pointer(a), Value::Pointer(b)) = (op, operands.0, operands.1)
            && let Value::Number { scalar, link } = self.distance(reg, &a, &b)?
        {
            let link = link.low(&scalar);
            let scalar = scalar.truncate32();
            return Ok(Value::Number { scalar, link });
        }
        let what = "32-bit arithmetic";
        Err(Reason::PointerArithmetic { reg, found, what })
    }

    /// The distance of two pointers into the same object is a harmless number.
    fn distance(&mut self, reg: Reg, a: &Pointer, b: &Pointer) -> Result<Value, Reason> {
        if a.null == 0 && b.null == 0 {
            if let (Region::PacketEnd, Region::Packet { id, .. }) = (a.region, b.region) {
                return Ok(self.packet_length(id, b.fixed));
            }
            if is_same_base(a, b) {
                let distance = i64::from(a.fixed).saturating_sub(i64::from(b.fixed));
                return Ok(Value::constant(distance as u64));
            }
            if is_same_object(a, b) || self.may_leak() {
                return Ok(Value::unknown());
            }
        }
        Err(Reason::PointerArithmetic {
            reg,
            found: Value::Pointer(*a),
            what: "subtraction of a pointer to something else",
        })
    }

    /// The number of bytes from a packet pointer to the end of the packet.
    fn packet_length(&mut self, packet: u32, fixed: i32) -> Value {
        let link = self.fresh();
        let distance = Distance {
            link,
            packet,
            fixed,
        };
        self.state.distances.push(distance);
        Value::Number {
            scalar: distance.range(),
            link: Link::to(link),
        }
    }

    /// `pointer + by`
    fn move_pointer(&mut self, reg: Reg, pointer: &Pointer, by: &Scalar) -> Result<Value, Reason> {
        let found = Value::Pointer(*pointer);
        if pointer.null != 0 {
            return Err(Reason::MaybeNull { reg, found });
        }
        let movable = match pointer.region {
            Region::Stack { .. }
            | Region::Packet { .. }
            | Region::PacketMeta { .. }
            | Region::MapValue { .. }
            | Region::Memory { .. }
            | Region::Slice(_) => true,
            // Of what the fields of a tracepoint say lies behind them, a helper may read a copy.
            Region::Context if self.may_leak() => true,
            Region::Context | Region::Kernel { .. } => by.is_const().is_some(),
            _ => false,
        };
        if !movable {
            let what = "moving the pointer";
            return Err(Reason::PointerArithmetic { reg, found, what });
        }
        let moved = match by.is_const() {
            Some(by) => moved_by(pointer, by as i64),
            None => self.moved_somewhere(pointer, by),
        };
        moved.map(Value::Pointer).ok_or(Reason::PointerOffset {
            reg,
            found,
            added: *by,
        })
    }

    /// Notes by what a pointer was moved, where that is not known exactly.
    fn note_move(&mut self, from: &Pointer, moved: Value, by: (Link, &Scalar)) -> Value {
        let Value::Pointer(to) = moved else {
            return moved;
        };
        if to.region != from.region {
            self.state.add_sum(by, (from.region, to.region));
        }
        let is_offset = !to.is_packet() && from.var.is_const() == Some(0) && !by.0.is_shifted();
        let link = match is_offset && to.var.is_const().is_none() {
            true => by.0,
            false => to.link,
        };
        Value::Pointer(Pointer { link, ..to })
    }

    fn moved_somewhere(&mut self, pointer: &Pointer, by: &Scalar) -> Option<Pointer> {
        in_reach(by)?;
        let var = Scalar::alu(AluOp::Add, Width::W64, &pointer.var, by);
        in_reach(&var)?;
        // Whatever the sum is, it is not what the offset was.
        let link = Link::NONE;
        let region = match pointer.region {
            // What was proved about the old place says nothing about the new one.
            Region::Packet { .. } => Region::Packet {
                id: self.fresh(),
                range: 0,
            },
            Region::PacketMeta { .. } => Region::PacketMeta {
                id: self.fresh(),
                range: 0,
            },
            region => region,
        };
        Some(Pointer {
            region,
            var,
            link,
            ..*pointer
        })
    }
}

/// The difference of two numbers that are equal up to a constant.
fn difference_of_linked(difference: i64, width: Width) -> Value {
    Value::constant(match width {
        Width::W64 => difference as u64,
        Width::W32 => u64::from(difference as u32),
    })
}

/// The result of an operation; adding a constant, or an extension, keeps the link.
fn linked_result(
    (op, width): (AluOp, Width),
    (a, left): (&Scalar, Link),
    (b, right): (&Scalar, Link),
) -> Value {
    let scalar = Scalar::alu(op, width, a, b);
    let link = match (a.is_const(), b.is_const()) {
        (_, Some(constant)) => left.after(op, width, a, constant),
        (Some(constant), _) if is_symmetric(op) => right.after(op, width, b, constant),
        _ => Link::NONE,
    };
    Value::Number { scalar, link }
}

fn is_symmetric(op: AluOp) -> bool {
    matches!(op, AluOp::Add | AluOp::And)
}

fn moved_by(pointer: &Pointer, by: i64) -> Option<Pointer> {
    let fixed = i64::from(pointer.fixed).checked_add(by)?;
    if fixed.unsigned_abs() > limits::POINTER_OFFSET as u64 {
        return None;
    }
    Some(Pointer {
        fixed: i32::try_from(fixed).ok()?,
        ..*pointer
    })
}

/// Numbers small enough to be added to pointers.
fn in_reach(by: &Scalar) -> Option<()> {
    let reach = limits::POINTER_OFFSET;
    (by.smin() >= -reach && by.smax() <= reach).then_some(())
}

/// Do the pointers differ only in their known offsets?
pub(crate) fn is_same_base(a: &Pointer, b: &Pointer) -> bool {
    let constant = a.var.is_const().is_some() && a.var == b.var;
    match (a.region, b.region) {
        (Region::Packet { id, .. }, Region::Packet { id: other, .. })
        | (Region::PacketMeta { id, .. }, Region::PacketMeta { id: other, .. }) => id == other,
        // Equal regions are not always the same object: maps inside maps, kernel objects.
        (first, second) => constant && first == second && is_same_object(a, b),
    }
}

/// Do the pointers point into the same object?
pub(crate) fn is_same_object(a: &Pointer, b: &Pointer) -> bool {
    match (a.region, b.region) {
        _ if a.is_packet() && b.is_packet() => true,
        (Region::MapValue { .. }, Region::MapValue { .. })
        | (Region::Stack { .. }, Region::Stack { .. })
        | (Region::Context, Region::Context) => a.region == b.region,
        (
            Region::Memory { reference, .. },
            Region::Memory {
                reference: other, ..
            },
        ) => reference != 0 && reference == other,
        _ => false,
    }
}

fn op_name(op: AluOp) -> &'static str {
    match op {
        AluOp::Add => "addition of a pointer",
        AluOp::Sub => "subtraction of a pointer",
        AluOp::Mul => "multiplication",
        AluOp::Div | AluOp::SDiv => "division",
        AluOp::Mod | AluOp::SMod => "remainder",
        AluOp::Or | AluOp::And | AluOp::Xor => "bitwise arithmetic",
        AluOp::Lsh | AluOp::Rsh | AluOp::Arsh => "shifting",
        AluOp::Mov => "moving",
    }
}
