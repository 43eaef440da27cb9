//! `fwpkclnt.sys`: injection, flows and redirection.
#![allow(non_snake_case, reason = "names of functions that drivers import")]

use super::{answer, exports, get, ndis, put};
use crate::irql;
use crate::machine::{current, violation};
use crate::status;
use crate::wfp::inject::{Waiting, Way};
use std::mem::transmute;

/// Completes what was injected: sends or receives it, and tells its driver.
pub fn complete_injected() {
    let machine = current();
    for waiting in machine.injection.due() {
        if waiting.way == Way::Send {
            // SAFETY: the list belongs to the platform until its completion function is called.
            let bytes = unsafe { ndis::frame_bytes(waiting.list) };
            machine.injection.sent(waiting.interface, bytes);
        }
        let (function, context) = waiting.completion;
        let function = std::ptr::with_exposed_provenance::<()>(function as usize);
        // SAFETY: the type of the function by the interface of the platform.
        let function: extern "win64" fn(u64, u64, u8) = unsafe { transmute(function) };
        irql::run_at(irql::DISPATCH, "completion function", || {
            function(context, waiting.list, 1);
        });
    }
}

fn inject(handle: u64, waiting: Waiting, function: &str) -> u32 {
    irql::at_most(irql::DISPATCH, function);
    if waiting.list == 0 || waiting.completion.0 == 0 {
        violation(|| format!("{function} without packet or completion function"));
        return status::INVALID_PARAMETER;
    }
    match current().injection.take(handle, waiting) {
        true => status::SUCCESS,
        false => status::INVALID_HANDLE,
    }
}

/// Tells a callout that its context of a flow is gone.
pub fn flow_deleted(layer: u16, callout_id: u32, context: u64) {
    for step in &current().engine.plan(layer).steps {
        let Some(callout) = step
            .callout
            .as_ref()
            .filter(|callout| callout.id == callout_id)
        else {
            continue;
        };
        if callout.callout.flow_delete != 0 && callout.enter() {
            let function = callout.callout.flow_delete as usize;
            let function = std::ptr::with_exposed_provenance::<()>(function);
            // SAFETY: the type of the function by the interface of the platform.
            let function: extern "win64" fn(u16, u32, u64) = unsafe { transmute(function) };
            irql::run_at(irql::DISPATCH, "flow delete function", || {
                function(layer, callout_id, context);
            });
            callout.leave();
        }
        return;
    }
}

/// What a classify context of a redirect layer points at.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Redirect {
    /// Address of the connect or bind request that callouts may change.
    pub request: u64,
    /// Classify handles that are not released.
    pub handles: u64,
    /// Whether a change was applied.
    pub applied: u64,
}

