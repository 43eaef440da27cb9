//! `fwpkclnt.sys`: management of the filter engine, and registration of callouts.
#![allow(non_snake_case, reason = "names of functions that drivers import")]

use super::{answer, exports, get, put};
use crate::irql;
use crate::machine::current;
use crate::status;
use crate::wfp::{Change, Engine};
use abi::Guid;
use std::mem::{offset_of, transmute};
use wdk::fwp as w;

/// Calls a notify function: what happened, the filter's id, the filter.
pub(super) fn notify(change: &Change) {
    const ADDED: u32 = 0;
    const DELETED: u32 = 1;
    if !change.callout.enter() {
        return;
    }
    let function = std::ptr::with_exposed_provenance::<()>(change.callout.callout.notify as usize);
    // SAFETY: the type of the function by the interface of the platform.
    let function: extern "win64" fn(u32, u64, u64) -> u32 = unsafe { transmute(function) };
    let what = if change.is_added { ADDED } else { DELETED };
    let key = if change.is_added {
        0
    } else {
        (&raw const change.key).expose_provenance() as u64
    };
    let filter = (&raw const change.filter).expose_provenance() as u64;
    irql::run_at(irql::PASSIVE, "notify function", || {
        function(what, key, filter)
    });
    change.callout.leave();
}

/// Tells callouts what changed.
fn tell(changes: Result<Vec<Change>, u32>) -> u32 {
    answer(changes.map(|changes| changes.iter().for_each(notify)))
}

fn engine<T>(action: impl FnOnce(&Engine) -> T) -> T {
    action(&current().engine)
}

/// Reads an id.
fn key(address: u64) -> Result<Guid, u32> {
    // SAFETY: the driver passes the address of an id, or null.
    unsafe { get(address) }
}

fn register(callout: u64, id: u64) -> u32 {
    irql::at_most(irql::PASSIVE, "FwpsCalloutRegister");
    // SAFETY: the driver passes the address of its structure, or null.
    let callout = unsafe { get::<w::Callout>(callout) };
    let registered = callout.and_then(|callout| engine(|engine| engine.register(callout)));
    answer(registered.map(|number| {
        // SAFETY: the driver's variable, or null: it is optional.
        let _ = unsafe { put(id, number) };
    }))
}

/// The weight of a filter: its number of 64 bits, its 4 upper bits, or nothing.
fn weight(value: w::Value) -> u64 {
    match value.kind {
        // SAFETY: the address of a number.
        w::TYPE_UINT64 => unsafe { get(value.value) }.unwrap_or(0),
        w::TYPE_UINT8 => (value.value & 0xf) << 60,
        _ => 0,
    }
}

