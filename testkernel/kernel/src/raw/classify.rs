//! Asking a layer: calls of classify functions.

use crate::irql;
use crate::wfp::{Asked, Plan, Running, Step, Verdict, arbitrate};
use std::mem::transmute;
use wdk::fwp as w;

/// What is classified.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The layer and its values.
    pub values: &'a w::IncomingValues,
    /// What is known besides.
    pub metadata: &'a w::IncomingMetadata,
    /// Address of the packet, or 0.
    pub data: u64,
    /// Address of the classify context, or 0.
    pub context: u64,
    /// Level at which classify functions are called.
    pub level: u8,
}

type Classify = extern "win64" fn(u64, u64, u64, u64, u64, u64, &mut w::ClassifyOut);

fn address<T>(value: &T) -> u64 {
    std::ptr::from_ref(value).expose_provenance() as u64
}

/// Asks the filters of a layer.
pub fn classify(plan: &Plan, subject: &Subject<'_>) -> Verdict {
    arbitrate(plan, |step, rights| ask(step, rights, subject))
}

fn ask(step: &Step, rights: u32, subject: &Subject<'_>) -> Asked {
    if step.filter.action & w::ACTION_FLAG_CALLOUT == 0 {
        return said(step.filter.action, rights);
    }
    match &step.callout {
        Some(callout) if callout.enter() => {
            let asked = call(step, callout, rights, subject);
            callout.leave();
            asked
        }
        // It is leaving, and its filters went before it: this plan is older than that.
        Some(_) => said(w::ACTION_CONTINUE, rights),
        // Nobody answers for it: an inspection goes on, anything else is blocked.
        None if step.filter.action == w::ACTION_CALLOUT_INSPECTION => {
            said(w::ACTION_CONTINUE, rights)
        }
        None => said(w::ACTION_BLOCK, rights),
    }
}

fn said(action: u32, rights: u32) -> Asked {
    Asked {
        action,
        rights,
        flags: 0,
    }
}

fn call(step: &Step, callout: &Running, rights: u32, subject: &Subject<'_>) -> Asked {
    let function = std::ptr::with_exposed_provenance::<()>(callout.callout.classify as usize);
    // SAFETY: the type of the function by the interface of the platform.
    let function: Classify = unsafe { transmute(function) };
    let mut out = w::ClassifyOut {
        action: w::ACTION_CONTINUE,
        rights,
        ..w::ClassifyOut::default()
    };
    let flow_context = match subject.metadata.present & w::METADATA_FLOW {
        0 => 0,
        _ => {
            let holder = (subject.values.layer, callout.id);
            crate::machine::current()
                .engine
                .flows
                .context(subject.metadata.flow, holder)
        }
    };
    let (values, metadata) = (address(subject.values), address(subject.metadata));
    let filter = address(&step.filter);
    irql::run_at(subject.level, "classify function", || {
        function(
            values,
            metadata,
            subject.data,
            subject.context,
            filter,
            flow_context,
            &mut out,
        );
    });
    Asked {
        action: out.action,
        rights: out.rights,
        flags: out.flags,
    }
}
