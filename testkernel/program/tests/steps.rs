//! The steps of an application, over the runtime in its own process.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::path::PathBuf;
use std::process::Command;

fn example(name: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    root.join(name).to_str().unwrap().to_owned()
}

/// What the steps say, and whether all succeeded.
fn run(steps: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_testkernel"));
    let output = command.arg("ebpf").args(steps).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn an_application_loads_attaches_and_detaches() {
    let (object, capture) = (example("droppacket.o"), example("inputs/droppacket.pcap"));
    let (is_done, said, error) = run(&[
        "load",
        &object,
        "+",
        "attach",
        "7",
        "+",
        "pin",
        "dropcnt_map",
        "kept",
        "+",
        "list",
        "+",
        "detach",
        "+",
        "unpin",
        "kept",
        "+",
        "set",
        "dropcnt_map",
        "00000000",
        "0500000000000000",
        "+",
        "map",
        "dropcnt_map",
        "+",
        "verdicts",
        "DropPacket",
        &capture,
    ]);
    assert!(is_done, "{error}");
    for line in [
        "loaded DropPacket Interpreted",
        "attached 1",
        "link Some(7)",
        "pin BPF:\\kept",
        "detached 1",
        "00000000 0500000000000000",
    ] {
        assert!(said.lines().any(|other| other == line), "{line}: {said}");
    }
    let verdicts = said.lines().last().unwrap();
    assert!(verdicts.contains(" 1") && verdicts.contains(" 2"), "{said}");
}

#[test]
fn the_runtime_says_why_it_refuses() {
    let (is_done, said, error) = run(&["load", &example("droppacket_unsafe.o"), "runtime"]);
    assert!(!is_done && said.is_empty(), "{said}");
    assert!(
        error.contains("BN0218: bytes 36 to 37 of the packet are accessed"),
        "{error}"
    );
}

#[test]
fn waiting_ends_by_a_record_or_by_being_cancelled() {
    let object = example("flow_logger.o");
    let asked = ["load", &object, "+", "ask", "events_map", "+"];
    let recorded = ["record", "events_map", "0102", "+", "answer"];
    let (_, said, error) = run(&[&asked[..], &recorded].concat());
    assert!(
        said.ends_with("waits: true\nrecords up to 16\n"),
        "{said}{error}"
    );
    let (_, said, error) = run(&[&asked[..], &["cancel", "+", "answer"]].concat());
    assert!(said.contains("EBPF_CANCELED"), "{said}{error}");
    let read = ["record", "events_map", "03", "+", "read", "events_map"];
    let all = [&asked[..3], &["record", "events_map", "0102", "+"], &read].concat();
    let (_, said, error) = run(&all);
    assert!(said.ends_with("record 0102\nrecord 03\n"), "{said}{error}");
    let (is_done, _, error) = run(&["answer"]);
    assert!(!is_done && error.contains("nothing was asked"), "{error}");
}

#[test]
fn what_is_typed_for_netsh_is_answered() {
    let netsh = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_testkernel"));
        let output = command.arg("netsh").args(words).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let (safe, wrong) = (example("droppacket.o"), example("droppacket_unsafe.o"));
    let (code, said) = netsh(&["add", "program", &safe, "xdp"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("Loaded with ID "), "{said}");
    for verb in [&["show", "verification"], &["add", "program"]] {
        let (code, said) = netsh(&[&verb[..], &[&wrong, "xdp"]].concat());
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("BN0218"), "{said}");
    }
}
