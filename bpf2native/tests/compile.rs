//! The main job as a user runs it: object in, signed driver out, judged by other people's tools;
//! and what bad input gets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{bpf2native, example, files_in, folder, judge, run, run_json};
use std::path::Path;

fn compile(input: &Path, output: &Path) -> common::Ran {
    run(bpf2native().arg(input).arg("-o").arg(output))
}

/// Every example that must be accepted.
const ACCEPTED: &[&str] = &[
    "droppacket",
    "port_quota",
    "connect_policy",
    "flow_logger",
    "tail_calls",
    "subprograms",
    "globals",
    "rate_limiter",
];

#[test]
fn every_example_becomes_a_driver_that_judges_accept() {
    let folder = folder();
    let certificate = folder.path().join("test.cer");
    assert_eq!(
        run(bpf2native().arg("certificate").arg("-o").arg(&certificate)).code,
        0
    );
    let pem = to_pem(&certificate);
    for name in ACCEPTED {
        let output = folder.path().join(name).with_extension("sys");
        let ran = compile(&example(&format!("{name}.o")), &output);
        assert_eq!(ran.code, 0, "{name}: {ran:?}");
        assert!(ran.stdout.contains("wrote"), "{ran:?}");
        assert!(
            osslsigncode_accepts(&output, &pem).unwrap_or(true),
            "{name}: osslsigncode refuses"
        );
        if let Some(mut readobj) = judge("llvm-readobj-19") {
            let ran = run(readobj
                .args(["--file-headers", "--sections", "--unwind", "--coff-imports"])
                .arg(&output));
            assert_eq!(ran.code, 0, "{name}: {}", ran.stderr);
            assert!(ran.stdout.contains("NmrRegisterClient"), "{name}");
        }
    }
}

#[test]
fn quiet_says_nothing_when_nothing_is_wrong() {
    let folder = folder();
    let output = folder.path().join("droppacket.sys");
    let mut command = bpf2native();
    command.arg(example("droppacket.o")).arg("-o").arg(&output);
    let ran = run(command.args(["--quiet", "--unsigned"]));
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{ran:?}");
    assert_eq!(ran.stderr, "");
    assert!(output.exists());
}

/// DER to PEM, as osslsigncode wants its root certificates.
fn to_pem(der: &Path) -> std::path::PathBuf {
    use std::fmt::Write as _;
    let bytes = std::fs::read(der).unwrap();
    let table = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for (at, chunk) in bytes.chunks(3).enumerate() {
        let word = chunk
            .iter()
            .fold(0u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let letter = if digit <= chunk.len() {
                table[(word >> (18 - 6 * digit) & 63) as usize]
            } else {
                b'='
            };
            text.push(char::from(letter));
        }
        if at % 16 == 15 {
            text.push('\n');
        }
    }
    let _ = write!(text, "\n-----END CERTIFICATE-----\n");
    let path = der.with_extension("pem");
    std::fs::write(&path, text).unwrap();
    path
}

fn osslsigncode_accepts(driver: &Path, root: &Path) -> Option<bool> {
    let mut command = judge("osslsigncode")?;
    let ran = run(command
        .args(["verify", "-CAfile"])
        .arg(root)
        .arg("-in")
        .arg(driver));
    Some(ran.code == 0)
}

#[test]
fn a_changed_byte_breaks_the_signature() {
    let folder = folder();
    let certificate = folder.path().join("test.cer");
    assert_eq!(
        run(bpf2native().arg("certificate").arg("-o").arg(&certificate)).code,
        0
    );
    let pem = to_pem(&certificate);
    let driver = folder.path().join("x.sys");
    assert_eq!(compile(&example("droppacket.o"), &driver).code, 0);
    let good = std::fs::read(&driver).unwrap();
    for at in [0x48, 0x400, 0x480, good.len() / 3, good.len() / 2] {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        std::fs::write(&driver, &bad).unwrap();
        assert!(
            !osslsigncode_accepts(&driver, &pem).unwrap_or(false),
            "byte {at:#x}"
        );
        let (_, json) = run_json(bpf2native().arg("inspect").arg(&driver));
        assert_ne!(json["signature"]["good"], true, "byte {at:#x}");
    }
}

#[test]
fn two_builds_are_identical() {
    let folder = folder();
    for name in ACCEPTED {
        let (a, b) = (folder.path().join("a.sys"), folder.path().join("b.sys"));
        let input = example(&format!("{name}.o"));
        assert_eq!((compile(&input, &a).code, compile(&input, &b).code), (0, 0));
        assert!(
            std::fs::read(&a).unwrap() == std::fs::read(&b).unwrap(),
            "{name} differs"
        );
    }
}

