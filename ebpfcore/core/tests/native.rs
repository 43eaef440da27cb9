//! Native modules built in memory: what a good one does, and that no byte of a bad one hurts.
#![expect(
    unsafe_code,
    reason = "the modules are functions and tables of this process"
)]
#![allow(clippy::unwrap_used, reason = "a test may stop")]
#![cfg(target_arch = "x86_64")]

#[path = "support/fixture.rs"]
mod fixture;
mod support;

use abi::native::ModuleVersion;
use ebpfcore::{
    CONTEXT_HEADER_BYTES, Core, Shared, Status,
    helper::NoExtensions,
    native::{Error, Loaded, ModuleMemory, Problem, instantiate},
};
use fixture::{Fixture, NEW, OLD};
use support::{Random, core};
fn load(core: &Shared<Core>, fixture: &Fixture) -> Result<Loaded, Error> {
    instantiate(core, &fixture.validate()?, &NoExtensions)
}

fn invoke(core: &Core, loaded: &Loaded, program: usize) -> u64 {
    let mut context = [0u64; CONTEXT_HEADER_BYTES / 8 + 4];
    let address = context.as_mut_ptr() as u64 + CONTEXT_HEADER_BYTES as u64;
    // SAFETY: an XDP context with empty packet.
    unsafe { core.enter().invoke(&loaded.programs[program], address) }.unwrap()
}

#[test]
fn modules_of_old_and_new_layout_run() {
    for version in [OLD, ModuleVersion::new(1, 4, 0), NEW] {
        let (core, _) = core();
        let fixture = Fixture::new(version);
        let loaded = load(&core, &fixture).unwrap();
        assert_eq!(loaded.maps.len(), 3);
        for _ in 0..3 {
            assert_eq!(invoke(&core, &loaded, 0), 77, "the tail call ran");
        }
        // Without the program in the array the first one goes on.
        loaded.maps[1].set_program(1, None).unwrap();
        assert_eq!(invoke(&core, &loaded, 0), 1004);
        let mut value = [0; 8];
        loaded.maps[0]
            .lookup(&1u32.to_ne_bytes(), &mut value)
            .unwrap();
        assert_eq!(u64::from_ne_bytes(value), 4);
    }
}

#[test]
fn what_a_module_says_is_copied() {
    let fixture = Fixture::new(NEW);
    let module = fixture.validate().unwrap();
    assert_eq!(module.version, NEW);
    assert_eq!(module.programs[0].name, "first");
    assert_eq!(module.programs[0].helpers, [1, 5, 0]);
    assert_eq!(module.programs[0].maps, [0, 1]);
    assert_eq!(module.maps[2].definition.name, "mod.data");
    assert_eq!(module.globals[0].data, 1000u64.to_ne_bytes());
    assert_eq!(module.initial[0].values, [None, Some("last".into())]);
}

#[test]
fn each_rule_is_enforced() {
    type Break = fn(&mut Fixture);
    let cases: [(&str, Break); 16] = [
        ("size is 55", |f| f.patch(f.table, &55u64.to_le_bytes())),
        ("maps is NULL", |f| f.patch(f.table + 16, &[0; 8])),
        ("executable code", |f| {
            f.patch(f.table + 8, &1u64.to_le_bytes());
        }),
        ("0.21.0 or later", |f| {
            f.answers.version = ModuleVersion::new(0, 20, 9);
        }),
        ("count is zero", |f| f.answers.maps.1 = 0),
        ("at most 65536", |f| f.answers.programs.1 = 1 << 40),
        ("does not lie inside", |f| f.answers.programs.1 = 3),
        ("zero is 1", |f| {
            f.patch(f.answers.programs.0, &1u64.to_le_bytes());
        }),
        ("header.version", |f| {
            f.patch(f.answers.programs.0 + 8, &[2]);
        }),
        ("header.size", |f| {
            f.patch(f.answers.programs.0 + 16, &[120]);
        }),
        ("header.total_size", |f| {
            f.patch(f.answers.programs.0 + 24, &[0xff; 8]);
        }),
        ("function = 0x1", |f| {
            f.patch(f.answers.programs.0 + 32, &1u64.to_le_bytes());
        }),
        ("program_name is NULL", |f| {
            f.patch(f.answers.programs.0 + 56, &[0; 8]);
        }),
        ("pinning is 2", |f| {
            f.patch(f.answers.maps.0 + 40 + 20, &[2]);
        }),
        ("type is 99", |f| f.patch(f.answers.maps.0 + 40, &[99])),
        ("size is 7", |f| f.patch(f.answers.globals.0 + 32, &[7])),
    ];
    for (expected, damage) in cases {
        let mut fixture = Fixture::new(NEW);
        damage(&mut fixture);
        let message = fixture.validate().err().map(|error| error.to_string());
        let message = message.unwrap_or_else(|| panic!("accepted: {expected}"));
        assert!(
            message.contains(expected),
            "{message:?} should say {expected:?}"
        );
    }
}

