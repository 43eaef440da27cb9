//! What commands need of the system that they run on.

use ebpfapi::{Client, Error};
use signing::Signer;

/// The system that commands run on.
pub trait Host {
    /// The runtime.
    ///
    /// # Errors
    /// It does not run, or the caller may not ask it.
    fn connect(&self) -> Result<Client, Error>;

    /// Processes that use eBPF.
    ///
    /// # Errors
    /// Only administrators may know.
    fn processes(&self) -> Result<Vec<Process>, NotElevated>;

    /// Index of the network interface of a name.
    fn interface(&self, name: &str) -> Option<u32>;

    /// What signs drivers that are made here; `None` where drivers need no signature.
    ///
    /// # Errors
    /// There is no key, as a message.
    fn signer(&self) -> Result<Option<Signer>, String>;
}

/// A process.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Process {
    /// Its number.
    pub id: u32,
    /// The name of its program.
    pub name: String,
}

/// The caller is no administrator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotElevated;
