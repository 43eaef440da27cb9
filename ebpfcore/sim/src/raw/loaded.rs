//! A driver image that was mapped and started, as the kernel does both: with a driver object and the
//! path of its registry key, and without its discardable sections once it runs.
//!
//! Imports are bound to the table of `testkernel`. Invariant: the image is unmapped only after its
//! unload routine and its work items have returned.
#![expect(unsafe_code, reason = "calls into driver images")]

use super::fault::Watch;
use super::mapping::{Mapping, Protection};
use super::memory::{Memory, Reach};
use crate::Error;
use image::read::{ImportName, Pe};
use std::sync::Arc;
use testkernel::Machine;
use testkernel::images::Image;
use testkernel::raw::{self, call_entry, call_unload};
use testkernel::registry::service_key;
use testkernel::status::is_error;

/// Layout of the page that the driver gets.
mod place {
    /// `DRIVER_OBJECT`, 336 bytes.
    pub(super) const OBJECT: usize = 0;
    pub(super) const OBJECT_BYTES: u16 = 336;
    /// In `DRIVER_OBJECT`: the first device, base and size of the image, the unload routine.
    pub(super) const DEVICE: usize = 0x08;
    pub(super) const START: usize = 0x18;
    pub(super) const SIZE: usize = 0x20;
    pub(super) const UNLOAD: usize = 0x68;
    /// `UNICODE_STRING` of the registry path, and its text.
    pub(super) const PATH: usize = 0x200;
    pub(super) const TEXT: usize = 0x240;
}

/// Longest service name.
const SERVICE_NAME_BYTES: usize = 200;

/// A started driver.
#[derive(Debug)]
pub(crate) struct Loaded {
    // Dropped in this order, after `stop`.
    machine: Arc<Machine>,
    objects: Memory,
    mapping: Mapping,
    service: String,
    unload: u64,
    stopped: bool,
}

/// The name of the file of a service as the kernel writes it.
pub(crate) fn file_name(service: &str) -> String {
    format!(r"\??\C:\drivers\{service}.sys")
}

impl Loaded {
    /// Maps an image and calls its entry point.
    pub(crate) fn start(
        machine: &Arc<Machine>,
        bytes: &[u8],
        service: &str,
    ) -> Result<Loaded, Error> {
        let pe = Pe::parse(bytes).map_err(Error::Image)?;
        let mapping = Mapping::new(&pe, |import| match &import.name {
            ImportName::Name(name) => raw::address(&import.module, name),
            ImportName::Ordinal(_) => None,
        })
        .map_err(Error::Map)?;
        let objects = objects(service, &mapping)?;
        let image = Image {
            base: mapping.base(),
            size: mapping.len_bytes() as u32,
            name: file_name(service),
        };
        machine.images.add(image, bytes.to_vec());
        let mut driver = Loaded {
            machine: Arc::clone(machine),
            objects,
            mapping,
            service: service.to_owned(),
            unload: 0,
            // Nothing to stop before DriverEntry succeeded.
            stopped: true,
        };
        driver.enter()?;
        Ok(driver)
    }

    /// The machine that it runs on.
    pub(crate) fn machine(&self) -> &Arc<Machine> {
        &self.machine
    }

    /// The image.
    pub(crate) fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// First byte of the image, and its size.
    pub(crate) fn image_range(&self) -> (u64, u64) {
        (self.mapping.base(), self.mapping.len_bytes() as u64)
    }

    /// Runs `action`, which calls into the image: a fault is told by the name of the service.
    pub(crate) fn watched<T>(&self, action: impl FnOnce() -> T) -> T {
        let _watch = Watch::new(&self.service, self.image_range());
        action()
    }

    fn word(&self, at: usize) -> u64 {
        let bytes = self.objects.read(place::OBJECT + at, 8);
        bytes.try_into().map_or(0, u64::from_le_bytes)
    }

    fn enter(&mut self) -> Result<(), Error> {
        let entry = self.mapping.entry();
        let object = self.objects.address(place::OBJECT);
        let path = self.objects.address(place::PATH);
        // SAFETY: 1. The entry point of the image that was just mapped. 2. A driver object and a
        // path as Windows passes them.
        let status = self.watched(|| unsafe { call_entry(&self.machine, entry, object, path) });
        if is_error(status) {
            self.rest();
            return Err(Error::Entry { status });
        }
        self.unload = self.word(place::UNLOAD);
        self.stopped = false;
        if let Some(key) = self.machine.leaked_keys().pop() {
            return Err(Error::LeakedKey { key });
        }
        self.mapping.discard().map_err(Error::Map)
    }

    /// Waits for its work items, and notes what it leaves behind.
    fn rest(&self) {
        let object = self.objects.address(place::OBJECT);
        let say = |text: &str| {
            let text = format!("{}: {text}", self.service);
            self.machine.reports.violation(text);
        };
        if !self.machine.work.wait(object) {
            say("a work item does not end");
        }
        if self.word(place::DEVICE) != 0 {
            say("a device is left");
        }
    }

    /// Unloads the driver: afterwards none of its code runs.
    pub(crate) fn stop(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.stopped, true) {
            return Ok(());
        }
        if self.unload == 0 {
            return Err(Error::NoUnload);
        }
        let (unload, object) = (self.unload, self.objects.address(place::OBJECT));
        // SAFETY: 1. The unload routine that the started driver put into its driver object.
        self.watched(|| unsafe { call_unload(&self.machine, unload, object) });
        self.rest();
        Ok(())
    }

    /// Addresses of the image that have a protection.
    pub(crate) fn page(&self, protection: Protection) -> Option<u64> {
        let (base, size) = self.image_range();
        let mut pages = (base..base + size).step_by(4096);
        pages.find(|page| self.mapping.protection(*page) == protection)
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // A driver that cannot be unloaded is unmapped all the same; `stop` reports it.
        let _ = self.stop();
        self.machine.images.remove(self.mapping.base());
    }
}

/// The driver object and the registry path.
fn objects(service: &str, mapping: &Mapping) -> Result<Memory, Error> {
    if service.is_empty() || service.len() > SERVICE_NAME_BYTES || service.contains('\\') {
        return Err(Error::ServiceName {
            name: service.to_owned(),
        });
    }
    let mut memory = Memory::new(4096, Reach::Any)?;
    memory.write(place::OBJECT, &4u16.to_le_bytes());
    memory.write(place::OBJECT + 2, &place::OBJECT_BYTES.to_le_bytes());
    memory.write(place::OBJECT + place::START, &mapping.base().to_le_bytes());
    let size = mapping.len_bytes() as u32;
    memory.write(place::OBJECT + place::SIZE, &size.to_le_bytes());

    let text: Vec<u8> = service_key(service)
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    memory.write(place::TEXT, &text);
    let text_at = memory.address(place::TEXT);
    memory.write(place::PATH, &(text.len() as u16).to_le_bytes());
    memory.write(place::PATH + 2, &(text.len() as u16 + 2).to_le_bytes());
    memory.write(place::PATH + 8, &text_at.to_le_bytes());
    Ok(memory)
}