exports! { "fwpkclnt.sys", All:
    fn FwpsInjectionHandleCreate0(_family: u16, _flags: u32, handle: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "FwpsInjectionHandleCreate0");
        let created = current().injection.create();
        // SAFETY: the driver's variable.
        answer(unsafe { put(handle, created) })
    }

    fn FwpsInjectionHandleDestroy0(handle: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "FwpsInjectionHandleDestroy0");
        // Destroying waits for what is on its way.
        complete_injected();
        match current().injection.destroy(handle) {
            true => status::SUCCESS,
            false => status::INVALID_HANDLE,
        }
    }

    fn FwpsAllocateCloneNetBufferList0(
        original: u64,
        _list_pool: u64,
        _buffer_pool: u64,
        _flags: u32,
        clone: u64,
    ) -> u32 {
        irql::at_most(irql::DISPATCH, "FwpsAllocateCloneNetBufferList0");
        match ndis::clone_list(original) {
            0 => status::INSUFFICIENT_RESOURCES,
            // SAFETY: the driver's variable.
            made => answer(unsafe { put(clone, made) }),
        }
    }

    fn FwpsFreeCloneNetBufferList0(clone: u64, _flags: u32) {
        irql::at_most(irql::DISPATCH, "FwpsFreeCloneNetBufferList0");
        ndis::free_clone(clone);
    }

    fn FwpsInjectMacSendAsync0(
        handle: u64,
        _context: u64,
        _flags: u32,
        _layer: u16,
        interface: u32,
        _port: u32,
        list: u64,
        function: u64,
        context: u64,
    ) -> u32 {
        let completion = (function, context);
        let waiting = Waiting { way: Way::Send, interface, list, completion };
        inject(handle, waiting, "FwpsInjectMacSendAsync0")
    }

    fn FwpsInjectMacReceiveAsync0(
        handle: u64,
        _context: u64,
        _flags: u32,
        _layer: u16,
        interface: u32,
        _port: u32,
        list: u64,
        function: u64,
        context: u64,
    ) -> u32 {
        let completion = (function, context);
        let waiting = Waiting { way: Way::Receive, interface, list, completion };
        inject(handle, waiting, "FwpsInjectMacReceiveAsync0")
    }

    fn FwpsQueryPacketInjectionState0(_handle: u64, _list: u64, _context: u64) -> u32 {
        /// `FWPS_PACKET_NOT_INJECTED`: what was injected is not classified again here.
        const NOT_INJECTED: u32 = 0;
        NOT_INJECTED
    }

    fn FwpsFlowAssociateContext0(flow: u64, layer: u16, callout: u32, context: u64) -> u32 {
        irql::at_most(irql::DISPATCH, "FwpsFlowAssociateContext0");
        answer(current().engine.flows.associate(flow, (layer, callout), context))
    }

    fn FwpsFlowRemoveContext0(flow: u64, layer: u16, callout: u32) -> u32 {
        irql::at_most(irql::DISPATCH, "FwpsFlowRemoveContext0");
        let removed = current().engine.flows.dissociate(flow, (layer, callout));
        answer(removed.map(|context| flow_deleted(layer, callout, context)))
    }

    fn FwpsRedirectHandleCreate0(_provider: u64, _flags: u32, handle: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "FwpsRedirectHandleCreate0");
        let created = current().injection.create_redirect();
        // SAFETY: the driver's variable.
        answer(unsafe { put(handle, created) })
    }

    fn FwpsRedirectHandleDestroy0(handle: u64) {
        irql::at_most(irql::PASSIVE, "FwpsRedirectHandleDestroy0");
        if !current().injection.destroy(handle) {
            violation(|| "FwpsRedirectHandleDestroy0 of no handle".to_owned());
        }
    }

    fn FwpsQueryConnectionRedirectState0(_records: u64, _handle: u64, _context: u64) -> u32 {
        /// `FWPS_CONNECTION_NOT_REDIRECTED`.
        const NOT_REDIRECTED: u32 = 0;
        NOT_REDIRECTED
    }

    /// The classify handle is the address of the classify context.
    fn FwpsAcquireClassifyHandle0(context: u64, _flags: u32, handle: u64) -> u32 {
        irql::at_most(irql::DISPATCH, "FwpsAcquireClassifyHandle0");
        // SAFETY: the context that the classify function was given, or null.
        let acquired = unsafe {
            get::<Redirect>(context).and_then(|mut redirect| {
                redirect.handles += 1;
                put(context, redirect)?;
                put(handle, context)
            })
        };
        answer(acquired)
    }

    fn FwpsReleaseClassifyHandle0(handle: u64) {
        irql::at_most(irql::DISPATCH, "FwpsReleaseClassifyHandle0");
        // SAFETY: the handle that was acquired, or null.
        let _ = unsafe {
            get::<Redirect>(handle).and_then(|mut redirect| {
                redirect.handles = redirect.handles.wrapping_sub(1);
                put(handle, redirect)
            })
        };
    }

    fn FwpsAcquireWritableLayerDataPointer0(
        handle: u64,
        _filter: u64,
        _flags: u32,
        data: u64,
        _out: u64,
    ) -> u32 {
        irql::at_most(irql::DISPATCH, "FwpsAcquireWritableLayerDataPointer0");
        // SAFETY: the handle that was acquired, or null; the driver's variable.
        answer(unsafe { get::<Redirect>(handle).and_then(|redirect| put(data, redirect.request)) })
    }

    fn FwpsApplyModifiedLayerData0(handle: u64, _data: u64, _flags: u32) {
        irql::at_most(irql::DISPATCH, "FwpsApplyModifiedLayerData0");
        // SAFETY: the handle that was acquired, or null.
        let _ = unsafe {
            get::<Redirect>(handle).and_then(|mut redirect| {
                redirect.applied = 1;
                put(handle, redirect)
            })
        };
    }
}
