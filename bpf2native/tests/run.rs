//! Running programs from the command line: the examples' expected results, both engines, and the
//! plugin of the conformance suite.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{bpf2native, example, folder, run, run_json};
use serde_json::Value;
use std::io::Write as _;
use std::process::Stdio;

/// The command line of one expected run.
fn command(name: &str, expected: &Value, engine: &str) -> std::process::Command {
    let mut command = bpf2native();
    command.arg("run").arg(example(&format!("{name}.o")));
    command.args(["--engine", engine, "--program", text(&expected["program"])]);
    let input = example(text(&expected["input"]));
    match input
        .extension()
        .is_some_and(|extension| extension == "pcap")
    {
        true => command.arg("--packet").arg(&input),
        false => command.arg("--ctx").arg(format!("@{}", input.display())),
    };
    for (map, entries) in expected["maps_before"].as_object().into_iter().flatten() {
        for entry in entries.as_array().unwrap() {
            let (key, value) = (text(&entry[0]), text(&entry[1]));
            command.arg("--map").arg(format!("{map}:{key}={value}"));
        }
    }
    command
}

/// One expected run of an example through the command line.
fn check(name: &str, number: usize, expected: &Value, engine: &str) {
    let what = format!("{name}, run {number}, {engine}");
    let (code, json) = run_json(&mut command(name, expected, engine));
    assert_eq!(code, 0, "{what}: {json}");
    assert_eq!(json["results"], expected["verdicts"], "{what}");
    assert!(json["ns_per_invocation"].as_f64().unwrap() > 0.0, "{what}");
    for (map, entries) in expected["maps"].as_object().into_iter().flatten() {
        let found = &json["maps"][map]["entries"];
        let found = list(found, |entry| {
            format!("{}={}", text(&entry["key"]), text(&entry["value"]))
        });
        let wanted = list(entries, |entry| {
            format!("{}={}", text(&entry[0]), text(&entry[1]))
        });
        compare(&format!("{what}, map {map}"), &found, &wanted);
    }
    for (map, records) in expected["records"].as_object().into_iter().flatten() {
        let found = list(&json["maps"][map]["records"], |record| {
            text(record).to_owned()
        });
        let wanted = list(records, |record| text(record).to_owned());
        compare(&format!("{what}, records of {map}"), &found, &wanted);
    }
    for (at, wanted) in expected["contexts_after"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        let found = text(&json["contexts"][at]["context"]);
        assert!(
            matches(found, text(wanted)),
            "{what}, context {at}: {found}, expected {wanted}"
        );
    }
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("expected a string, found {value}"))
}

fn list(value: &Value, one: impl Fn(&Value) -> String) -> Vec<String> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("expected a list, found {value}"))
        .iter()
        .map(one)
        .collect()
}

#[track_caller]
fn compare(what: &str, found: &[String], wanted: &[String]) {
    let same = found.len() == wanted.len() && found.iter().zip(wanted).all(|(a, b)| matches(a, b));
    assert!(same, "{what}:\nfound    {found:?}\nexpected {wanted:?}");
}

/// Hexadecimal bytes against a pattern in which `??` stands for any byte.
fn matches(found: &str, pattern: &str) -> bool {
    found.len() == pattern.len()
        && found
            .bytes()
            .zip(pattern.bytes())
            .all(|(byte, wanted)| wanted == b'?' || byte == wanted)
}

#[test]
fn examples_give_their_expected_results_on_both_engines() {
    let mut runs = 0;
    for entry in std::fs::read_dir(example("expected")).unwrap() {
        let path = entry.unwrap().path();
        let expected: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        for (number, wanted) in expected["runs"].as_array().unwrap().iter().enumerate() {
            for engine in ["native", "interpreter"] {
                check(&name, number, wanted, engine);
                runs += 1;
            }
        }
    }
    assert!(runs >= 16, "only {runs} runs were found");
}

#[test]
fn a_written_driver_runs_like_its_object() {
    let folder = folder();
    let driver = folder.path().join("droppacket.sys");
    assert_eq!(
        run(bpf2native()
            .arg(example("droppacket.o"))
            .arg("-o")
            .arg(&driver))
        .code,
        0
    );
    let packets = example("inputs/droppacket.pcap");
    let answer = |input: &std::path::Path| {
        let (code, json) = run_json(
            bpf2native()
                .arg("run")
                .arg(input)
                .arg("--packet")
                .arg(&packets),
        );
        assert_eq!(code, 0, "{json}");
        (json["results"].clone(), json["maps"].clone())
    };
    assert_eq!(answer(&driver), answer(&example("droppacket.o")));
}

