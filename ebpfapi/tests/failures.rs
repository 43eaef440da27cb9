//! What goes wrong while something is loaded: every step fails once in every way, each message says
//! what to do, and nothing is left behind. The real service manager has its turn in `cargo xtask wine`.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

use abi::ioctl::Handle;
use ebpfapi::{Answer, Cause, Client, Mapped, NewService, Object, Section, Simulator, Transport};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A runtime that cannot be asked once: after so many steps.
struct Failing {
    inner: Simulator,
    after: AtomicI64,
    cause: fn() -> Cause,
}

impl Failing {
    fn step(&self) -> Result<(), Cause> {
        match self.after.fetch_sub(1, Ordering::Relaxed) {
            0 => Err((self.cause)()),
            _ => Ok(()),
        }
    }
}

impl Transport for Failing {
    fn send(&self, message: &[u8], room: usize) -> Result<Answer, Cause> {
        self.step()?;
        self.inner.send(message, room)
    }

    fn close(&self, handle: Handle) {
        self.inner.close(handle);
    }

    fn map(&self, section: Section) -> Result<Box<dyn Mapped>, Cause> {
        self.step()?;
        self.inner.map(section)
    }

    fn cpu_count(&self) -> u32 {
        self.inner.cpu_count()
    }

    fn create_service(&self, service: &NewService<'_>) -> Result<(), Cause> {
        self.step()?;
        self.inner.create_service(service)
    }

    fn retire_service(&self, name: &str) -> Result<(), Cause> {
        self.step()?;
        self.inner.retire_service(name)
    }

    fn remove_service(&self, name: &str) -> Result<(), Cause> {
        self.inner.remove_service(name)
    }
}

/// How a step fails, and what is said about it.
type Way = (fn() -> Cause, &'static [&'static str]);

const WAYS: &[Way] = &[
    (
        || Cause::NotRunning,
        &["the runtime is not running", "sc start EbpfCore"],
    ),
    (
        || Cause::Denied,
        &["access to the runtime is denied", "administrator's prompt"],
    ),
    (
        || Cause::Service {
            what: "make a service",
            code: 5,
        },
        &[
            "make a service: error 5",
            "Run as administrator",
            "sc delete",
        ],
    ),
    (
        || ebpfapi::EbpfResult::NoMemory.into(),
        &["no memory", "Free maps"],
    ),
];

fn example(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(file)
}

/// A driver of droppacket, signed for tests.
fn driver() -> (tempfile::TempDir, PathBuf) {
    let options = program::LoadOptions {
        name: "droppacket".to_owned(),
        ..program::LoadOptions::default()
    };
    let object = program::load(&std::fs::read(example("droppacket.o")).unwrap(), &options).unwrap();
    let options = verifier::Options::default();
    let verified = verifier::verify(&object, program::ProgramId(0), &options).unwrap();
    let module = codegen::compile(&[verified], &codegen::Options::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let signer = signing::Signer::test(folder.path()).unwrap();
    let image = image::link(&module).unwrap();
    let path = folder.path().join("droppacket.sys");
    std::fs::write(&path, signing::sign(&image, &signer).unwrap()).unwrap();
    (folder, path)
}

fn nothing_is_left(simulator: &Simulator, what: &str) {
    let services = simulator.device().services();
    assert_eq!(services, [] as [&str; 0], "{what}: services");
    assert_eq!(simulator.handle_count(), 0, "{what}: handles");
    let objects = simulator.device().control().object_count();
    assert_eq!(objects, 0, "{what}: objects");
}

/// Fails each step of loading a file once, in one way; how many steps there are.
fn fail_each_step(object: &Object, cause: fn() -> Cause, words: &[&str]) -> i64 {
    for after in 0.. {
        let inner = Simulator::new().unwrap();
        let failing = Failing {
            inner: inner.clone(),
            after: AtomicI64::new(after),
            cause,
        };
        let failing = Arc::new(failing);
        let loaded = object.load(&Client::over(Arc::clone(&failing) as Arc<dyn Transport>));
        let what = format!("step {after}");
        if failing.after.load(Ordering::Relaxed) >= 0 {
            loaded.unwrap();
            return after;
        }
        let Err(error) = loaded else {
            panic!("{what} failed, and loading did not");
        };
        let said = error.to_string();
        for word in words {
            assert!(said.contains(word), "{what}: no {word:?} in {said}");
        }
        nothing_is_left(&inner, &what);
    }
    unreachable!("the range has no end")
}

#[test]
fn each_step_of_loading_may_fail() {
    let (_folder, path) = driver();
    for file in [example("droppacket.o"), path] {
        let object = Object::open(&file).unwrap();
        for (cause, words) in WAYS {
            let steps = fail_each_step(&object, *cause, words);
            assert!(steps >= 5, "{}: only {steps} steps", file.display());
        }
    }
}

#[test]
fn a_driver_that_was_changed_is_not_tried() {
    let (_folder, path) = driver();
    let mut bytes = std::fs::read(&path).unwrap();
    let code = bytes.len() / 2;
    bytes[code] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let simulator = Simulator::new().unwrap();
    let refused = Object::open(&path).and_then(|object| object.load(&simulator.client()));
    let said = refused.err().unwrap().to_string();
    assert!(said.contains("changed after it was signed"), "{said}");
    nothing_is_left(&simulator, "changed");
}

#[test]
fn a_driver_is_loaded_twice() {
    let (_folder, path) = driver();
    let simulator = Simulator::new().unwrap();
    let object = Object::open(&path).unwrap();
    let first = object.load(&simulator.client()).unwrap();
    let other = simulator.another_process();
    let second = object.load(&other.client()).unwrap();
    assert_eq!(simulator.device().services().len(), 2);
    let held = first.programs()[0].attach_to(7).unwrap();
    drop((held, first));
    assert_eq!(second.programs().len(), 1, "it does not go with the first");
    assert_eq!(simulator.device().services().len(), 1);
    drop(second);
    assert_eq!(other.handle_count(), 0);
    nothing_is_left(&simulator, "twice");
}
