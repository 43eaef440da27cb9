//! A driver image in this process: mapped, started, attached, and stopped in the end.
//!
//! [`Driver::start`] does what the kernel and the registrar do: maps the image, calls DriverEntry,
//! takes discardable sections away, and lets the client attach to the provider of native modules.
//! Dropping a driver that was started unloads it first. What the metadata table says is judged by
//! `ebpfcore::native`.
#![expect(unsafe_code, reason = "calls into driver images")]

use super::imports::{self, call_attach, call_entry, call_unload};
use super::mapping::{Mapping, Protection};
use super::memory::{Memory, Reach};
use crate::Error;
use crate::kernel::{Client, Kernel, is_error};
use crate::registry::{ModuleIdValue, Registry, service_key};
use abi::native::nmr::{MODULE_ID_EBPFCORE, ModuleId, NPI_NATIVE_MODULE, RegistrationInstance};
use ebpfcore::native::{Module, ModuleMemory, Typing, validate};
use image::read::{ImportName, Pe};
use std::mem::offset_of;

/// Layout of the page that the driver gets.
mod place {
    /// `DRIVER_OBJECT`, 336 bytes.
    pub(super) const OBJECT: usize = 0;
    pub(super) const OBJECT_BYTES: u16 = 336;
    /// In `DRIVER_OBJECT`: base and size of the image, the unload routine.
    pub(super) const START: usize = 0x18;
    pub(super) const SIZE: usize = 0x20;
    pub(super) const UNLOAD: usize = 0x68;
    /// `UNICODE_STRING` of the registry path, and its text.
    pub(super) const PATH: usize = 0x200;
    pub(super) const TEXT: usize = 0x240;
    /// The provider's registration, its interface and its id.
    pub(super) const PROVIDER: usize = 0x800;
    pub(super) const NPI: usize = 0x840;
    pub(super) const PROVIDER_ID: usize = 0x880;
}

/// Longest service name.
const SERVICE_NAME_BYTES: usize = 200;

/// A started driver.
#[derive(Debug)]
pub(crate) struct Driver {
    // Dropped in this order, after `stop`.
    kernel: Kernel,
    objects: Memory,
    mapping: Mapping,
    unload: u64,
    stopped: bool,
}

impl Driver {
    /// Maps an image and runs it up to the point where the runtime has its metadata table.
    pub(crate) fn start(
        bytes: &[u8],
        service: &str,
        module_id: &ModuleIdValue,
    ) -> Result<Driver, Error> {
        let pe = Pe::parse(bytes).map_err(Error::Image)?;
        let mapping = Mapping::new(&pe, |import| match &import.name {
            ImportName::Name(name) => imports::address(&import.module, name),
            ImportName::Ordinal(_) => None,
        })
        .map_err(Error::Map)?;
        let objects = objects(service, &mapping)?;
        let mut driver = Driver {
            kernel: Kernel::new(Registry::with_service(service, module_id)),
            objects,
            mapping,
            unload: 0,
            // Nothing to stop before DriverEntry succeeded.
            stopped: true,
        };
        driver.enter()?;
        driver.attach()?;
        Ok(driver)
    }

    /// First byte of the image, and its size.
    pub(crate) fn image_range(&self) -> (u64, u64) {
        (self.mapping.base(), self.mapping.len_bytes() as u64)
    }

    /// What the driver says about itself, checked.
    pub(crate) fn module(&self, typing: Typing<'_>) -> Result<Module, Error> {
        let table = self.table()?;
        let memory = ImageMemory(&self.mapping);
        // SAFETY: 1. The image stays mapped as long as this value lives. 2. The getters are those
        // of a driver that registered as native module.
        unsafe { validate(table, &memory, typing) }.map_err(Error::Module)
    }

    /// Address of the metadata table that the client gave as its dispatch table.
    fn table(&self) -> Result<u64, Error> {
        let client = self.kernel.client.as_ref();
        let binding = client.and_then(|client| client.binding);
        binding
            .map(|binding| binding.dispatch)
            .ok_or(Error::NotAttached)
    }

