//! Pins: canonical paths, and what the table holds.
#![allow(clippy::unwrap_used, reason = "a test may stop")]

use ebpfcore::{
    Status,
    pin::{ObjectKind, Path, Pinned, Pins},
};

fn canonical(path: &str) -> Result<String, Status> {
    let path = Path::canonical(path.as_bytes())?;
    Ok(String::from_utf8(path.as_bytes().to_vec()).unwrap())
}

#[test]
fn paths_have_one_form() {
    for (path, expected) in [
        ("/ebpf/global/x", r"BPF:\x"),
        (r"\EBPF\Global\x", r"BPF:\x"),
        ("/sys/fs/bpf/my/p", r"BPF:\sys\fs\bpf\my\p"),
        ("x", r"BPF:\x"),
        ("bpf:x", r"BPF:\x"),
        (r"BPF:\x", r"BPF:\x"),
        ("BPF:/ebpf/global/x", r"BPF:\x"),
        (r"\\a\\\b\", r"BPF:\a\b"),
        ("/a/./b", r"BPF:\a\b"),
        ("/a/../b", r"BPF:\b"),
        ("/a/b/..", r"BPF:\a"),
        // Only as a leading folder, and not by itself.
        ("/a/ebpf/global/x", r"BPF:\a\ebpf\global\x"),
        ("/ebpf/global", r"BPF:\ebpf\global"),
        // Names keep their case.
        ("/Ab/aB", r"BPF:\Ab\aB"),
    ] {
        assert_eq!(canonical(path).as_deref(), Ok(expected), "{path}");
        assert_eq!(canonical(expected).as_deref(), Ok(expected), "{path} again");
    }
}

#[test]
fn wrong_paths_are_refused() {
    let long = "x".repeat(251);
    for path in [
        "", "/", r"\\", "BPF:", ".", "/a:b", "c:/x", "/..", "/a/../..", "a\0b", &long,
    ] {
        assert_eq!(canonical(path), Err(Status::InvalidArgument), "{path}");
    }
    // The longest that fits: prefix, separator, name.
    let longest = "x".repeat(250);
    assert_eq!(
        canonical(&longest).unwrap().len(),
        ebpfcore::pin::PATH_BYTES
    );
}

#[test]
fn pins_are_kept_in_order_and_found() {
    let path = |text: &str| Path::canonical(text.as_bytes()).unwrap();
    let kind = ObjectKind::Map;
    let object = Pinned { id: 7, kind };
    let mut pins = Pins::default();
    for name in ["b", "a", "c"] {
        pins.insert(path(name), object).unwrap();
    }
    assert_eq!(
        pins.insert(path("b"), object).unwrap_err(),
        Status::ObjectAlreadyExists
    );
    assert_eq!(pins.count(object.id), 3);
    assert_eq!(pins.get(&path("b")), Some(object));
    assert!(pins.get(&path("d")).is_none());

    let mut seen = Vec::new();
    let mut last: Option<Path> = None;
    while let Ok((next, kind)) = pins.next_path(last.as_ref(), Some(ObjectKind::Map)) {
        assert_eq!(kind, ObjectKind::Map);
        seen.push(next.clone());
        last = Some(next);
    }
    assert_eq!(seen, [path("a"), path("b"), path("c")]);
    // A path that is gone meanwhile still has a place in the order.
    assert_eq!(pins.remove(&path("b")), Ok(object));
    assert_eq!(pins.remove(&path("b")), Err(Status::KeyNotFound));
    let (next, _) = pins.next_path(Some(&path("b")), None).unwrap();
    assert_eq!(next, path("c"));
    let none = pins.next_path(None, Some(ObjectKind::Link));
    assert_eq!(none.unwrap_err(), Status::NoMoreKeys);
    assert_eq!(
        (pins.pop(), pins.pop(), pins.pop()),
        (Some(object), Some(object), None)
    );
    assert_eq!(pins.count(object.id), 0);
}
