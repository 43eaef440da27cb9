//! From a file to a loaded instance: a driver as it is, or an object through the pipeline.

use super::failed;
use crate::args::RunArgs;
use crate::commands::input;
use crate::pipeline::{self, Job};
use crate::report::{Outcome, from_stage};
use abi::Platform;
use ebpfcore_sim::{Engine, Host, Options};
use program::Object;
use verifier::Verified;

/// What a file is, and everything needed to load it again.
pub(super) enum Source<'a> {
    /// A driver image.
    Driver(&'a [u8]),
    /// An eBPF object.
    Object(Box<Object>, Job),
}

impl<'a> Source<'a> {
    /// Tells drivers (`MZ`) from objects.
    pub(super) fn new(args: &RunArgs, bytes: &'a [u8]) -> Outcome<Source<'a>> {
        if bytes.starts_with(b"MZ") {
            return Ok(Source::Driver(bytes));
        }
        let job = input::job(&args.input, &args.object)?;
        let object = pipeline::load(bytes, &job)?;
        Ok(Source::Object(Box::new(object), job))
    }

    /// Loads an instance with fresh maps.
    pub(super) fn host(&self, engine: Engine) -> Outcome<Host> {
        let options = Options::default();
        match (self, engine) {
            (Source::Driver(bytes), _) => Host::from_image(bytes, &options).map_err(failed),
            (Source::Object(object, job), Engine::Interpreter) => {
                let verified = pipeline::verify(object, job)?;
                Host::from_object(object, &verified, &options).map_err(failed)
            }
            (Source::Object(object, job), Engine::Native) => {
                let verified = pipeline::verify(object, job)?;
                let image = image(object, &verified, job)?;
                Host::from_image_of(image.bytes(), object, &options).map_err(failed)
            }
        }
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
