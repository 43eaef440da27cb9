//! Sessions, transactions, callouts, sublayers and filters.

use super::flow::Flows;
use super::plan::{Plan, Running, Step};
use super::status as fwp;
use crate::irql;
use crate::machine::violation;
use crate::report::lock;
use crate::status;
use abi::Guid;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use wdk::fwp as w;

const FIRST_SESSION: u64 = 0xffff_9000_0000_0100;
const FIRST_FILTER: u64 = 0x1_0000;
const FIRST_CALLOUT: u32 = 0x100;

/// What a session added goes with it when it is dynamic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Owner(Option<u64>);

#[derive(Clone, Copy, Debug)]
struct Managed {
    layer: u16,
    id: u32,
    owner: Owner,
}

#[derive(Clone, Copy, Debug)]
struct Sublayer {
    weight: u16,
    owner: Owner,
}

#[derive(Clone, Debug)]
struct FilterEntry {
    key: Guid,
    layer: u16,
    sublayer: Guid,
    weight: u64,
    action: u32,
    callout: Guid,
    context: u64,
    owner: Owner,
}

/// What a transaction may undo.
#[derive(Clone, Debug, Default)]
struct Objects {
    managed: BTreeMap<Guid, Managed>,
    sublayers: BTreeMap<Guid, Sublayer>,
    filters: BTreeMap<u64, FilterEntry>,
}

#[derive(Debug, Default)]
struct State {
    registered: BTreeMap<u32, Arc<Running>>,
    objects: Objects,
    /// Open sessions; whether they are dynamic.
    sessions: BTreeMap<u64, bool>,
    /// The session of the transaction, and what was before it.
    transaction: Option<(u64, Objects)>,
    plans: BTreeMap<u16, Arc<Plan>>,
    numbers: u64,
}

/// A filter that came or went: its callout is told.
#[derive(Clone, Debug)]
pub struct Change {
    /// The callout.
    pub callout: Arc<Running>,
    /// Id of the filter.
    pub key: Guid,
    /// The filter.
    pub filter: w::Filter,
    /// Whether it came.
    pub is_added: bool,
}

/// The platform.
#[derive(Debug, Default)]
pub struct Engine {
    state: Mutex<State>,
    /// Contexts of flows.
    pub flows: Flows,
}

impl Engine {
    /// Registers a callout's functions; gives its number.
    ///
    /// # Errors
    /// The platform's status.
    pub fn register(&self, callout: w::Callout) -> Result<u32, u32> {
        if callout.classify == 0 || callout.notify == 0 {
            return Err(status::INVALID_PARAMETER);
        }
        let mut state = lock(&self.state);
        if state
            .registered
            .values()
            .any(|other| other.callout.key == callout.key)
        {
            return Err(fwp::ALREADY_EXISTS);
        }
        let id = state.callout_number(callout.key);
        state
            .registered
            .insert(id, Arc::new(Running::new(id, callout)));
        state.rebuild();
        Ok(id)
    }

    /// Takes a callout's functions away, once nobody runs them any more.
    ///
    /// # Errors
    /// The platform's status; busy while flows have contexts of it.
    pub fn unregister(&self, id: u32) -> Result<(), u32> {
        irql::at_most(irql::PASSIVE, "FwpsCalloutUnregister");
        if self.flows.uses(id) {
            return Err(fwp::DEVICE_BUSY);
        }
        let removed = {
            let mut state = lock(&self.state);
            let removed = state.registered.remove(&id);
            state.rebuild();
            removed
        };
        removed.ok_or(fwp::CALLOUT_NOT_FOUND)?.wait();
        Ok(())
    }

    /// Number of the registered callout with an id.
    #[must_use]
    pub fn registered(&self, key: Guid) -> Option<u32> {
        let state = lock(&self.state);
        let mut all = state.registered.iter();
        all.find(|(_, other)| other.callout.key == key)
            .map(|(id, _)| *id)
    }

