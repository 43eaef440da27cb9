//! The hooks of the runtime in the Windows Filtering Platform, while the driver runs.

use crate::level::Passive;
use crate::platform::Kernel;
use crate::{device, runtime, status};
use ebpfcore::raw::locked::Locked;
use ebpfcore::{Shared, Status};
use ebpfcore_wfp::{Api, Engine};

static KERNEL: Kernel = Kernel;
static ENGINE: Locked<Option<Shared<Engine>>> = Locked::new(None);

/// Registers with the platform; runtime and device exist.
pub(crate) fn start(_: &Passive) -> Result<(), i32> {
    let control = runtime::control().ok_or(status::of(Status::Failed))?;
    // SAFETY: 1. The functions are the system's. 2. Programs are proved by the runtime, or belong to
    // modules that the system has loaded and that stay until they are detached. 3. `stop` comes
    // before the runtime goes.
    let started = unsafe {
        let core = control.shared_core();
        Engine::start(Api::of_system(), core, control.hooks(), device::object())
    };
    *ENGINE.lock(&KERNEL) = Some(started.map_err(status::of)?);
    Ok(())
}

/// Programs were attached or detached.
pub(crate) fn refresh() -> Result<(), Status> {
    // The lock is not held while the platform is called.
    let engine = ENGINE.lock(&KERNEL).clone();
    engine.map_or(Ok(()), |engine| engine.refresh())
}

/// Takes everything back: the platform calls nothing any more.
pub(crate) fn stop(_: &Passive) {
    let engine = ENGINE.lock(&KERNEL).take();
    if let Some(engine) = engine {
        Engine::stop(engine);
    }
}
