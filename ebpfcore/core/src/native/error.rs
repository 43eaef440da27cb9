//! What can be wrong with a native module: which item, and what about it.

use crate::Status;
use abi::Code;
use alloc::string::String;
use core::fmt;

/// A module that cannot be loaded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    /// Where.
    pub item: Item,
    /// What.
    pub problem: Problem,
}

/// A part of a module's metadata.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// The metadata table.
    Table,
    /// A function of the metadata table, by the name of its field.
    Getter(&'static str),
    /// A program, by index.
    Program(usize),
    /// A program, by name.
    ProgramNamed(String),
    /// A map, by index.
    Map(usize),
    /// A map, by name.
    MapNamed(String),
    /// An entry of the initial values, by index.
    InitialValues(usize),
    /// A global data section, by index.
    Global(usize),
    /// A helper of a program.
    Helper {
        /// Program index.
        program: usize,
        /// Slot in its helper array.
        slot: usize,
    },
    /// A platform function of a program.
    BtfFunction {
        /// Program index.
        program: usize,
        /// Slot in its array.
        slot: usize,
    },
    /// The data of a provider, by what it provides.
    Provider(&'static str),
    /// A prototype of a provider, by index.
    Prototype(usize),
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// A required address is NULL.
    Null(&'static str),
    /// An address of data is not readable or not inside the image.
    Outside {
        /// Field.
        field: &'static str,
        /// Its value.
        address: u64,
    },
    /// An address of a function is not inside an executable section.
    NotCode {
        /// Field.
        field: &'static str,
        /// Its value.
        address: u64,
    },
    /// A number is not one of those allowed.
    Value {
        /// Field.
        field: &'static str,
        /// Its value.
        found: u64,
        /// What is allowed.
        expected: &'static str,
    },
    /// A count is zero and the address is not NULL, or the other way round.
    CountAndAddress(&'static str),
    /// A string is empty, too long, not terminated, or not text.
    Text(&'static str),
    /// A name refers to nothing.
    Unknown {
        /// What kind of name.
        field: &'static str,
        /// The name.
        name: String,
    },
    /// The program type is not known.
    ProgramType(abi::Guid),
    /// Nothing implements a helper for this type of program.
    NoHelper {
        /// Its number.
        id: u32,
        /// The program.
        program: String,
    },
    /// Nothing implements a platform function.
    NoBtfFunction(String),
    /// The hash over type and helpers does not match this runtime's prototypes.
    InfoHash,
    /// An operation of the runtime failed.
    Status(Status),
}

impl Error {
    pub(crate) fn new(item: Item, problem: Problem) -> Error {
        Error { item, problem }
    }

    /// Its diagnostic id.
    #[must_use]
    pub fn code(&self) -> Code {
        match (&self.problem, &self.item) {
            (Problem::NoHelper { .. } | Problem::NoBtfFunction(_), _) => {
                abi::diagnostic::RUN_HELPER
            }
            (Problem::Status(Status::NoMemory), _) => abi::diagnostic::RUN_MEMORY,
            (Problem::Status(_), Item::Map(_) | Item::MapNamed(_)) => abi::diagnostic::RUN_MAP,
            (Problem::Status(_), Item::InitialValues(_)) => abi::diagnostic::RUN_TAIL_CALL,
            _ => abi::diagnostic::RUN_MODULE,
        }
    }

    /// The result code that IOCTLs return for it.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.problem {
            Problem::Status(status) => status,
            Problem::ProgramType(_) | Problem::NoHelper { .. } | Problem::NoBtfFunction(_) => {
                Status::ExtensionFailedToLoad
            }
            _ => Status::InvalidArgument,
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Table => f.write_str("metadata table"),
            Item::Getter(field) => write!(f, "metadata table, {field}"),
            Item::Program(index) => write!(f, "program {index}"),
            Item::ProgramNamed(name) => write!(f, "program {name}"),
            Item::Map(index) => write!(f, "map {index}"),
            Item::MapNamed(name) => write!(f, "map {name}"),
            Item::InitialValues(index) => write!(f, "initial values {index}"),
            Item::Global(index) => write!(f, "global section {index}"),
            Item::Helper { program, slot } => write!(f, "program {program}, helper slot {slot}"),
            Item::BtfFunction { program, slot } => {
                write!(f, "program {program}, platform function slot {slot}")
            }
            Item::Provider(what) => write!(f, "provider of {what}"),
            Item::Prototype(index) => write!(f, "prototype {index}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Null(field) => write!(f, "{field} is NULL"),
            Problem::Outside { field, address } => {
                write!(f, "{field} = {address:#x} does not lie inside the image")
            }
            Problem::NotCode { field, address } => {
                write!(
                    f,
                    "{field} = {address:#x} does not lie in executable code of the image"
                )
            }
            Problem::Value {
                field,
                found,
                expected,
            } => write!(f, "{field} is {found}, expected {expected}"),
            Problem::CountAndAddress(field) => {
                write!(
                    f,
                    "{field}: the count is zero and the address is not, or the reverse"
                )
            }
            Problem::Text(field) => write!(
                f,
                "{field} is not a terminated string of 1 to {} characters",
                abi::limits::NAME_BYTES
            ),
            Problem::Unknown { field, name } => write!(f, "{field} {name:?} does not exist"),
            Problem::ProgramType(guid) => write!(f, "program type {guid} is not known"),
            Problem::NoHelper { id, program } => {
                write!(
                    f,
                    "helper {id} of program {program} has no implementation here"
                )
            }
            Problem::NoBtfFunction(name) => {
                write!(f, "platform function {name} has no implementation here")
            }
            Problem::InfoHash => f.write_str(
                "program_info_hash does not match the helpers and program type of this runtime",
            ),
            Problem::Status(status) => fmt::Display::fmt(status, f),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.item, self.problem)
    }
}

impl core::error::Error for Error {}
