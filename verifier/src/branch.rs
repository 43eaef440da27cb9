//! Conditional jumps: which ways are possible, and what each way learns.

use crate::alu::is_same_object;
use crate::domain::Scalar;
use crate::effect::{Parting, Refinement};
use crate::limits;
use crate::link::Link;
use crate::reason::Reason;
use crate::state::State;
use crate::step::{Flow, Step};
use crate::sums;
use crate::value::{Pointer, Region, Value};
use alloc::boxed::Box;
use isa::{Cond, InsnIdx, Operand, Reg, Width};

/// The operands where a way is possible, `None` where it is not.
type Operands = Option<(Scalar, Scalar)>;

/// A place whose number a branch refines.
#[derive(Clone, Copy)]
struct Place {
    reg: Option<Reg>,
    link: Link,
}

impl Step<'_, '_> {
    /// `if dst cond src goto target`
    pub(crate) fn jump_if(
        &mut self,
        comparison: (Cond, Width),
        dst: Reg,
        src: Operand,
        target: Option<InsnIdx>,
    ) -> Result<Flow, Reason> {
        if self.asks_whether_it_was(comparison, dst, src) {
            return self.both(target, |_, _| {});
        }
        let (left, right) = (self.read(dst)?, self.operand(src)?);
        match (&left, &right) {
            (Value::Number { scalar: a, .. }, Value::Number { scalar: b, .. }) => {
                let ways = if is_same_number(dst, src, &left, &right) {
                    compare_with_self(comparison, a)
                } else {
                    compare(comparison, a, b)
                };
                let place = |value: &Value, reg| Place {
                    reg,
                    link: value.link(),
                };
                let src = match src {
                    Operand::Reg(reg) => Some(reg),
                    Operand::Imm(_) => None,
                };
                let places = (place(&left, Some(dst)), place(&right, src));
                self.number_branch(ways, places, target)
            }
            (Value::Pointer(pointer), number) if number.is_zero() => {
                self.null_branch(comparison, pointer, (left, right), target)
            }
            (number, Value::Pointer(pointer)) if number.is_zero() => {
                self.null_branch(comparison, pointer, (left, right), target)
            }
            (Value::Pointer(a), Value::Pointer(b)) => {
                self.pointer_branch(comparison, (a, b), target)
            }
            _ if self.may_leak() => self.both(target, |_, _| {}),
            _ => Err(Reason::PointerComparison { left, right }),
        }
    }

    /// Is a pointer compared with NULL whose resource was released? Programs do that to remember
    /// whether they had one.
    fn asks_whether_it_was(&self, comparison: (Cond, Width), dst: Reg, src: Operand) -> bool {
        let held = self.state.top().register(dst);
        matches!(comparison, (Cond::Eq | Cond::Ne, Width::W64))
            && matches!(held, Value::Unreadable(why) if why.is_there())
            && self.operand(src).is_ok_and(|value| value.is_zero())
    }

    fn number_branch(
        &mut self,
        (taken, fall_through): (Operands, Operands),
        places: (Place, Place),
        target: Option<InsnIdx>,
    ) -> Result<Flow, Reason> {
        let apply = |state: &mut State, (a, b): (Scalar, Scalar)| {
            refine(state, places.0, a);
            refine(state, places.1, b);
        };
        match (taken, fall_through) {
            (Some(yes), Some(no)) => self.both(target, |state, way| {
                apply(state, if way == Side::Taken { yes } else { no });
            }),
            (Some(yes), None) => {
                apply(self.state, yes);
                self.facts.follow(self.at, Side::Taken);
                self.jump(target)
            }
            (None, no) => {
                if let Some(no) = no {
                    apply(self.state, no);
                }
                self.facts.follow(self.at, Side::FallThrough);
                self.next(1)
            }
        }
    }

