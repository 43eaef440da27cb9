//! From a file to a loaded instance: a driver as it is, or an object through the pipeline.

use super::failed;
use crate::args::RunArgs;
use crate::commands::input;
use crate::pipeline::{self, Job};
use crate::report::{Diagnostic, Outcome, from_stage};
use abi::{Platform, diagnostic as id};
use ebpfcore_sim::{Engine, Host, Options};
use program::Object;
use verifier::Verified;

/// What a file is.
pub(super) enum Input<'a> {
    /// A driver image.
    Driver(&'a [u8]),
    /// An eBPF object.
    Object(Box<Object>, Box<Job>),
}

impl<'a> Input<'a> {
    /// Tells drivers (`MZ`) from objects.
    pub(super) fn new(args: &RunArgs, bytes: &'a [u8]) -> Outcome<Input<'a>> {
        if bytes.starts_with(b"MZ") {
            return Ok(Input::Driver(bytes));
        }
        let job = input::job(&args.input, &args.object)?;
        let object = pipeline::load(bytes, &job)?;
        Ok(Input::Object(Box::new(object), Box::new(job)))
    }

    /// What the loader says about an object.
    pub(super) fn notes(&self) -> Vec<String> {
        match self {
            Input::Driver(_) => Vec::new(),
            Input::Object(object, _) => object.notes.clone(),
        }
    }

    /// Proves and compiles what the engine needs.
    pub(super) fn source(&self, engine: Engine) -> Outcome<Source<'_>> {
        let (object, job) = match self {
            Input::Driver(_) if engine == Engine::Interpreter => return Err(vec![no_bytecode()]),
            Input::Driver(bytes) => return Ok(Source::Driver(bytes)),
            Input::Object(object, job) => (object, job),
        };
        let verified = pipeline::verify(object, job)?;
        Ok(match engine {
            Engine::Interpreter => Source::Bytecode(object, verified),
            Engine::Native => Source::Image(object, image(object, &verified, job)?),
        })
    }
}

fn no_bytecode() -> Diagnostic {
    let what = "a driver holds machine code, and nothing that the interpreter could run";
    Diagnostic::error(id::USAGE, what).note(
        "expected",
        "the object file that it was made from, or `--engine native`",
    )
}

/// What instances are made from.
pub(super) enum Source<'a> {
    /// A driver image from a file.
    Driver(&'a [u8]),
    /// Proved programs.
    Bytecode(&'a Object, Vec<Verified<'a>>),
    /// The image made from an object.
    Image(&'a Object, image::Image),
}

impl Source<'_> {
    /// Loads an instance with fresh maps.
    pub(super) fn host(&self) -> Outcome<Host> {
        let options = Options::default();
        let host = match self {
            Source::Driver(bytes) => Host::from_image(bytes, &options),
            Source::Bytecode(object, verified) => Host::from_object(object, verified, &options),
            Source::Image(object, image) => Host::from_image_of(image.bytes(), object, &options),
        };
        host.map_err(failed)
    }
}

/// Windows programs run from the very image that would be written; Linux programs have none.
fn image(object: &Object, verified: &[Verified<'_>], job: &Job) -> Outcome<image::Image> {
    let module = pipeline::compile(verified, job)?;
    match object.platform {
        Platform::Windows => pipeline::link(&module),
        Platform::Linux => {
            image::link_for_host(&module).map_err(|error| vec![from_stage::image(&error)])
        }
    }
}
