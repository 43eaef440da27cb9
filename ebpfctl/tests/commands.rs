//! Commands over the simulated runtime, as they are typed.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::process::{Command, Output};

const OBJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/droppacket.o");
const UNSAFE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../examples/droppacket_unsafe.o"
);
const POLICY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/connect_policy.o");
const LOGGER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/flow_logger.o");

fn ebpfctl(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ebpfctl"));
    command.args(arguments).output().unwrap()
}

fn text(arguments: &[&str]) -> String {
    let output = ebpfctl(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    assert!(
        errors.contains("simulated runtime"),
        "says that it is no driver: {errors}"
    );
    String::from_utf8(output.stdout).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let text = text(&[&["--json"], arguments].concat());
    serde_json::from_str(&text).unwrap()
}

/// An empty UDP datagram to port 53, or one with data.
fn frame(udp_bytes: u8) -> String {
    let mut frame = vec![0u8; 34 + usize::from(udp_bytes)];
    frame[12] = 8;
    frame[14] = 0x45;
    frame[23] = 17;
    frame[37] = 53;
    frame[39] = udp_bytes;
    frame.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn loaded_programs_are_listed() {
    assert_eq!(text(&["prog", "list"]), "");
    let list = json(&["--load", OBJECT, "prog", "list"]);
    let program = &list["programs"][0];
    assert_eq!(program["name"], "DropPacket");
    assert_eq!(program["type"], "xdp");
    assert_eq!(program["mode"], "interpreted");
    assert_eq!(program["maps"], 2);
    let shown = text(&["--load", OBJECT, "prog", "show", "name:DropPacket"]);
    assert!(shown.contains("section xdp"), "{shown}");
    assert!(shown.ends_with("runs 0\n"), "{shown}");
}

#[test]
fn a_program_runs_on_a_packet() {
    for (bytes, verdict) in [(8, 2), (9, 1)] {
        let arguments = [
            "--load",
            OBJECT,
            "prog",
            "run",
            "name:DropPacket",
            "--data",
            &frame(bytes),
        ];
        let result = json(&arguments);
        assert_eq!(result["value"], verdict);
        assert_eq!(result["data"], frame(bytes));
    }
}

#[test]
fn maps_are_read_and_changed() {
    let maps = json(&["--load", OBJECT, "map", "list"]);
    assert_eq!(maps["maps"][1]["name"], "dropcnt_map");
    let dump = json(&["--load", OBJECT, "map", "dump", "name:dropcnt_map"]);
    assert_eq!(dump["entries"][0]["key"]["number"], 0);
    assert_eq!(dump["entries"][0]["values"][0]["hex"], "0000000000000000");
    let map = ["--load", OBJECT, "map"];
    let on = |rest: &[&str]| ebpfctl(&[&map, rest].concat());
    assert!(
        on(&["update", "name:dropcnt_map", "0", "-1"])
            .status
            .success()
    );
    assert!(
        on(&["update", "name:dropcnt_map", "hex:00000000", "7"])
            .status
            .success()
    );
    for wrong in [
        ["update", "name:dropcnt_map", "0", "18446744073709551616"],
        ["update", "name:dropcnt_map", "0", "hex:00"],
        ["update", "name:dropcnt_map", "9", "0"],
        ["update", "name:nosuchmap", "0", "0"],
    ] {
        let output = on(&wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("error[BN"),
            "{wrong:?}"
        );
    }
}

#[test]
fn loading_pins_and_attaches() {
    let loaded = json(&[
        "prog",
        "load",
        POLICY,
        "--pin",
        "p",
        "--attach",
        "ConnectPolicy4",
    ]);
    assert_eq!(loaded["programs"][0]["pin"], "p\\ConnectPolicy4");
    assert_eq!(loaded["programs"][1]["name"], "ConnectPolicy6");
    let refused = ebpfctl(&["prog", "load", POLICY, "--attach", "NoSuchProgram"]);
    assert_eq!(refused.status.code(), Some(2));
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        words.contains("there are: ConnectPolicy4, ConnectPolicy6"),
        "{words}"
    );
}

#[test]
fn an_unsafe_program_is_refused() {
    let output = ebpfctl(&["--json", "prog", "load", UNSAFE]);
    assert_eq!(output.status.code(), Some(1));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("BN0218"), "{message}");
}

#[test]
fn rings_are_waited_for_and_others_refused() {
    let ring = json(&["--load", LOGGER, "map", "list"]);
    let maps = ring["maps"].as_array().unwrap();
    let name = maps.iter().find(|map| map["type"] == "ringbuf").unwrap()["name"].clone();
    let name = format!("name:{}", name.as_str().unwrap());
    assert_eq!(
        text(&["--load", LOGGER, "events", &name, "--timeout", "1"]),
        ""
    );
    let wrong = ebpfctl(&["--load", OBJECT, "events", "name:dropcnt_map"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn counters_are_summed() {
    let stats = text(&[
        "--load",
        OBJECT,
        "stats",
        "--watch",
        "--interval",
        "1",
        "--count",
        "2",
    ]);
    let lines: Vec<&str> = stats
        .lines()
        .filter(|line| line.contains("dropcnt_map"))
        .collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].ends_with('-') && lines[1].ends_with(" 0"),
        "{stats}"
    );
    assert!(!stats.contains('\u{1b}'), "draws only on terminals");
    let stats = json(&["--load", OBJECT, "stats"]);
    let program = &stats["programs"][0];
    assert_eq!(
        (&program["name"], program["runs"].as_u64()),
        (&"DropPacket".into(), Some(0))
    );
    assert_eq!(
        stats["counters"].as_array().unwrap().len(),
        1,
        "the other map has no counters"
    );
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = ebpfctl(&["completions", shell]);
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("prog"));
    }
}
