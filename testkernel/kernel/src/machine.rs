//! One simulated machine: everything that its drivers share.
//!
//! Kernel functions have no argument that says where they are called, so the machine is that of the
//! calling thread ([`Machine::enter`]), or else the one of the process. Under Wine there is only the
//! latter; on a host every test has its own.

use crate::files::Files;
use crate::images::Images;
use crate::nmr::Registrar;
use crate::pool::Pool;
use crate::registry::Registry;
use crate::report::Reports;
use crate::sections::Sections;
use crate::wfp::Engine;
use crate::wfp::inject::Injection;
use crate::work::{Events, Work};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, LazyLock, Mutex};

/// The state.
#[derive(Debug, Default)]
pub struct Machine {
    /// What went wrong and what was said.
    pub reports: Reports,
    /// Memory of drivers.
    pub pool: Pool,
    /// Clients and providers that find each other.
    pub registrar: Registrar,
    /// The filtering platform.
    pub engine: Engine,
    /// Devices and files that drivers open.
    pub files: Files,
    /// Images and their files; unused under Wine.
    pub images: Images,
    /// Injected packets.
    pub injection: Injection,
    /// Whether callers are ordinary users; otherwise they are administrators.
    pub is_restricted: AtomicBool,
    /// With what drivers are refused that drivers start; 0 while they are not.
    pub refuses_drivers: AtomicU32,
    /// Symbolic links; unused under Wine.
    pub links: Mutex<BTreeMap<String, String>>,
    /// What is known of device objects; unused under Wine.
    pub devices: Mutex<BTreeMap<u64, DeviceState>>,
    /// Work items, and who starts drivers; unused under Wine.
    pub work: Work,
    /// Events of user mode.
    pub events: Events,
    /// Memory that drivers give processes.
    pub sections: Sections,
    /// The simulated registry and its open keys; unused under Wine, which has one.
    pub keys: Mutex<Keys>,
}

/// What is known of a device object.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceState {
    /// Number of the handle that its driver has to it, or 0.
    pub handle: u64,
    /// Address of its security descriptor, or 0.
    pub security: u64,
}

/// Registry and open keys.
#[derive(Debug, Default)]
pub struct Keys {
    /// Keys and values.
    pub registry: Registry,
    /// Paths of the keys that were opened; none where one was closed.
    pub open: Vec<Option<String>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Machine>>> = const { RefCell::new(None) };
}

static PROCESS: LazyLock<Arc<Machine>> = LazyLock::new(Arc::default);

/// The machine of this thread.
#[must_use]
pub fn current() -> Arc<Machine> {
    let own = CURRENT.with_borrow(Clone::clone);
    own.unwrap_or_else(|| Arc::clone(&PROCESS))
}

/// Reports a violation to the machine of this thread.
pub fn violation(text: impl FnOnce() -> String) {
    current().reports.violation(text());
}

impl Machine {
    /// A machine with a registry.
    #[must_use]
    pub fn new(registry: Registry) -> Arc<Machine> {
        let machine = Machine::default();
        crate::report::lock(&machine.keys).registry = registry;
        Arc::new(machine)
    }

    /// Changes the registry, as its administrator does.
    pub fn change_registry(&self, change: impl FnOnce(&mut Registry)) {
        change(&mut crate::report::lock(&self.keys).registry);
    }

    /// Makes this the machine of the thread while `action` runs code of its drivers.
    pub fn enter<T>(self: &Arc<Machine>, action: impl FnOnce() -> T) -> T {
        /// Puts the outer machine back, also when `action` panics.
        struct Leave(Option<Arc<Machine>>);
        impl Drop for Leave {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _leave = Leave(CURRENT.replace(Some(Arc::clone(self))));
        action()
    }
}
