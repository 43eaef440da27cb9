//! What can go wrong when images and programs run on a host.

#[cfg(unix)]
use crate::raw::mapping::MapError;
use abi::{Code, diagnostic as d};
use ebpfcore::{Status, interpreter::Trap, object::LoadError};
use std::fmt;
use std::io;

/// An error of this crate.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The file is not a driver image.
    Image(image::Error),
    /// The image cannot be mapped.
    #[cfg(unix)]
    Map(MapError),
    /// The host has no way to do this.
    UnsupportedHost {
        /// What is missing.
        what: &'static str,
    },
    /// The system gives no memory.
    Memory(io::Error),
    /// Not a name for a service.
    ServiceName {
        /// The name.
        name: String,
    },
    /// A service of this name runs already.
    Running {
        /// The name.
        service: String,
    },
    /// No service of this name runs.
    NotRunning {
        /// The name.
        service: String,
        /// The names of those that run.
        running: Vec<String>,
    },
    /// `DriverEntry` returned an error.
    Entry {
        /// `NTSTATUS`.
        status: u32,
    },
    /// `DriverEntry` left a registry key open.
    LeakedKey {
        /// Its path.
        key: String,
    },
    /// `DriverEntry` succeeded without registering a client.
    NotRegistered,
    /// The driver is a client of another interface.
    OtherInterface {
        /// Its id.
        npi: abi::Guid,
    },
    /// The client's attach callback returned an error.
    Attach {
        /// `NTSTATUS`.
        status: u32,
    },
    /// The attach callback succeeded without accepting the provider.
    NotAttached,
    /// The driver set no unload routine.
    NoUnload,
    /// The driver is still registered after its unload routine.
    StillRegistered,
    /// The runtime refuses the module.
    Module(ebpfcore::native::Error),
    /// The runtime refuses the object.
    Object(LoadError),
    /// There is no such program.
    NoProgram {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The program is loaded for the other engine only.
    NoEngine {
        /// Its name.
        name: String,
        /// The engine asked for.
        engine: crate::Engine,
    },
    /// The input does not fit the program type.
    Input {
        /// Number of the input, from 0.
        number: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The interpreter stopped the program.
    Trap {
        /// Name of the program.
        program: String,
        /// Number of the input, from 0.
        number: usize,
        /// Why and where.
        trap: Trap,
    },
    /// There is no such map.
    NoMap {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A map refuses an operation.
    MapAccess {
        /// Its name.
        map: String,
        /// What was tried.
        what: &'static str,
        /// Why not.
        status: Status,
    },
    /// The bytes are not a program.
    Bytecode(program::LoadError),
    /// A program of a test suite cannot be compiled.
    Codegen(codegen::Error),
}

impl Error {
    /// The stable id.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Error::Image(error) => error.code(),
            #[cfg(unix)]
            Error::Map(error) => error.code(),
            Error::UnsupportedHost { .. } => d::RUN_HOST,
            Error::Memory(_) => d::RUN_MEMORY,
            Error::ServiceName { .. } | Error::Running { .. } | Error::NotRunning { .. } => {
                d::RUN_SERVICE
            }
            Error::Entry { .. } | Error::LeakedKey { .. } => d::RUN_ENTRY,
            Error::NotRegistered
            | Error::OtherInterface { .. }
            | Error::Attach { .. }
            | Error::NotAttached => d::RUN_ATTACH,
            Error::NoUnload | Error::StillRegistered => d::RUN_UNLOAD,
            Error::Module(error) => error.code(),
            Error::Object(error) => error.code(),
            Error::NoProgram { .. } => d::RUN_PROGRAM,
            Error::NoEngine { .. } => d::RUN_ENGINE,
            Error::Input { .. } => d::RUN_CONTEXT,
            Error::Trap { trap, .. } => trap.kind.code(),
            Error::NoMap { .. } | Error::MapAccess { .. } => d::RUN_MAP_ACCESS,
            Error::Bytecode(error) => error.code(),
            Error::Codegen(error) => error.code(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Image(error) => error.fmt(f),
            #[cfg(unix)]
            Error::Map(error) => error.fmt(f),
            Error::UnsupportedHost { what } => write!(f, "this host does not have {what}"),
            Error::Memory(error) => write!(f, "no memory for contexts and packets: {error}"),
            Error::ServiceName { name } => write!(f, "`{name}` cannot be the name of a service"),
            Error::Running { service } => write!(f, "`{service}` runs already; stop it first"),
            Error::NotRunning { service, running } => {
                write!(f, "`{service}` does not run; running: {}", list(running))
            }
            Error::Entry { status } => {
                write!(f, "DriverEntry returned {status:#010x}{}", meaning(*status))
            }
            Error::LeakedKey { key } => write!(f, "DriverEntry left the key {key} open"),
            Error::NotRegistered => f.write_str("DriverEntry registered no client"),
            Error::OtherInterface { npi } => write!(
                f,
                "the driver is a client of interface {npi}, not of native eBPF modules"
            ),
            Error::Attach { status } => write!(
                f,
                "the driver refused to attach: {status:#010x}{}",
                meaning(*status)
            ),
            Error::NotAttached => f.write_str("the driver did not attach to the runtime"),
            Error::NoUnload => f.write_str("the driver has no unload routine"),
            Error::StillRegistered => {
                f.write_str("the driver is still registered after its unload routine")
            }
            Error::Module(error) => error.fmt(f),
            Error::Object(error) => error.fmt(f),
            Error::NoProgram { name, known } => {
                write!(f, "no program `{name}`; there are: {}", list(known))
            }
            Error::NoEngine { name, engine } => {
                write!(f, "program `{name}` is not loaded for the {engine}")
            }
            Error::Input { number, problem } => write!(f, "input {number}: {problem}"),
            Error::Trap {
                program,
                number,
                trap,
            } => write!(f, "program `{program}`, input {number}: {trap}"),
            Error::NoMap { name, known } => {
                write!(f, "no map `{name}`; there are: {}", list(known))
            }
            Error::MapAccess { map, what, status } => write!(f, "map `{map}`: {what}: {status}"),
            Error::Bytecode(error) => error.fmt(f),
            Error::Codegen(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

/// The usual status values in words.
fn meaning(status: u32) -> &'static str {
    use testkernel::status as s;
    match status {
        s::INVALID_PARAMETER => " (STATUS_INVALID_PARAMETER)",
        s::OBJECT_NAME_NOT_FOUND => " (STATUS_OBJECT_NAME_NOT_FOUND)",
        s::INVALID_HANDLE => " (STATUS_INVALID_HANDLE)",
        s::NOT_SUPPORTED => " (STATUS_NOT_SUPPORTED)",
        _ => "",
    }
}

fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}