    /// Comparison of a pointer with NULL.
    fn null_branch(
        &mut self,
        (cond, width): (Cond, Width),
        pointer: &Pointer,
        (left, right): (Value, Value),
        target: Option<InsnIdx>,
    ) -> Result<Flow, Reason> {
        let null_side = match (cond, width) {
            (Cond::Eq, Width::W64) => Side::Taken,
            (Cond::Ne, Width::W64) => Side::FallThrough,
            // Where the packet pointers of a context have 32 bits, compilers look at no more.
            (Cond::Eq | Cond::Ne, Width::W32) if pointer.is_packet() => {
                return self.both(target, |_, _| {});
            }
            _ if self.may_leak() => return self.both(target, |_, _| {}),
            _ => return Err(Reason::PointerComparison { left, right }),
        };
        // Some hooks have no data: start and end of the packet are then both NULL.
        if pointer.is_packet() || pointer.is_unsure() {
            return self.both(target, |_, _| {});
        }
        let null = pointer.null;
        if null != 0 {
            return self.both(target, |state, side| {
                if side == null_side {
                    state.assume_null(null);
                } else {
                    state.assume_not_null(null);
                }
            });
        }
        // No valid pointer is NULL.
        if null_side == Side::Taken {
            self.facts.follow(self.at, Side::FallThrough);
            return self.next(1);
        }
        self.facts.follow(self.at, Side::Taken);
        self.jump(target)
    }

    fn pointer_branch(
        &mut self,
        (cond, width): (Cond, Width),
        (a, b): (&Pointer, &Pointer),
        target: Option<InsnIdx>,
    ) -> Result<Flow, Reason> {
        let are_there = width == Width::W64 && a.null == 0 && b.null == 0;
        let comparable = are_there && is_same_object(a, b);
        let is_equality = matches!(cond, Cond::Eq | Cond::Ne);
        let is_known = is_equality && are_there && may_be_buffer(a, b);
        if is_equality && width == Width::W64 && !comparable && are_objects(a, b) {
            return self.identity_branch(cond, (a, b), target);
        }
        // No packet is so long that the lower halves say more than the whole pointers.
        let are_halves = is_equality
            && width == Width::W32
            && (a.null, b.null) == (0, 0)
            && a.is_packet()
            && b.is_packet();
        if !comparable && !is_known && !are_halves && !self.may_leak() {
            return Err(Reason::PointerComparison {
                left: Value::Pointer(*a),
                right: Value::Pointer(*b),
            });
        }
        let proved = if comparable {
            packet_proof(cond, a, b)
        } else {
            None
        };
        self.both(target, |state, side| {
            if let Some((pointer, taken, fall_through)) = proved {
                sums::learn(state, &pointer, (taken, fall_through), side);
            }
        })
    }

    /// Are these the same object? If so, and one of them is there, the other is.
    fn identity_branch(
        &mut self,
        cond: Cond,
        (a, b): (&Pointer, &Pointer),
        target: Option<InsnIdx>,
    ) -> Result<Flow, Reason> {
        let same = match cond {
            Cond::Eq => Side::Taken,
            _ => Side::FallThrough,
        };
        let (one, other) = (a.null, b.null);
        self.both(target, |state, side| match (side == same, one, other) {
            (true, 0, null @ 1..) | (true, null @ 1.., 0) => state.assume_not_null(null),
            _ => {}
        })
    }

    /// Goes both ways, after `learn` has changed the state of each.
    pub(crate) fn both(
        &mut self,
        target: Option<InsnIdx>,
        learn: impl Fn(&mut State, Side),
    ) -> Result<Flow, Reason> {
        let target = match self.jump(target)? {
            Flow::To(target) => target,
            other => return Ok(other),
        };
        self.next(1)?;
        let mut taken = self.state.clone();
        learn(&mut taken, Side::Taken);
        let mut fall_through = self.state.clone();
        learn(&mut fall_through, Side::FallThrough);
        self.facts.follow(self.at, Side::Taken);
        self.facts.follow(self.at, Side::FallThrough);
        Ok(Flow::Fork {
            parting: Parting::Jump(Refinement::of(self.insn()?, self.state)),
            taken: Box::new(taken),
            target,
            fall_through: Box::new(fall_through),
        })
    }
}

pub(crate) use crate::reject::Way as Side;

/// Is one a slice and the other the stack, where the slice may be? Programs ask to know whether they
/// must write the buffer back.
fn may_be_buffer(a: &Pointer, b: &Pointer) -> bool {
    match (a.region, b.region) {
        (Region::Slice(slice), Region::Stack { frame })
        | (Region::Stack { frame }, Region::Slice(slice)) => {
            slice.buffer.is_some_and(|buffer| buffer.frame == frame)
        }
        _ => false,
    }
}