    /// Opens a session.
    pub fn open(&self, flags: u32) -> u64 {
        irql::at_most(irql::PASSIVE, "FwpmEngineOpen");
        let mut state = lock(&self.state);
        state.numbers += 1;
        let handle = FIRST_SESSION + state.numbers * 0x10;
        state
            .sessions
            .insert(handle, flags & w::SESSION_DYNAMIC != 0);
        handle
    }

    /// Closes a session, and takes with it what it added when it is dynamic.
    ///
    /// # Errors
    /// No such session.
    pub fn close(&self, session: u64) -> Result<Vec<Change>, u32> {
        irql::at_most(irql::PASSIVE, "FwpmEngineClose");
        let mut state = lock(&self.state);
        state
            .sessions
            .remove(&session)
            .ok_or(status::INVALID_HANDLE)?;
        if state
            .transaction
            .as_ref()
            .is_some_and(|(owner, _)| *owner == session)
        {
            state.abort();
        }
        let own = Owner(Some(session));
        let before = state.objects.clone();
        state
            .objects
            .filters
            .retain(|_, filter| filter.owner != own);
        state
            .objects
            .managed
            .retain(|_, managed| managed.owner != own);
        state
            .objects
            .sublayers
            .retain(|_, sublayer| sublayer.owner != own);
        Ok(state.changes(&before))
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// One is under way; this engine does not wait for it.
    pub fn begin(&self, session: u64) -> Result<(), u32> {
        let mut state = lock(&self.state);
        state.owner(session)?;
        if state.transaction.is_some() {
            return Err(fwp::TRANSACTION);
        }
        state.transaction = Some((session, state.objects.clone()));
        Ok(())
    }

    /// Ends a transaction; what changed is in force from now on.
    ///
    /// # Errors
    /// None is under way.
    pub fn commit(&self, session: u64) -> Result<Vec<Change>, u32> {
        let mut state = lock(&self.state);
        match state.transaction.take() {
            Some((owner, before)) if owner == session => Ok(state.changes(&before)),
            other => {
                state.transaction = other;
                Err(fwp::NO_TRANSACTION)
            }
        }
    }

    /// Undoes a transaction.
    ///
    /// # Errors
    /// None is under way.
    pub fn abort(&self, session: u64) -> Result<(), u32> {
        let mut state = lock(&self.state);
        if state
            .transaction
            .as_ref()
            .is_none_or(|(owner, _)| *owner != session)
        {
            return Err(fwp::NO_TRANSACTION);
        }
        state.abort();
        Ok(())
    }

    /// Adds a sublayer.
    ///
    /// # Errors
    /// The platform's status.
    pub fn add_sublayer(&self, session: u64, key: Guid, weight: u16) -> Result<Vec<Change>, u32> {
        self.change(session, |objects, owner| {
            if objects.sublayers.contains_key(&key) {
                return Err(fwp::ALREADY_EXISTS);
            }
            objects.sublayers.insert(key, Sublayer { weight, owner });
            Ok(())
        })
    }

    /// Deletes a sublayer without filters.
    ///
    /// # Errors
    /// The platform's status.
    pub fn delete_sublayer(&self, session: u64, key: Guid) -> Result<Vec<Change>, u32> {
        self.change(session, |objects, _| {
            if objects
                .filters
                .values()
                .any(|filter| filter.sublayer == key)
            {
                return Err(fwp::IN_USE);
            }
            let removed = objects.sublayers.remove(&key);
            removed.map(|_| ()).ok_or(fwp::SUBLAYER_NOT_FOUND)
        })
    }

    /// Adds a callout to management; gives its number.
    ///
    /// # Errors
    /// The platform's status.
    pub fn add_callout(&self, session: u64, key: Guid, layer: Guid) -> Result<u32, u32> {
        let layer = w::layer_of(layer).ok_or(fwp::LAYER_NOT_FOUND)?.number;
        let id = lock(&self.state).callout_number(key);
        let added = self.change(session, |objects, owner| {
            if objects.managed.contains_key(&key) {
                return Err(fwp::ALREADY_EXISTS);
            }
            objects.managed.insert(key, Managed { layer, id, owner });
            Ok(())
        });
        added.map(|_| id)
    }

    /// Deletes a callout without filters.
    ///
    /// # Errors
    /// The platform's status.
    pub fn delete_callout(&self, session: u64, key: Guid) -> Result<Vec<Change>, u32> {
        self.change(session, |objects, _| {
            if objects.filters.values().any(|filter| filter.callout == key) {
                return Err(fwp::IN_USE);
            }
            let removed = objects.managed.remove(&key);
            removed.map(|_| ()).ok_or(fwp::CALLOUT_NOT_FOUND)
        })
    }

    /// The id of the callout with a number.
    #[must_use]
    pub fn callout_key(&self, id: u32) -> Option<Guid> {
        let state = lock(&self.state);
        let mut all = state.objects.managed.iter();
        all.find(|(_, managed)| managed.id == id)
            .map(|(key, _)| *key)
    }

    /// Adds a filter; gives its number.
    ///
    /// # Errors
    /// The platform's status.
    pub fn add_filter(
        &self,
        session: u64,
        filter: &w::ManagedFilter,
        weight: u64,
    ) -> Result<(u64, Vec<Change>), u32> {
        let layer = w::layer_of(filter.layer)
            .ok_or(fwp::LAYER_NOT_FOUND)?
            .number;
        if filter.condition_count != 0 {
            return Err(status::NOT_SUPPORTED);
        }
        let id = {
            let mut state = lock(&self.state);
            state.numbers += 1;
            FIRST_FILTER + state.numbers
        };
        let changes = self.change(session, |objects, owner| {
            if !objects.sublayers.contains_key(&filter.sublayer) {
                return Err(fwp::SUBLAYER_NOT_FOUND);
            }
            let is_callout = filter.action & w::ACTION_FLAG_CALLOUT != 0;
            let managed = objects.managed.get(&filter.callout);
            if is_callout && managed.is_none_or(|managed| managed.layer != layer) {
                return Err(fwp::CALLOUT_NOT_FOUND);
            }
            let entry = FilterEntry {
                key: filter.key,
                layer,
                sublayer: filter.sublayer,
                weight,
                action: filter.action,
                callout: filter.callout,
                context: filter.context[0],
                owner,
            };
            objects.filters.insert(id, entry);
            Ok(())
        });
        changes.map(|changes| (id, changes))
    }

    /// Deletes a filter.
    ///
    /// # Errors
    /// The platform's status.
    pub fn delete_filter(&self, session: u64, id: u64) -> Result<Vec<Change>, u32> {
        self.change(session, |objects, _| {
            let removed = objects.filters.remove(&id);
            removed.map(|_| ()).ok_or(fwp::FILTER_NOT_FOUND)
        })
    }

    /// Number of the filter with an id.
    #[must_use]
    pub fn filter_number(&self, key: Guid) -> Option<u64> {
        let state = lock(&self.state);
        let mut all = state.objects.filters.iter();
        all.find(|(_, filter)| filter.key == key).map(|(id, _)| *id)
    }

    /// The order in which a layer asks.
    #[must_use]
    pub fn plan(&self, layer: u16) -> Arc<Plan> {
        let plans = &lock(&self.state).plans;
        plans.get(&layer).cloned().unwrap_or_default()
    }

    /// What drivers left behind, in words.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        let state = lock(&self.state);
        let mut left = Vec::new();
        for callout in state.registered.values() {
            left.push(format!("callout {} is registered", callout.callout.key));
        }
        for (key, managed) in &state.objects.managed {
            left.push(format!("callout {key} is added to layer {}", managed.layer));
        }
        for key in state.objects.sublayers.keys() {
            left.push(format!("sublayer {key}"));
        }
        for (id, filter) in &state.objects.filters {
            left.push(format!("filter {id:#x} of layer {}", filter.layer));
        }
        for session in state.sessions.keys() {
            left.push(format!("session {session:#x}"));
        }
        left.extend(self.flows.left());
        left
    }

