//! Every target holds on its seeds and on every input that once broke it.

use fuzz_targets::TARGETS;
use fuzz_targets::mutate::{Random, mutate};
use std::path::Path;

#[test]
fn seeds_hold_and_are_short_enough() {
    for target in &TARGETS {
        let seeds = (target.seeds)().unwrap_or_else(|error| panic!("{}: {error}", target.name));
        let short = seeds
            .iter()
            .filter(|seed| seed.len() <= target.max_len)
            .count();
        assert!(short > 0, "{}: every seed is too long", target.name);
        for seed in &seeds {
            (target.run)(seed);
        }
    }
}

/// Files in `fuzz/regressions/TARGET/` are inputs of fixed bugs.
#[test]
fn fixed_bugs_stay_fixed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../regressions");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy();
        let target = TARGETS.iter().find(|target| target.name == name);
        let target = target.unwrap_or_else(|| panic!("no target `{name}`"));
        for file in std::fs::read_dir(&path).unwrap() {
            (target.run)(&std::fs::read(file.unwrap().path()).unwrap());
        }
    }
}

#[test]
fn damaged_seeds_hold() {
    for target in &TARGETS {
        let seeds = (target.seeds)().unwrap();
        let mut random = Random::new(7);
        for _ in 0..200 {
            let mut input = random.pick(&seeds).unwrap().clone();
            let other = random.pick(&seeds).unwrap();
            mutate(&mut input, other, target.max_len, &mut random);
            (target.run)(&input);
        }
    }
}

#[test]
fn the_same_start_means_the_same_damage() {
    let damaged = || {
        let mut random = Random::new(3);
        let mut input = vec![0; 100];
        mutate(&mut input, &[1; 50], 200, &mut random);
        input
    };
    assert_eq!(damaged(), damaged());
    assert_ne!(damaged(), vec![0; 100]);
}
