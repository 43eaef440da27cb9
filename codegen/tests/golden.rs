//! Golden listings: Cranelift IR, machine code and unwind codes of small programs.
//!
//! `tests/golden/NAME.bpf` is the source, `NAME.txt` the listing. `BLESS=1` writes the listings.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use codegen::{Options, print};
use common::build::{assume, object, program};
use isa::{CallTarget, Imm64, Insn, InsnIdx};
use std::fs;
use std::path::Path;

/// Slots at which functions start: 0 and the targets of calls.
fn starts(insns: &[Insn]) -> Vec<u32> {
    let mut starts = vec![0];
    for (at, insn) in (0..).map(InsnIdx).zip(insns) {
        let (Insn::Call(CallTarget::Local(offset))
        | Insn::LoadImm64 {
            imm: Imm64::Code(offset),
            ..
        }) = insn
        else {
            continue;
        };
        starts.push(at.jump(*offset).unwrap().0);
    }
    starts.sort_unstable();
    starts.dedup();
    starts
}

fn listing(name: &str, source: &str) -> String {
    let insns = isa::asm::assemble(source).unwrap_or_else(|error| panic!("{name}: {error}"));
    let starts = starts(&insns);
    let object = object(vec![program(name, insns, &starts)]);
    let programs = assume(&object);
    let options = Options::default();
    let clif = print::clif(&programs, &options).unwrap();
    let asm = print::asm(&programs, &options).unwrap();
    let unwind = print::unwind(&programs, &options).unwrap();
    let text = format!("== clif\n{clif}== asm\n{asm}== unwind\n{unwind}");
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!("{}\n", lines.join("\n").trim_end())
}

#[test]
fn listings_are_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut sources: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "bpf"))
        .collect();
    sources.sort();
    assert!(sources.len() >= 5, "the sources are there");
    for path in sources {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let found = listing(&name, &fs::read_to_string(&path).unwrap());
        let golden = path.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&golden, found).unwrap();
            continue;
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert!(
            expected == found,
            "{name} differs from {}; BLESS=1 records this:\n{found}",
            golden.display()
        );
    }
}
