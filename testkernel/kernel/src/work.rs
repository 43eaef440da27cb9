//! Work that runs later, drivers that drivers ask for, and events of user mode.
//!
//! A driver is not taken out of memory before its work items ended, as the kernel keeps its device
//! until then.

use crate::platform::installed;
use crate::process;
use crate::report::lock;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

/// After this time a work item that does not end is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts and stops drivers by the paths of their registry keys.
pub trait Manager: Send + Sync {
    /// Starts one; an `NTSTATUS`.
    fn load(&self, key: &str) -> u32;
    /// Stops one; an `NTSTATUS`.
    fn unload(&self, key: &str) -> u32;
}

/// Work items by driver, and the manager.
#[derive(Default)]
pub struct Work {
    running: Mutex<BTreeMap<u64, u64>>,
    ended: Condvar,
    manager: Mutex<Option<Weak<dyn Manager>>>,
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Work").field(&*lock(&self.running)).finish()
    }
}

impl Work {
    /// Says who starts and stops drivers.
    pub fn set_manager(&self, manager: Weak<dyn Manager>) {
        *lock(&self.manager) = Some(manager);
    }

    pub(crate) fn manager(&self) -> Option<Arc<dyn Manager>> {
        lock(&self.manager).as_ref()?.upgrade()
    }

    pub(crate) fn begin(&self, driver: u64) {
        *lock(&self.running).entry(driver).or_default() += 1;
    }

    pub(crate) fn end(&self, driver: u64) {
        let mut running = lock(&self.running);
        if let Some(count) = running.get_mut(&driver) {
            *count -= 1;
            if *count == 0 {
                running.remove(&driver);
            }
        }
        self.ended.notify_all();
    }

    /// Waits until no work item of a driver runs; false when one does not end.
    #[must_use]
    pub fn wait(&self, driver: u64) -> bool {
        let running = lock(&self.running);
        let busy = |running: &mut BTreeMap<u64, u64>| running.contains_key(&driver);
        let waited = self.ended.wait_timeout_while(running, PATIENCE, busy);
        let (running, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !running.contains_key(&driver)
    }
}

/// First handle and first object of events, and the distance to the next.
const FIRST_HANDLE: u64 = 0x5000_0000;
const FIRST_OBJECT: u64 = 0xffff_9500_0000_0000;
const HANDLE_STEP: u64 = 4;
const OBJECT_STEP: u64 = 0x40;

#[derive(Debug, Default)]
struct Event {
    is_set: bool,
    references: u64,
    /// What it is underneath, when it is not only here.
    beneath: Option<u64>,
}

/// Events of user mode, by number.
#[derive(Debug, Default)]
pub struct Events(Mutex<Vec<Event>>);

fn number(value: u64, first: u64, step: u64) -> Option<usize> {
    let distance = value.checked_sub(first)?;
    (distance % step == 0).then_some((distance / step) as usize)
}

impl Events {
    /// Makes an event; gives its handle.
    pub fn create(&self) -> u64 {
        let mut events = lock(&self.0);
        events.push(Event::default());
        FIRST_HANDLE + (events.len() as u64 - 1) * HANDLE_STEP
    }

    /// Whether the event of a handle was set since the last question.
    pub fn take(&self, handle: u64) -> bool {
        let index = number(handle, FIRST_HANDLE, HANDLE_STEP);
        let mut events = lock(&self.0);
        let event = index.and_then(|index| events.get_mut(index));
        event.is_some_and(|event| std::mem::take(&mut event.is_set))
    }

    /// Refers to the event of a handle; gives its object.
    pub(crate) fn reference(&self, handle: u64) -> Option<u64> {
        let beneath = installed().map(|platform| platform.take_event(process::current(), handle));
        let mut events = lock(&self.0);
        let index = match beneath {
            None => number(handle, FIRST_HANDLE, HANDLE_STEP)?,
            Some(0) => return None,
            Some(_) => {
                events.push(Event {
                    beneath,
                    ..Event::default()
                });
                events.len() - 1
            }
        };
        events.get_mut(index)?.references += 1;
        Some(FIRST_OBJECT + index as u64 * OBJECT_STEP)
    }

    /// Gives a reference up; false when it is no event.
    pub(crate) fn release(&self, object: u64) -> bool {
        let index = number(object, FIRST_OBJECT, OBJECT_STEP);
        let mut events = lock(&self.0);
        let Some(event) = index.and_then(|index| events.get_mut(index)) else {
            return false;
        };
        event.references = event.references.saturating_sub(1);
        if let (Some(platform), Some(beneath), 0) = (installed(), event.beneath, event.references) {
            event.beneath = None;
            platform.give_event(beneath);
        }
        true
    }

    /// Whether an object is one of these events.
    pub(crate) fn holds(&self, object: u64) -> bool {
        let index = number(object, FIRST_OBJECT, OBJECT_STEP);
        index.is_some_and(|index| index < lock(&self.0).len())
    }

    /// Sets an event; the former state.
    pub(crate) fn set(&self, object: u64) -> bool {
        let index = number(object, FIRST_OBJECT, OBJECT_STEP);
        let mut events = lock(&self.0);
        match index.and_then(|index| events.get_mut(index)) {
            Some(event) if event.references != 0 => {
                if let (Some(platform), Some(beneath)) = (installed(), event.beneath) {
                    platform.set_event(beneath);
                }
                std::mem::replace(&mut event.is_set, true)
            }
            _ => {
                crate::machine::violation(|| "KeSetEvent of no event".to_owned());
                false
            }
        }
    }

    /// What drivers left behind, in words.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        let events = lock(&self.0);
        let held = events.iter().filter(|event| event.references != 0).count();
        (held != 0)
            .then(|| format!("{held} events"))
            .into_iter()
            .collect()
    }
}