exports! { "fwpkclnt.sys", All:
    fn FwpsCalloutRegister1(_device: u64, callout: u64, id: u64) -> u32 {
        register(callout, id)
    }

    fn FwpsCalloutRegister2(_device: u64, callout: u64, id: u64) -> u32 {
        register(callout, id)
    }

    fn FwpsCalloutRegister3(_device: u64, callout: u64, id: u64) -> u32 {
        register(callout, id)
    }

    fn FwpsCalloutUnregisterById0(id: u32) -> u32 {
        answer(engine(|engine| engine.unregister(id)))
    }

    fn FwpsCalloutUnregisterByKey0(id: u64) -> u32 {
        let number = key(id).and_then(|key| {
            engine(|engine| engine.registered(key)).ok_or(crate::wfp::status::CALLOUT_NOT_FOUND)
        });
        answer(number.and_then(|number| engine(|engine| engine.unregister(number))))
    }

    fn FwpmEngineOpen0(_server: u64, _service: u32, _identity: u64, session: u64, handle: u64) -> u32 {
        // SAFETY: the driver's structure; null is a session without flags.
        let flags = unsafe { get::<w::Session>(session) }.map_or(0, |session| session.flags);
        let opened = engine(|engine| engine.open(flags));
        // SAFETY: the driver's variable.
        answer(unsafe { put(handle, opened) })
    }

    fn FwpmEngineClose0(session: u64) -> u32 {
        tell(engine(|engine| engine.close(session)))
    }

    fn FwpmTransactionBegin0(session: u64, _flags: u32) -> u32 {
        irql::at_most(irql::PASSIVE, "FwpmTransactionBegin0");
        answer(engine(|engine| engine.begin(session)))
    }

    fn FwpmTransactionCommit0(session: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "FwpmTransactionCommit0");
        tell(engine(|engine| engine.commit(session)))
    }

    fn FwpmTransactionAbort0(session: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "FwpmTransactionAbort0");
        answer(engine(|engine| engine.abort(session)))
    }

    fn FwpmProviderAdd0(_session: u64, provider: u64, _security: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "FwpmProviderAdd0");
        // Providers only name who added what.
        answer(key(provider).map(|_| ()))
    }

    fn FwpmProviderDeleteByKey0(_session: u64, provider: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "FwpmProviderDeleteByKey0");
        answer(key(provider).map(|_| ()))
    }

    fn FwpmSubLayerAdd0(session: u64, sublayer: u64, _security: u64) -> u32 {
        // SAFETY: the driver's structure.
        tell(unsafe { get::<w::Sublayer>(sublayer) }.and_then(|sublayer| {
            engine(|engine| engine.add_sublayer(session, sublayer.key, sublayer.weight))
        }))
    }

    fn FwpmSubLayerDeleteByKey0(session: u64, id: u64) -> u32 {
        tell(key(id).and_then(|key| engine(|engine| engine.delete_sublayer(session, key))))
    }

    fn FwpmCalloutAdd0(session: u64, callout: u64, _security: u64, id: u64) -> u32 {
        // SAFETY: the driver's structure.
        let added = unsafe { get::<w::ManagedCallout>(callout) }.and_then(|callout| {
            engine(|engine| engine.add_callout(session, callout.key, callout.layer))
        });
        answer(added.map(|number| {
            // SAFETY: the driver's variable, or null: it is optional.
            let _ = unsafe { put(id, number) };
        }))
    }

    fn FwpmCalloutDeleteByKey0(session: u64, id: u64) -> u32 {
        tell(key(id).and_then(|key| engine(|engine| engine.delete_callout(session, key))))
    }

    fn FwpmCalloutDeleteById0(session: u64, id: u32) -> u32 {
        let key = engine(|engine| engine.callout_key(id));
        let key = key.ok_or(crate::wfp::status::CALLOUT_NOT_FOUND);
        tell(key.and_then(|key| engine(|engine| engine.delete_callout(session, key))))
    }

    fn FwpmFilterAdd0(session: u64, filter: u64, _security: u64, id: u64) -> u32 {
        // SAFETY: the driver's structure.
        let added = unsafe { get::<w::ManagedFilter>(filter) }.and_then(|managed| {
            engine(|engine| engine.add_filter(session, &managed, weight(managed.weight)))
        });
        answer(added.map(|(number, changes)| {
            changes.iter().for_each(notify);
            // SAFETY: the driver's variable, or null: it is optional; and its structure.
            let _ = unsafe {
                let _ = put(id, number);
                put(filter + offset_of!(w::ManagedFilter, id) as u64, number)
            };
        }))
    }

    fn FwpmFilterDeleteById0(session: u64, id: u64) -> u32 {
        tell(engine(|engine| engine.delete_filter(session, id)))
    }

    fn FwpmFilterDeleteByKey0(session: u64, id: u64) -> u32 {
        let number = key(id).and_then(|key| {
            engine(|engine| engine.filter_number(key)).ok_or(crate::wfp::status::FILTER_NOT_FOUND)
        });
        tell(number.and_then(|number| engine(|engine| engine.delete_filter(session, number))))
    }

    fn FwpmBfeStateGet0() -> u32 {
        /// `FWPM_SERVICE_RUNNING`.
        const RUNNING: u32 = 3;
        RUNNING
    }

    fn FwpmBfeStateSubscribeChanges0(_device: u64, _callback: u64, _context: u64, handle: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "FwpmBfeStateSubscribeChanges0");
        // SAFETY: the driver's variable. The engine never stops here, so nobody is called.
        answer(unsafe { put(handle, 1u64) })
    }

    fn FwpmBfeStateUnsubscribeChanges0(_handle: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "FwpmBfeStateUnsubscribeChanges0");
        status::SUCCESS
    }
}
