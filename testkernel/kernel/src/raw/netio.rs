//! `netio.sys`: the functions of the registrar, and its calls into drivers.
#![allow(non_snake_case, reason = "names of functions that drivers import")]

use super::{answer, exports, get, put};
use crate::machine::current;
use crate::nmr::{Callbacks, Registration, Side};
use crate::status;
use abi::Guid;
use abi::native::nmr::{Characteristics, ModuleId};
use std::mem::{offset_of, transmute};

/// Calls the addresses that drivers registered.
pub(crate) struct ByAddress;

fn pointer(function: u64) -> *const () {
    std::ptr::with_exposed_provenance(function as usize)
}

impl Callbacks for ByAddress {
    fn client_attach(&self, function: u64, arguments: [u64; 3]) -> u32 {
        let [binding, context, instance] = arguments;
        // SAFETY: the type of the callback by the interface of the registrar.
        let function: extern "win64" fn(u64, u64, u64) -> u32 =
            unsafe { transmute(pointer(function)) };
        function(binding, context, instance)
    }

    fn provider_attach(&self, function: u64, arguments: [u64; 5]) -> (u32, u64, u64) {
        type Attach = extern "win64" fn(u64, u64, u64, u64, u64, &mut u64, &mut u64) -> u32;
        let [binding, context, instance, client, dispatch] = arguments;
        let (mut provider, mut table) = (0, 0);
        // SAFETY: the type of the callback by the interface of the registrar.
        let function: Attach = unsafe { transmute(pointer(function)) };
        let status = function(
            binding,
            context,
            instance,
            client,
            dispatch,
            &mut provider,
            &mut table,
        );
        (status, provider, table)
    }

    fn detach(&self, function: u64, context: u64) -> u32 {
        // SAFETY: the type of the callback by the interface of the registrar.
        let function: extern "win64" fn(u64) -> u32 = unsafe { transmute(pointer(function)) };
        function(context)
    }

    fn cleanup(&self, function: u64, context: u64) {
        // SAFETY: the type of the callback by the interface of the registrar.
        let function: extern "win64" fn(u64) = unsafe { transmute(pointer(function)) };
        function(context);
    }
}

/// Registers what a driver describes at an address.
fn register(side: Side, at: u64, context: u64, handle: u64) -> u32 {
    // SAFETY: the driver passes addresses of its structures, or null.
    let read = || unsafe {
        let characteristics: Characteristics = get(at)?;
        let npi: Guid = get(characteristics.instance.npi_id)?;
        let module: ModuleId = get(characteristics.instance.module_id)?;
        let instance = at + offset_of!(Characteristics, instance) as u64;
        let registration =
            Registration::new(side, characteristics, (instance, context), (npi, module));
        registration.ok_or(status::INVALID_PARAMETER)
    };
    let registration = match read() {
        Ok(registration) if handle != 0 => registration,
        Ok(_) => return status::INVALID_PARAMETER,
        Err(status) => return status,
    };
    let publish = |value| {
        // SAFETY: the driver's variable for the handle.
        let _ = unsafe { put(handle, value) };
    };
    current()
        .registrar
        .register(registration, &ByAddress, publish);
    status::SUCCESS
}

exports! { "NETIO.SYS", All:
    fn NmrRegisterClient(characteristics: u64, context: u64, handle: u64) -> u32 {
        register(Side::Client, characteristics, context, handle)
    }

    fn NmrRegisterProvider(characteristics: u64, context: u64, handle: u64) -> u32 {
        register(Side::Provider, characteristics, context, handle)
    }

    fn NmrClientAttachProvider(
        binding: u64,
        context: u64,
        dispatch: u64,
        provider_context: u64,
        provider_dispatch: u64,
    ) -> u32 {
        let (status, provider, table) =
            current().registrar.client_attach(binding, context, dispatch, &ByAddress);
        if status::is_error(status) {
            return status;
        }
        // SAFETY: the driver's variables for what the provider gives.
        let written = unsafe {
            put(provider_context, provider).and_then(|()| put(provider_dispatch, table))
        };
        match written {
            Ok(()) => status,
            Err(_) => answer(written),
        }
    }

    fn NmrDeregisterClient(handle: u64) -> u32 {
        current().registrar.deregister(handle, Side::Client, &ByAddress)
    }

    fn NmrDeregisterProvider(handle: u64) -> u32 {
        current().registrar.deregister(handle, Side::Provider, &ByAddress)
    }

    fn NmrWaitForClientDeregisterComplete(handle: u64) -> u32 {
        current().registrar.wait_deregistered(handle, Side::Client)
    }

    fn NmrWaitForProviderDeregisterComplete(handle: u64) -> u32 {
        current().registrar.wait_deregistered(handle, Side::Provider)
    }

    fn NmrClientDetachProviderComplete(binding: u64) -> u32 {
        current().registrar.detached(binding, Side::Client, &ByAddress);
        status::SUCCESS
    }

    fn NmrProviderDetachClientComplete(binding: u64) -> u32 {
        current().registrar.detached(binding, Side::Provider, &ByAddress);
        status::SUCCESS
    }
}
