//! Every example gives its expected results, as a finished driver and on the interpreter.
#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod support;

use abi::native::ModuleVersion;
use ebpfcore_sim::{Dump, Engine, Host, Invocation, Value};
use serde_json::Value as Json;
use support::{hex, inputs, to_hex};

/// Whether hexadecimal bytes are as expected; `??` is any byte.
fn fits(expected: &str, found: &[u8]) -> bool {
    let found = to_hex(found);
    expected.len() == found.len()
        && expected
            .bytes()
            .zip(found.bytes())
            .all(|(expected, found)| expected == b'?' || expected == found)
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap()
}

fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn members(json: &Json) -> impl Iterator<Item = (&String, &[Json])> {
    let members = json.as_object().into_iter().flatten();
    members.map(|(name, value)| (name, list(value)))
}

fn check_maps(host: &Host, run: &Json, place: &str) {
    for (map, expected) in members(&run["maps"]) {
        let Dump::Entries(entries) = host.dump(map).unwrap() else {
            panic!("{place}: {map} has no entries");
        };
        let found: Vec<_> = entries
            .iter()
            .map(|entry| match &entry.value {
                Value::Bytes(bytes) => (&entry.key, bytes),
                other => panic!("{place}: {map}: {other:?}"),
            })
            .collect();
        assert_eq!(found.len(), expected.len(), "{place}: {map}: {found:?}");
        for (expected, (key, value)) in expected.iter().zip(found) {
            let same = fits(text(&expected[0]), key) && fits(text(&expected[1]), value);
            let found = (to_hex(key), to_hex(value));
            assert!(same, "{place}: {map}: {found:?}, expected {expected}");
        }
    }
}

fn check_records(host: &Host, run: &Json, place: &str) {
    for (map, expected) in members(&run["records"]) {
        let Dump::Records { records, lost } = host.dump(map).unwrap() else {
            panic!("{place}: {map} has no records");
        };
        assert_eq!((records.len(), lost), (expected.len(), 0), "{place}: {map}");
        for (expected, record) in expected.iter().zip(&records) {
            let same = fits(text(expected), &record.data);
            assert!(same, "{place}: {map}: {}", to_hex(&record.data));
        }
    }
}

/// One run of an example on one engine, with fresh maps.
fn check(mut host: Host, engine: Engine, run: &Json, place: &str) -> Vec<Invocation> {
    for (map, entries) in members(&run["maps_before"]) {
        for entry in entries {
            host.set(map, &hex(text(&entry[0])), &hex(text(&entry[1])))
                .unwrap();
        }
    }
    let inputs = inputs(text(&run["input"]));
    let done = host.run(text(&run["program"]), engine, &inputs).unwrap();
    let verdicts: Vec<u64> = done.iter().map(|done| u64::from(done.result)).collect();
    let expected: Vec<u64> = list(&run["verdicts"])
        .iter()
        .map(|verdict| verdict.as_u64().unwrap())
        .collect();
    assert_eq!(verdicts, expected, "{place}");
    check_maps(&host, run, place);
    check_records(&host, run, place);
    for (number, expected) in list(&run["contexts_after"]).iter().enumerate() {
        let context = &done[number].context;
        assert!(
            fits(text(expected), context),
            "{place}: {}",
            to_hex(context)
        );
    }
    host.unload().unwrap();
    done
}

#[test]
fn examples_give_what_they_say() {
    let mut runs = 0;
    let folder = support::examples().join("expected");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().collect();
    files.sort_by_key(std::fs::DirEntry::path);
    for file in files {
        let json: Json = serde_json::from_slice(&std::fs::read(file.path()).unwrap()).unwrap();
        if list(&json["runs"]).is_empty() {
            assert!(json["rejected"].is_object());
            continue;
        }
        let object = support::load(text(&json["object"]));
        let plain = codegen::Options::default();
        let newer = codegen::Options::default().with_abi(ModuleVersion::new(1, 5, 0));
        for (at, run) in list(&json["runs"]).iter().enumerate() {
            let place = |what: &str| format!("{}, run {at}, {what}", json["object"]);
            let host = |options| support::host(&object, options);
            let native = check(host(&plain), Engine::Native, run, &place("native"));
            let inlined = check(host(&newer), Engine::Native, run, &place("newer ABI"));
            let interpreted = check(
                host(&plain),
                Engine::Interpreter,
                run,
                &place("interpreted"),
            );
            assert_eq!(native, interpreted, "{}", place("differs"));
            assert_eq!(native, inlined, "{}", place("differs"));
            runs += 1;
        }
    }
    assert!(runs >= 9, "only {runs} runs");
}
