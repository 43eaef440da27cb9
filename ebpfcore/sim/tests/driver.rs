//! Life of a driver: registry values, attaching, unloading, protections.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod support;

use abi::{Guid, diagnostic};
use ebpfcore_sim::registry::{REG_BINARY, REG_SZ, Value};
use ebpfcore_sim::{Engine, Error, Host, Input, ModuleIdValue, Options};

fn driver() -> Vec<u8> {
    let object = support::load("droppacket.o");
    support::driver(&support::verify(&object), &codegen::Options::default())
}

fn start(bytes: &[u8], module_id: ModuleIdValue) -> Result<Host, Error> {
    let options = Options {
        module_id,
        ..Options::default()
    };
    Host::from_image(bytes, &options)
}

fn value(kind: u32, len: usize) -> ModuleIdValue {
    ModuleIdValue::Value(Value {
        kind,
        data: vec![9; len],
    })
}

#[test]
fn the_module_id_comes_from_the_registry_or_the_file() {
    let bytes = driver();
    let given = Guid::from_u128(0x00112233_4455_6677_8899_aabbccddeeff);
    let host = start(&bytes, ModuleIdValue::of(given)).unwrap();
    assert_eq!(host.module_id(), Some(given));
    let own = codegen::module_id(support::load("droppacket.o").sha256);
    for absent in [ModuleIdValue::NoKey, ModuleIdValue::NoValue] {
        let host = start(&bytes, absent).unwrap();
        assert_eq!(host.module_id(), Some(own));
        host.unload().unwrap();
    }
}

#[test]
fn wrong_registry_values_keep_the_driver_from_starting() {
    let bytes = driver();
    for wrong in [
        value(REG_SZ, 16),
        value(REG_BINARY, 15),
        value(REG_BINARY, 17),
        value(REG_BINARY, 0),
    ] {
        let error = start(&bytes, wrong.clone()).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Entry {
                    status: 0xc000_000d
                }
            ),
            "{wrong:?}: {error}"
        );
        assert_eq!(error.code(), diagnostic::RUN_ENTRY);
    }
}

/// Executable mappings of this process without a file, and whether any is writable too.
fn executable_mappings() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let anonymous = |line: &&str| line.split_whitespace().nth(4) == Some("0");
    let lines = maps.lines().filter(anonymous);
    let executable = lines.filter(|line| line.split_whitespace().nth(1).unwrap().contains('x'));
    executable
        .inspect(|line| assert!(!line.contains("rwx"), "{line}"))
        .filter(|line| !line.contains("[v"))
        .count()
}

#[test]
fn nothing_is_writable_and_executable_and_nothing_stays() {
    // Other tests of this file map drivers at the same time, so only count in a process of its own.
    if std::env::var_os("ALONE").is_none() {
        let name = "nothing_is_writable_and_executable_and_nothing_stays";
        let done = std::process::Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--test-threads=1"])
            .env("ALONE", "1")
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stdout)
        );
        return;
    }
    let bytes = driver();
    let before = executable_mappings();
    let mut host = start(&bytes, ModuleIdValue::NoKey).unwrap();
    assert!(executable_mappings() > before);
    host.run(
        "DropPacket",
        Engine::Native,
        &support::inputs("inputs/droppacket.pcap"),
    )
    .unwrap();
    executable_mappings();
    host.unload().unwrap();
    assert_eq!(executable_mappings(), before);
    drop(start(&bytes, ModuleIdValue::NoKey).unwrap());
    assert_eq!(executable_mappings(), before);
}

#[test]
fn files_that_are_no_modules_are_refused_with_an_id() {
    let error = Host::from_image(b"not a driver", &Options::default()).unwrap_err();
    assert!(matches!(error, Error::Image(_)), "{error}");
    let mut bytes = driver();
    // An import that nobody provides: a letter of its name is changed in the file.
    let name = b"NmrRegisterClient";
    let at = bytes.windows(name.len()).position(|window| window == name);
    bytes[at.unwrap() + 3] = b'X';
    let error = Host::from_image(&bytes, &Options::default()).unwrap_err();
    assert_eq!(error.code(), diagnostic::MAP_IMPORTS);
    assert!(
        error.to_string().contains("NETIO.SYS!NmrXegisterClient"),
        "{error}"
    );
    let options = Options {
        service: r"a\b".into(),
        ..Options::default()
    };
    let error = Host::from_image(&driver(), &options).unwrap_err();
    assert_eq!(error.code(), diagnostic::RUN_SERVICE);
}

#[test]
fn programs_maps_and_inputs_are_named_when_they_do_not_fit() {
    let mut host = start(&driver(), ModuleIdValue::NoKey).unwrap();
    let packet = [Input::packet(&[0; 60])];
    let error = host.run("Nothing", Engine::Native, &packet).unwrap_err();
    assert_eq!(error.code(), diagnostic::RUN_PROGRAM);
    assert!(error.to_string().contains("DropPacket"), "{error}");
    let error = host
        .run("DropPacket", Engine::Interpreter, &packet)
        .unwrap_err();
    assert_eq!(error.code(), diagnostic::RUN_ENGINE);
    let error = host
        .run("DropPacket", Engine::Native, &[Input::context(&[0; 5])])
        .unwrap_err();
    assert_eq!(error.code(), diagnostic::RUN_CONTEXT);
    let error = host.dump("nothing").unwrap_err();
    assert_eq!(error.code(), diagnostic::RUN_MAP_ACCESS);
    assert!(error.to_string().contains("dropcnt_map"), "{error}");
    assert!(host.set("dropcnt_map", &[0; 3], &[0; 8]).is_err());
}

#[test]
fn measuring_runs_every_input_in_turn() {
    let object = support::load("droppacket.o");
    let mut host = support::host(&object, &codegen::Options::default());
    let inputs = support::inputs("inputs/droppacket.pcap");
    for engine in [Engine::Native, Engine::Interpreter] {
        let done = host
            .measure("DropPacket", engine, (&inputs, 14 * 1000 + 1))
            .unwrap();
        assert_eq!(done.invocations, 14_001);
        assert_eq!(done.results, [(1, 9000), (2, 5001)].into());
        assert!(done.ns_per_invocation() > 0.0);
    }
    let none: [Input; 0] = [];
    assert!(
        host.measure("DropPacket", Engine::Native, (&none, 5))
            .is_err()
    );
}

#[test]
fn each_engine_chains_its_own_programs() {
    let object = support::load("tail_calls.o");
    let mut host = support::host(&object, &codegen::Options::default());
    let inputs = support::inputs("inputs/tail_calls.pcap");
    let first = host.run("Dispatch", Engine::Native, &inputs).unwrap();
    let second = host.run("Dispatch", Engine::Interpreter, &inputs).unwrap();
    let third = host.run("Dispatch", Engine::Native, &inputs).unwrap();
    assert_eq!((&first, &first), (&second, &third));
    let ebpfcore_sim::Dump::Entries(stages) = host.dump("stages_map").unwrap() else {
        unreachable!("a map of programs has entries");
    };
    assert!(stages.iter().any(|entry| matches!(
        &entry.value,
        ebpfcore_sim::Value::Reference { name, .. } if name == "HandleIpv4"
    )));
}
