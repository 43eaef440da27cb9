//! Flows and the contexts that callouts associate with them.

use super::status as fwp;
use crate::report::lock;
use crate::status;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Who associated a context: layer and callout.
pub type Holder = (u16, u32);

/// All flows.
#[derive(Debug, Default)]
pub struct Flows(Mutex<BTreeMap<u64, BTreeMap<Holder, u64>>>);

impl Flows {
    /// Begins a flow.
    pub fn begin(&self, flow: u64) {
        lock(&self.0).entry(flow).or_default();
    }

    /// Ends a flow; gives the contexts whose callouts have to be told.
    pub fn end(&self, flow: u64) -> Vec<(Holder, u64)> {
        lock(&self.0).remove(&flow).into_iter().flatten().collect()
    }

    /// Associates a context.
    ///
    /// # Errors
    /// No such flow, or there is a context already.
    pub fn associate(&self, flow: u64, holder: Holder, context: u64) -> Result<(), u32> {
        let mut flows = lock(&self.0);
        let contexts = flows.get_mut(&flow).ok_or(status::INVALID_PARAMETER)?;
        if context == 0 || contexts.contains_key(&holder) {
            return Err(status::INVALID_PARAMETER);
        }
        contexts.insert(holder, context);
        Ok(())
    }

    /// Takes a context away; its callout has to be told.
    ///
    /// # Errors
    /// There is none.
    pub fn dissociate(&self, flow: u64, holder: Holder) -> Result<u64, u32> {
        let mut flows = lock(&self.0);
        let context = flows
            .get_mut(&flow)
            .and_then(|contexts| contexts.remove(&holder));
        context.ok_or(fwp::UNSUCCESSFUL)
    }

    /// The context of a callout, or 0.
    #[must_use]
    pub fn context(&self, flow: u64, holder: Holder) -> u64 {
        let flows = lock(&self.0);
        flows
            .get(&flow)
            .and_then(|contexts| contexts.get(&holder))
            .copied()
            .unwrap_or(0)
    }

    /// Whether any flow has a context of a callout.
    #[must_use]
    pub fn uses(&self, callout: u32) -> bool {
        let flows = lock(&self.0);
        flows
            .values()
            .flat_map(BTreeMap::keys)
            .any(|(_, id)| *id == callout)
    }

    pub(super) fn left(&self) -> Vec<String> {
        let flows = lock(&self.0);
        let contexts = flows.iter().filter(|(_, contexts)| !contexts.is_empty());
        contexts
            .map(|(flow, _)| format!("contexts of flow {flow:#x}"))
            .collect()
    }
}
