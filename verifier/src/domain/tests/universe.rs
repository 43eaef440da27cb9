//! Every abstract value of a small width, with its members.

use crate::domain::bits;
use crate::domain::halves::Halves;
use crate::domain::scalar::Number;
use crate::domain::tnum::Tnum;
use crate::domain::value::Value;
use std::collections::HashSet;

/// A set of small numbers as a bit set.
pub(super) type Set = u64;

/// The members of a set.
pub(super) fn members(set: Set) -> impl Iterator<Item = u64> {
    let mut rest = set;
    core::iter::from_fn(move || {
        let member = u64::from(rest.trailing_zeros());
        rest &= rest.wrapping_sub(1);
        (member < 64).then_some(member)
    })
}

/// Every tnum of `width` bits.
pub(super) fn tnums(width: u32) -> Vec<Tnum> {
    let all = bits::mask(width);
    (0..=all)
        .flat_map(|mask| (0..=all).map(move |value| (value, mask)))
        .filter(|(value, mask)| value & mask == 0)
        .map(|(value, mask)| Tnum::new(value, mask))
        .collect()
}

/// The members of a tnum among the numbers of `width` bits.
pub(super) fn of_tnum(tnum: Tnum, width: u32) -> Set {
    collect((0..=bits::mask(width)).filter(|value| tnum.contains(*value)))
}

/// The members of a value.
pub(super) fn of_value<const W: u32>(value: &Value<W>) -> Set {
    collect((0..=bits::mask(W)).filter(|member| value.contains(*member)))
}

/// The members of values, by table: asked a hundred million times.
pub(super) struct Sets<const W: u32> {
    tnums: Vec<Set>,
}

impl<const W: u32> Sets<W> {
    pub(super) fn new() -> Sets<W> {
        let all = 1_u64 << W;
        let tnum = |index: u64| {
            let (value, mask) = (index >> W, index % all);
            // Not every pair is a tnum; those that are none have no members.
            match value & mask {
                0 => of_tnum(Tnum::new(value, mask), W),
                _ => 0,
            }
        };
        let sets = Sets {
            tnums: (0..all * all).map(tnum).collect(),
        };
        for value in values::<W>() {
            assert_eq!(sets.of(&value), of_value(&value), "{value:?}");
        }
        sets
    }

    pub(super) fn of(&self, value: &Value<W>) -> Set {
        let up_to = |end: u64| (2 << end) - 1_u64;
        let from = |start: u64| !((1_u64 << start) - 1);
        let half = 1_i64 << (W - 1);
        let known = (value.bits.value() << W | value.bits.mask()) as usize;
        let unsigned = up_to(value.umax) & from(value.umin);
        // Signed order is unsigned order, rotated by half of the numbers.
        let rotated = up_to((value.smax + half) as u64) & from((value.smin + half) as u64);
        let (low, high) = (rotated & up_to(half as u64 - 1), rotated >> half);
        self.tnums[known] & unsigned & (low << half | high)
    }
}

/// The members of a number.
pub(super) fn of_number<const W: u32, const H: u32>(number: &Number<W, H>) -> Set {
    collect((0..=bits::mask(W)).filter(|member| number.contains(*member)))
}

/// A set from its members.
pub(super) fn collect(members: impl Iterator<Item = u64>) -> Set {
    members.fold(0, |set, member| set | 1 << member)
}

/// The most precise value with these members.
pub(super) fn best<const W: u32>(set: Set) -> Value<W> {
    members(set)
        .map(Value::constant)
        .reduce(|a, b| Value {
            bits: a.bits.join(b.bits),
            umin: a.umin.min(b.umin),
            umax: a.umax.max(b.umax),
            smin: a.smin.min(b.smin),
            smax: a.smax.max(b.smax),
        })
        .expect("a set with members")
}

fn unsigned_ranges(width: u32) -> Vec<(u64, u64)> {
    let all = bits::mask(width);
    (0..=all)
        .flat_map(|min| (min..=all).map(move |max| (min, max)))
        .collect()
}

fn signed_ranges(width: u32) -> Vec<(i64, i64)> {
    let (least, most) = (bits::signed_min(width), bits::signed_max(width));
    (least..=most)
        .flat_map(|min| (min..=most).map(move |max| (min, max)))
        .collect()
}

/// Every combination of known bits and ranges of `W` bits, reduced; each result once.
pub(super) fn values<const W: u32>() -> Vec<Value<W>> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for known in tnums(W) {
        for (umin, umax) in unsigned_ranges(W) {
            for (smin, smax) in signed_ranges(W) {
                let raw = Value {
                    bits: known,
                    umin,
                    umax,
                    smin,
                    smax,
                };
                let reduced = raw.reduce();
                // Emptiness is found exactly, and no member is lost.
                assert_eq!(
                    reduced.map_or(0, |value| of_value(&value)),
                    of_value(&raw),
                    "{raw:?}"
                );
                all.extend(reduced.filter(|value| seen.insert(*value)));
            }
        }
    }
    all
}

/// Every combination of a value and a value of its lower half, reduced; each result once.
pub(super) fn numbers<const W: u32, const H: u32>() -> Vec<Number<W, H>> {
    let lows = values::<H>();
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for full in values::<W>() {
        for low in &lows {
            let raw = Halves { full, low: *low };
            let reduced = raw.reduce();
            assert_eq!(
                reduced.map_or(0, |number| of_number(&number)),
                collect((0..=bits::mask(W)).filter(|member| raw.contains(*member))),
                "{raw:?}"
            );
            all.extend(reduced.filter(|number| seen.insert(*number)));
        }
    }
    all
}
