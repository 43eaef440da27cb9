//! Measures of loops: numbers that grow, or shrink, from round to round and stay within bounds, so
//! that a loop ends although its rounds are not followed one by one.
//!
//! At a stored state of a loop head each number that changes between rounds gets a link of its own:
//! the name of its value on this very visit. When a path comes back in a state that the stored one
//! covers, the link says by how much the number has changed, and the range says what it can be now.
//! [`Measure::comes_back`] keeps the candidates, a place in one of four orders, for which on every
//! such path so far
//! - the change has one and the same sign, and
//! - adding it cannot have wrapped around: the number that comes back is at least the change away
//!   from the end of the order on the side that it moves away from.
//!
//! Soundness: let `x` be the number on a visit of the stored state and `y` on the next. Then
//! `y = x + d` modulo 2^w for one of the changes `d`, all say positive, and `y >= low + d`, where
//! `low` is the least number of the order. If the true sum had left the order, `y = x + d - 2^w`
//! would be less than `low + d`; so `y > x`. Each return is thus strictly above the one before, by
//! the smallest change at least, and all returns lie between the least and the most number that any
//! path comes back with: there are no more of them than [`Measure::rounds`] says. What happens on the
//! way does not matter, nor how often other loops go round.
//!
//! Left out: measures made of several numbers, and numbers that change by unknown amounts.

use crate::domain::Scalar;
use crate::limits;
use crate::link::Link;
use crate::packed::Packed;
use crate::stack::{Half, SLOTS, Slot};
use crate::state::State;
use crate::value::Value;
use alloc::rc::Rc;
use alloc::vec::Vec;
use isa::{Reg, Width};

/// A place that holds a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Spot {
    frame: u8,
    content: Content,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Content {
    Register(Reg),
    Slot(usize),
    /// The lower (0) or upper (1) half of a slot.
    Half(usize, usize),
}

/// In which order a number grows: its lower 32 bits or all of it, without or with a sign.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    Unsigned64,
    Signed64,
    Unsigned32,
    Signed32,
}

const ORDERS: [Order; 4] = [
    Order::Unsigned64,
    Order::Signed64,
    Order::Unsigned32,
    Order::Signed32,
];

/// A number that moved one way on all paths so far.
#[derive(Clone, Copy, Debug)]
struct Course {
    is_rising: bool,
    /// The smallest change.
    step: i128,
    /// The least and the most that came back.
    low: i128,
    high: i128,
}

#[derive(Clone, Debug)]
struct Candidate {
    spot: Spot,
    /// The number's name at the loop head.
    link: Link,
    order: Order,
    /// `None` before the first return.
    course: Option<Course>,
}

/// What may bound the rounds of a loop from one stored state of its head.
#[derive(Clone, Debug)]
pub(crate) struct Measure(Vec<Candidate>);

/// Ranges to try for numbers that change.
pub(crate) type Ranges = Vec<(Spot, Scalar)>;

impl Order {
    fn width(self) -> Width {
        match self {
            Order::Unsigned64 | Order::Signed64 => Width::W64,
            Order::Unsigned32 | Order::Signed32 => Width::W32,
        }
    }

    /// The least and the most number.
    fn ends(self) -> (i128, i128) {
        match self {
            Order::Unsigned64 => (0, i128::from(u64::MAX)),
            Order::Signed64 => (i128::from(i64::MIN), i128::from(i64::MAX)),
            Order::Unsigned32 => (0, i128::from(u32::MAX)),
            Order::Signed32 => (i128::from(i32::MIN), i128::from(i32::MAX)),
        }
    }

    fn range(self, number: &Scalar) -> (i128, i128) {
        match self {
            Order::Unsigned64 => (number.umin().into(), number.umax().into()),
            Order::Signed64 => (number.smin().into(), number.smax().into()),
            Order::Unsigned32 => (number.u32_min().into(), number.u32_max().into()),
            Order::Signed32 => (number.s32_min().into(), number.s32_max().into()),
        }
    }
}

impl Spot {
    fn packed(self, state: &State) -> Option<Packed> {
        let frame = state.frame(self.frame)?;
        match self.content {
            Content::Register(reg) => Some(frame.packed(reg).clone()),
            Content::Slot(index) => frame.stack.slot(index).part(0, 8),
            Content::Half(index, half) => frame.stack.slot(index).part(4 * half, 4),
        }
    }

    fn number(self, state: &State) -> Option<(Scalar, Link)> {
        let packed = self.packed(state)?;
        Some((packed.scalar()?, packed.link()))
    }

