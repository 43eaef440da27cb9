//! A native module in this process: its driver image is started, attached, and stopped in the end.
//!
//! [`Driver::start`] does what the kernel and the registrar do: starts the image ([`Loaded`]) and
//! lets the client attach to the provider of native modules, which is played here. Dropping a driver
//! that was started unloads it first. What the metadata table says is judged by `ebpfcore::native`.
#![expect(unsafe_code, reason = "reads tables of driver images")]

use super::loaded::Loaded;
use super::mapping::{Mapping, Protection};
use super::memory::{Memory, Reach};
use crate::Error;
use crate::service::ServiceOptions;
use abi::native::nmr::{
    Characteristics, MODULE_ID_EBPFCORE, ModuleId, NPI_NATIVE_MODULE, RegistrationInstance,
};
use ebpfcore::control::{Arrival, Control};
use ebpfcore::native::{Module, ModuleMemory, Typing, validate};
use std::mem::offset_of;
use testkernel::Machine;
use testkernel::nmr::{Registration, Side};
use testkernel::raw;
use testkernel::registry::{ModuleIdValue, Registry};
use testkernel::status::{self, is_error};

/// Layout of the page of the provider.
mod place {
    /// Its registration, its interface and its id.
    pub(super) const PROVIDER: usize = 0;
    pub(super) const NPI: usize = 0x40;
    pub(super) const PROVIDER_ID: usize = 0x80;
    /// Where the provider notes the client's dispatch table.
    pub(super) const DISPATCH: usize = 0xc0;
}

/// A started driver.
#[derive(Debug)]
pub(crate) struct Driver {
    // Dropped in this order: the driver lets go of the provider when it is unloaded.
    loaded: Loaded,
    provider: Memory,
}

impl Driver {
    /// Maps an image and runs it up to the point where the runtime has its metadata table.
    pub(crate) fn start(
        bytes: &[u8],
        service: &str,
        module_id: &ModuleIdValue,
    ) -> Result<Driver, Error> {
        let machine = Machine::new(Registry::with_service(service, module_id));
        let driver = Driver {
            loaded: Loaded::start(&machine, bytes, service)?,
            provider: provider()?,
        };
        driver.attach()?;
        Ok(driver)
    }

    /// First byte of the image, and its size.
    pub(crate) fn image_range(&self) -> (u64, u64) {
        self.loaded.image_range()
    }

    /// What the driver says about itself, checked.
    pub(crate) fn module(&self, typing: Typing<'_>) -> Result<Module, Error> {
        let table = self.table()?;
        let memory = ImageMemory(self.loaded.mapping());
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
            memory: &ImageMemory(self.loaded.mapping()),
            file_hash: options.file_hash,
            settings: options.settings,
        };
        // SAFETY: 1. The image stays mapped as long as this value lives. The getters are those of a
        // driver that registered as native module. 2. Services keep their driver until then.
        unsafe { control.attach_module(&arrival) }.map_err(Error::Module)
    }

    /// Address of the metadata table that the client gave as its dispatch table.
    fn table(&self) -> Result<u64, Error> {
        let dispatch = self.provider.read(place::DISPATCH, 8);
        match dispatch.try_into().map_or(0, u64::from_le_bytes) {
            0 => Err(Error::NotAttached),
            table => Ok(table),
        }
    }

    /// The module id that the client registered under.
    pub(crate) fn module_id(&self) -> Option<abi::Guid> {
        self.client().ok().map(|client| client.module.guid)
    }

    /// The runtime registers: the registrar offers it to the driver.
    fn attach(&self) -> Result<(), Error> {
        self.client()?;
        let provider = self.provider.address(place::PROVIDER);
        let context = self.provider.address(place::DISPATCH);
        let machine = self.loaded.machine();
        // SAFETY: 1. The structure lies in the provider's page, and its callbacks are those below.
        let offered = unsafe { raw::offer(machine, provider, context) };
        let answer = self.client()?.answer.unwrap_or(offered);
        match is_error(answer) {
            true => Err(Error::Attach { status: answer }),
            false => self.table().map(|_| ()),
        }
    }

    fn client(&self) -> Result<Registration, Error> {
        let mut registrations = self.loaded.machine().registrar.registrations().into_iter();
        let client = registrations.find(|registration| registration.side == Side::Client);
        match client {
            None => Err(Error::NotRegistered),
            Some(client) if client.npi == NPI_NATIVE_MODULE => Ok(client),
            Some(client) => Err(Error::OtherInterface { npi: client.npi }),
        }
    }

    /// Unloads the driver: afterwards none of its code runs.
    pub(crate) fn stop(&mut self) -> Result<(), Error> {
        self.loaded.stop()?;
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
    // SAFETY: 1. A word of the provider's page.
    let noted = unsafe { raw::put(context, dispatch) };
    noted.err().unwrap_or(status::SUCCESS)
}

extern "win64" fn provider_detach(context: u64) -> u32 {
    // SAFETY: 1. A word of the provider's page.
    let forgotten = unsafe { raw::put(context, 0u64) };
    forgotten.err().unwrap_or(status::SUCCESS)
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

/// What the runtime registers as provider of native modules.
fn provider() -> Result<Memory, Error> {
    let mut memory = Memory::new(4096, Reach::Any)?;
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
    Ok(memory)
}
