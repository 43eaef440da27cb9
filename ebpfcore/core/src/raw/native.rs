//! Code that comes from outside: calls of the getters of a native module, and what vouches for the
//! functions of extensions.
#![expect(unsafe_code, reason = "calls code of the image")]

use super::addresses::pointer;
use crate::{
    control::{Arrival, Control},
    extension::Offer,
    native::{Error, Module, ModuleMemory, Tables, Typing, check_table, parse},
};
use abi::native::ModuleVersion;

/// A getter of an array: writes its address and its number of elements.
#[cfg(target_arch = "x86_64")]
type ArrayGetter = unsafe extern "win64" fn(*mut u64, *mut u64);
/// A getter of the version.
#[cfg(target_arch = "x86_64")]
type VersionGetter = unsafe extern "win64" fn(*mut ModuleVersion);
/// A getter of an array: writes its address and its number of elements.
#[cfg(not(target_arch = "x86_64"))]
type ArrayGetter = unsafe extern "C" fn(*mut u64, *mut u64);
/// A getter of the version.
#[cfg(not(target_arch = "x86_64"))]
type VersionGetter = unsafe extern "C" fn(*mut ModuleVersion);

/// Reads and checks everything that a loaded native module says about itself.
///
/// `table` is the address that the module gave as its client dispatch; `memory` knows the image.
///
/// # Safety
///
/// 1. The image is mapped, relocated and bound, and stays so during the call.
/// 2. Code in its executable sections is what the loader of the platform accepted: the getters
///    are called as functions of the native module ABI.
///
/// # Errors
///
/// The first item that is not as the native module ABI says.
pub unsafe fn validate(
    table: u64,
    memory: &dyn ModuleMemory,
    typing: Typing<'_>,
) -> Result<Module, Error> {
    let functions = check_table(table, memory)?;
    let mut tables = Tables::default();
    // SAFETY: the addresses lie in executable sections; obligation 2 of the caller.
    unsafe {
        let version: VersionGetter = core::mem::transmute(pointer(functions.version));
        version(&raw mut tables.version);
        for (getter, array) in [
            (functions.programs, &mut tables.programs),
            (functions.maps, &mut tables.maps),
            (functions.hash, &mut tables.hash),
            (functions.map_initial_values, &mut tables.initial),
            (functions.global_variable_sections, &mut tables.globals),
        ] {
            let getter: ArrayGetter = core::mem::transmute(pointer(getter));
            getter(&raw mut array.address, &raw mut array.count);
        }
    }
    parse(&tables, memory, typing)
}

impl Control {
    /// A native module attaches: it is authorised, read and checked; one that was started plainly
    /// runs when this returns (see [`crate::control`]). IRQL: PASSIVE.
    ///
    /// # Safety
    ///
    /// 1. As for [`validate`].
    /// 2. The image stays as it is until [`Control::detach_module`] says
    ///    [`Detached::Now`](crate::control::Detached::Now) or the shell is told that the module is
    ///    gone; after an error it may go at once.
    ///
    /// # Errors
    ///
    /// What is wrong with the module; [`crate::Status::VerificationFailed`] when nobody authorised
    /// it, [`crate::Status::ObjectAlreadyExists`] when its id is taken.
    pub unsafe fn attach_module(&self, arrival: &Arrival<'_>) -> Result<(), Error> {
        let _reserve = self.reserve_for_module()?;
        let origin = self.welcome(arrival)?;
        let extensions = self.linked();
        let typing = Typing::Guid(&extensions);
        // SAFETY: obligation 1 of the caller.
        let module = unsafe { validate(arrival.table, arrival.memory, typing) }?;
        self.admit(arrival, module, origin)
    }

    /// An extension offers what it provides: it is read and checked, and may be used once it is
    /// accepted (see [`crate::control`]). IRQL: PASSIVE.
    ///
    /// # Safety
    ///
    /// 1. The image of the provider stays as it is until [`Control::withdraw`] says
    ///    [`Detached::Now`](crate::control::Detached::Now) or the shell is told that the provider is
    ///    gone; after an error it may go at once.
    /// 2. Its functions are those of an extension: they do what their prototypes say.
    ///
    /// # Errors
    ///
    /// What is wrong with it; [`crate::Status::ObjectAlreadyExists`] when its id is taken or the
    /// runtime itself has what it provides.
    pub unsafe fn offer(&self, offer: &Offer<'_>) -> Result<(), Error> {
        self.examine(offer)
    }
}
