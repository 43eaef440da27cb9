//! The stages from object bytes to a signed driver, each alone, on the droppacket example.

use crate::harness::Bench;
use program::{LoadOptions, Object, ProgramId};
use std::hint::black_box;
use std::path::Path;
use verifier::Verified;

const OBJECT: &[u8] = include_bytes!("../../examples/droppacket.o");

pub(crate) fn register(bench: &mut Bench) {
    let options = LoadOptions {
        name: "droppacket".to_owned(),
        ..LoadOptions::default()
    };
    let (Ok(object), Ok(signer)) = (program::load(OBJECT, &options), signer()) else {
        eprintln!("pipeline: the example or the test key cannot be loaded; not measured");
        return;
    };
    let Some(verified) = verify(&object) else {
        eprintln!("pipeline: the example is not accepted; not measured");
        return;
    };
    let codegen = codegen::Options::default();
    let verified = [verified];
    let Ok(module) = codegen::compile(&verified, &codegen) else {
        return;
    };
    let Ok(image) = image::link(&module) else {
        return;
    };
    bench.measure("pipeline/load", 1, || {
        program::load(black_box(OBJECT), &options)
    });
    bench.measure("pipeline/verify", 1, || {
        verify(black_box(&object)).is_some()
    });
    bench.measure("pipeline/compile", 1, || {
        codegen::compile(black_box(&verified), &codegen)
    });
    bench.measure("pipeline/link and check", 1, || {
        image::link(black_box(&module))
    });
    bench.measure("pipeline/sign", 1, || {
        signing::sign(black_box(&image), &signer)
    });
}

fn verify(object: &Object) -> Option<Verified<'_>> {
    verifier::verify(object, ProgramId(0), &verifier::Options::default()).ok()
}

/// A test key of the benchmark's own, kept between runs.
fn signer() -> Result<signing::Signer, signing::Error> {
    signing::Signer::test(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench-key"))
}
