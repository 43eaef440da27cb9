//! CO-RE relocations of a real object, against its own types and against those of other systems.
//!
//! `tests/data/core/app.c` asks one question per function; `tests/data/core/*.expected` holds the
//! answers for each target (`BLESS=1` rewrites them). They are those of libbpf, which was asked the
//! same questions.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use abi::{Platform, diagnostic as is};
use program::{LoadOptions, Object, POISON, TargetBtf, Unlinkable};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Cursor;
use std::path::{Path, PathBuf};

fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/core")
        .join(file)
}

fn load(file: &str, target: Option<TargetBtf>) -> Object {
    let options = LoadOptions {
        platform: Platform::Linux,
        unlinkable: Unlinkable::LeaveOut,
        btf: target,
        ..LoadOptions::default()
    };
    program::load(&fs::read(data(file)).unwrap(), &options).unwrap()
}

fn target(file: &str) -> TargetBtf {
    TargetBtf::read(File::open(data(file)).unwrap()).unwrap()
}

/// The instructions that may have changed, and what is missing or wrong.
fn print(object: &Object) -> String {
    let mut text = String::new();
    for program in &object.programs {
        let insns: Vec<String> = program.insns.iter().map(ToString::to_string).collect();
        writeln!(text, "{}: {}", program.name, insns.join("; ")).unwrap();
        for missing in &program.missing {
            writeln!(text, "    {} needs the {}", missing.at, missing.what).unwrap();
        }
    }
    for left_out in &object.unlinked {
        let error = &left_out.error;
        writeln!(text, "{}: {} {error}", left_out.name, error.code()).unwrap();
    }
    text
}

#[track_caller]
fn expect(name: &str, object: &Object) {
    let (found, path) = (print(object), data(name));
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(&path).unwrap_or_default());
}

#[test]
fn own_types_change_nothing() {
    let object = load("app.o", None);
    assert!(
        object
            .programs
            .iter()
            .all(|program| program.missing.is_empty())
    );
    assert!(object.notes[0].contains("own BTF"), "{:?}", object.notes);
    expect("own.expected", &object);
}

#[test]
fn another_layout() {
    let object = load("app.o", Some(target("target_moved.o")));
    assert!(object.notes.is_empty(), "{:?}", object.notes);
    expect("moved.expected", &object);
}

#[test]
fn types_of_one_name_that_disagree() {
    let object = load("app.o", Some(target("target_ambiguous.o")));
    let unlinked = |name| object.unlinked.iter().find(|program| program.name == name);
    let error = &unlinked("read_pid").unwrap().error;
    assert_eq!(error.code(), is::CORE_AMBIGUOUS);
    assert_eq!(error.place().section.as_deref(), Some("socket"));
    assert_eq!(error.place().symbol.as_deref(), Some("read_pid"));
    let text = "offset of `struct task::pid` in `r0 = *(u32 *)(r1 + 0)`";
    assert!(error.message().starts_with(text), "{error}");
    // Neither has it: no contradiction.
    assert!(unlinked("removed_exists").is_none());
    let object = load("same.o", Some(target("target_ambiguous.o")));
    assert_eq!(
        object.programs[0].insns[0].to_string(),
        "r0 = *(u32 *)(r1 + 8)"
    );
}

#[test]
fn what_is_missing_is_poisoned() {
    let object = load("app.o", Some(target("same.o")));
    let (_, program) = object.program("read_link").unwrap();
    let [missing] = &*program.missing else {
        panic!("{:?}", program.missing)
    };
    assert_eq!(
        program.insns[missing.at.index()].to_string(),
        format!("call {POISON}")
    );
    assert!(
        missing.what.contains("`struct task::link`"),
        "{}",
        missing.what
    );
    assert_eq!(program.missing(missing.at), Some(&missing.what));
}

/// `/sys/kernel/btf/vmlinux` is raw; objects carry a section.
#[test]
fn raw_and_in_elf() {
    let file = fs::read(data("target_moved.o")).unwrap();
    let at = file
        .windows(4)
        .position(|word| word == b"\x9f\xeb\x01\0")
        .unwrap();
    let word = |offset: usize| {
        let bytes = file[at + offset..][..4].try_into().unwrap();
        u32::from_le_bytes(bytes) as usize
    };
    let raw = &file[at..at + 24 + word(16) + word(20)];
    let options = |bytes: &[u8]| Some(TargetBtf::read(Cursor::new(bytes.to_vec())).unwrap());
    let (raw, elf) = (load("app.o", options(raw)), load("app.o", options(&file)));
    assert_eq!(print(&raw), print(&elf));
    for bad in [
        &b""[..],
        b"text that is no BTF at all, but long enough for a header",
        &file[..at + 40],
        &file[at..at + 60],
    ] {
        let error = TargetBtf::read(Cursor::new(bad.to_vec())).unwrap_err();
        assert_eq!(error.code(), is::CORE_TARGET, "{error}");
    }
}

/// Damaged records and targets are refused or answered, in bounded time.
#[test]
fn damaged_inputs() {
    let (app, moved) = (
        fs::read(data("app.o")).unwrap(),
        fs::read(data("target_moved.o")).unwrap(),
    );
    let good = target("target_moved.o");
    let load = |bytes: &[u8], target: TargetBtf| {
        let options = LoadOptions {
            platform: Platform::Linux,
            unlinkable: Unlinkable::LeaveOut,
            btf: Some(target),
            ..LoadOptions::default()
        };
        let loaded = program::load(bytes, &options);
        if let Err(error) = &loaded {
            assert_ne!(error.code(), is::INTERNAL, "{error}");
        }
        loaded.is_err()
    };
    let mut refused = 0;
    for at in (0..app.len()).step_by(5) {
        let mut bytes = app.clone();
        bytes[at] ^= 1 << (at % 8);
        refused += usize::from(load(&bytes, good.clone()));
    }
    assert!(refused > 50, "{refused}");
    for at in 0..moved.len() {
        let mut bytes = moved.clone();
        bytes[at] ^= 0x80 >> (at % 8);
        if let Ok(target) = TargetBtf::read(Cursor::new(bytes)) {
            load(&app, target);
        }
    }
}

#[test]
fn programs_are_attached_to_what_options_or_sections_say() {
    let kernel = target("attached.o");
    let known = |all: Option<&str>, single: &[(&str, &str)]| {
        let pairs = single.iter();
        let pairs = pairs.map(|(program, target)| ((*program).into(), (*target).into()));
        let options = LoadOptions {
            platform: Platform::Linux,
            btf: Some(kernel.clone()),
            attach_target: all.map(Into::into),
            program_targets: pairs.collect(),
            ..LoadOptions::default()
        };
        let object = program::load(&fs::read(data("attached.o")).unwrap(), &options).unwrap();
        let attached = object.programs.iter();
        let attached = attached.filter(|program| program.arguments.is_some());
        attached
            .map(|program| program.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(known(None, &[]), ["there"]);
    assert_eq!(known(Some("traced"), &[]), ["anywhere", "there"]);
    assert_eq!(known(Some("untraced"), &[]), ["there"]);
    let single = [("elsewhere", "traced"), ("there", "other")];
    assert_eq!(known(None, &single), ["elsewhere"]);
    assert_eq!(known(Some("traced"), &single), ["anywhere", "elsewhere"]);
}
