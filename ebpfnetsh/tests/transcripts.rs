//! Transcripts: what is typed behind `netsh ebpf`, and what comes back.
//!
//! Each file of `transcripts/` is one session. A line that begins with `> ` is typed; below it stands
//! what is printed, lines of the error output marked with `!`, and how it ends when that is not
//! well: `= Failed`, `= Okay`. `$DRIVERS` is a folder with drivers made of the examples. `BLESS=1`
//! writes the files anew.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use ebpfapi::{Client, Error, Simulator};
use ebpfnetsh::{Ending, Host, NotElevated, Process, Session, help};
use signing::Signer;
use std::path::{Path, PathBuf};

#[test]
fn sessions_go_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let drivers = Drivers::make();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        same_as_file(&file, |written| replay(written, &drivers));
    }
}

#[test]
fn the_reference_is_that_of_the_table() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/netsh.md");
    same_as_file(&file, |_| help::reference());
}

/// Compares a file with what it should be, or writes it.
fn same_as_file(file: &Path, make: impl FnOnce(&str) -> String) {
    let written = std::fs::read_to_string(file).unwrap_or_default();
    let made = make(&written);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(file, made).unwrap();
        return;
    }
    let differs = written.lines().zip(made.lines()).find(|(a, b)| a != b);
    assert!(written == made, "{}: {differs:?}\n{made}", file.display());
}

/// The session that a file has typed, with what comes back now.
fn replay(written: &str, drivers: &Drivers) -> String {
    let mut session = Session::new(Box::new(Machine(Simulator::new().unwrap())));
    let mut out = String::new();
    for line in written.lines() {
        if line.starts_with('#') {
            out += &format!("{line}\n");
        }
        let Some(typed) = line.strip_prefix("> ") else {
            continue;
        };
        let words = typed.replace("$DRIVERS", drivers.place());
        let words: Vec<&str> = words.split_whitespace().collect();
        let answer = session.run(&words);
        out += &format!("> {typed}\n");
        out += &marked("", &answer.out.replace(drivers.place(), "$DRIVERS"));
        out += &marked("!", &answer.err.replace(drivers.place(), "$DRIVERS"));
        if answer.ending != Ending::Done {
            out += &format!("= {:?}\n", answer.ending);
        }
    }
    out
}

/// Lines behind a mark, which also keeps empty lines apart from those between commands.
fn marked(mark: &str, text: &str) -> String {
    text.lines()
        .map(|line| format!("{mark}|{line}\n"))
        .collect()
}

/// A machine of its own for each session.
struct Machine(Simulator);

impl Host for Machine {
    fn connect(&self) -> Result<Client, Error> {
        Ok(self.0.client())
    }

    fn processes(&self) -> Result<Vec<Process>, NotElevated> {
        Ok(vec![Process {
            id: 4711,
            name: "netsh.exe".to_owned(),
        }])
    }

    fn interface(&self, name: &str) -> Option<u32> {
        (name == "Ethernet").then_some(7)
    }

    fn signer(&self) -> Result<Option<Signer>, String> {
        Ok(None)
    }
}

/// Drivers made of the examples, in a folder of their own.
struct Drivers(PathBuf);

impl Drivers {
    fn make() -> Drivers {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("drivers");
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["droppacket", "tail_calls"] {
            let image = Drivers::image(name);
            std::fs::write(folder.join(name).with_extension("sys"), image).unwrap();
            let own = folder.join(format!("own_{name}"));
            std::fs::copy(format!("../examples/{name}.o"), own.with_extension("o")).unwrap();
            // What an earlier run made; the test of other drivers has one that is no driver.
            let _ = std::fs::remove_file(own.with_extension("sys"));
        }
        std::fs::write(folder.join("own_tail_calls.sys"), "another one").unwrap();
        Drivers(folder)
    }

    fn image(name: &str) -> Vec<u8> {
        let bytes = std::fs::read(format!("../examples/{name}.o")).unwrap();
        let options = program::LoadOptions {
            name: name.to_owned(),
            ..program::LoadOptions::default()
        };
        let object = program::load(&bytes, &options).unwrap();
        let ids = (0..object.programs.len()).map(|at| program::ProgramId(at as u16));
        let verified: Vec<_> = ids
            .map(|id| verifier::verify(&object, id, &verifier::Options::default()).unwrap())
            .collect();
        let module = codegen::compile(&verified, &codegen::Options::default()).unwrap();
        image::link(&module).unwrap().bytes().to_vec()
    }

    fn place(&self) -> &str {
        self.0.to_str().unwrap()
    }
}