#[test]
fn strings_end_in_bounds() {
    for (text, good) in [
        ("a".repeat(63), true),
        ("a".repeat(64), false),
        ("tab\t".into(), false),
        (String::new(), false),
    ] {
        let fixture = Fixture::new(NEW);
        let name = fixture.text(&text);
        fixture.patch(fixture.answers.programs.0 + 48, &name.to_le_bytes());
        assert_eq!(fixture.validate().is_ok(), good, "{text:?}");
    }
    let fixture = Fixture::new(NEW);
    let endless = fixture.part(b"no terminator");
    fixture.patch(fixture.answers.programs.0 + 48, &endless.to_le_bytes());
    assert!(matches!(
        fixture.validate().unwrap_err().problem,
        Problem::Outside { .. }
    ));
}

#[test]
fn helpers_and_hashes_must_match() {
    let (core, _) = core();
    let fixture = Fixture::new(NEW);
    let helpers = fixture.programs_first_helpers();
    fixture.patch(helpers + 24, &26u32.to_le_bytes());
    let error = load(&core, &fixture).err().unwrap();
    assert_eq!(error.status(), Status::ExtensionFailedToLoad);
    assert!(matches!(error.problem, Problem::NoHelper { id: 26, .. }));
    let fixture = Fixture::new(NEW);
    let (hash, kind) = (fixture.part(&[0u8; 32]), fixture.text("SHA256"));
    let fields = [hash, 32, kind].map(u64::to_le_bytes).concat();
    fixture.patch(fixture.answers.programs.0 + 120, &fields);
    let error = load(&core, &fixture).err().unwrap();
    assert_eq!(error.problem, Problem::InfoHash);
    assert_eq!(error.status(), Status::InvalidArgument);
}

impl Fixture {
    fn programs_first_helpers(&self) -> u64 {
        let mut bytes = [0; 8];
        assert!(self.read(self.answers.programs.0 + 80, &mut bytes));
        u64::from_le_bytes(bytes)
    }
}

#[test]
fn damaged_modules_never_panic() {
    let mut random = Random(11);
    let (core, _) = core();
    let mut accepted = 0;
    for round in 0..4_000 {
        let mut fixture = Fixture::new(if round % 2 == 0 { OLD } else { NEW });
        for _ in 0..=random.below(3) {
            let mut parts = fixture.parts.lock().unwrap();
            let which = random.below(parts.len() as u64) as usize;
            let part = &mut parts[which].1;
            let at = random.below(part.len() as u64) as usize;
            part[at] = match random.below(3) {
                0 => random.next() as u8,
                1 => 0,
                _ => 0xff,
            };
        }
        if random.below(10) == 0 {
            fixture.answers.maps.1 = random.next() >> random.below(64);
        }
        if let Ok(module) = fixture.validate() {
            // Sizes may have become large: only what is reasonable is made.
            let small = module
                .maps
                .iter()
                .all(|map| u64::from(map.definition.max_entries) < 1 << 16);
            if small && instantiate(&core, &module, &NoExtensions).is_ok() {
                accepted += 1;
            }
        }
    }
    assert!(
        accepted > 100,
        "the damage leaves nothing to accept: {accepted}"
    );
}