    /// Changes objects on behalf of a session; outside of a transaction at once.
    fn change(
        &self,
        session: u64,
        change: impl FnOnce(&mut Objects, Owner) -> Result<(), u32>,
    ) -> Result<Vec<Change>, u32> {
        irql::at_most(irql::PASSIVE, "Fwpm function");
        let mut state = lock(&self.state);
        let owner = state.owner(session)?;
        let before = state.objects.clone();
        change(&mut state.objects, owner)?;
        match state.transaction {
            Some((of, _)) if of != session => {
                state.objects = before;
                Err(fwp::TRANSACTION)
            }
            Some(_) => Ok(Vec::new()),
            None => Ok(state.changes(&before)),
        }
    }
}

impl State {
    fn owner(&self, session: u64) -> Result<Owner, u32> {
        match self.sessions.get(&session) {
            Some(true) => Ok(Owner(Some(session))),
            Some(false) => Ok(Owner(None)),
            None => {
                violation(|| "a filter engine handle that is not open".to_owned());
                Err(status::INVALID_HANDLE)
            }
        }
    }

    fn abort(&mut self) {
        if let Some((_, before)) = self.transaction.take() {
            self.objects = before;
        }
    }

    /// One callout id has one number, whether it is registered or added first.
    fn callout_number(&mut self, key: Guid) -> u32 {
        let registered = self
            .registered
            .iter()
            .find(|(_, other)| other.callout.key == key);
        let known = registered.map(|(id, _)| *id);
        let managed = self.objects.managed.get(&key).map(|managed| managed.id);
        known.or(managed).unwrap_or_else(|| {
            self.numbers += 1;
            FIRST_CALLOUT + self.numbers as u32
        })
    }

