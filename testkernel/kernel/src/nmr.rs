//! The Network Module Registrar: clients and providers of one interface find each other.
//!
//! Semantics by the documentation of the registrar: a client is offered every provider of its
//! interface; it accepts by attaching from inside its attach callback; either side leaving detaches
//! the binding, each side at once or later; the clean-up callbacks come when both have detached;
//! deregistering is always pending and ends when no binding is left.
//!
//! Invariant: no lock is held while code of a driver runs. Callbacks are addresses here; [`Callbacks`]
//! is who calls them. What is left out: registering the same module twice is not refused.

use crate::irql;
use crate::machine::violation;
use crate::report::lock;
use crate::status;
use abi::Guid;
use abi::native::nmr::{Characteristics, ModuleId};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Handles are not small numbers, so that mixed-up arguments are seen.
const FIRST_HANDLE: u64 = 0xffff_8a00_0000_0040;
const HANDLE_STEP: u64 = 0x40;
/// After this time a driver that did not complete its detach is reported.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who offers and who uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Uses an interface.
    Client,
    /// Offers one.
    Provider,
}

/// A registered module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registration {
    /// Client or provider.
    pub side: Side,
    /// What it registered.
    pub characteristics: Characteristics,
    /// Address of its registration instance, which the other side is shown.
    pub instance: u64,
    /// Its context, handed to its attach callback.
    pub context: u64,
    /// The interface.
    pub npi: Guid,
    /// Who it is.
    pub module: ModuleId,
    /// What a client's attach callback answered last.
    pub answer: Option<u32>,
    leaving: bool,
}

impl Registration {
    /// A registration, when its structure is well formed.
    #[must_use]
    pub fn new(
        side: Side,
        characteristics: Characteristics,
        places: (u64, u64),
        ids: (Guid, ModuleId),
    ) -> Option<Registration> {
        let is_well_formed = usize::from(characteristics.length) >= size_of::<Characteristics>()
            && characteristics.attach != 0
            && characteristics.detach != 0;
        is_well_formed.then_some(Registration {
            side,
            characteristics,
            instance: places.0,
            context: places.1,
            npi: ids.0,
            module: ids.1,
            answer: None,
            leaving: false,
        })
    }
}

/// What one side said to its detach callback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Detach {
    NotAsked,
    Pending,
    Done,
}

/// A client and a provider that were offered to each other.
#[derive(Clone, Copy, Debug)]
struct Binding {
    client: u64,
    provider: u64,
    /// Contexts of client and provider, once both accepted.
    contexts: Option<(u64, u64)>,
    /// The client's attach callback has not returned yet.
    is_offered: bool,
    detach: [Detach; 2],
}

/// Calls into drivers.
pub trait Callbacks {
    /// The client's attach callback: binding handle, its context, the provider's instance.
    fn client_attach(&self, function: u64, arguments: [u64; 3]) -> u32;
    /// The provider's attach callback; gives its binding context and dispatch table too.
    fn provider_attach(&self, function: u64, arguments: [u64; 5]) -> (u32, u64, u64);
    /// A detach callback.
    fn detach(&self, function: u64, context: u64) -> u32;
    /// A clean-up callback.
    fn cleanup(&self, function: u64, context: u64);
}

#[derive(Debug, Default)]
struct State {
    registrations: BTreeMap<u64, Registration>,
    bindings: BTreeMap<u64, Binding>,
    handles: u64,
}

impl State {
    fn handle(&mut self) -> u64 {
        self.handles += 1;
        FIRST_HANDLE + self.handles * HANDLE_STEP
    }

    fn is_bound(&self, registration: u64) -> bool {
        let is_side = |b: &Binding| b.client == registration || b.provider == registration;
        self.bindings.values().any(is_side)
    }
}

/// The registrar.
#[derive(Debug, Default)]
pub struct Registrar {
    state: Mutex<State>,
    changed: Condvar,
}

