//! Guessing a more general state where many paths meet.
//!
//! When several states at one place were proved safe and yet another arrives that none of them
//! covers, they usually differ in things that do not matter. The new state is then replaced by one
//! in which such numbers may be anything and such pointers are forgotten, which covers the states still to come. The guess is sound (the
//! general state contains the one that arrived) and may be wrong: something may matter after all.
//! The explorer takes a guess back when a path from it fails.

use crate::domain::Scalar;
use crate::link::Link;
use crate::packed::Packed;
use crate::stack::{Byte, EMPTY, Half, SLOTS, Slot, Stack};
use crate::state::{Frame, State};
use crate::subsume::{Names, pointer_fits, slot_fits};
use crate::value::{Pointer, Region, Value};
use alloc::rc::Rc;
use isa::Reg;

impl State {
    /// A state that contains this one and in which what differs from `old` is widened or forgotten;
    /// `None` when the states have different frames or resources, or nothing differs.
    pub(crate) fn generalised(&self, old: &State) -> Option<State> {
        self.general(old, |_, _| Scalar::UNKNOWN)
    }

    /// The same, with numbers that are what either state has.
    pub(crate) fn joined(&self, old: &State) -> Option<State> {
        self.general(old, Scalar::join)
    }

    fn general(&self, old: &State, wide: Wide) -> Option<State> {
        let same_shape = self.frames().len() == old.frames().len()
            && self.references.is_empty()
            && old.references.is_empty()
            && self.lock == old.lock;
        if !same_shape {
            return None;
        }
        let mut general = self.clone();
        let mut changed = false;
        let mut names = Names::default();
        for (depth, old) in old.frames().iter().enumerate() {
            let frame = general.frame_mut(u8::try_from(depth).ok()?)?;
            changed |= generalise_frame(frame, old, (&mut names, wide))?;
        }
        changed.then_some(general)
    }
}

/// Whether something was widened; `None` when the frames do not fit.
fn generalise_frame(
    frame: &mut Frame,
    old: &Rc<Frame>,
    (names, wide): (&mut Names, Wide),
) -> Option<bool> {
    if frame.function != old.function || frame.call != old.call || frame.role != old.role {
        return None;
    }
    let mut changed = false;
    for reg in Reg::ALL {
        let value = frame.register(reg);
        match (value, &old.register(reg)) {
            (Value::Number { scalar, .. }, Value::Number { scalar: known, .. }) => {
                if let Some(scalar) = widened(&scalar, known, wide) {
                    frame.set(reg, Value::number(scalar));
                    changed = true;
                } else if is_unrelated(frame.packed(reg), old.packed(reg), names) {
                    frame.set(reg, Value::number(scalar));
                    changed = true;
                }
            }
            (Value::Unreadable(why), known) if why.is_there() && !may_be_asked(known) => {
                frame.set(reg, Value::uninitialised());
                changed = true;
            }
            (Value::Unreadable(_), _) => {}
            (Value::Pointer(pointer), Value::Pointer(known)) if pointer_fits(&pointer, known) => {}
            (value, known) if reg != Reg::R10 => {
                frame.set(reg, forgotten(&value, known));
                changed = true;
            }
            _ => return None,
        }
    }
    Some(changed | generalise_stack(&mut frame.stack, &old.stack, (names, wide)))
}

/// What stands for two numbers. For guesses that is anything at all: they are hardly ever wrong, and
/// narrower ones only postpone the question to the next state.
type Wide = fn(&Scalar, &Scalar) -> Scalar;

/// May a program ask whether it is NULL?
fn may_be_asked(value: &Value) -> bool {
    !matches!(value, Value::Unreadable(why) if !why.is_there())
}

/// What covers both, unless the old one does already.
fn widened(new: &Scalar, old: &Scalar, wide: Wide) -> Option<Scalar> {
    (!new.leq(old)).then(|| wide(new, old))
}

/// Does the new state say that the number has to do with others, and the old one does not?
fn is_unrelated(new: &Packed, old: &Packed, names: &mut Names) -> bool {
    old.scalar().is_some() && !names.bind_link(old, new)
}

/// Of a pointer into the packet that differs only in what is proved about it, the smaller proof
/// stays; of all else that differs nothing does.
fn forgotten(new: &Value, old: &Value) -> Value {
    let (Value::Pointer(pointer), Value::Pointer(known)) = (new, old) else {
        return Value::uninitialised();
    };
    if let (Region::Packet { id, range }, Region::Packet { range: had, .. }) =
        (pointer.region, known.region)
    {
        let range = range.min(had);
        let region = Region::Packet { id, range };
        let weaker = Pointer { region, ..*pointer };
        if pointer_fits(&weaker, &Pointer { region, ..*known }) || weaker.fixed == known.fixed {
            return Value::Pointer(weaker);
        }
    }
    Value::uninitialised()
}

fn generalise_stack(stack: &mut Stack, old: &Stack, (names, wide): (&mut Names, Wide)) -> bool {
    let mut changed = false;
    for index in 0..SLOTS {
        let (slot, known) = (stack.slot(index), old.slot(index));
        if slot_fits(slot, known) {
            if let (Slot::Whole(value), Some(old)) = (slot, known.part(0, 8))
                && is_unrelated(value, &old, names)
                && let Some(scalar) = value.scalar()
            {
                let plain = Packed::number(&scalar, Link::NONE);
                stack.replace(index, Slot::Whole(plain));
                changed = true;
            }
            continue;
        }
        let general = generalised_slot(slot, known, wide);
        if general != *slot {
            stack.replace(index, general);
            changed = true;
        }
    }
    changed
}

fn generalised_slot(slot: &Slot, old: &Slot, wide: Wide) -> Slot {
    match slot {
        Slot::Whole(value) => {
            let Some(known) = old.part(0, 8) else {
                return EMPTY;
            };
            let general = match (&value.value(), &known.value()) {
                (Value::Number { scalar, .. }, Value::Number { scalar: known, .. }) => {
                    Value::number(widened(scalar, known, wide).unwrap_or(*scalar))
                }
                (value, known) => forgotten(value, known),
            };
            if general.is_readable() {
                Slot::Whole(Packed::from(general))
            } else {
                EMPTY
            }
        }
        Slot::Halves(halves) => {
            let mut general = (**halves).clone();
            for (index, half) in general.iter_mut().enumerate() {
                generalise_half(half, old.part(4 * index, 4).as_ref(), wide);
            }
            Slot::Halves(Rc::new(general))
        }
        Slot::Bytes(_) => Slot::Bytes(core::array::from_fn(|at| {
            match (slot.byte(at), old.byte(at)) {
                (Byte::Zero, Byte::Zero) => Byte::Zero,
                (Byte::Zero | Byte::Written, Byte::Zero | Byte::Written) => Byte::Written,
                _ => Byte::Unwritten,
            }
        })),
    }
}

fn generalise_half(half: &mut Half, old: Option<&Packed>, wide: Wide) {
    let (Half::Number(number), Some(known)) = (&half, old) else {
        return;
    };
    if let (Some(scalar), Some(known)) = (number.scalar(), known.scalar())
        && let Some(scalar) = widened(&scalar, &known, wide)
    {
        *half = Half::Number(Packed::number(&scalar.truncate32(), Link::NONE));
    }
}
