//! Why a verified program cannot become a module.

use abi::native::{ModuleVersion, VERSION_MIN};
use abi::{Code, diagnostic};
use core::fmt;
use isa::InsnIdx;
use program::Program;

/// The reason why code generation stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// There is no program to compile.
    NoPrograms,
    /// The programs come from different objects.
    MixedObjects {
        /// The first program that is not of the object of the first one.
        program: String,
    },
    /// Two programs have one name, by which the runtime finds them.
    DuplicateProgram {
        /// Their name.
        program: String,
    },
    /// A name does not fit into the metadata.
    Name {
        /// What is named: `program`, `section`, `map`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// An instruction that native code cannot express.
    Unsupported {
        /// Where.
        at: Box<Place>,
        /// What was found and what would work.
        what: &'static str,
    },
    /// The code needs a newer native module ABI than the options allow.
    AbiTooOld {
        /// Where.
        at: Box<Place>,
        /// Version that is needed.
        needed: ModuleVersion,
        /// Version that is allowed.
        cap: ModuleVersion,
        /// What needs it.
        what: &'static str,
    },
    /// No runtime accepts modules as old as the options ask for.
    AbiUnknown {
        /// Version that was asked for.
        cap: ModuleVersion,
    },
    /// A program without a proof that is not well formed.
    Malformed {
        /// Where.
        at: Box<Place>,
        /// What is wrong.
        what: &'static str,
    },
    /// A function too big for the code generator.
    TooLarge {
        /// The function.
        at: Box<Place>,
    },
    /// The functions of a program take more of the kernel's stack together than is safe.
    StackTooLarge {
        /// The program.
        program: String,
        /// Bytes on the deepest chain of calls.
        found: u32,
        /// How many there may be.
        limit: u32,
    },
    /// More of something than the metadata can count.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Our mistake.
    Internal(String),
}

/// A place in a program, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// ELF section.
    pub section: String,
    /// Program.
    pub program: String,
    /// Function within the program.
    pub function: String,
    /// Instruction slot in the linked program.
    pub at: InsnIdx,
    /// `file:line` when the object has line information.
    pub line: Option<String>,
}

impl Place {
    /// The place of an instruction.
    pub(crate) fn new(program: &Program, at: InsnIdx) -> Box<Place> {
        let function = program.function_at(at);
        Box::new(Place {
            section: program.section.clone(),
            program: program.name.clone(),
            function: function.map_or_else(|| program.name.clone(), |f| f.name.clone()),
            at,
            line: program
                .line(at)
                .map(|line| format!("{}:{}", line.file, line.line)),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "section {}, program {}", self.section, self.program)?;
        if self.function != self.program {
            write!(f, ", function {}", self.function)?;
        }
        write!(f, ", instruction {}", self.at)?;
        self.line
            .as_ref()
            .map_or(Ok(()), |line| write!(f, " ({line})"))
    }
}

impl Error {
    /// The stable id.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Error::NoPrograms => diagnostic::CODEGEN_NO_PROGRAMS,
            Error::MixedObjects { .. } => diagnostic::CODEGEN_MIXED_OBJECTS,
            Error::DuplicateProgram { .. } => diagnostic::CODEGEN_DUPLICATE_PROGRAM,
            Error::Name { .. } => diagnostic::CODEGEN_NAME,
            Error::Unsupported { .. } => diagnostic::CODEGEN_UNSUPPORTED,
            Error::AbiTooOld { .. } | Error::AbiUnknown { .. } => diagnostic::CODEGEN_ABI,
            Error::Malformed { .. } => diagnostic::CODEGEN_MALFORMED,
            Error::TooLarge { .. } => diagnostic::CODEGEN_TOO_LARGE,
            Error::StackTooLarge { .. } => diagnostic::CODEGEN_STACK,
            Error::TooMany { .. } => diagnostic::CODEGEN_TOO_MANY,
            Error::Internal(_) => diagnostic::INTERNAL,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        diagnostic::row(self.code()).map_or("", |row| row.help)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoPrograms => write!(f, "there is no program to compile"),
            Error::MixedObjects { program } => {
                write!(f, "program {program} comes from another object")
            }
            Error::DuplicateProgram { program } => write!(f, "two programs are named {program}"),
            Error::Name { what, name } => write!(
                f,
                "{what} name {name:?} has {} bytes, expected 1 to {} without a zero byte",
                name.len(),
                abi::limits::NAME_BYTES
            ),
            Error::Unsupported { at, what } | Error::Malformed { at, what } => {
                write!(f, "{at}: {what}")
            }
            Error::AbiTooOld {
                at,
                needed,
                cap,
                what,
            } => write!(
                f,
                "{at}: {what} needs native module ABI {needed}, allowed is {cap}"
            ),
            Error::AbiUnknown { cap } => write!(
                f,
                "native module ABI {cap}, the oldest that runtimes accept is {VERSION_MIN}"
            ),
            Error::TooLarge { at } => write!(f, "{at}: the function is too large to compile"),
            Error::StackTooLarge {
                program,
                found,
                limit,
            } => write!(
                f,
                "{program}: its deepest chain of calls takes {found} bytes of stack, the limit is {limit}"
            ),
            Error::TooMany { what, found, limit } => {
                write!(f, "{found} {what}, the limit is {limit}")
            }
            Error::Internal(what) => write!(f, "code generation: {what}"),
        }
    }
}

impl std::error::Error for Error {}
