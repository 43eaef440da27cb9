//! A driver image in this process: mapped, started, attached, and stopped in the end.
//!
//! [`Driver::start`] does what the kernel and the registrar do: maps the image, calls DriverEntry,
//! takes discardable sections away, and lets the client attach to the provider of native modules.
//! Dropping a driver that was started unloads it first. What the metadata table says is judged by
//! `ebpfcore::native`.
#![expect(unsafe_code, reason = "calls into driver images")]

use super::mapping::{Mapping, Protection};
use super::memory::{Memory, Reach};
use crate::Error;
use crate::service::ServiceOptions;
use abi::native::nmr::{
    Characteristics, MODULE_ID_EBPFCORE, ModuleId, NPI_NATIVE_MODULE, RegistrationInstance,
};
use ebpfcore::control::{Arrival, Control};
use ebpfcore::native::{Module, ModuleMemory, Typing, validate};
use image::read::{ImportName, Pe};
use std::mem::offset_of;
use std::sync::Arc;
use testkernel::Machine;
use testkernel::nmr::{Registration, Side};
use testkernel::raw::{self, call_entry, call_unload};
use testkernel::registry::{ModuleIdValue, Registry, service_key};
use testkernel::status::{self, is_error};

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
    /// Where the provider notes the client's dispatch table.
    pub(super) const DISPATCH: usize = 0x8c0;
}

/// Longest service name.
const SERVICE_NAME_BYTES: usize = 200;

/// A started driver.
#[derive(Debug)]
pub(crate) struct Driver {
    // Dropped in this order, after `stop`.
    machine: Arc<Machine>,
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
            ImportName::Name(name) => raw::address(&import.module, name),
            ImportName::Ordinal(_) => None,
        })
        .map_err(Error::Map)?;
        let objects = objects(service, &mapping)?;
        let mut driver = Driver {
            machine: Machine::new(Registry::with_service(service, module_id)),
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

    /// Lets the driver attach to the control side of a runtime, as the shell of a kernel does.
    pub(crate) fn attach_to(
        &self,
        control: &Control,
        (binding, options): (u64, &ServiceOptions<'_>),
    ) -> Result<(), Error> {
        let arrival = Arrival {
            binding,
            module_id: self.client()?.module.guid,
            table: self.table()?,
            memory: &ImageMemory(&self.mapping),
            file_hash: options.file_hash,
            settings: options.settings,
        };
        // SAFETY: 1. The image stays mapped as long as this value lives. The getters are those of a
        // driver that registered as native module. 2. Services keep their driver until then.
        unsafe { control.attach_module(&arrival) }.map_err(Error::Module)
    }

    /// Address of the metadata table that the client gave as its dispatch table.
    fn table(&self) -> Result<u64, Error> {
        let dispatch = self.objects.read(place::DISPATCH, 8);
        match dispatch.try_into().map_or(0, u64::from_le_bytes) {
            0 => Err(Error::NotAttached),
            table => Ok(table),
        }
    }

    /// The module id that the client registered under.
    pub(crate) fn module_id(&self) -> Option<abi::Guid> {
        self.client().ok().map(|client| client.module.guid)
    }

    fn enter(&mut self) -> Result<(), Error> {
        let entry = self.mapping.entry();
        let object = self.objects.address(place::OBJECT);
        let path = self.objects.address(place::PATH);
        // SAFETY: 1. The entry point of the image that was just mapped. 2. A driver object and a
        // path as Windows passes them.
        let status = unsafe { call_entry(&self.machine, entry, object, path) };
        if is_error(status) {
            return Err(Error::Entry { status });
        }
        let unload = self.objects.read(place::OBJECT + place::UNLOAD, 8);
        self.unload = unload.try_into().map_or(0, u64::from_le_bytes);
        self.stopped = false;
        if let Some(key) = self.machine.leaked_keys().pop() {
            return Err(Error::LeakedKey { key });
        }
        self.mapping.discard().map_err(Error::Map)
    }

    /// The runtime registers: the registrar offers it to the driver.
    fn attach(&mut self) -> Result<(), Error> {
        self.client()?;
        let provider = self.objects.address(place::PROVIDER);
        let context = self.objects.address(place::DISPATCH);
        // SAFETY: 1. The structure lies in the driver's page, and its callbacks are those below.
        let offered = unsafe { raw::offer(&self.machine, provider, context) };
        let answer = self.client()?.answer.unwrap_or(offered);
        match is_error(answer) {
            true => Err(Error::Attach { status: answer }),
            false => self.table().map(|_| ()),
        }
    }

    fn client(&self) -> Result<Registration, Error> {
        let mut registrations = self.machine.registrar.registrations().into_iter();
        let client = registrations.find(|registration| registration.side == Side::Client);
        match client {
            None => Err(Error::NotRegistered),
            Some(client) if client.npi == NPI_NATIVE_MODULE => Ok(client),
            Some(client) => Err(Error::OtherInterface { npi: client.npi }),
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
        unsafe { call_unload(&self.machine, unload, object) };
        match self.client() {
            Err(Error::NotRegistered) => Ok(()),
            _ => Err(Error::StillRegistered),
        }
    }
}

/// The runtime's side of the attachment: notes the client's dispatch table where its context says.
extern "win64" fn provider_attach(
    _binding: u64,
    context: u64,
    _instance: u64,
    _client_context: u64,
    dispatch: u64,
    binding_context: &mut u64,
    _provider_dispatch: &mut u64,
) -> u32 {
    *binding_context = context;
    // SAFETY: 1. A word of the driver's page.
    let noted = unsafe { raw::put(context, dispatch) };
    noted.err().unwrap_or(status::SUCCESS)
}

extern "win64" fn provider_detach(context: u64) -> u32 {
    // SAFETY: 1. A word of the driver's page.
    let forgotten = unsafe { raw::put(context, 0u64) };
    forgotten.err().unwrap_or(status::SUCCESS)
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

    describe_provider(&mut memory);
    Ok(memory)
}

/// What the runtime registers as provider of native modules.
fn describe_provider(memory: &mut Memory) {
    let id = ModuleId::new(MODULE_ID_EBPFCORE);
    memory.write(place::NPI, &NPI_NATIVE_MODULE.to_bytes());
    memory.write(place::PROVIDER_ID, &id.length.to_le_bytes());
    memory.write(place::PROVIDER_ID + 4, &id.kind.to_le_bytes());
    memory.write(place::PROVIDER_ID + 8, &id.guid.to_bytes());
    let (npi, id) = (
        memory.address(place::NPI),
        memory.address(place::PROVIDER_ID),
    );
    let instance = offset_of!(Characteristics, instance);
    let at = |field: usize| place::PROVIDER + instance + field;
    let length = size_of::<Characteristics>() as u16;
    let attach = (provider_attach as *const ()).expose_provenance() as u64;
    let detach = (provider_detach as *const ()).expose_provenance() as u64;
    memory.write(
        place::PROVIDER + offset_of!(Characteristics, length),
        &length.to_le_bytes(),
    );
    memory.write(
        place::PROVIDER + offset_of!(Characteristics, attach),
        &attach.to_le_bytes(),
    );
    memory.write(
        place::PROVIDER + offset_of!(Characteristics, detach),
        &detach.to_le_bytes(),
    );
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
}
