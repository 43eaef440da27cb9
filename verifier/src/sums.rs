//! Packet pointers that are others moved by an unknown number.
//!
//! After `end = start + len` and a comparison of `end` with the end of the packet, `len` bytes from
//! `start` on exist, however small the least of what `len` can be. The pointers have different
//! unknown offsets, so a sum says what they have to do with each other.
//!
//! Soundness: a sum is a fact about names (of unknown offsets and of the number behind a link), which
//! never change; the number was small when it was added ([`limits::POINTER_OFFSET`]), so its lower
//! half tells it, sign included. What is proved of a sum holds until the packet moves; then all of
//! them are forgotten. Forgetting one is always right.
//!
//! From the start on there are at least as many bytes as the least that the number can be.
//!
//! Only comparisons of pointers prove anything here. They need their operands exactly, and whatever
//! relies on a sum needs the start and the length exactly, so relaxed states keep the sums they need.

use crate::branch::Side;
use crate::domain::Scalar;
use crate::limits;
use crate::link::{Form, Link};
use crate::packed::Packed;
use crate::state::State;
use crate::step::Step;
use crate::value::{Pointer, Region};
use isa::Width;

/// A packet pointer was moved by a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PacketSum {
    /// Link of the number that was added.
    pub link: Link,
    /// Number of the unknown offset before.
    pub from: u32,
    /// Number of the unknown offset after.
    pub to: u32,
    /// What the number is at least: so far apart are the two pointers without their known offsets,
    /// also when nothing holds the number any more.
    pub least: i64,
    /// Bytes from the moved pointer without its known offset that are proven to be in the packet, or
    /// that it is not beyond the end.
    pub proven: Option<u32>,
}

/// How long memory is.
#[derive(Clone, Copy)]
pub(crate) struct Length {
    /// The least.
    pub(crate) least: i64,
    /// The most.
    pub(crate) most: i64,
    /// Link of the number, as far as its lower half goes.
    pub(crate) link: Link,
}

impl Length {
    /// A known length.
    pub(crate) const fn exactly(bytes: i64) -> Length {
        Length {
            least: bytes,
            most: bytes,
            link: Link::NONE,
        }
    }
}

impl State {
    /// Notes that a pointer was moved by the number with a link.
    pub(crate) fn add_sum(&mut self, (link, by): (Link, &Scalar), (from, to): (Region, Region)) {
        let (Region::Packet { id: from, .. }, Region::Packet { id: to, .. }) = (from, to) else {
            return;
        };
        if !link.is_some() || link.form == Form::Shifted {
            return;
        }
        if self.sums.len() >= limits::SUMS {
            self.sums.remove(0);
        }
        self.sums.push(PacketSum {
            link,
            from,
            to,
            least: by.smin(),
            proven: None,
        });
    }

    /// A comparison proved bytes from a pointer without its known offset.
    pub(crate) fn prove_sums(&mut self, region: Region, bytes: i64) {
        let (Region::Packet { id, .. }, Ok(bytes)) = (region, u32::try_from(bytes)) else {
            return;
        };
        let moved = self.sums.iter_mut().filter(|sum| sum.to == id);
        moved.for_each(|sum| sum.proven = sum.proven.max(Some(bytes)));
        self.prove_starts();
    }

    /// A number with a link turned out to be `scalar`: a pointer may have been moved by it.
    pub(crate) fn learn_sums(&mut self, learned: Link, scalar: &Scalar) {
        let moved = self.sums.iter_mut();
        for sum in moved.filter(|sum| sum.link.id == learned.id) {
            let by = learned.infer(scalar, sum.link);
            sum.least = sum.least.max(by.smin());
        }
        self.prove_starts();
    }

    /// What is proved from a moved pointer on holds from where it came from, for all the bytes that it
    /// was moved by.
    fn prove_starts(&mut self) {
        for at in 0..self.sums.len() {
            let sum = self.sums[at];
            let Some(proven) = sum.proven else { continue };
            let bytes = sum.least.saturating_add(proven.into());
            if bytes <= limits::PACKET_BYTES {
                let (id, range) = (sum.from, 0);
                self.prove_packet(Region::Packet { id, range }, bytes);
            }
        }
    }

    /// Forgets sums that nothing can be concluded from any more.
    pub(crate) fn keep_sums(&mut self) {
        let mut sums = core::mem::take(&mut self.sums);
        let frames = self.frames();
        let holds = |hit: &dyn Fn(&Packed) -> bool| frames.iter().any(|frame| frame.any(hit));
        let points = |name: u32| {
            // The start of the packet can be loaded again.
            name == 0 || holds(&|value| value.pointer().is_some_and(|one| has_name(one, name)))
        };
        sums.retain(|sum| {
            let number = holds(&|value| value.link_id() == sum.link.id);
            let moved = points(sum.to);
            points(sum.from)
                && (number && (sum.proven.is_some() || moved) || moved && sum.least > 0)
        });
        self.sums = sums;
    }
}

impl Step<'_, '_> {
    /// Bytes from a pointer without its known offset that exist because a pointer beyond them was
    /// compared with the end of the packet.
    pub(crate) fn proven_by_sum(&self, pointer: &Pointer, length: Length) -> Option<u32> {
        let Region::Packet { id, .. } = pointer.region else {
            return None;
        };
        let fixed = i64::from(pointer.fixed);
        let reaches = |sum: &PacketSum| {
            // The length is the number and so many bytes: modulo 2^32, and all are far smaller.
            let more = length.link.minus(sum.link, Width::W32);
            let more = more.filter(|more| more.abs() <= limits::POINTER_OFFSET);
            let ends = more.map(|more| fixed.saturating_add(more));
            sum.from == id
                && matches!((ends, sum.proven), (Some(end), Some(proven)) if end <= proven.into())
        };
        let is_proven = self.state.sums.iter().any(reaches);
        let bytes = u32::try_from(fixed.saturating_add(length.most)).ok();
        bytes.filter(|_| is_proven)
    }
}

/// What a comparison with the end of the packet proves on one side, if anything.
pub(crate) fn learn(
    state: &mut State,
    pointer: &Pointer,
    (taken, fall_through): (Option<i64>, Option<i64>),
    side: Side,
) {
    let bytes = match side {
        Side::Taken => taken,
        Side::FallThrough => fall_through,
    };
    if let Some(bytes) = bytes {
        state.prove_packet(pointer.region, bytes);
        state.prove_sums(pointer.region, bytes);
    }
}

fn has_name(pointer: &Pointer, name: u32) -> bool {
    matches!(pointer.region, Region::Packet { id, .. } if id == name)
}
