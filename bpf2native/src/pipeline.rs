//! The whole story in a page: object bytes to a signed driver.
//!
//! Each stage is one public function of its crate; its output type is the only key to the next
//! stage. [`Stages`] runs them for one object. Nothing here touches the file system.

use crate::report::{Diagnostic, Outcome, from_stage};
use crate::timing::Stopwatch;
use abi::{Platform, diagnostic as id};
use codegen::{Module, Skeleton};
use image::Image;
use program::{LoadOptions, Object, ProgramId};
use signing::Signer;
use std::cell::{OnceCell, RefCell};
use std::time::Instant;
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

/// What has been made of one object. Each stage runs when its result is first asked for, and once.
#[derive(Debug)]
pub(crate) struct Stages<'a> {
    /// The loaded object.
    pub(crate) object: &'a Object,
    /// How the stages run.
    pub(crate) job: &'a Job,
    skeleton: &'a Skeleton,
    watch: RefCell<Stopwatch>,
    verified: OnceCell<Outcome<Vec<Verified<'a>>>>,
    image: OnceCell<Outcome<Image>>,
}

impl<'a> Stages<'a> {
    /// Nothing made yet; `watch` goes on from what was timed before.
    pub(crate) fn new(
        object: &'a Object,
        job: &'a Job,
        skeleton: &'a Skeleton,
        watch: Stopwatch,
    ) -> Stages<'a> {
        Stages {
            object,
            job,
            skeleton,
            watch: RefCell::new(watch),
            verified: OnceCell::new(),
            image: OnceCell::new(),
        }
    }

    /// The driver's bytes; unsigned without a signer.
    pub(crate) fn driver(
        &self,
        signer: impl FnOnce() -> Outcome<Option<&'a Signer>>,
    ) -> Outcome<Vec<u8>> {
        let image = self.image()?;
        match signer()? {
            Some(signer) => self.time("sign", || sign(image, signer)),
            None => Ok(image.bytes().to_vec()),
        }
    }

    /// The proofs of all programs.
    pub(crate) fn verified(&self) -> Outcome<&[Verified<'a>]> {
        let made = self
            .verified
            .get_or_init(|| self.time("verify", || verify(self.object, self.job)));
        made.as_deref().map_err(Clone::clone)
    }

    /// The checked image.
    pub(crate) fn image(&self) -> Outcome<&Image> {
        let make = || {
            driver_platform(self.object)?;
            let verified = self.verified()?;
            let compile = || compile_with(verified, self.job, self.skeleton);
            let module = self.time("compile", compile)?;
            self.time("link", || link(&module))
        };
        self.image.get_or_init(make).as_ref().map_err(Clone::clone)
    }

    /// How long each stage took.
    pub(crate) fn into_watch(self) -> Stopwatch {
        self.watch.into_inner()
    }

    fn time<T>(&self, stage: &'static str, run: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = run();
        self.watch.borrow_mut().record(stage, start.elapsed());
        result
    }
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
    compile_with(verified, job, &Skeleton::new())
}

fn compile_with(verified: &[Verified<'_>], job: &Job, skeleton: &Skeleton) -> Outcome<Module> {
    codegen::compile_with(verified, &job.codegen, skeleton)
        .map_err(|error| vec![from_stage::codegen(&error)])
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