/// Are these objects of one kind, of which programs have several?
fn are_objects(a: &Pointer, b: &Pointer) -> bool {
    matches!(
        (a.region, b.region),
        (Region::Socket { .. }, Region::Socket { .. })
            | (Region::MapValue { .. }, Region::MapValue { .. })
    )
}

fn is_same_number(dst: Reg, src: Operand, left: &Value, right: &Value) -> bool {
    src == Operand::Reg(dst) || (left.link().is_some() && left.link() == right.link())
}

fn compare((cond, width): (Cond, Width), a: &Scalar, b: &Scalar) -> (Operands, Operands) {
    (
        Scalar::refine(cond, width, a, b),
        Scalar::refine_not(cond, width, a, b),
    )
}

/// A number compared with itself.
fn compare_with_self((cond, width): (Cond, Width), a: &Scalar) -> (Operands, Operands) {
    let itself = Some((*a, *a));
    match cond {
        Cond::Eq | Cond::Ge | Cond::Le | Cond::Sge | Cond::Sle => (itself, None),
        Cond::Ne | Cond::Gt | Cond::Lt | Cond::Sgt | Cond::Slt => (None, itself),
        // `a & a != 0` is `a != 0`.
        Cond::Set => {
            let zero = Scalar::constant(0);
            let twice = |ways: Operands| ways.map(|(a, _)| (a, a));
            let (taken, fall_through) = compare((Cond::Ne, width), a, &zero);
            (twice(taken), twice(fall_through))
        }
    }
}

fn refine(state: &mut State, place: Place, scalar: Scalar) {
    let Some(reg) = place.reg else {
        return;
    };
    if place.link.is_some() {
        state.relink(place.link, &scalar);
    } else {
        state.top_mut().set(reg, Value::number(scalar));
    }
}

/// Which packet pointer a comparison with the end of its area proves something about, and how many
/// bytes from its known offset back are proven where the condition holds and where it does not.
fn packet_proof(
    cond: Cond,
    a: &Pointer,
    b: &Pointer,
) -> Option<(Pointer, Option<i64>, Option<i64>)> {
    let (pointer, cond) = if is_end_of(b, a) {
        (a, cond)
    } else if is_end_of(a, b) {
        (b, swapped(cond)?)
    } else {
        return None;
    };
    // The sum of the offsets stays below the size of any packet: the pointer cannot have wrapped.
    if pointer.offset_range().1 > limits::PACKET_BYTES {
        return None;
    }
    let up_to = Some(i64::from(pointer.fixed));
    let beyond = Some(i64::from(pointer.fixed) + 1);
    let (taken, fall_through) = match cond {
        Cond::Gt => (None, up_to),
        Cond::Ge => (None, beyond),
        Cond::Lt => (beyond, None),
        Cond::Le => (up_to, None),
        Cond::Eq => (up_to, None),
        Cond::Ne => (None, up_to),
        Cond::Set | Cond::Sgt | Cond::Sge | Cond::Slt | Cond::Sle => return None,
    };
    Some((*pointer, taken, fall_through))
}

/// Does `end` point where the area that `pointer` points into ends?
fn is_end_of(end: &Pointer, pointer: &Pointer) -> bool {
    match (end.region, pointer.region) {
        (Region::PacketEnd, Region::Packet { .. }) => true,
        (Region::Packet { id: 0, .. }, Region::PacketMeta { .. }) => end.known_offset() == Some(0),
        _ => false,
    }
}

/// The same comparison with the operands exchanged.
fn swapped(cond: Cond) -> Option<Cond> {
    Some(match cond {
        Cond::Eq => Cond::Eq,
        Cond::Ne => Cond::Ne,
        Cond::Gt => Cond::Lt,
        Cond::Ge => Cond::Le,
        Cond::Lt => Cond::Gt,
        Cond::Le => Cond::Ge,
        Cond::Set | Cond::Sgt | Cond::Sge | Cond::Slt | Cond::Sle => return None,
    })
}
