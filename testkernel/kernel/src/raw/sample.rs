//! A sample extension in this process: what `sample_extension` describes, registered and called.
//!
//! [`Sample::fire`] is the event that the hook waits for. Invariant: a program that was detached is
//! not running any more.

use super::netio;
use crate::report::lock;
use crate::status;
use sample_extension::{Callbacks, hook_client};
use std::collections::BTreeMap;
use std::sync::{Mutex, RwLock};

pub use sample_extension::{ATTACH_TYPE, Context, FUNCTION, HELPER, MODULE, PROGRAM_TYPE, Tables};

/// A program at the hook.
#[derive(Clone, Debug)]
struct Attached {
    context: u64,
    invoke: u64,
    parameter: Vec<u8>,
}

/// The extension.
#[derive(Debug, Default)]
pub struct Sample {
    tables: Box<Tables>,
    handles: Mutex<Vec<u64>>,
    /// Held for reading while programs run.
    attached: RwLock<BTreeMap<u64, Attached>>,
    next: Mutex<u64>,
}

fn at<T>(value: &T) -> u64 {
    std::ptr::from_ref(value).expose_provenance() as u64
}

impl Sample {
    /// An extension that is not started; the tables may still be changed.
    #[must_use]
    pub fn new() -> Box<Sample> {
        let mut sample = Box::<Sample>::default();
        let address = |function: *const ()| function.expose_provenance() as u64;
        let data = Callbacks {
            attach: address(accept as *const ()),
            detach: address(forget as *const ()),
        };
        let hook = Callbacks {
            attach: address(hook_attach as *const ()),
            detach: address(hook_detach as *const ()),
        };
        sample.tables.fill(data, hook);
        sample
    }

    /// Its tables.
    pub fn tables(&mut self) -> &mut Tables {
        &mut self.tables
    }

    /// Where the tables lie, and how long they are.
    #[must_use]
    pub fn image(&self) -> (u64, usize) {
        (at(&*self.tables), size_of::<Tables>())
    }

    /// Addresses of its functions that others call.
    #[must_use]
    pub fn functions(&self) -> [u64; 2] {
        self.tables.functions()
    }

    /// Registers the providers.
    ///
    /// # Errors
    /// What the registrar answers.
    pub fn start(&self) -> Result<(), u32> {
        for provider in &self.tables.providers {
            let mut handle = 0u64;
            let variable = (&raw mut handle).expose_provenance() as u64;
            let answer = netio::NmrRegisterProvider(at(provider), at(self), variable);
            if status::is_error(answer) {
                return Err(answer);
            }
            lock(&self.handles).push(handle);
        }
        Ok(())
    }

    /// Takes the providers back and waits until nobody is attached.
    pub fn stop(&self) {
        let handles = std::mem::take(&mut *lock(&self.handles));
        for handle in &handles {
            netio::NmrDeregisterProvider(*handle);
        }
        for handle in handles {
            netio::NmrWaitForProviderDeregisterComplete(handle);
        }
    }

    /// Something happens: all programs run; gives what the runtime answered and their results, and
    /// the parameter that each was attached with.
    pub fn fire(&self, context: &mut Context) -> Vec<(i32, u32, Vec<u8>)> {
        let attached = self.attached.read();
        let attached = attached.unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut answers = Vec::new();
        for one in attached.values() {
            // SAFETY: a client that is attached; detaching waits for this.
            let ran = unsafe { sample_extension::run(one.invoke, one.context, context) };
            let (answer, result) = ran;
            answers.push((answer, result, one.parameter.clone()));
        }
        answers
    }

    fn writing(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<u64, Attached>> {
        let attached = self.attached.write();
        attached.unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// `ProviderAttachClient` of what is data alone.
extern "win64" fn accept(
    _binding: u64,
    _context: u64,
    _client: u64,
    _client_context: u64,
    _dispatch: u64,
    own: &mut u64,
    own_dispatch: &mut u64,
) -> u32 {
    (*own, *own_dispatch) = (0, 0);
    status::SUCCESS
}

/// `ProviderDetachClient` of what is data alone.
extern "win64" fn forget(_: u64) -> u32 {
    status::SUCCESS
}

/// `ProviderAttachClient` of the hook. The context of the binding is the place of a pair: the
/// extension and the number of the program.
extern "win64" fn hook_attach(
    _binding: u64,
    context: u64,
    instance: u64,
    client_context: u64,
    dispatch: u64,
    own: &mut u64,
    own_dispatch: &mut u64,
) -> u32 {
    // SAFETY: the context that `start` gave; the registrar's addresses.
    let (sample, said) = unsafe {
        let sample = std::ptr::with_exposed_provenance::<Sample>(context as usize);
        (&*sample, hook_client(instance, dispatch))
    };
    let Some(client) = said else {
        return status::INVALID_PARAMETER;
    };
    let (data, bytes) = client.parameter;
    // SAFETY: the parameter of a client that attaches.
    let byte = |index: u64| unsafe { super::get(data + index) };
    let Ok(parameter) = (0..bytes).map(byte).collect::<Result<_, _>>() else {
        return status::INVALID_PARAMETER;
    };
    let number = {
        let mut next = lock(&sample.next);
        *next += 1;
        *next
    };
    let program = Attached {
        context: client_context,
        invoke: client.invoke,
        parameter,
    };
    sample.writing().insert(number, program);
    let pair = Box::into_raw(Box::new((context, number)));
    (*own, *own_dispatch) = (pair.expose_provenance() as u64, 0);
    status::SUCCESS
}

/// `ProviderDetachClient` of the hook.
extern "win64" fn hook_detach(own: u64) -> u32 {
    let pair = std::ptr::with_exposed_provenance_mut::<(u64, u64)>(own as usize);
    // SAFETY: from `hook_attach`, given back once.
    let (context, number) = *unsafe { Box::from_raw(pair) };
    // SAFETY: the context that `start` gave.
    let sample = unsafe { &*std::ptr::with_exposed_provenance::<Sample>(context as usize) };
    // Waits for programs that run.
    sample.writing().remove(&number);
    status::SUCCESS
}
