//! Making a finding small enough to read.

use crate::check::{Effort, Finding, check};
use crate::mutate::cut;
use isa::InsnIdx;
use program::Object;

/// Seeds that each smaller program is tried with.
const SEEDS: u64 = 4;

/// Takes out instructions as long as there is still a finding; the finding of what is left.
pub fn minimise(object: &mut Object, effort: Effort, seed: u64) -> Option<Finding> {
    let fails = |object: &Object| {
        let seeds = (0..SEEDS).map(|extra| seed.wrapping_add(extra));
        seeds
            .into_iter()
            .find_map(|seed| check(object, effort, seed).err())
    };
    let mut finding = fails(object)?;
    loop {
        let before = object.programs[0].insns.len();
        for at in (0..before as u32).rev() {
            let mut smaller = object.clone();
            cut(&mut smaller.programs[0], InsnIdx(at));
            if smaller.programs[0].insns.len() == object.programs[0].insns.len() {
                continue;
            }
            if let Some(found) = fails(&smaller) {
                *object = smaller;
                finding = found;
            }
        }
        if object.programs[0].insns.len() == before {
            return Some(finding);
        }
    }
}

/// The program in the form of the verifier's test cases.
#[must_use]
pub fn case(object: &Object, name: &str) -> String {
    use std::fmt::Write as _;
    let program = &object.programs[0];
    let platform = match object.platform {
        abi::Platform::Windows => "windows",
        abi::Platform::Linux => "linux",
    };
    let mut text = format!("=== {name}\n");
    // Writing to a string cannot fail.
    let _ = match program.attach_type {
        Some(hook) => writeln!(text, "@hook {}", hook.prefix),
        None => writeln!(text, "@type {platform}/{}", program.program_type.name),
    };
    for map in &object.maps {
        let row = abi::map::by_number(object.platform, map.type_number);
        let name = row.map_or("array", |row| row.name);
        let (key, value, max) = (map.key_size, map.value_size, map.max_entries);
        let _ = write!(text, "@map {name} key={key} value={value} max={max}");
        if map.frozen {
            text += " frozen";
        }
        let numbers = [
            ("lock", map.spin_lock),
            ("timer", map.timer),
            ("inner", map.inner.map(|inner| u32::from(inner.0))),
        ];
        for (word, number) in numbers {
            let Some(number) = number else { continue };
            let _ = write!(text, " {word}={number}");
        }
        for part in &map.reserved {
            let _ = write!(text, " reserved={}", part.start);
        }
        text += "\n";
    }
    for insn in &program.insns {
        if *insn != isa::Insn::Imm64High {
            let _ = writeln!(text, "{insn}");
        }
    }
    text
}