impl Registrar {
    /// Registers a module and offers it to, or offers it, all of the other side. `publish` is given
    /// the handle before any callback runs, because callbacks may use it.
    pub fn register(
        &self,
        registration: Registration,
        callbacks: &impl Callbacks,
        publish: impl FnOnce(u64),
    ) -> u64 {
        irql::at_most(irql::PASSIVE, "NmrRegister");
        let (handle, others) = {
            let mut state = lock(&self.state);
            let handle = state.handle();
            let fits = |other: &Registration| {
                other.npi == registration.npi && other.side != registration.side && !other.leaving
            };
            let others: Vec<u64> = state
                .registrations
                .iter()
                .filter(|(_, other)| fits(other))
                .map(|(handle, _)| *handle)
                .collect();
            state.registrations.insert(handle, registration);
            (handle, others)
        };
        publish(handle);
        for other in others {
            match registration.side {
                Side::Client => self.offer(handle, other, callbacks),
                Side::Provider => self.offer(other, handle, callbacks),
            }
        }
        handle
    }

    /// Shows a provider to a client.
    fn offer(&self, client: u64, provider: u64, callbacks: &impl Callbacks) {
        let Some((binding, from, to)) = self.propose(client, provider) else {
            return;
        };
        let arguments = [binding, from.context, to.instance];
        let answer = irql::run_at(irql::PASSIVE, "ClientAttachProvider", || {
            callbacks.client_attach(from.characteristics.attach, arguments)
        });
        let (is_attached, is_leaving) = {
            let mut state = lock(&self.state);
            if let Some(registration) = state.registrations.get_mut(&client) {
                registration.answer = Some(answer);
            }
            let leaves = |handle| state.registrations.get(handle).is_none_or(|r| r.leaving);
            let is_leaving = leaves(&client) || leaves(&provider);
            let Some(found) = state.bindings.get_mut(&binding) else {
                return;
            };
            found.is_offered = false;
            let is_attached = found.contexts.is_some();
            if !is_attached {
                state.bindings.remove(&binding);
            }
            (is_attached, is_leaving)
        };
        self.changed.notify_all();
        if is_attached == status::is_error(answer) {
            violation(|| {
                format!("ClientAttachProvider answers {answer:#x}, attached: {is_attached}")
            });
        }
        if is_attached && is_leaving {
            self.detach(binding, callbacks);
        }
    }

    fn propose(&self, client: u64, provider: u64) -> Option<(u64, Registration, Registration)> {
        let mut state = lock(&self.state);
        let live = |handle| {
            let found = state.registrations.get(&handle).copied();
            found.filter(|registration: &Registration| !registration.leaving)
        };
        let (from, to) = (live(client)?, live(provider)?);
        let binding = state.handle();
        let offered = Binding {
            client,
            provider,
            contexts: None,
            is_offered: true,
            detach: [Detach::NotAsked; 2],
        };
        state.bindings.insert(binding, offered);
        Some((binding, from, to))
    }

    /// The client accepts, from inside its attach callback: its context and dispatch table go to
    /// the provider. Gives the status, the provider's binding context and dispatch table.
    pub fn client_attach(
        &self,
        handle: u64,
        context: u64,
        dispatch: u64,
        callbacks: &impl Callbacks,
    ) -> (u32, u64, u64) {
        const REFUSED: (u32, u64, u64) = (status::INVALID_PARAMETER, 0, 0);
        irql::at_most(irql::PASSIVE, "NmrClientAttachProvider");
        let found = {
            let state = lock(&self.state);
            let binding = state.bindings.get(&handle).copied();
            binding
                .filter(|binding| binding.is_offered && binding.contexts.is_none())
                .and_then(|binding| {
                    let client = *state.registrations.get(&binding.client)?;
                    Some((client, *state.registrations.get(&binding.provider)?))
                })
        };
        let Some((client, provider)) = found else {
            violation(|| "NmrClientAttachProvider outside of the attach callback".to_owned());
            return REFUSED;
        };
        let arguments = [handle, provider.context, client.instance, context, dispatch];
        let answer = irql::run_at(irql::PASSIVE, "ProviderAttachClient", || {
            callbacks.provider_attach(provider.characteristics.attach, arguments)
        });
        if answer.0 == status::SUCCESS
            && let Some(binding) = lock(&self.state).bindings.get_mut(&handle)
        {
            binding.contexts = Some((context, answer.1));
        }
        answer
    }