    fn put(self, state: &mut State, number: &Scalar, link: Link) {
        let Some(frame) = state.frame_mut(self.frame) else {
            return;
        };
        let packed = Packed::number(number, link);
        match self.content {
            Content::Register(reg) => {
                let scalar = *number;
                frame.set(reg, Value::Number { scalar, link });
            }
            Content::Slot(index) => frame.stack.replace(index, Slot::Whole(packed)),
            Content::Half(index, half) => {
                let mut halves = frame.stack.slot(index).halves();
                if let Some(place) = halves.get_mut(half) {
                    *place = Half::Number(packed);
                }
                frame.stack.replace(index, Slot::Halves(Rc::new(halves)));
            }
        }
    }
}

/// The places that hold numbers.
fn spots(state: &State) -> impl Iterator<Item = Spot> + '_ {
    let frames = state.frames().iter().enumerate();
    frames.flat_map(|(depth, frame)| {
        let at = move |content| Spot {
            frame: depth as u8,
            content,
        };
        let registers = Reg::ALL.into_iter().map(Content::Register);
        let slots = (0..SLOTS).flat_map(|index| match frame.stack.slot(index) {
            Slot::Whole(_) => [Some(Content::Slot(index)), None],
            Slot::Halves(halves) => [0, 1].map(|half| {
                let is_number = matches!(halves.get(half), Some(Half::Number(_)));
                is_number.then_some(Content::Half(index, half))
            }),
            Slot::Bytes(_) => [None, None],
        });
        registers.chain(slots.flatten()).map(at)
    })
}

/// The numbers of a loop head that differ between two arrivals.
fn changed(head: &State, (old, new): (&State, &State)) -> Vec<Spot> {
    let changes = |spot: &Spot| spot.packed(old) != spot.packed(new);
    let changed = spots(head).filter(changes);
    changed.take(limits::MEASURED_NUMBERS).collect()
}

/// Ranges from where numbers are now to the first of `ends` in the direction in which they move, those
/// being constants of the program; what other numbers can be at most counts as well.
pub(crate) fn ranges_to_ends(head: &State, (old, new): (&State, &State), ends: &[u64]) -> Ranges {
    let changed = changed(head, (old, new));
    let others = spots(head).filter(|spot| !changed.contains(spot));
    let most = others.filter_map(|spot| Some(spot.number(new)?.0.smax()));
    let mut ends: Vec<i64> = ends.iter().map(|end| *end as i64).collect();
    ends.extend(most.filter_map(|most| most.checked_add(1)));
    let range = |spot: &Spot| {
        let [from, to] = [old, new].map(|state| spot.number(state)?.0.is_const());
        let (from, to) = (from? as i64, to? as i64);
        let range = match to > from {
            true => {
                let end = ends.iter().filter(|end| **end > to).min()?;
                Scalar::from_range_s(to, end.checked_sub(1)?)
            }
            false => {
                let end = ends.iter().filter(|end| **end < to).max()?;
                Scalar::from_range_s(end.checked_add(1)?, to)
            }
        };
        Some((*spot, range))
    };
    changed.iter().filter_map(range).collect()
}

impl Measure {
    /// Names the numbers of a loop head that differ between two arrivals, `old` and `new`. `head`
    /// covers `new`; where it knows nothing of such a number, it takes the range to try, if that has
    /// the new number in it. `None` when no number differs.
    pub(crate) fn name(
        head: &mut State,
        (old, new): (&State, &State),
        ranges: &Ranges,
        fresh: &mut u32,
    ) -> Option<Measure> {
        let mut candidates = Vec::new();
        for spot in changed(head, (old, new)) {
            let (Some((number, _)), Some((arrived, _))) = (spot.number(head), spot.number(new))
            else {
                continue;
            };
            let range = ranges.iter().find(|(place, _)| *place == spot);
            let range = range.filter(|(_, range)| number.is_unknown() && arrived.leq(range));
            let number = range.map_or(number, |(_, range)| *range);
            *fresh = fresh.saturating_add(1);
            let link = Link::to(*fresh);
            spot.put(head, &number, link);
            let candidate = |order| Candidate {
                spot,
                link,
                order,
                course: None,
            };
            candidates.extend(ORDERS.map(candidate));
        }
        (!candidates.is_empty()).then_some(Measure(candidates))
    }

    /// A path comes back in a state that the stored one covers. False when no number is left that
    /// bounds the rounds; the measure is useless then.
    pub(crate) fn comes_back(&mut self, state: &State) -> bool {
        self.0.retain_mut(|candidate| candidate.comes_back(state));
        self.rounds().is_some()
    }

