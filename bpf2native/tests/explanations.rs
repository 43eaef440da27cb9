//! What `verify` says about mistakes: texts are golden (`BLESS=1` rewrites them).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{bpf2native, folder, judge, root, run, run_json};
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

/// The verdicts without what the analysis cost.
fn without_costs(text: &str) -> String {
    let lines = text.lines().map(|line| match line.rsplit_once(", ") {
        Some((verdict, cost)) if cost.contains(" steps in ") => format!("{verdict}\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn mistakes_are_explained() {
    let mut command = bpf2native();
    command.current_dir(programs("")).args(["verify", "bad.o"]);
    let ran = run(&mut command);
    assert_eq!(ran.code, 1);
    compare("bad.expected", &(without_costs(&ran.stdout) + &ran.stderr));
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

#[test]
fn every_id_is_explained() {
    let listed = run(bpf2native().arg("explain"));
    assert_eq!(listed.code, 0);
    for row in abi::diagnostic::TABLE {
        assert!(
            listed.stdout.contains(&row.code.to_string()),
            "{}",
            row.code
        );
        let is_rejection = (200..300).contains(&row.code.0);
        let ran = run(bpf2native().args(["explain", &row.code.to_string()]));
        assert_eq!(ran.code, 0, "{}", row.code);
        assert!(ran.stdout.contains(row.title), "{}", row.code);
        // Rejections have pages of their own.
        assert_eq!(!ran.stdout.contains(row.help), is_rejection, "{}", row.code);
    }
    let wrong = run(bpf2native().args(["explain", "BN9999"]));
    assert_eq!(wrong.code, 2);
    let short = run(bpf2native().args(["explain", "218"]));
    assert!(short.stdout.contains("assembler, rejected:"), "{short:?}");
}

/// The C programs on the pages are what they are said to be.
#[test]
fn c_examples_on_the_pages_are_judged_as_stated() {
    let Some(mut clang) = judge("clang-19") else {
        return;
    };
    let folder = folder();
    let (source, object) = (folder.path().join("page.c"), folder.path().join("page.o"));
    clang.args([
        "-target",
        "bpf",
        "-mcpu=v3",
        "-O2",
        "-g",
        "-std=gnu11",
        "-nostdinc",
        "-I",
    ]);
    clang.arg(root().join("include")).arg("-c").arg(&source);
    clang.arg("-o").arg(&object);
    let mut examples = 0;
    for row in abi::diagnostic::TABLE {
        let code = row.code.to_string();
        let page = root().join(format!("docs/explain/{code}.md"));
        let Ok(page) = std::fs::read_to_string(page) else {
            continue;
        };
        for block in page
            .split("\n```")
            .filter_map(|block| block.strip_prefix("c "))
        {
            let (verdict, text) = block.split_once('\n').unwrap();
            std::fs::write(&source, format!("#include \"ebpf.h\"\n{text}\n")).unwrap();
            assert!(clang.status().unwrap().success(), "{code} {verdict}");
            let (_, json) = run_json(bpf2native().arg("verify").arg(&object));
            let program = &json["files"][0]["programs"][0];
            assert_eq!(program["verdict"], verdict, "{code}: {program}");
            if verdict == "rejected" {
                assert_eq!(program["rejections"][0]["code"], *code);
            }
            examples += 1;
        }
    }
    assert!(examples >= 10, "{examples}");
}

#[test]
fn what_was_proved_is_shown() {
    let mut command = bpf2native();
    command.current_dir(root()).arg("verify");
    let ran = run(command.args(["examples/subprograms.o", "examples/droppacket.o"]));
    assert_eq!(ran.code, 0);
    compare("proved.expected", &without_costs(&ran.stdout));
    let mut command = bpf2native();
    let (_, json) = run_json(
        command
            .arg("verify")
            .arg(root().join("examples/droppacket.o")),
    );
    let program = &json["files"][0]["programs"][0];
    let proved = &program["proved"];
    assert!(proved["instructions"].as_u64().unwrap() > 20, "{proved}");
    assert_eq!(
        proved["helpers"],
        serde_json::json!(["bpf_map_lookup_elem"])
    );
    assert!(program["milliseconds"].as_f64().unwrap() > 0.0);
}

/// The rules of the SARIF 2.1.0 schema that apply to what we write.
#[test]
fn sarif_follows_the_schema() {
    let mut command = bpf2native();
    command.args(["verify", "--format", "sarif"]);
    let ran = run(command.arg(programs("bad.o")).arg(root().join("README.md")));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let log: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let [run] = log["runs"].as_array().unwrap().as_slice() else {
        panic!("one run")
    };
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert!(results.len() > 8, "{}", results.len());
    let text = |value: &serde_json::Value| !value.as_str().unwrap().is_empty();
    for result in results {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(text(&rule["shortDescription"]["text"]) && text(&rule["help"]["markdown"]));
        assert_eq!(result["level"], "error");
        assert!(text(&result["message"]["text"]));
        let flows = result["codeFlows"].as_array().into_iter().flatten();
        let steps = flows.flat_map(|flow| flow["threadFlows"][0]["locations"].as_array().unwrap());
        let steps = steps.map(|step| &step["location"]);
        for location in result["locations"].as_array().unwrap().iter().chain(steps) {
            let physical = &location["physicalLocation"];
            assert!(text(&physical["artifactLocation"]["uri"]), "{location}");
            if let Some(region) = physical.get("region") {
                assert!(region["startLine"].as_u64().unwrap() >= 1);
                assert!(
                    region
                        .get("startColumn")
                        .is_none_or(|one| one.as_u64() >= Some(1))
                );
            }
        }
    }
    let line = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(line["artifactLocation"]["uri"], "bad.c");
    assert_eq!(line["region"]["startLine"], 31);
}
