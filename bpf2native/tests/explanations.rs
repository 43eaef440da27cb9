//! What `verify` says about mistakes: texts are golden (`BLESS=1` rewrites them).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{bpf2native, root, run, run_json};
use std::path::PathBuf;

fn programs(name: &str) -> PathBuf {
    root().join("bpf2native/tests/programs").join(name)
}

/// Compares with a golden file.
fn compare(name: &str, found: &str) {
    let path = programs(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let difference = found.lines().zip(expected.lines()).find(|(a, b)| a != b);
    assert_eq!(difference, None, "see {name}; BLESS=1 accepts the new text");
    assert_eq!(found.lines().count(), expected.lines().count(), "{name}");
}

#[test]
fn mistakes_are_explained() {
    let mut command = bpf2native();
    command.current_dir(programs("")).args(["verify", "bad.o"]);
    let ran = run(&mut command);
    assert_eq!(ran.code, 1);
    compare("bad.expected", &(ran.stdout + "\n" + &ran.stderr));
}

#[test]
fn a_path_has_only_the_steps_that_matter() {
    let mut command = bpf2native();
    command.arg("verify").arg(programs("bad.o"));
    let (code, json) = run_json(command.args(["--program", "in_a_function"]));
    assert_eq!(code, 1);
    let program = &json["files"][0]["programs"][0];
    assert_eq!(program["verdict"], "rejected");
    let rejection = &program["rejections"][0];
    assert_eq!(rejection["function"], "port");
    let steps = rejection["path"].as_array().unwrap();
    let steps: Vec<_> = steps
        .iter()
        .map(|step| (step["source"]["line"].as_u64().unwrap(), &step["branch"]))
        .collect();
    // The load of `data`, the call, the check in the function.
    let none = &serde_json::Value::Null;
    let not_taken = &serde_json::json!("not taken");
    assert_eq!(steps, [(98, none), (98, none), (91, not_taken)]);
}
