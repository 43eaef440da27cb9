//! Running programs from the command line: the examples' expected results, both engines, and the
//! plugin of the conformance suite.

mod common;

use common::{bpf2native, example, folder, run, run_json};
use serde_json::Value;
use std::io::Write as _;
use std::process::Stdio;

/// One expected run of an example through the command line.
fn check(name: &str, number: usize, expected: &Value, engine: &str) {
    let what = format!("{name}, run {number}, {engine}");
    let mut command = bpf2native();
    command
        .arg("run")
        .arg(example(&format!("{name}.o")))
        .args(["--engine", engine]);
    command.args(["--program", expected["program"].as_str().unwrap()]);
    let input = example(expected["input"].as_str().unwrap());
    match input
        .extension()
        .is_some_and(|extension| extension == "pcap")
    {
        true => command.arg("--packet").arg(&input),
        false => command.arg("--ctx").arg(format!("@{}", input.display())),
    };
    for (map, entries) in expected["maps_before"].as_object().into_iter().flatten() {
        for entry in entries.as_array().unwrap() {
            let (key, value) = (entry[0].as_str().unwrap(), entry[1].as_str().unwrap());
            command.arg("--map").arg(format!("{map}:{key}={value}"));
        }
    }
    let (code, json) = run_json(&mut command);
    assert_eq!(code, 0, "{what}: {json}");
    assert_eq!(json["results"], expected["verdicts"], "{what}");
    assert!(json["ns_per_invocation"].as_f64().unwrap() > 0.0, "{what}");
    for (map, entries) in expected["maps"].as_object().into_iter().flatten() {
        let found: Vec<(&str, &str)> = json["maps"][map]["entries"]
            .as_array()
            .unwrap_or_else(|| panic!("{what}: no map {map} in {json}"))
            .iter()
            .map(|entry| {
                (
                    entry["key"].as_str().unwrap(),
                    entry["value"].as_str().unwrap(),
                )
            })
            .collect();
        let wanted: Vec<(&str, &str)> = entries
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| (entry[0].as_str().unwrap(), entry[1].as_str().unwrap()))
            .collect();
        assert_eq!(found.len(), wanted.len(), "{what}, map {map}: {found:?}");
        for ((key, value), (wanted_key, wanted_value)) in found.iter().zip(&wanted) {
            assert!(
                matches(key, wanted_key) && matches(value, wanted_value),
                "{what}, map {map}: {key} = {value}, expected {wanted_key} = {wanted_value}"
            );
        }
    }
    for (map, records) in expected["records"].as_object().into_iter().flatten() {
        let found = json["maps"][map]["records"].as_array().unwrap();
        let wanted = records.as_array().unwrap();
        assert_eq!(found.len(), wanted.len(), "{what}, map {map}");
        for (found, wanted) in found.iter().zip(wanted) {
            assert!(
                matches(found.as_str().unwrap(), wanted.as_str().unwrap()),
                "{what}, map {map}: {found}, expected {wanted}"
            );
        }
    }
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
