//! Verdicts as other programs read them: one per program of a file, whatever the others are like.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{bpf2native, root, run, run_json};
use serde_json::Value;

/// `verify` on a test object of the loader: exit code and (section, function, verdict) of each
/// program.
fn verify(file: &str, more: &[&str]) -> (i32, Vec<[String; 3]>) {
    let path = root().join("program/tests/data").join(file);
    let (code, answer) = run_json(bpf2native().arg("verify").arg(path).args(more));
    let programs = answer["files"][0]["programs"].as_array().unwrap();
    let cell = |program: &Value, key: &str| program[key].as_str().unwrap().to_owned();
    let rows = programs
        .iter()
        .map(|program| ["section", "function", "verdict"].map(|key| cell(program, key)));
    (code, rows.collect())
}

#[track_caller]
fn expect(file: &str, more: &[&str], code: i32, programs: &[[&str; 3]]) {
    let (found_code, found) = verify(file, more);
    let found: Vec<[&str; 3]> = found
        .iter()
        .map(|row| row.each_ref().map(String::as_str))
        .collect();
    assert_eq!((found_code, &*found), (code, programs), "{file} {more:?}");
}

#[test]
fn a_program_that_cannot_be_linked_does_not_spoil_the_others() {
    let programs = [
        ["xdp", "good", "accepted"],
        ["bind", "endless", "rejected"],
        ["xdp/other", "unlinkable", "error"],
    ];
    expect("verdicts.o", &[], 1, &programs);
    expect("verdicts.o", &["--section", "xdp"], 0, &programs[..1]);
    expect("verdicts.o", &["--section", "xdp/other"], 2, &programs[2..]);
    expect("verdicts.o", &["--unlinkable", "refuse"], 2, &[]);
}

#[test]
fn functions_are_judged_in_the_programs_that_call_them() {
    let path = root().join("examples/subprograms.o");
    let (code, answer) = run_json(bpf2native().arg("verify").arg(path));
    let programs = answer["files"][0]["programs"].as_array().unwrap();
    let parts: Vec<_> = programs
        .iter()
        .filter(|program| program["section"] == ".text")
        .map(|program| (&program["verdict"], &program["part_of"]))
        .collect();
    assert_eq!(code, 0);
    assert!(!parts.is_empty(), "{programs:?}");
    for (verdict, part_of) in parts {
        assert_eq!(verdict, "accepted");
        assert!(part_of.as_array().is_some_and(|users| !users.is_empty()));
    }
}

#[test]
fn types_for_sections_that_say_nothing() {
    let known = ["xdp", "known", "accepted"];
    let unknown = ["mystery/one", "unknown", "accepted"];
    expect("unknown_section.o", &[], 0, &[known]);
    expect(
        "unknown_section.o",
        &["--type", "bind"],
        0,
        &[known, unknown],
    );
    let one = ["--type", "mystery/one=xdp"];
    expect("unknown_section.o", &one, 0, &[known, unknown]);
    let linux = ["--platform", "linux"];
    expect("unknown_section.o", &linux, 0, &[known, unknown]);
    let path = root().join("program/tests/data/unknown_section.o");
    for wrong in [&["xdp", "bind"][..], &["mystery/one=nonsense"]] {
        let mut command = bpf2native();
        command.arg("verify").arg(&path);
        for text in wrong {
            command.args(["--type", text]);
        }
        let ran = run(&mut command);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains("BN0701"), "{ran:?}");
    }
}

#[test]
fn functions_outside_of_sections() {
    let names = |more: &[&str]| -> Vec<String> {
        let (_, programs) = verify("subprograms.o", more);
        programs.into_iter().map(|[_, name, _]| name).collect()
    };
    let found = names(&[]);
    assert_eq!(found[..2], ["entry", "again"]);
    assert_eq!(found[2..], ["leaf", "shared", "step", "beside"]);
    let found = names(&["--text", "programs", "--type", "xdp"]);
    assert_eq!(found[..4], ["leaf", "unused", "entry", "again"]);
    assert_eq!(found[4..], ["shared", "step", "beside"]);
}

/// The objects of the loader's CO-RE tests, which the loader's own tests look into.
#[test]
fn types_of_another_kernel() {
    let data = root().join("program/tests/data/core");
    let verify = |program: &str, target: &str| {
        let mut command = bpf2native();
        command
            .arg("verify")
            .arg(data.join("app.o"))
            .args(["--platform", "linux", "--program", program, "--btf"])
            .arg(data.join(target));
        run(&mut command)
    };
    for safe in ["read_guarded", "offset_of_pid"] {
        let ran = verify(safe, "target_moved.o");
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let ran = verify("read_removed", "target_moved.o");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("BN0250"), "{ran:?}");
    assert!(ran.stderr.contains("struct task___old::removed"), "{ran:?}");
    let ran = verify("offset_of_pid", "target_ambiguous.o");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("BN0154"), "{ran:?}");
    for (target, id) in [("app.c", "BN0156"), ("missing", "BN0702")] {
        let ran = verify("offset_of_pid", target);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains(id), "{ran:?}");
    }
}

