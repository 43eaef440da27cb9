//! Drivers that touch what they must not, beginning with their first instruction: the loader's
//! protections stop each in a process of its own.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

#[path = "support/runtime.rs"]
mod runtime;
mod support;

use ebpfcore_sim::computer::Computer;
use ebpfcore_sim::{Error, ModuleIdValue};
use image::read::{Pe, Section};
use std::process::{Command, Output};

/// What tells a child which driver to start, and what its entry point does.
const SERVICE: &str = "SERVICE_TO_START";
const MISDEED: &str = "FIRST_INSTRUCTION";

/// The exit status of a fault that was caught.
const FAULT: i32 = 3;

/// `mov eax, 0xc0000001; ret`.
const REFUSE: [u8; 6] = [0xb8, 0x01, 0x00, 0x00, 0xc0, 0xc3];

/// What the entry point does, with the kind of section that it does it to.
type Misdeed = (&'static str, fn(&Section) -> bool, [u8; 3], &'static [u8]);

/// `lea rax, [rip + place]`, and what follows.
const LEA: [u8; 3] = [0x48, 0x8d, 0x05];
const WRITE: &[u8] = &[0xc6, 0x00, 0x90, 0xc3];
const EXECUTE: &[u8] = &[0xff, 0xe0];

const MISDEEDS: [Misdeed; 4] = [
    ("write to code", Section::is_executable, LEA, WRITE),
    ("write to constants", is_constant, LEA, WRITE),
    ("execution of constants", is_constant, LEA, EXECUTE),
    ("execution of data", Section::is_writable, LEA, EXECUTE),
];

fn is_constant(section: &Section) -> bool {
    !section.is_writable() && !section.is_executable() && !section.is_discardable()
}

fn file(service: &str) -> Option<Vec<u8>> {
    if service == "ebpfcore" {
        return runtime::driver_file().map(<[u8]>::to_vec);
    }
    let object = support::load(&format!("{service}.o"));
    let programs = support::verify(&object);
    Some(support::driver(&programs, &codegen::Options::default()))
}

/// The file with other code at its entry point.
fn patched(mut file: Vec<u8>, code: impl Fn(&Pe<'_>) -> Vec<u8>) -> Vec<u8> {
    let pe = Pe::parse(&file).unwrap();
    let entry = pe.headers.entry_point;
    let section = pe.section_at(entry).unwrap();
    let at = (section.raw_offset + entry - section.rva) as usize;
    let code = code(&pe);
    file[at..at + code.len()].copy_from_slice(&code);
    file
}

fn misdeed(pe: &Pe<'_>, (_, kind, first, then): Misdeed) -> Vec<u8> {
    let section = pe.sections.iter().find(|section| kind(section)).unwrap();
    let distance = section.rva.wrapping_sub(pe.headers.entry_point + 7);
    [&first[..], &distance.to_le_bytes(), then].concat()
}

fn start(service: &str, file: &[u8]) -> Result<(), Error> {
    let computer = Computer::new();
    computer.create(service, file, &ModuleIdValue::NoKey);
    computer.start(service)
}

/// Runs in a child only.
#[test]
fn child() {
    let (Ok(service), Ok(name)) = (std::env::var(SERVICE), std::env::var(MISDEED)) else {
        return;
    };
    let chosen = MISDEEDS.into_iter().find(|row| row.0 == name).unwrap();
    let file = patched(file(&service).unwrap(), |pe| misdeed(pe, chosen));
    let started = start(&service, &file);
    panic!("{name} went through: {started:?}");
}

fn run_child(service: &str, name: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--test-threads=1", "--nocapture"])
        .env(SERVICE, service)
        .env(MISDEED, name)
        .output()
        .unwrap()
}

#[test]
fn a_wrong_page_is_never_written_or_executed() {
    for service in ["ebpfcore", "droppacket"] {
        let Some(file) = file(service) else { return };
        // The patch itself works: an entry point that refuses is heard.
        let refusing = patched(file, |_| REFUSE.to_vec());
        let refused = start(service, &refusing);
        assert!(
            matches!(
                refused,
                Err(Error::Entry {
                    status: 0xc000_0001
                })
            ),
            "{refused:?}"
        );
        for (name, ..) in MISDEEDS {
            let output = run_child(service, name);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(
                output.status.code(),
                Some(FAULT),
                "{service}, {name}: {said}"
            );
            let expected = format!("`{service}` faulted: SIGSEGV");
            assert!(said.contains(&expected), "{service}, {name}: {said}");
        }
    }
}