    /// Begins to deregister; always pending.
    pub fn deregister(&self, handle: u64, side: Side, callbacks: &impl Callbacks) -> u32 {
        irql::at_most(irql::PASSIVE, "NmrDeregister");
        let bindings: Vec<u64> = {
            let mut state = lock(&self.state);
            let own = state.registrations.get_mut(&handle);
            let Some(own) = own.filter(|own| own.side == side && !own.leaving) else {
                violation(|| format!("{side:?} deregistered with a wrong handle or twice"));
                return status::INVALID_HANDLE;
            };
            own.leaving = true;
            let is_own = |b: &&Binding| b.client == handle || b.provider == handle;
            let own = |(at, binding): (&u64, &Binding)| is_own(&binding).then_some(*at);
            state.bindings.iter().filter_map(own).collect()
        };
        for binding in bindings {
            self.detach(binding, callbacks);
        }
        status::PENDING
    }

    /// Ends deregistration: waits until no binding is left.
    pub fn wait_deregistered(&self, handle: u64, side: Side) -> u32 {
        irql::at_most(irql::PASSIVE, "NmrWaitForDeregisterComplete");
        let mut state = lock(&self.state);
        let own = state.registrations.get(&handle);
        if own.is_none_or(|own| own.side != side || !own.leaving) {
            violation(|| format!("{side:?} waits without having deregistered"));
            return status::INVALID_HANDLE;
        }
        let mut told = false;
        while state.is_bound(handle) {
            let waited = self.changed.wait_timeout(state, PATIENCE);
            let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = guard;
            if timeout.timed_out() && state.is_bound(handle) && !told {
                told = true;
                violation(|| format!("{side:?} waits for a detach that nobody completes"));
            }
        }
        state.registrations.remove(&handle);
        status::SUCCESS
    }

    /// Asks both sides of an attached binding to detach; later calls do nothing.
    fn detach(&self, handle: u64, callbacks: &impl Callbacks) {
        let found = {
            let mut state = lock(&self.state);
            let State {
                registrations,
                bindings,
                ..
            } = &mut *state;
            bindings.get_mut(&handle).and_then(|binding| {
                // An offer that is under way detaches itself when its callback has returned.
                let contexts = binding.contexts.filter(|_| !binding.is_offered)?;
                if binding.detach != [Detach::NotAsked; 2] {
                    return None;
                }
                binding.detach = [Detach::Pending; 2];
                let of = |handle| {
                    registrations
                        .get(handle)
                        .map(|r: &Registration| r.characteristics)
                };
                Some((contexts, of(&binding.client)?, of(&binding.provider)?))
            })
        };
        let Some(((client_context, provider_context), client, provider)) = found else {
            return;
        };
        let sides = [
            (Side::Client, client.detach, client_context),
            (Side::Provider, provider.detach, provider_context),
        ];
        for (side, function, context) in sides {
            let answer = irql::run_at(irql::PASSIVE, "detach callback", || {
                callbacks.detach(function, context)
            });
            match answer {
                status::SUCCESS => self.detached(handle, side, callbacks),
                status::PENDING => {}
                other => violation(|| format!("{side:?} answers {other:#x} to its detach")),
            }
        }
    }

    /// One side has detached; the second one ends the binding.
    pub fn detached(&self, handle: u64, side: Side, callbacks: &impl Callbacks) {
        let ended = {
            let mut state = lock(&self.state);
            let Some(binding) = state.bindings.get_mut(&handle) else {
                violation(|| format!("{side:?} detached from a binding that is not there"));
                return;
            };
            let own = &mut binding.detach[side as usize];
            if *own != Detach::Pending {
                violation(|| format!("{side:?} completed a detach nobody asked for"));
                return;
            }
            *own = Detach::Done;
            let binding = *binding;
            (binding.detach == [Detach::Done; 2]).then(|| {
                let of = |handle| state.registrations.get(handle).map(|r| r.characteristics);
                (binding.contexts, of(&binding.client), of(&binding.provider))
            })
        };
        let Some((contexts, client, provider)) = ended else {
            return;
        };
        if let (Some((of_client, of_provider)), Some(client), Some(provider)) =
            (contexts, client, provider)
        {
            for (function, context) in
                [(client.cleanup, of_client), (provider.cleanup, of_provider)]
            {
                if function != 0 {
                    callbacks.cleanup(function, context);
                }
            }
        }
        lock(&self.state).bindings.remove(&handle);
        self.changed.notify_all();
    }

    /// All registrations: what is left when every driver is gone is a leak.
    #[must_use]
    pub fn registrations(&self) -> Vec<Registration> {
        lock(&self.state).registrations.values().copied().collect()
    }
}

#[cfg(test)]
mod tests;
