//! The committed examples: they load, rebuilding them gives the same programs, and their inputs
//! are what the generator writes.
//!
//! Rebuilding needs the clang that made the objects, regenerating needs Python; where one is
//! missing the test says so and passes.
#![cfg(feature = "elf")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use program::{LoadOptions, MapDef, Object, load};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The compiler that made the committed objects; another one may choose other instructions.
const CLANG_VERSION: &str = "clang version 19.";

/// Every example, its programs, and the sections they are in.
#[rustfmt::skip] // one row, one line
const EXAMPLES: &[(&str, &[(&str, &str)])] = &[
    ("connect_policy", &[("ConnectPolicy4", "cgroup/connect4"), ("ConnectPolicy6", "cgroup/connect6")]),
    ("droppacket", &[("DropPacket", "xdp")]),
    ("droppacket_unsafe", &[("DropPacket", "xdp")]),
    ("flow_logger", &[("FlowLogger", "sockops")]),
    ("globals", &[("GuardPort", "xdp")]),
    ("port_quota", &[("PortQuota", "bind")]),
    ("rate_limiter", &[("RateLimit", "xdp")]),
    ("subprograms", &[("DropDamaged", "xdp"), ("PassIntact", "xdp/strict")]),
    ("tail_calls", &[("Dispatch", "xdp"), ("HandleArp", "xdp/arp"), ("HandleIpv4", "xdp/ipv4"), ("HandleIpv6", "xdp/ipv6")]),
];

fn examples() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "examples"]
        .iter()
        .collect()
}