#[test]
fn repeats_count_every_run() {
    let (code, json) = run_json(
        bpf2native()
            .arg("run")
            .arg(example("droppacket.o"))
            .arg("--packet")
            .arg(example("inputs/droppacket.pcap"))
            .args(["--repeat", "1000"]),
    );
    assert_eq!((code, &json["invocations"]), (0, &14_000.into()));
    assert_eq!(
        json["maps"]["dropcnt_map"]["entries"][0]["value"],
        "8813000000000000"
    );
}

/// Runs the plugin on a program in hexadecimal.
fn plugin(engine: &str, program: &str, memory: &str) -> common::Ran {
    let mut child = bpf2native()
        .args(["conformance-plugin", "--engine", engine, memory])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(program.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    common::Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Program text to the hexadecimal bytes that the runner sends.
fn assembled(text: &str) -> String {
    let insns = isa::asm::assemble(text).unwrap();
    let bytes = isa::encode::program(&insns).unwrap();
    bytes.iter().map(|byte| format!("{byte:02x} ")).collect()
}

#[test]
fn the_conformance_plugin_answers_with_r0() {
    let cases = [
        ("r0 = 1 ll\nexit", "", "1"),
        ("r0 = -1\nexit", "", "ffffffffffffffff"),
        ("r0 = *(u8 *)(r1 + 2)\nexit", "aa bb cc", "cc"),
        ("r0 = r2\nexit", "aa bb cc dd", "4"),
        (
            "r1 = 1\nr2 = 2\nr3 = 3\nr4 = 4\nr5 = 5\ncall 0\nexit",
            "",
            "102030405",
        ),
        ("r1 = 17\ncall 3\nexit", "", "4"),
        (
            "r6 = r1\nr2 = 4\ncall 1\nr0 = *(u32 *)(r6 + 0)\nexit",
            "00 01 02 03",
            "29282b2a",
        ),
        ("r1 = -1\ncall 5\nr0 = 2\nexit", "", "2"),
        ("r1 = 0\ncall 5\nr0 = 2\nexit", "", "0"),
        ("w0 = 7\nw1 = 0\nw0 /= w1\nexit", "", "0"),
    ];
    for (text, memory, expected) in cases {
        for engine in ["native", "interpreter"] {
            let ran = plugin(engine, &assembled(text), memory);
            assert_eq!(
                (ran.code, ran.stdout.trim()),
                (0, expected),
                "{engine}: {text}: {ran:?}"
            );
        }
    }
}

#[test]
fn the_conformance_plugin_fails_on_what_is_no_program() {
    for engine in ["native", "interpreter"] {
        let ran = plugin(engine, "ff 00 00 00 00 00 00 00", "");
        assert!(ran.code != 0 && ran.stderr.contains("error[BN"), "{ran:?}");
        let ran = plugin(engine, "zz", "");
        assert_eq!(ran.code, 2, "{ran:?}");
    }
}

#[test]
fn unknown_configuration_is_zero_and_told() {
    let with = |more: &[&str]| {
        let mut command = bpf2native();
        let object = example("../program/tests/data/kconfig.linux.o");
        command.arg("run").arg(object).args(["--platform", "linux"]);
        command.args(["--engine", "interpreter", "--packet"]);
        run_json(command.arg(example("inputs/globals.pcap")).args(more))
    };
    let (code, json) = with(&[]);
    assert_eq!((code, &json["results"][0]), (0, &0.into()), "{json}");
    assert!(json.to_string().contains(".kconfig"), "{json}");
    let (code, json) = with(&["--map", "kconfig.kconfig:00000000=0700000000000000"]);
    assert_eq!((code, &json["results"][0]), (0, &7.into()), "{json}");
}

#[test]
fn the_interpreter_wants_the_object_of_a_driver() {
    let folder = folder();
    let driver = folder.path().join("droppacket.sys");
    let mut command = bpf2native();
    command
        .arg(example("droppacket.o"))
        .arg("--unsigned")
        .arg("-o");
    assert_eq!(run(command.arg(&driver)).code, 0);
    let mut command = bpf2native();
    command.arg("run").arg(&driver).arg("--packet");
    command.arg(example("inputs/droppacket.pcap"));
    let ran = run(command.args(["--engine", "interpreter"]));
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("object file"), "{ran:?}");
}
