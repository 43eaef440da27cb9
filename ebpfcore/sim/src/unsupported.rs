//! In place of drivers on hosts that cannot run them.

use crate::Error;
use crate::service::ServiceOptions;
use ebpfcore::control::Control;
use ebpfcore::native::{Module, Typing};
use testkernel::registry::ModuleIdValue;

/// A driver that cannot be.
#[derive(Debug)]
pub(crate) enum Driver {}

impl Driver {
    pub(crate) fn start(_: &[u8], _: &str, _: &ModuleIdValue) -> Result<Driver, Error> {
        Err(Error::UnsupportedHost {
            what: "a way to run x64 driver images (it needs an x64 processor and Unix)",
        })
    }

    pub(crate) fn image_range(&self) -> (u64, u64) {
        match *self {}
    }

    pub(crate) fn module(&self, _: Typing<'_>) -> Result<Module, Error> {
        match *self {}
    }

    pub(crate) fn attach_to(
        &self,
        _: &Control,
        _: (u64, &ServiceOptions<'_>),
    ) -> Result<(), Error> {
        match *self {}
    }

    pub(crate) fn module_id(&self) -> Option<abi::Guid> {
        match *self {}
    }

    pub(crate) fn stop(&mut self) -> Result<(), Error> {
        match *self {}
    }
}
