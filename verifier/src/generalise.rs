//! Guessing a more general state where many paths meet.
//!
//! When several states at one place were proved safe and yet another arrives that none of them
//! covers, they usually differ in numbers that do not matter. The new state is then replaced by one
//! in which such numbers are widened, which covers the states still to come. The guess is sound (the
//! general state contains the one that arrived) and may be wrong: a number may matter after all.
//! The explorer takes a guess back when a path from it fails.

use crate::domain::Scalar;
use crate::stack::{Byte, Half, Slot, Stack};
use crate::state::{Frame, State};
use crate::subsume::{pointer_fits, slot_fits};
use crate::value::Value;
use alloc::rc::Rc;
use isa::Reg;

impl State {
    /// A state that contains this one and in which the numbers that differ from those of `old` are
    /// widened; `None` when it differs from `old` in more than numbers, or in none.
    pub(crate) fn generalised(&self, old: &State) -> Option<State> {
        let same_shape = self.frames().len() == old.frames().len()
            && self.references.is_empty()
            && old.references.is_empty()
            && self.lock == old.lock;
        if !same_shape {
            return None;
        }
        let mut general = self.clone();
        let mut changed = false;
        for (depth, old) in old.frames().iter().enumerate() {
            let frame = general.frame_mut(u8::try_from(depth).ok()?)?;
            changed |= generalise_frame(frame, old)?;
        }
        changed.then_some(general)
    }
}

/// Whether something was widened; `None` when the frames do not fit.
fn generalise_frame(frame: &mut Frame, old: &Rc<Frame>) -> Option<bool> {
    if frame.function != old.function || frame.call != old.call {
        return None;
    }
    let mut changed = false;
    for reg in Reg::ALL {
        let value = *frame.register(reg);
        match (value, old.register(reg)) {
            (Value::Number { scalar, .. }, Value::Number { scalar: known, .. }) => {
                if let Some(wide) = widened(&scalar, known) {
                    frame.set(reg, Value::number(wide));
                    changed = true;
                }
            }
            (Value::Unreadable(_), _) | (_, Value::Unreadable(_)) => {}
            (Value::Pointer(pointer), Value::Pointer(known)) if pointer_fits(&pointer, known) => {}
            _ => return None,
        }
    }
    Some(changed | generalise_stack(&mut frame.stack, &old.stack)?)
}

/// What covers both, unless the old one does already.
fn widened(new: &Scalar, old: &Scalar) -> Option<Scalar> {
    (!new.leq(old)).then(|| old.widen(new).join(new))
}

fn generalise_stack(stack: &mut Stack, old: &Stack) -> Option<bool> {
    let mut changed = false;
    for index in 0..stack.slots().len().min(old.slots().len()) {
        let (slot, known) = (stack.slot(index), old.slot(index));
        if slot_fits(slot, known) {
            continue;
        }
        let wide = generalised_slot(slot, known)?;
        if wide != *slot {
            stack.replace(index, wide);
            changed = true;
        }
    }
    Some(changed)
}

fn generalised_slot(slot: &Slot, old: &Slot) -> Option<Slot> {
    match slot {
        Slot::Whole(value) => {
            let scalar = value.scalar()?;
            let known = match old.part(0, 8) {
                Some(Value::Number { scalar, .. }) => scalar,
                Some(_) => return None,
                None => return Some(slot.clone()),
            };
            let wide = widened(scalar, &known).unwrap_or(*scalar);
            Some(Slot::Whole(Rc::new(Value::number(wide))))
        }
        Slot::Halves(halves) => {
            let mut wide = (**halves).clone();
            for (index, half) in wide.iter_mut().enumerate() {
                generalise_half(half, old.part(4 * index, 4).as_ref());
            }
            Some(Slot::Halves(Rc::new(wide)))
        }
        Slot::Bytes(bytes) => Some(Slot::Bytes(bytes.map(|byte| match byte {
            Byte::Zero => Byte::Written,
            other => other,
        }))),
    }
}

fn generalise_half(half: &mut Half, old: Option<&Value>) {
    let (Half::Number { scalar, .. }, Some(Value::Number { scalar: known, .. })) = (&half, old)
    else {
        return;
    };
    if let Some(wide) = widened(scalar, known) {
        let scalar = wide.truncate32();
        *half = Half::Number { scalar, link: 0 };
    }
}