fn read(path: &Path) -> Object {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    load(&bytes, &LoadOptions::default())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// An empty directory for this test.
fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn file_names(directory: &Path, extension: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn every_source_has_an_object_and_an_expectation() {
    let names: Vec<&str> = EXAMPLES.iter().map(|(name, _)| *name).collect();
    assert_eq!(file_names(&examples(), "c"), names);
    assert_eq!(file_names(&examples(), "o"), names);
    assert_eq!(file_names(&examples().join("expected"), "json"), names);
}

#[test]
fn committed_objects_load() {
    for (name, programs) in EXAMPLES {
        let object = read(&examples().join(format!("{name}.o")));
        let mut found: Vec<(&str, &str)> = object
            .programs
            .iter()
            .map(|program| (program.name.as_str(), program.section.as_str()))
            .collect();
        found.sort_unstable();
        assert_eq!(found, *programs, "{name}");
        for program in &object.programs {
            assert!(program.attach_type.is_some(), "{name}: {}", program.section);
            assert!(
                !program.lines.is_empty(),
                "{name}: {} has no lines",
                program.name
            );
        }
    }
}

#[test]
fn committed_objects_name_no_absolute_path() {
    for (name, _) in EXAMPLES {
        let object = read(&examples().join(format!("{name}.o")));
        for line in object.programs.iter().flat_map(|program| &program.lines) {
            assert!(!line.file.starts_with('/'), "{name}: {}", line.file);
        }
    }
}

/// Maps without their ids: those are type numbers, and types may be listed in another order.
fn without_ids(maps: &[MapDef]) -> Vec<MapDef> {
    let without_id = |map: &MapDef| MapDef {
        id: 0,
        ..map.clone()
    };
    maps.iter().map(without_id).collect()
}

fn assert_same_program(name: &str, committed: &Object, rebuilt: &Object) {
    assert_eq!(
        without_ids(&committed.maps),
        without_ids(&rebuilt.maps),
        "{name}: maps"
    );
    assert_eq!(committed.globals, rebuilt.globals, "{name}: globals");
    assert_eq!(
        committed.btf_functions, rebuilt.btf_functions,
        "{name}: externs"
    );
    assert_eq!(committed.license, rebuilt.license, "{name}: license");
    assert_eq!(
        committed.programs.len(),
        rebuilt.programs.len(),
        "{name}: programs"
    );
    for (old, new) in committed.programs.iter().zip(&rebuilt.programs) {
        assert_eq!(
            (&old.name, &old.section),
            (&new.name, &new.section),
            "{name}"
        );
        assert_eq!(old.insns, new.insns, "{name}: instructions of {}", old.name);
        assert_eq!(
            old.functions, new.functions,
            "{name}: functions of {}",
            old.name
        );
        assert_eq!(old.lines, new.lines, "{name}: lines of {}", old.name);
    }
}

/// The compiler, if it is the one that made the committed objects.
fn clang() -> Option<String> {
    let named = env::var("BPF_CLANG").ok();
    let names = ["clang-19", "clang"].map(str::to_owned);
    named.into_iter().chain(names).find(|name| {
        let version = Command::new(name).arg("--version").output();
        let targets = Command::new(name).arg("--print-targets").output();
        let says = |output: std::io::Result<std::process::Output>, text: &str| {
            output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(text))
        };
        says(version, CLANG_VERSION) && says(targets, "bpfel")
    })
}

#[test]
fn rebuilding_gives_the_same_programs() {
    let Some(clang) = clang() else {
        eprintln!("SKIPPED rebuilding_gives_the_same_programs: no {CLANG_VERSION}x for BPF");
        return;
    };
    let directory = scratch("examples-rebuilt");
    let status = Command::new("sh")
        .arg(examples().join("build.sh"))
        .arg(&directory)
        .env("BPF_CLANG", clang)
        .status()
        .unwrap();
    assert!(status.success());
    for (name, _) in EXAMPLES {
        let file = format!("{name}.o");
        assert_same_program(
            name,
            &read(&examples().join(&file)),
            &read(&directory.join(&file)),
        );
    }
}

/// The style of the first tutorials: one include, map definitions that begin with their size,
/// and of the years after: the same without size, functions called before they are defined.
const OLD_STYLES: &[(&str, &str)] = &[
    (
        "tutorial",
        r#"
#include "ebpf.h"
#include "ebpf_helpers.h"

SEC("maps")
ebpf_map_definition_in_file_t dropped = {
    .size = sizeof(ebpf_map_definition_in_file_t),
    .type = BPF_MAP_TYPE_ARRAY,
    .key_size = sizeof(uint32_t),
    .value_size = sizeof(uint64_t),
    .max_entries = 7,
};

SEC("xdp") int Old(xdp_md_t *ctx) {
    UDP_HEADER *udp = (UDP_HEADER *)((IPV4_HEADER *)ctx->data + 1);
    if ((char *)(udp + 1) > (char *)ctx->data_end || ntohs(udp->length) > sizeof(UDP_HEADER))
        return XDP_PASS;
    long key = 0;
    long *count = ebpf_map_lookup_elem(&dropped, &key);
    if (count)
        *count = (*count + 1);
    return XDP_DROP;
}
"#,
    ),
    (
        "plain",
        r#"
#include "bpf_helpers.h"
#include "bpf_endian.h"
#include "ebpf_nethooks.h"

SEC("maps")
struct bpf_map_def dropped = {
    .type = BPF_MAP_TYPE_ARRAY,
    .key_size = sizeof(uint32_t),
    .value_size = sizeof(uint64_t),
    .max_entries = 7,
};

SEC("cgroup/connect4") int Old(bpf_sock_addr_t *ctx) {
    uint32_t key = bpf_ntohs(ctx->user_port) == 80;
    uint64_t *count = bpf_map_lookup_elem(&dropped, &key);
    if (count == NULL)
        return BPF_SOCK_ADDR_VERDICT_REJECT;
    bpf_printk("connect %u %u", ctx->user_ip4, ctx->user_port);
    return BPF_SOCK_ADDR_VERDICT_PROCEED;
}
"#,
    ),
];

#[test]
fn programs_in_older_styles_compile_and_load() {
    let Some(clang) = clang() else {
        eprintln!("SKIPPED programs_in_older_styles_compile_and_load: no {CLANG_VERSION}x for BPF");
        return;
    };
    let directory = scratch("examples-older-styles");
    for (name, source) in OLD_STYLES {
        let (input, output) = (
            directory.join(format!("{name}.c")),
            directory.join(format!("{name}.o")),
        );
        fs::write(&input, source).unwrap();
        let mut command = Command::new(&clang);
        command.args([
            "-target",
            "bpf",
            "-O2",
            "-g",
            "-Wall",
            "-Werror",
            "-nostdinc",
            "-I",
        ]);
        command
            .arg(examples().join("../include"))
            .arg("-c")
            .arg(&input)
            .arg("-o")
            .arg(&output);
        assert!(command.status().unwrap().success(), "{name}");
        let object = read(&output);
        let map = object
            .maps
            .iter()
            .find(|map| map.name == "dropped")
            .unwrap();
        let sizes = (map.kind, map.key_size, map.value_size, map.max_entries);
        assert_eq!(sizes, (abi::MapKind::Array, 4, 8, 7), "{name}");
        assert_eq!(object.programs.len(), 1, "{name}");
    }
}

#[test]
fn inputs_are_what_the_generator_writes() {
    if !Command::new("python3")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        eprintln!("SKIPPED inputs_are_what_the_generator_writes: no python3");
        return;
    }
    let directory = scratch("examples-inputs");
    let script = examples().join("make_inputs.py");
    let status = Command::new("python3")
        .arg(script)
        .arg(&directory)
        .status()
        .unwrap();
    assert!(status.success());
    for folder in ["inputs", "expected"] {
        let (written, committed) = (directory.join(folder), examples().join(folder));
        let count = |path: &Path| fs::read_dir(path).unwrap().count();
        assert_eq!(count(&written), count(&committed), "{folder}");
        for entry in fs::read_dir(&written).unwrap() {
            let name = entry.unwrap().file_name();
            let same = fs::read(written.join(&name)).ok() == fs::read(committed.join(&name)).ok();
            assert!(
                same,
                "examples/{folder}/{} is stale: run make_inputs.py",
                name.display()
            );
        }
    }
}
