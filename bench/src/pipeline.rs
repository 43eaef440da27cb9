//! The stages from object bytes to a signed driver, each alone, on the droppacket example.

use crate::harness::Bench;
use program::{LoadOptions, Object, ProgramId};
use std::hint::black_box;
use std::path::Path;
use verifier::Verified;

const OBJECT: &[u8] = include_bytes!("../../examples/droppacket.o");

pub(crate) fn register(bench: &mut Bench) {
    let measured = signer().ok().and_then(|signer| measure(bench, &signer));
    if measured.is_none() {
        eprintln!("pipeline: the example or the test key cannot be used; not measured");
    }
}

fn measure(bench: &mut Bench, signer: &signing::Signer) -> Option<()> {
    let load = LoadOptions {
        name: "droppacket".to_owned(),
        ..LoadOptions::default()
    };
    let options = codegen::Options::default();
    let object = program::load(OBJECT, &load).ok()?;
    let verified = [verify(&object)?];
    let module = codegen::compile(&verified, &options).ok()?;
    let image = image::link(&module).ok()?;
    bench.measure("pipeline/load", 1, || {
        program::load(black_box(OBJECT), &load)
    });
    bench.measure("pipeline/verify", 1, || {
        verify(black_box(&object)).is_some()
    });
    bench.measure("pipeline/compile", 1, || {
        codegen::compile(black_box(&verified), &options)
    });
    bench.measure("pipeline/link and check", 1, || {
        image::link(black_box(&module))
    });
    bench.measure("pipeline/sign", 1, || {
        signing::sign(black_box(&image), signer)
    });
    Some(())
}

fn verify(object: &Object) -> Option<Verified<'_>> {
    verifier::verify(object, ProgramId(0), &verifier::Options::default()).ok()
}

/// A test key of the benchmark's own, kept between runs.
fn signer() -> Result<signing::Signer, signing::Error> {
    signing::Signer::test(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench-key"))
}