    /// The module id that the client registered under.
    pub(crate) fn module_id(&self) -> Option<abi::Guid> {
        self.kernel.client.as_ref().map(|client| client.module.guid)
    }

    fn enter(&mut self) -> Result<(), Error> {
        let entry = self.mapping.entry();
        let object = self.objects.address(place::OBJECT);
        let path = self.objects.address(place::PATH);
        // SAFETY: the entry point of the image that was just mapped, with a driver object and a
        // path as Windows passes them.
        let status = imports::enter(&mut self.kernel, || unsafe {
            call_entry(entry, object, path)
        });
        if is_error(status) {
            return Err(Error::Entry { status });
        }
        let unload = self.objects.read(place::OBJECT + place::UNLOAD, 8);
        self.unload = unload.try_into().map_or(0, u64::from_le_bytes);
        self.stopped = false;
        if let Some(key) = self.kernel.leaked_keys().first() {
            return Err(Error::LeakedKey {
                key: (*key).to_owned(),
            });
        }
        self.mapping.discard().map_err(Error::Map)
    }

    /// What the registrar does when it sees a client and a provider of one interface.
    fn attach(&mut self) -> Result<(), Error> {
        let client = self.client()?;
        let (attach, context) = (client.characteristics.attach, client.context);
        let provider = self.objects.address(place::PROVIDER);
        // SAFETY: the callback of a mapped, started driver.
        let status = imports::enter(&mut self.kernel, || unsafe {
            call_attach(attach, context, provider)
        });
        match is_error(status) {
            true => Err(Error::Attach { status }),
            false => self.table().map(|_| ()),
        }
    }

    fn client(&self) -> Result<&Client, Error> {
        let client = self.kernel.client.as_ref().ok_or(Error::NotRegistered)?;
        match client.npi == NPI_NATIVE_MODULE {
            true => Ok(client),
            false => Err(Error::OtherInterface { npi: client.npi }),
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
        // SAFETY: the unload routine that the started driver put into its driver object.
        imports::enter(&mut self.kernel, || unsafe { call_unload(unload, object) });
        match self.kernel.client {
            Some(_) => Err(Error::StillRegistered),
            None => Ok(()),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A driver that cannot be unloaded is unmapped all the same; `Host::unload` reports it.
        let _ = self.stop();
    }
}

/// The mapping, as the runtime reads it.
struct ImageMemory<'a>(&'a Mapping);

impl ModuleMemory for ImageMemory<'_> {
    fn read(&self, address: u64, out: &mut [u8]) -> bool {
        let bytes = self.0.read(address, out.len());
        bytes.map(|bytes| out.copy_from_slice(&bytes)).is_some()
    }

    fn is_code(&self, address: u64) -> bool {
        self.0.protection(address) == Protection::ReadExecute
    }
}

/// The driver object, the registry path, and the provider's registration.
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

    let id = ModuleId::new(MODULE_ID_EBPFCORE);
    memory.write(place::NPI, &NPI_NATIVE_MODULE.to_bytes());
    memory.write(place::PROVIDER_ID, &id.length.to_le_bytes());
    memory.write(place::PROVIDER_ID + 4, &id.kind.to_le_bytes());
    memory.write(place::PROVIDER_ID + 8, &id.guid.to_bytes());
    let (npi, id) = (
        memory.address(place::NPI),
        memory.address(place::PROVIDER_ID),
    );
    let at = |field: usize| place::PROVIDER + field;
    let bytes = size_of::<RegistrationInstance>() as u16;
    memory.write(
        at(offset_of!(RegistrationInstance, size)),
        &bytes.to_le_bytes(),
    );
    memory.write(
        at(offset_of!(RegistrationInstance, npi_id)),
        &npi.to_le_bytes(),
    );
    memory.write(
        at(offset_of!(RegistrationInstance, module_id)),
        &id.to_le_bytes(),
    );
    Ok(memory)
}