    /// Puts the objects into force; gives the filters that came and went.
    fn changes(&mut self, before: &Objects) -> Vec<Change> {
        self.rebuild();
        let gone = before
            .filters
            .iter()
            .filter(|(id, _)| !self.objects.filters.contains_key(id));
        let come = self
            .objects
            .filters
            .iter()
            .filter(|(id, _)| !before.filters.contains_key(id));
        let change = |(id, entry): (&u64, &FilterEntry), is_added| {
            let callouts = if is_added {
                &self.objects.managed
            } else {
                &before.managed
            };
            let id_of_callout = callouts.get(&entry.callout)?.id;
            let callout = Arc::clone(self.registered.get(&id_of_callout)?);
            let filter = self.filter(*id, entry, id_of_callout);
            Some(Change {
                callout,
                key: entry.key,
                filter,
                is_added,
            })
        };
        let gone = gone.filter_map(|entry| change(entry, false));
        gone.chain(come.filter_map(|entry| change(entry, true)))
            .collect()
    }

    fn filter(&self, id: u64, entry: &FilterEntry, callout_id: u32) -> w::Filter {
        let sublayer = self.objects.sublayers.get(&entry.sublayer);
        w::Filter {
            id,
            weight: w::Value {
                kind: w::TYPE_EMPTY,
                reserved: 0,
                value: entry.weight,
            },
            sublayer_weight: sublayer.map_or(0, |sublayer| sublayer.weight),
            action: entry.action,
            callout_id,
            context: entry.context,
            ..w::Filter::default()
        }
    }

    /// Makes the plans anew: sublayers by falling weight, in them filters by falling weight.
    fn rebuild(&mut self) {
        let mut plans: BTreeMap<u16, Vec<Step>> = BTreeMap::new();
        for (id, entry) in &self.objects.filters {
            let callout_id = self
                .objects
                .managed
                .get(&entry.callout)
                .map_or(0, |managed| managed.id);
            let filter = self.filter(*id, entry, callout_id);
            let callout = self.registered.get(&callout_id).cloned();
            let step = Step {
                filter,
                sublayer: entry.sublayer,
                callout,
            };
            plans.entry(entry.layer).or_default().push(step);
        }
        let order = |step: &Step| {
            let weights = (
                step.filter.sublayer_weight,
                step.sublayer.to_bytes(),
                step.filter.weight.value,
            );
            std::cmp::Reverse(weights)
        };
        self.plans = plans
            .into_iter()
            .map(|(layer, mut steps)| {
                steps.sort_by_key(order);
                (layer, Arc::new(Plan { steps }))
            })
            .collect();
    }
}