#[test]
fn inspect_shows_what_the_source_says() {
    let folder = folder();
    let driver = folder.path().join("droppacket.sys");
    assert_eq!(compile(&example("droppacket.o"), &driver).code, 0);
    let (code, json) = run_json(bpf2native().arg("inspect").arg(&driver));
    assert_eq!(code, 0);
    let program = &json["native_module"]["programs"][0];
    assert_eq!(program["name"], "DropPacket");
    assert_eq!(program["type"], "xdp");
    assert_eq!(program["pe_section"], "xdp");
    assert_eq!(json["hvci"]["passes"], true);
    assert_eq!(json["signature"]["good"], true);
    let text = run(bpf2native().arg("inspect").arg(&driver)).stdout;
    for word in ["DropPacket", "dropcnt_map", "NETIO.SYS", "HVCI"] {
        assert!(text.contains(word), "{word} is missing in:\n{text}");
    }
}

#[test]
fn several_inputs_go_into_a_folder() {
    let folder = folder();
    let mut command = bpf2native();
    command.args(ACCEPTED.iter().map(|name| example(&format!("{name}.o"))));
    let ran = run(command
        .arg("--out-dir")
        .arg(folder.path())
        .arg("--unsigned"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(files_in(folder.path()).len(), ACCEPTED.len());
    assert!(ran.stdout.contains("unsigned"));
}

#[test]
fn an_unsafe_program_is_rejected_with_its_source_line() {
    let folder = folder();
    let output = folder.path().join("x.sys");
    std::fs::write(&output, "old").unwrap();
    let ran = compile(&example("droppacket_unsafe.o"), &output);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stderr.contains("droppacket_unsafe.c:29"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("udp->destPort"), "{}", ran.stderr);
    assert!(ran.stderr.contains("error[BN02"), "{}", ran.stderr);
    assert!(ran.stderr.contains("help"), "{}", ran.stderr);
    assert_eq!(
        std::fs::read(&output).unwrap(),
        b"old",
        "the old output was touched"
    );
    assert_eq!(
        files_in(folder.path()),
        ["x.sys"],
        "something was left behind"
    );
}

/// One failing command line: exit code, id, and nothing new in the folder.
#[track_caller]
fn refuses(args: &[&str], folder: &Path, code: i32, id: &str) {
    let before = files_in(folder);
    let ran = run(bpf2native().args(args).current_dir(folder));
    assert_eq!(ran.code, code, "{args:?}: {ran:?}");
    assert!(
        ran.stderr.contains(id),
        "{args:?}: expected {id} in {}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("help"),
        "{args:?}: no hint in {}",
        ran.stderr
    );
    assert_eq!(files_in(folder), before, "{args:?} left something behind");
}

#[test]
fn bad_input_gets_one_clear_error_and_leaves_nothing() {
    let folder = folder();
    let path = folder.path();
    let good = std::fs::read(example("droppacket.o")).unwrap();
    std::fs::write(path.join("good.o"), &good).unwrap();
    std::fs::write(path.join("short.o"), &good[..100]).unwrap();
    std::fs::write(path.join("empty.o"), b"").unwrap();
    std::fs::write(path.join("text.o"), b"int main() {}").unwrap();
    std::fs::write(path.join("bad.pfx"), b"not a pfx").unwrap();
    refuses(&["missing.o", "-o", "x.sys"], path, 2, "BN0702");
    refuses(&["short.o", "-o", "x.sys"], path, 2, "BN01");
    refuses(&["empty.o", "-o", "x.sys"], path, 2, "BN01");
    refuses(&["text.o", "-o", "x.sys"], path, 2, "BN01");
    refuses(&["good.o", "-o", "no/such/folder/x.sys"], path, 2, "BN0703");
    refuses(&["good.o", "-o", "good.o/x.sys"], path, 2, "BN0703");
    refuses(&["good.o", "-o", "good.o"], path, 2, "BN0710");
    refuses(&["good.o", "short.o", "-o", "x.sys"], path, 2, "BN0701");
    refuses(
        &["good.o", "-o", "x.sys", "--pfx", "bad.pfx"],
        path,
        2,
        "BN05",
    );
    refuses(
        &[
            "good.o",
            "-o",
            "x.sys",
            "--pfx",
            "bad.pfx",
            "--password-env",
            "NOT_SET_ANYWHERE",
        ],
        path,
        2,
        "BN0708",
    );
    refuses(
        &["good.o", "-o", "x.sys", "--type", "nonsense"],
        path,
        2,
        "BN0701",
    );
    refuses(&["inspect", "text.o"], path, 2, "BN04");
    refuses(&["run", "good.o"], path, 2, "BN0711");
    refuses(&["run", "good.o", "--ctx", "0"], path, 2, "BN0706");
    refuses(&["run", "good.o", "--packet", "text.o"], path, 2, "BN0705");
    refuses(
        &["run", "good.o", "--program", "nobody", "--ctx", "00"],
        path,
        2,
        "BN0704",
    );
}

#[test]
fn truncated_objects_never_crash() {
    let folder = folder();
    let good = std::fs::read(example("droppacket.o")).unwrap();
    for at in (0..good.len()).step_by(good.len() / 24 + 1) {
        let input = folder.path().join("cut.o");
        std::fs::write(&input, &good[..at]).unwrap();
        let ran = compile(&input, &folder.path().join("cut.sys"));
        assert!(ran.code == 1 || ran.code == 2, "cut at {at}: {ran:?}");
    }
    assert_eq!(files_in(folder.path()), ["cut.o"]);
}

#[test]
fn usage_errors_exit_with_2_and_help_with_0() {
    assert_eq!(run(&mut bpf2native()).code, 2);
    assert_eq!(run(bpf2native().arg("--no-such-flag")).code, 2);
    assert_eq!(run(bpf2native().arg("--help")).code, 0);
    assert_eq!(run(bpf2native().arg("--version")).code, 0);
}

#[test]
fn colours_appear_only_when_asked_for() {
    let unsafe_object = example("droppacket_unsafe.o");
    let plain = run(bpf2native().arg("verify").arg(&unsafe_object));
    assert!(!plain.stderr.contains('\u{1b}'), "{}", plain.stderr);
    let forced = run(bpf2native()
        .args(["verify", "--color", "always"])
        .arg(&unsafe_object));
    assert!(forced.stderr.contains('\u{1b}'), "{}", forced.stderr);
}

#[test]
fn json_answers_carry_verdicts_and_diagnostics() {
    let (code, json) = run_json(
        bpf2native()
            .arg("verify")
            .arg(example("droppacket_unsafe.o")),
    );
    assert_eq!(code, 1);
    let program = &json["files"][0]["programs"][0];
    assert_eq!(program["verdict"], "rejected");
    assert_eq!(program["function"], "DropPacket");
    assert_eq!(json["diagnostics"][0]["source"]["line"], 29);
    let (code, json) = run_json(bpf2native().arg("verify").arg(example("droppacket.o")));
    assert_eq!(
        (code, &json["files"][0]["programs"][0]["verdict"]),
        (0, &"accepted".into())
    );
}

#[test]
fn every_stage_can_be_printed() {
    for stage in [
        "listing", "cfg", "state", "visits", "clif", "asm", "unwind", "pe",
    ] {
        let ran = run(bpf2native()
            .arg(example("droppacket.o"))
            .args(["--emit", stage]));
        assert_eq!(ran.code, 0, "{stage}: {ran:?}");
        assert!(ran.stdout.lines().count() > 5, "{stage}: {}", ran.stdout);
    }
}

#[test]
fn completions_exist_for_the_usual_shells() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let ran = run(bpf2native().args(["completions", shell]));
        assert!(
            ran.code == 0 && ran.stdout.contains("disassemble"),
            "{shell}"
        );
    }
}

/// Joined: each instruction stands there once with all that reaches it; one by one: each visit.
#[test]
fn states_are_joined_unless_every_visit_is_wanted() {
    let emit = |stage: &str| {
        let path = example("subprograms.o");
        run(bpf2native().arg(path).args(["--emit", stage])).stdout
    };
    let (joined, visits) = (emit("state"), emit("visits"));
    let (_, answer) = run_json(
        bpf2native()
            .arg("disassemble")
            .arg(example("subprograms.o")),
    );
    let programs = answer["programs"].as_array().unwrap();
    let insns = programs
        .iter()
        .map(|one| one["instructions"].as_array().unwrap().len());
    let numbered = |text: &str| {
        let is_insn = |line: &&str| line.len() > 7 && line.as_bytes()[6] == b':';
        text.lines().filter(is_insn).count()
    };
    assert_eq!(numbered(&joined), insns.sum::<usize>());
    assert!(numbered(&visits) > numbered(&joined), "{visits}");
    assert!(joined.contains(" visits)"), "{joined}");
}
