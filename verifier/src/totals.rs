//! Numbers that are the sum of two others, and what such a sum is at most.
//!
//! After `if offset + size > 64 goto out`, a helper may have `size` bytes from `offset` on in 64
//! bytes of memory, although each of the two alone can be too large. A total says so: it names the
//! three numbers, and keeps what comparisons have proved of the sum when the sum itself is gone.
//!
//! Soundness: a total is a fact about names, which never change. The numbers were small when they
//! were added ([`limits::POINTER_OFFSET`]), so their lower halves tell them, and the sum did not
//! wrap. Forgetting one is always right.

use crate::domain::Scalar;
use crate::limits;
use crate::link::Link;
use crate::reason::Reason;
use crate::state::State;
use crate::step::Step;
use crate::sums::Length;
use crate::value::{Pointer, Value};
use isa::{AluOp, Reg, Width};

/// A number is the sum of two others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Total {
    /// Links of the numbers that were added.
    pub parts: [Link; 2],
    /// Names the sum.
    pub sum: u32,
    /// What it is at most.
    pub most: i64,
}

impl State {
    /// A number with a link turned out to be `scalar`: it may be a sum.
    pub(crate) fn learn_totals(&mut self, learned: Link, scalar: &Scalar) {
        let sums = self.totals.iter_mut();
        for total in sums.filter(|total| total.sum == learned.id) {
            let sum = learned.infer(scalar, Link::to(total.sum));
            total.most = total.most.min(sum.smax());
        }
    }

    /// Forgets totals that nothing can be concluded from any more.
    pub(crate) fn keep_totals(&mut self) {
        let mut totals = core::mem::take(&mut self.totals);
        totals.retain(|total| total.parts.iter().all(|part| self.holds(part.id)));
        self.totals = totals;
    }

    fn holds(&self, link: u32) -> bool {
        let mut frames = self.frames().iter();
        frames.any(|frame| frame.any(|value| value.link_id() == link))
    }
}

impl Step<'_, '_> {
    /// Notes that `result` is the sum of two numbers, where both are held elsewhere or may be.
    pub(crate) fn note_total(
        &mut self,
        (op, width): (AluOp, Width),
        left: &Value,
        (reg, right): (Reg, Value),
        result: Value,
    ) -> Result<Value, Reason> {
        let small = |value: &Value| value.scalar().is_some_and(|one| is_small(one, width));
        let (Value::Number { scalar, link }, AluOp::Add) = (result, op) else {
            return Ok(result);
        };
        let is_total = left.link().is_some() && !link.is_some() && small(left) && small(&right);
        if !is_total || scalar.is_const().is_some() {
            return Ok(result);
        }
        let right = self.link(reg, right)?.link();
        let parts = [left.link(), right];
        if parts
            .iter()
            .any(|part| !part.is_some() || part.is_shifted())
        {
            return Ok(result);
        }
        let link = Link::to(self.fresh());
        if self.state.totals.len() >= limits::TOTALS {
            self.state.totals.remove(0);
        }
        self.state.totals.push(Total {
            parts,
            sum: link.id,
            most: scalar.smax(),
        });
        Ok(Value::Number { scalar, link })
    }

    /// The most that the end of memory of a length can be, counted like the offset of the pointer,
    /// as far as a sum tells it.
    pub(crate) fn end_by_total(&self, pointer: &Pointer, length: Length) -> Option<i64> {
        let ends = self.state.totals.iter().flat_map(|total| {
            let [first, second] = total.parts;
            let ways = [(first, second), (second, first)];
            ways.map(|(offset, size)| {
                let more = small_difference(pointer.link, offset)?
                    .checked_add(small_difference(length.link, size)?)?;
                let end = total.most.checked_add(more)?;
                end.checked_add(pointer.fixed.into())
            })
        });
        ends.flatten().min()
    }
}

/// By how much the number with one link is larger than the one with another, both being small: what
/// is known of it modulo 2^32 then tells it.
fn small_difference(link: Link, of: Link) -> Option<i64> {
    let more = link.minus(of, Width::W32)?;
    (more.abs() <= limits::POINTER_OFFSET).then_some(more)
}

/// Small enough for a sum of two not to wrap. In 32 bits a negative sum would look large.
fn is_small(number: &Scalar, width: Width) -> bool {
    let least = match width {
        Width::W64 => -limits::POINTER_OFFSET,
        Width::W32 => 0,
    };
    number.smin() >= least && number.smax() <= limits::POINTER_OFFSET
}
