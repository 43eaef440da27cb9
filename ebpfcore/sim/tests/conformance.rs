//! Programs as the public conformance suite has them, on both engines.
#![cfg(all(unix, target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

use abi::diagnostic;
use ebpfcore_sim::{Engine, Error, conformance};

fn run(text: &str, memory: &[u8], engine: Engine) -> Result<conformance::Outcome, Error> {
    let insns = isa::asm::assemble(text).unwrap();
    conformance::run(&isa::encode::program(&insns).unwrap(), memory, engine)
}

#[test]
fn results_are_those_of_the_suite() {
    for (text, memory, r0) in [
        ("r0 = r2\nexit", &[1, 2, 3][..], 3),
        (
            "r0 = *(u32 *)(r1 + 1)\nexit",
            &[9, 1, 2, 3, 4][..],
            0x0403_0201,
        ),
        ("r0 = -1\nexit", &[][..], u64::MAX),
        ("w0 = -1\nexit", &[][..], 0xffff_ffff),
        (
            "r1 = 1\nr2 = 2\nr3 = 3\nr4 = 4\nr5 = 261\ncall 0\nexit",
            &[][..],
            0x01_0203_0405,
        ),
        ("call 1\nr0 = *(u8 *)(r0 + 0)\nexit", &[1, 2][..], 1 ^ 42),
        ("r0 = 9\ncall 2\nexit", &[][..], 0),
        ("r1 = 80\ncall 3\nexit", &[][..], 8),
        ("r2 = r1\nr2 += 3\ncall 4\nexit", b"ab\0ab\0", 0),
        ("r2 = r1\nr2 += 3\ncall 4\nexit", b"ab\0ac\0", u64::MAX),
        ("r1 = 0\ncall 5\nr0 = 7\nexit", &[][..], 0),
        ("r1 = 1\ncall 5\nr0 = 7\nexit", &[][..], 7),
        ("r1 = 5\nr0 = 8\nr0 /= 0\nexit", &[][..], 0),
    ] {
        for engine in [Engine::Native, Engine::Interpreter] {
            let found = run(text, memory, engine).unwrap();
            assert_eq!(found.r0, r0, "{engine}: {text}");
        }
    }
}

#[test]
fn memory_is_changed_alike() {
    let text = "*(u8 *)(r1 + 0) = 7\ncall 1\nr0 = 0\nexit";
    for engine in [Engine::Native, Engine::Interpreter] {
        let found = run(text, &[1, 2, 3], engine).unwrap();
        assert_eq!(found.memory, [7 ^ 42, 2 ^ 42, 3 ^ 42]);
    }
}

#[test]
fn what_is_no_program_is_refused() {
    for engine in [Engine::Native, Engine::Interpreter] {
        let error = conformance::run(&[0xff; 8], &[], engine).unwrap_err();
        assert!(matches!(error, Error::Bytecode(_)), "{error}");
        let error = run("call 77\nexit", &[], engine).unwrap_err();
        assert!(error.to_string().contains("77"), "{engine}: {error}");
    }
    let stray = run(
        "r0 = *(u8 *)(r1 + 3)\nexit",
        &[1, 2, 3],
        Engine::Interpreter,
    );
    assert_eq!(stray.unwrap_err().code(), diagnostic::RUN_TRAP);
    let endless = run("l:\nr0 = 0\ngoto l", &[], Engine::Interpreter);
    assert!(endless.is_err());
}

/// Native code that faults ends the process with status 3 and says what faulted.
#[test]
fn faults_are_reported() {
    if std::env::var_os("FAULT").is_some() {
        let _ = run("r0 = *(u64 *)(r1 + 4096)\nexit", &[1, 2, 3], Engine::Native);
        return;
    }
    let done = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["faults_are_reported", "--exact", "--nocapture"])
        .env("FAULT", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(3), "{text}");
    for part in ["BN0614", "`conformance`", "SIGSEGV", "image offset"] {
        assert!(text.contains(part), "{text}");
    }
}
