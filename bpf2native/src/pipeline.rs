//! The whole story in a page: object bytes to a signed driver.
//!
//! Each stage is one public function of its crate; its output type is the only key to the next
//! stage. Nothing here touches the file system.

use crate::report::{Diagnostic, Outcome, from_stage};
use crate::timing::Stopwatch;
use abi::{Platform, diagnostic as id};
use codegen::Module;
use image::Image;
use program::{LoadOptions, Object, ProgramId};
use signing::Signer;
use verifier::Verified;

/// Everything decided before the stages start.
#[derive(Debug)]
pub(crate) struct Job {
    /// How the object is read.
    pub(crate) load: LoadOptions,
    /// Verifier budgets.
    pub(crate) verify: verifier::Options,
    /// Code generation.
    pub(crate) codegen: codegen::Options,
}

/// A driver that is ready to be written.
#[derive(Debug)]
pub(crate) struct Driver {
    /// The file contents.
    pub(crate) bytes: Vec<u8>,
    /// How many programs it holds.
    pub(crate) programs: usize,
    /// Remarks of the loader.
    pub(crate) notes: Vec<String>,
}

/// Object bytes to driver bytes; unsigned without a signer.
pub(crate) fn build(
    bytes: &[u8],
    job: &Job,
    signer: Option<&Signer>,
    watch: &mut Stopwatch,
) -> Outcome<Driver> {
    let object = watch.time("load", || load(bytes, job))?;
    driver_platform(&object)?;
    let verified = watch.time("verify", || verify(&object, job))?;
    let module = watch.time("compile", || compile(&verified, job))?;
    let image = watch.time("link", || link(&module))?;
    let bytes = match signer {
        Some(signer) => watch.time("sign", || sign(&image, signer))?,
        None => image.bytes().to_vec(),
    };
    Ok(Driver {
        bytes,
        programs: object.programs.len(),
        notes: object.notes,
    })
}

/// ELF to programs.
pub(crate) fn load(bytes: &[u8], job: &Job) -> Outcome<Object> {
    program::load(bytes, &job.load).map_err(|error| vec![from_stage::load(&error)])
}

/// Programs to proofs; every rejection of every program is reported.
pub(crate) fn verify<'a>(object: &'a Object, job: &Job) -> Outcome<Vec<Verified<'a>>> {
    let mut verified = Vec::new();
    let mut diagnostics = Vec::new();
    for id in program_ids(object) {
        match verifier::verify(object, id, &job.verify) {
            Ok(program) => verified.push(program),
            Err(rejected) => diagnostics.extend(from_stage::rejected(object, id, &rejected)),
        }
    }
    if diagnostics.is_empty() {
        Ok(verified)
    } else {
        Err(diagnostics)
    }
}

/// Proofs to a relocatable module.
pub(crate) fn compile(verified: &[Verified<'_>], job: &Job) -> Outcome<Module> {
    codegen::compile(verified, &job.codegen).map_err(|error| vec![from_stage::codegen(&error)])
}

/// Module to a checked image.
pub(crate) fn link(module: &Module) -> Outcome<Image> {
    image::link(module).map_err(|error| vec![from_stage::image(&error)])
}

/// Image to signed file contents.
pub(crate) fn sign(image: &Image, signer: &Signer) -> Outcome<Vec<u8>> {
    signing::sign(image, signer).map_err(|error| vec![from_stage::signing(&error)])
}

/// The ids of all programs of an object.
pub(crate) fn program_ids(object: &Object) -> impl Iterator<Item = ProgramId> {
    (0..object.programs.len())
        .filter_map(|at| u16::try_from(at).ok())
        .map(ProgramId)
}

fn driver_platform(object: &Object) -> Outcome<()> {
    if object.platform == Platform::Windows {
        return Ok(());
    }
    Err(vec![Diagnostic::error(
        id::NOT_A_DRIVER_PLATFORM,
        "Linux programs make no Windows driver",
    )])
}