    /// How often the paths seen so far can come back in all, counted from one arrival from outside;
    /// `None` when that is not known, or more than is allowed.
    pub(crate) fn rounds(&self) -> Option<u32> {
        let rounds = self.0.iter().filter_map(Candidate::rounds).min()?;
        u32::try_from(rounds)
            .ok()
            .filter(|rounds| *rounds <= limits::ROUNDS)
    }

    /// Ranges that have room for the numbers of one more way back, which were found to lie beyond
    /// them; `None` when there is none or they have room already.
    pub(crate) fn with_room(ranges: &Ranges, back: &State) -> Option<Ranges> {
        let mut wider = ranges.clone();
        for (spot, range) in &mut wider {
            if let Some((number, _)) = spot.number(back) {
                *range = range.join(&number);
            }
        }
        (wider != *ranges).then_some(wider)
    }

    /// Narrower ranges for numbers that moved one way, but may have wrapped around as far as the head
    /// knows: what they were on arrival and what they came back with, without what lies behind the
    /// start.
    /// Where the way back itself gives no end, as for a comparison with `!=`, one of `ends` is taken:
    /// constants of the program, in ascending order.
    pub(crate) fn ranges(&self, arrived: &State, back: &State, ends: &[u64]) -> Ranges {
        let mut ranges = Ranges::new();
        for candidate in &self.0 {
            let spot = candidate.spot;
            let known = ranges.iter().any(|(place, _)| *place == spot);
            if !known && let Some(range) = candidate.range(arrived, back, ends) {
                ranges.push((spot, range));
            }
        }
        ranges
    }
}

fn is_low(number: &Scalar) -> bool {
    number.umax() <= u64::from(u32::MAX)
}

impl Candidate {
    /// By how much the number has changed, in its order.
    fn change(&self, link: Link) -> Option<i128> {
        let width = self.order.width();
        let by = link.minus(self.link, width)?;
        let by = match width {
            Width::W64 => i128::from(by),
            Width::W32 => i128::from(by as i32),
        };
        (by != 0).then_some(by)
    }

    fn comes_back(&mut self, state: &State) -> bool {
        let Some((number, link)) = self.spot.number(state) else {
            return false;
        };
        let Some(change) = self.change(link) else {
            return false;
        };
        let is_rising = change > 0;
        let ((least, most), (low, high)) = (self.order.ends(), self.order.range(&number));
        let may_have_wrapped = match is_rising {
            true => low < least + change,
            false => high > most + change,
        };
        if may_have_wrapped {
            return false;
        }
        let step = change.abs();
        let course = match self.course {
            None => Course {
                is_rising,
                step,
                low,
                high,
            },
            Some(known) if known.is_rising == is_rising => Course {
                is_rising,
                step: known.step.min(step),
                low: known.low.min(low),
                high: known.high.max(high),
            },
            Some(_) => return false,
        };
        self.course = Some(course);
        true
    }

    fn rounds(&self) -> Option<i128> {
        let course = self.course?;
        Some((course.high - course.low) / course.step + 1)
    }

    fn range(&self, arrived: &State, back: &State, ends: &[u64]) -> Option<Scalar> {
        let (number, link) = self.spot.number(back)?;
        let change = self.change(link)?;
        let (start, _) = self.spot.number(arrived)?;
        let (low, high) = self.order.range(&number.join(&start));
        let (first, last) = self.order.range(&start);
        let (low, high) = match change > 0 {
            true => (first, high),
            false => (low, last),
        };
        // Without an end on the side that it moves to, nothing would be gained.
        let (least, most) = self.order.ends();
        let ends = ends
            .iter()
            .map(|end| self.order.range(&Scalar::constant(*end)).0);
        let (low, high) = match change > 0 {
            true if high >= most => (low, ends.filter(|end| *end > first).min()? - 1),
            false if low <= least => (ends.filter(|end| *end < last).max()? + 1, high),
            _ => (low, high),
        };
        Some(match self.order {
            Order::Unsigned64 => Scalar::from_range_u(low as u64, high as u64),
            Order::Signed64 => Scalar::from_range_s(low as i64, high as i64),
            // Of the upper half nothing is known, unless it was zero all the time.
            Order::Unsigned32 | Order::Signed32
                if low >= 0 && is_low(&number) && is_low(&start) =>
            {
                Scalar::from_range_u(low as u64, high as u64)
            }
            Order::Unsigned32 | Order::Signed32 => return None,
        })
    }
}
