//! The part of the Windows kernel that a native module sees: registry handles and the Network
//! Module Registrar, as state without any code of the driver being called.
//!
//! `raw::imports` is the other half: functions in the Windows calling convention that translate
//! between memory of the driver and this. Left out: several clients per driver, several providers.

use crate::registry::{Registry, Value, join};
use abi::Guid;
use abi::native::nmr::{Characteristics, ModuleId};

/// Values of `NTSTATUS`.
pub mod status {
    /// Success.
    pub const SUCCESS: u32 = 0;
    /// The operation completes later.
    pub const PENDING: u32 = 0x103;
    /// The buffer held a part.
    pub const BUFFER_OVERFLOW: u32 = 0x8000_0005;
    /// Not a handle of the expected kind.
    pub const INVALID_HANDLE: u32 = 0xc000_0008;
    /// An argument is wrong.
    pub const INVALID_PARAMETER: u32 = 0xc000_000d;
    /// The buffer does not even hold the fixed part.
    pub const BUFFER_TOO_SMALL: u32 = 0xc000_0023;
    /// No key or value of the name.
    pub const OBJECT_NAME_NOT_FOUND: u32 = 0xc000_0034;
    /// The path is not absolute.
    pub const OBJECT_PATH_SYNTAX_BAD: u32 = 0xc000_003b;
    /// The function is simulated, this use of it is not.
    pub const NOT_SUPPORTED: u32 = 0xc000_00bb;
}

/// Whether a status is an error.
#[must_use]
pub const fn is_error(status: u32) -> bool {
    status >> 30 == 3
}

/// First registry handle; handles are not small numbers, so that mixed-up arguments are seen.
const FIRST_KEY: u64 = 0xffff_ffff_8000_1000;
const HANDLE_STEP: u64 = 4;
/// The handle of the one NMR client.
pub(crate) const CLIENT_HANDLE: u64 = 0xffff_8a00_0000_0040;
/// The handle of its binding to the provider.
pub(crate) const BINDING_HANDLE: u64 = 0xffff_8a00_0000_0080;

/// The registered client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Client {
    /// What it registered.
    pub(crate) characteristics: Characteristics,
    /// Its context, handed to its attach callback.
    pub(crate) context: u64,
    /// Which interface it is a client of.
    pub(crate) npi: Guid,
    /// Who it is.
    pub(crate) module: ModuleId,
    /// The binding, once its attach callback accepted the provider.
    pub(crate) binding: Option<Binding>,
    /// Deregistration began.
    pub(crate) leaving: bool,
}

/// What the client gave when it attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Binding {
    /// Its context of the binding, handed to its detach callback.
    pub(crate) context: u64,
    /// Address of its dispatch table: the metadata table.
    pub(crate) dispatch: u64,
}

/// The state.
#[derive(Debug, Default)]
pub(crate) struct Kernel {
    registry: Registry,
    open_keys: Vec<Option<String>>,
    pub(crate) client: Option<Client>,
    /// The attach callback of the client is being called.
    pub(crate) attaching: bool,
}

impl Kernel {
    pub(crate) fn new(registry: Registry) -> Kernel {
        Kernel {
            registry,
            ..Kernel::default()
        }
    }

    /// Opens a key by absolute name, or relative to an open one.
    pub(crate) fn open_key(&mut self, root: u64, name: &str) -> Result<u64, u32> {
        let path = match root {
            0 if name.starts_with('\\') => name.to_owned(),
            0 => return Err(status::OBJECT_PATH_SYNTAX_BAD),
            root => join(self.key(root)?, name),
        };
        if !self.registry.has_key(&path) {
            return Err(status::OBJECT_NAME_NOT_FOUND);
        }
        self.open_keys.push(Some(path));
        Ok(FIRST_KEY + (self.open_keys.len() as u64 - 1) * HANDLE_STEP)
    }

    /// A value of an open key.
    pub(crate) fn query_value(&self, key: u64, name: &str) -> Result<&Value, u32> {
        let path = self.key(key)?;
        let value = self.registry.value(path, name);
        value.ok_or(status::OBJECT_NAME_NOT_FOUND)
    }

    /// A value below an absolute path.
    pub(crate) fn value_at(&self, path: &str, name: &str) -> Option<Value> {
        self.registry.value(path, name).cloned()
    }

    pub(crate) fn has_key(&self, path: &str) -> bool {
        self.registry.has_key(path)
    }

    /// Closes a key.
    pub(crate) fn close(&mut self, key: u64) -> u32 {
        let slot = index_of(key).and_then(|index| self.open_keys.get_mut(index));
        match slot.and_then(Option::take) {
            Some(_) => status::SUCCESS,
            None => status::INVALID_HANDLE,
        }
    }

    /// Keys that were opened and not closed.
    pub(crate) fn leaked_keys(&self) -> Vec<&str> {
        self.open_keys
            .iter()
            .flatten()
            .map(String::as_str)
            .collect()
    }

    /// Notes a client. Exactly one can be registered.
    pub(crate) fn register(&mut self, client: Client) -> Result<u64, u32> {
        let characteristics = &client.characteristics;
        let well_formed = usize::from(characteristics.length) >= size_of::<Characteristics>()
            && characteristics.attach != 0
            && characteristics.detach != 0;
        if !well_formed || self.client.is_some() {
            return Err(status::INVALID_PARAMETER);
        }
        self.client = Some(client);
        Ok(CLIENT_HANDLE)
    }

    /// The client accepts the provider, from inside its attach callback.
    pub(crate) fn attach(&mut self, handle: u64, binding: Binding) -> u32 {
        let attaching = self.attaching;
        match &mut self.client {
            Some(client) if attaching && handle == BINDING_HANDLE && client.binding.is_none() => {
                client.binding = Some(binding);
                status::SUCCESS
            }
            _ => status::INVALID_PARAMETER,
        }
    }

    /// Begins deregistration. Gives the address of the detach callback and its argument when the
    /// client is bound.
    pub(crate) fn deregister(&mut self, handle: u64) -> Result<Option<(u64, u64)>, u32> {
        let Some(client) = self.client.as_mut().filter(|client| !client.leaving) else {
            return Err(status::INVALID_HANDLE);
        };
        if handle != CLIENT_HANDLE {
            return Err(status::INVALID_HANDLE);
        }
        client.leaving = true;
        let detach = client.characteristics.detach;
        match client.binding.take() {
            Some(binding) => Ok(Some((detach, binding.context))),
            None => {
                self.client = None;
                Ok(None)
            }
        }
    }

    /// Ends deregistration.
    pub(crate) fn wait_deregistered(&mut self, handle: u64) -> u32 {
        let leaving = self.client.as_ref().is_some_and(|client| client.leaving);
        if handle != CLIENT_HANDLE || !leaving {
            return status::INVALID_HANDLE;
        }
        self.client = None;
        status::SUCCESS
    }

    fn key(&self, handle: u64) -> Result<&str, u32> {
        let slot = index_of(handle).and_then(|index| self.open_keys.get(index));
        let path = slot.and_then(Option::as_deref);
        path.ok_or(status::INVALID_HANDLE)
    }
}

fn index_of(handle: u64) -> Option<usize> {
    let offset = handle.checked_sub(FIRST_KEY)?;
    let whole = offset.is_multiple_of(HANDLE_STEP);
    whole.then(|| usize::try_from(offset / HANDLE_STEP).ok())?
}