/// What the target lacks is not in the way of a program that asks first, in any engine.
#[test]
fn guarded_accesses_run() {
    let data = root().join("program/tests/data/core");
    for (target, expected) in [("target_moved.o", "1"), ("app.o", "7")] {
        for engine in ["native", "interpreter"] {
            let ran = run(bpf2native()
                .arg("run")
                .arg(data.join("guarded.o"))
                .args(["--platform", "linux", "--engine", engine, "--ctx"])
                .arg("00".repeat(192))
                .arg("--btf")
                .arg(data.join(target)));
            let mut words = ran.stdout.split_whitespace();
            let result = words.find(|word| *word == "result").and(words.next());
            assert_eq!(result, Some(expected), "{target} {engine}: {ran:?}");
        }
    }
}

/// Each program needs other values of the kernel's configuration to be safe.
#[test]
fn values_of_the_configuration_decide() {
    let verify = |program: &str, more: &[&str]| {
        let mut command = bpf2native();
        let object = root().join("program/tests/data/kconfig_values.o");
        command
            .arg("verify")
            .arg(object)
            .args(["--platform", "linux"]);
        run(command.args(["--program", program]).args(more))
    };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    std::fs::write(&config, "# Linux/x86 6.1\nCONFIG_HZ=7\nCONFIG_BPF=y\n").unwrap();
    let file = config.to_str().unwrap();
    let rows: [(&str, &[&str], i32); 9] = [
        ("version", &[], 1),
        ("version", &["--kernel-version", "5.3.18-generic"], 1),
        ("version", &["--kernel-version", "5.4"], 0),
        ("version", &["--kconfig", file], 1),
        ("lookup", &[], 1),
        ("lookup", &["--kconfig", file], 0),
        (
            "lookup",
            &["--kconfig", file, "--kconfig", "CONFIG_HZ=8"],
            1,
        ),
        ("lookup", &["--kconfig", "CONFIG_HZ=-1"], 1),
        ("sum", &[], 0),
    ];
    for (program, more, code) in rows {
        let ran = verify(program, more);
        assert_eq!(ran.code, code, "{program} {more:?}: {ran:?}");
    }
    let unknown = |more: &[&str]| {
        let mut command = bpf2native();
        let object = root().join("program/tests/data/kconfig_values.o");
        command
            .arg("verify")
            .arg(object)
            .args(["--platform", "linux"]);
        run_json(command.args(more)).1["files"][0]["notes"].to_string()
    };
    let notes = unknown(&["--kconfig", file, "--kernel-version", "6.1"]);
    assert!(!notes.contains("is not known"), "{notes}");
    let notes = unknown(&["--kconfig", "CONFIG_HZ=7"]);
    assert!(notes.contains("LINUX_KERNEL_VERSION, "), "{notes}");
    assert!(!notes.contains("CONFIG_HZ"), "{notes}");
}

#[test]
fn remarks_about_the_object_are_warnings() {
    let object = root().join("program/tests/data/unknown_section.o");
    let ran = run(bpf2native()
        .arg("verify")
        .arg(object)
        .args(["--platform", "linux"]));
    assert_eq!(ran.code, 0, "{ran:?}");
    for remark in ["`settings` ignored", "`mystery/one` verified as"] {
        assert!(ran.stderr.contains(remark), "{remark}: {ran:?}");
    }
}

#[test]
fn a_configuration_that_makes_no_sense_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let packed = folder.path().join("config.gz");
    std::fs::write(&packed, [0x1f, 0x8b, 8, 0]).unwrap();
    let rows: [(&[&str], &str, &str); 5] = [
        (&["--kconfig", "CONFIG_HZ=fast"], "BN0130", "CONFIG_HZ"),
        (&["--kconfig", "CONFIG_HZ="], "BN0701", "CONFIG_NAME=VALUE"),
        (&["--kconfig", "missing"], "BN0702", "missing"),
        (&["--kconfig", packed.to_str().unwrap()], "BN0701", "zcat"),
        (&["--kernel-version", "six"], "BN0701", "6.1.12"),
    ];
    for (more, id, text) in rows {
        let mut command = bpf2native();
        let object = root().join("program/tests/data/kconfig_values.o");
        command
            .arg("verify")
            .arg(object)
            .args(["--platform", "linux"]);
        let ran = run(command.args(more));
        assert_eq!(ran.code, 2, "{more:?}: {ran:?}");
        assert!(
            ran.stderr.contains(id) && ran.stderr.contains(text),
            "{ran:?}"
        );
    }
}

/// The interpreter and the compiled code see the values that were given.
#[test]
fn values_of_the_configuration_run() {
    for engine in ["native", "interpreter"] {
        let mut command = bpf2native();
        let object = root().join("program/tests/data/kconfig_values.o");
        command.arg("run").arg(object).args(["--platform", "linux"]);
        command.args([
            "--program",
            "sum",
            "--engine",
            engine,
            "--kernel-version",
            "6.1",
        ]);
        command.args([
            "--kconfig",
            "CONFIG_XDP_SOCKETS=m",
            "--kconfig",
            "CONFIG_BPF=y",
        ]);
        command.args(["--kconfig", "CONFIG_HZ=1"]);
        command.args(["--kconfig", "CONFIG_DEFAULT_HOSTNAME=\"a\"", "--ctx"]);
        let ran = run(command.arg("00".repeat(24)));
        let mut words = ran.stdout.split_whitespace();
        let result = words.find(|word| *word == "result").and(words.next());
        assert_eq!(result, Some("2197"), "{engine}: {ran:?}");
    }
}
