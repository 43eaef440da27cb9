//! A union covers each state that it was made of.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use super::*;
use program::{LoadOptions, ProgramId};
use verifier::trace::Snapshot;

/// All states of an analysis, and their unions.
#[derive(Default)]
struct Both {
    unions: States,
    all: Vec<(InsnIdx, Snapshot)>,
}

impl Observer for Both {
    fn step(&mut self, at: InsnIdx, state: &View<'_>) {
        self.unions.step(at, state);
        self.all.push((at, state.snapshot()));
    }
}

fn covers(contents: &Contents, value: &Value) -> bool {
    match value {
        Value::Unreadable(_) => true,
        Value::Number { scalar, .. } => contents.number.is_some_and(|all| scalar.leq(&all)),
        Value::Pointer(pointer) => {
            let (low, high) = pointer.offset_range();
            let fits = |all: &Pointer| {
                let (from, to) = all.offset_range();
                std::mem::discriminant(&all.region) == std::mem::discriminant(&pointer.region)
                    && (from <= low && high <= to)
                    && (all.null != 0 || pointer.null == 0)
            };
            contents.more || contents.others.iter().any(fits)
        }
    }
}

#[test]
fn every_state_of_the_examples_is_in_the_union() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let mut states = 0;
    for name in [
        "droppacket.o",
        "subprograms.o",
        "flow_logger.o",
        "port_quota.o",
    ] {
        let bytes = std::fs::read(format!("{examples}/{name}")).unwrap();
        let object = program::load(&bytes, &LoadOptions::default()).unwrap();
        for id in (0..object.programs.len()).map(|id| ProgramId(u16::try_from(id).unwrap())) {
            let mut both = Both::default();
            let options = verifier::Options::default();
            let _ = verifier::verify_observed(&object, id, &options, &mut both);
            for (at, state) in &both.all {
                let union = both.unions.at(*at).unwrap();
                let view = state.view();
                for reg in Reg::ALL.into_iter().filter(|reg| *reg != Reg::R10) {
                    let value = view.register(reg);
                    let held = union.places.get(&Place::Register(reg.number()));
                    let is_in = held.map_or(!value.is_readable(), |held| covers(held, &value));
                    assert!(
                        is_in,
                        "{name} {at} {reg}: {value} is not in {}",
                        union.short()
                    );
                }
                states += 1;
            }
        }
    }
    assert!(states > 500, "{states}");
}

#[test]
fn different_things_stand_side_by_side() {
    let pointer = |region, fixed| {
        Value::Pointer(Pointer {
            fixed,
            ..Pointer::to(region)
        })
    };
    let mut contents = Contents::default();
    contents.add(&Value::constant(3));
    contents.add(&Value::constant(9));
    contents.add(&pointer(Region::Stack { frame: 0 }, -8));
    contents.add(&pointer(Region::Stack { frame: 0 }, -16));
    contents.add(&pointer(Region::Context, 0));
    let text = contents.text(&ToString::to_string);
    assert_eq!(
        text,
        "stack + ([-16, -8]), or context, or number [3, 9] & 0x5 = 0x1"
    );
}
