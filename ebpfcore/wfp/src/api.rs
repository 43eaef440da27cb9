//! The functions of the system, as a table: on Windows those of its modules, elsewhere stand-ins.
//!
//! Handles and addresses are numbers, as in `wdk`.

use wdk::{
    fwp::{
        Callout, ClassifyOut, Filter, IncomingMetadata, IncomingValues, ManagedCallout,
        ManagedFilter, Session, Sublayer,
    },
    ndis::NetBufferList,
};

/// The type of a function of the kernel, with its calling convention on every host.
#[cfg(all(target_arch = "x86_64", not(windows)))]
macro_rules! kernel_fn {
    (($($ty:ty),*) $(-> $result:ty)?) => { unsafe extern "win64" fn($($ty),*) $(-> $result)? };
}
/// The type of a function of the kernel, with its calling convention on every host.
#[cfg(any(windows, not(target_arch = "x86_64")))]
macro_rules! kernel_fn {
    (($($ty:ty),*) $(-> $result:ty)?) => { unsafe extern "system" fn($($ty),*) $(-> $result)? };
}

/// `FWPS_CALLOUT_CLASSIFY_FN1`.
pub type ClassifyFn = kernel_fn!((
    *const IncomingValues,
    *const IncomingMetadata,
    u64,
    u64,
    *const Filter,
    u64,
    *mut ClassifyOut
));
/// `FWPS_CALLOUT_NOTIFY_FN1`.
pub type NotifyFn = kernel_fn!((u32, u64, u64) -> i32);
/// `FWPS_CALLOUT_FLOW_DELETE_NOTIFY_FN0`.
pub type FlowDeleteFn = kernel_fn!((u16, u32, u64));
/// `FWPS_INJECT_COMPLETE0`.
pub type InjectCompleteFn = kernel_fn!((u64, *mut NetBufferList, u8));

/// Lists the functions by module: a field for each and, on Windows, its import.
macro_rules! api {
    ($($module:literal: $($(#[$meta:meta])* $field:ident = $name:ident($($ty:ty),* $(,)?) $(-> $result:ty)?;)*)*) => {
        /// Functions of the system. IRQL is PASSIVE where nothing else is said.
        #[derive(Clone, Copy)]
        pub struct Api {
            $($($(#[$meta])* pub $field: kernel_fn!(($($ty),*) $(-> $result)?),)*)*
        }

        #[cfg(windows)]
        mod imports {
            use super::*;
            $(
                #[link(name = $module, kind = "raw-dylib", modifiers = "+verbatim")]
                unsafe extern "system" {
                    $(pub(super) fn $name($(_: $ty),*) $(-> $result)?;)*
                }
            )*
        }

        #[cfg(windows)]
        impl Api {
            /// The functions of the running system.
            #[must_use]
            pub const fn of_system() -> Api {
                Api { $($($field: imports::$name,)*)* }
            }
        }
    };
}

api! {
    "fwpkclnt.sys":
    /// Opens the filter engine: server, authentication, identity, session, handle.
    engine_open = FwpmEngineOpen0(u64, u32, u64, *const Session, *mut u64) -> i32;
    /// Closes it; what a dynamic session added goes.
    engine_close = FwpmEngineClose0(u64) -> i32;
    /// Adds a sublayer: engine, sublayer, security.
    sublayer_add = FwpmSubLayerAdd0(u64, *const Sublayer, u64) -> i32;
    /// Makes a callout known: engine, callout, security, id.
    callout_add = FwpmCalloutAdd0(u64, *const ManagedCallout, u64, *mut u32) -> i32;
    /// Adds a filter: engine, filter, security, id.
    filter_add = FwpmFilterAdd0(u64, *const ManagedFilter, u64, *mut u64) -> i32;
    /// Removes a filter: engine, id.
    filter_delete = FwpmFilterDeleteById0(u64, u64) -> i32;
    /// Registers the functions of a callout: device, callout, id.
    callout_register = FwpsCalloutRegister1(u64, *const Callout, *mut u32) -> i32;
    /// Takes them back, after the last call; fails while flows have contexts.
    callout_unregister = FwpsCalloutUnregisterById0(u32) -> i32;
    /// Gives a flow a context: flow, layer, callout, context. IRQL: any.
    flow_associate = FwpsFlowAssociateContext0(u64, u16, u32, u64) -> i32;
    /// Takes it back: flow, layer, callout. IRQL: any.
    flow_remove = FwpsFlowRemoveContext0(u64, u16, u32) -> i32;
    /// Makes a handle to inject with: family, kind, handle.
    injection_create = FwpsInjectionHandleCreate0(u16, u32, *mut u64) -> i32;
    /// Waits for what is being injected and gives the handle up.
    injection_destroy = FwpsInjectionHandleDestroy0(u64) -> i32;
    /// Who injected a frame: handle, frame, context. IRQL: any.
    injection_state = FwpsQueryPacketInjectionState0(u64, *const NetBufferList, u64) -> u32;
    /// Sends: handle, context, flags, layer, interface, port, frames, completion, its context.
    /// IRQL: any.
    inject_mac_send = FwpsInjectMacSendAsync0(u64, u64, u32, u16, u32, u32, *mut NetBufferList,
        InjectCompleteFn, u64) -> i32;
    /// A clone that shares the memory: original, two pools, flags, clone. IRQL: any.
    clone_allocate = FwpsAllocateCloneNetBufferList0(*mut NetBufferList, u64, u64, u32,
        *mut *mut NetBufferList) -> i32;
    /// Frees it: clone, flags. IRQL: any.
    clone_free = FwpsFreeCloneNetBufferList0(*mut NetBufferList, u32);
    /// Makes a handle to redirect with: provider, flags, handle.
    redirect_create = FwpsRedirectHandleCreate0(*const abi::Guid, u32, *mut u64) -> i32;
    /// Gives it up.
    redirect_destroy = FwpsRedirectHandleDestroy0(u64);
    /// Who redirected a connection: records, handle, context. IRQL: any.
    redirect_state = FwpsQueryConnectionRedirectState0(u64, u64, u64) -> u32;
    /// Begins to change what is classified: context, flags, handle. IRQL: any.
    classify_acquire = FwpsAcquireClassifyHandle0(u64, u32, *mut u64) -> i32;
    /// Ends it. IRQL: any.
    classify_release = FwpsReleaseClassifyHandle0(u64);
    /// A copy of the layer's data to change: handle, filter, flags, data, result. IRQL: any.
    layer_data_acquire = FwpsAcquireWritableLayerDataPointer0(u64, u64, u32, *mut u64,
        *mut ClassifyOut) -> i32;
    /// Puts it in place: handle, data, flags. IRQL: any.
    layer_data_apply = FwpsApplyModifiedLayerData0(u64, u64, u32);
    "ntoskrnl.exe":
    /// Memory of the pool: kind, bytes, tag. IRQL: any for the nonpaged pool.
    pool_allocate = ExAllocatePoolWithTag(u32, usize, u32) -> u64;
    /// Gives it back: address, tag. IRQL: any.
    pool_free = ExFreePoolWithTag(u64, u32);
}
